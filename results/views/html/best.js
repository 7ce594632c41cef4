// The best trial in words: of the search, after its confirmation, and how to use its model.

const trialLink = (id) => el("a", id, "", { href: fragment({ trial: id }) });

/** After a confirmation: the finalist that won, how the others did, and the best of the search. */
function verdict() {
  const place = $(".verdict");
  place.hidden = !D.winner || !D.best;
  if (place.hidden) return;
  const { trial, mean, retrainings, others } = D.winner;
  const won = [
    el("b", "Winner after confirmation: "),
    trialLink(trial),
    `, mean ${D.metric} ${number(mean)} over ${plural(retrainings, "retraining")}${failuresOf(D.winner)}.`,
  ];
  if (others.length) won.push(others.length === 1 ? " The other finalist: " : " The other finalists: ");
  others.forEach((other, k) => {
    won.push(k ? ", " : "", trialLink(other.trial), ` ${number(other.mean)}${failuresOf(other)}`);
  });
  if (others.length) won.push(".");
  place.replaceChildren(el("p", won), el("p", bestOfSearch()));
}

const failuresOf = ({ failed }) => (failed ? ` (${plural(failed, "other retraining")} failed)` : "");

function bestOfSearch() {
  const told = `, ${D.metric} ${number(D.best.value)} at ${reportAt(D.best.epoch)}, in one training.`;
  const isSame = T.id[D.best.trial] === D.winner.trial;
  return [
    el("b", "Best of the search: "),
    ...(isSame ? ["the same trial"] : [trialLink(T.id[D.best.trial])]),
    told,
  ];
}

function bestSection() {
  const place = $("#best .content");
  const heading = stateOfRun() === "finished" ? "Best of the search" : "Best so far";
  const inFirst = hasFront() ? `${heading} in ${D.metric}` : heading;
  $("#best h2").textContent = D.winner ? "Winner after confirmation" : inFirst;
  if (!D.best) {
    const why = D.whyNoBest ?? "no trial has reported a finite value yet";
    place.replaceChildren(el("p", `${why[0].toUpperCase()}${why.slice(1)}.`, "how"));
    return;
  }
  const i = chosenTrial();
  const set = Object.entries(T.config).filter(([, values]) => (values[i] ?? null) !== null);
  const config = el("dl", "", "config");
  pairs(
    config,
    set.map(([name, values]) => [name, number(values[i])]),
  );
  const said = D.winner ? winnerInWords(i) : [bestInWords(i), confirmation(i)];
  place.replaceChildren(...said, ...frontInWords(), el("h3", "Configuration"), config, el("h3", "Use it"), ...usage(i));
}

/** The trial whose model is to be used: the winner of the finalists, or else the best of the search. */
function chosenTrial() {
  return (D.winner && indices.get(D.winner.trial)) ?? D.best.trial;
}

function bestInWords(i) {
  const value = el("b", number(D.best.value), "value");
  const others = Object.entries(D.best.metrics)
    .filter(([name]) => name !== D.metric)
    .slice(0, 6);
  const beside = others.map(([name, known]) => `${name} ${number(known)}`).join(", ");
  const told = [` ${D.metric} at ${reportAt(D.best.epoch)} of `, trialLink(T.id[i]), beside ? `; ${beside}` : ""];
  return el("p", [value, ...told], "lead");
}

function winnerInWords(i) {
  const value = el("b", number(D.winner.mean), "value");
  const told = ` mean ${D.metric} over ${plural(D.winner.retrainings, "retraining")} of `;
  const mine = D.retrainings.find((row) => row.trial === T.id[i]);
  const said = mine ? el("p", `Trained again, it has a mean of ${retrainedInWords(mine)}.`, "confirmed") : "";
  return [
    el("p", [value, told, trialLink(T.id[i]), "; it is what is exported"], "lead"),
    ...(said ? [said] : []),
    el("p", bestOfSearch(), "confirmed"),
  ];
}

function retrainedInWords(row) {
  const interval_ = `${number(row.low)} … ${number(row.high)}`;
  return `${number(row.mean)} (${interval_}) on the ${row.split} split over ${plural(row.seeds, "fresh seed")}`;
}

/** What retrainings say about the best trial as long as they are not complete, or that there are none. */
function confirmation(i) {
  if (!D.retrainings.length && D.best.repeated) return el("p", `${D.best.repeated}.`, "confirmed");
  if (!D.retrainings.length)
    return el(
      "p",
      "Not confirmed: it was selected as the best of many, so it is optimistic. " +
        "With confirm in its file, a sweep trains its best trials again with fresh seeds.",
      "how",
    );
  const mine = D.retrainings.find((row) => row.trial === T.id[i]);
  const said = mine ? `So far it has a mean of ${retrainedInWords(mine)}.` : "";
  return el("p", `Its confirmation is not complete. ${said}`, "confirmed");
}

/** Why the run directory holds no model of the best trial, and where a script may have left its own. */
function noModel() {
  if (!D.best.ofScript) return "No model of it was kept here.";
  return `raysweep keeps no model of a script. Of this trial: ${D.best.ofScript}`;
}

/** Path, snippet and command to use a model. A server knows where its checkpoint is when it is asked. */
function usage(i) {
  if (state.served) return [served(i, (usage.at ??= el("div")))];
  const isBest = i === D.best.trial;
  const path = JSON.stringify(D.path);
  const load = [`import raysweep as rs`, ``];
  if (isBest) load.push(`best = rs.load(${path}).best`, `config = best.config`);
  if (isBest && hasFront()) load.push(`knee = rs.load(${path}).knee  # or of the front: rs.load(...).front`);
  else load.push(`rs.load(${path}).export()  # the model of ${T.id[i]} and its configuration, in best/`);
  if (isBest && D.best.hasState)
    load.push(`model.load_state_dict(best.load_state_dict())  # a model built from config`);
  const made = [];
  if (D.best.exported) made.push(el("p", ["The exported model: ", el("code", D.best.exported)], "how"));
  else if (D.best.hasState) made.push(commandLine(`raysweep export ${quoted(D.path)}`));
  else if (!D.best.checkpoint) made.push(el("p", noModel(), "how"));
  if (isBest && D.best.checkpoint) made.push(el("p", ["Its checkpoint: ", el("code", D.best.checkpoint)], "how"));
  return [...made, el("pre", load.join("\n"), "snippet", { tabIndex: 0 })];
}

function served(i, place) {
  const id = `${state.run} ${T.id[i]} ${T.bestEpoch[i]}`;
  if (place.dataset.of === id) return place;
  place.dataset.of = id;
  detailsOf(i).then((details) => {
    const made = details.exportable === false ? [] : [commandLine(`raysweep export ${quoted(D.path)}`)];
    if (details.checkpoint) made.push(el("p", ["Its checkpoint: ", el("code", details.checkpoint)], "how"));
    if (details.snippet) made.push(el("pre", details.snippet, "snippet", { tabIndex: 0 }));
    place.replaceChildren(...made);
  });
  return place;
}
