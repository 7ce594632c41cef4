// What a reader needs first, in words: state and progress, the best value, problems, findings and what to do next.

function opening() {
  const how = stateOfRun();
  $("#hero h1").textContent = D.name;
  const title = how === "silent" ? `no update since ${when(D.written)}` : how;
  const reason = how === "finished" && D.ended && D.ended !== "done" ? `${how}: ${D.ended}` : title;
  const aims = hasFront() ? objectives() : [{ name: D.metric, maximize: D.maximize }];
  const goal = aims.map(({ name, maximize }) => `${maximize ? "largest" : "smallest"} ${name}`).join(", ");
  const seeds = D.seeds > 1 ? `${D.seeds} search seeds` : "";
  const words = [goal, D.searchers.join(", "), seeds, `started ${when(D.began)}`].filter(Boolean).join("  ·  ");
  const tags = D.tags.map((tag) => el("span", tag, "tag"));
  $(".state").replaceChildren(pill(reason, how), words, ...tags);
  $(".notes").replaceChildren(
    ...D.notes.map((note) =>
      el("li", [el("b", note.text), `  ${[note.author, note.time && when(note.time)].filter(Boolean).join(", ")}`]),
    ),
  );
  verdict();
  progress();
  tiles();
}

/** How many trials have ended, of how many, by status. */
function progress() {
  const found = counts();
  const of = Math.max(state.summary?.of ?? D.of ?? 0, COUNT);
  const ended = COUNT - (found.running ?? 0) - (found.waiting ?? 0);
  const known = STATUS_ORDER.filter((status) => found[status]);
  const parts = known.map((status) => {
    const style = `width: ${(100 * found[status]) / Math.max(1, of)}%; background: var(${STATUS_COLOURS[status]})`;
    return el("span", "", "", { style });
  });
  $(".progress .bar-of").replaceChildren(...parts);
  const total = state.summary?.of ?? D.of;
  const left = state.summary?.seconds_left;
  const verb = found.paused ? "ended or paused" : "ended"; // as `raysweep status` counts
  const count_ = total ? `${number(ended)} of ${plural(total, "trial")}` : plural(ended, "trial");
  const words = [el("b", `${count_} ${verb}`)];
  if (left !== null && left !== undefined) words.push(`about ${duration(left)} left`);
  const legend_ = known.map((status) => {
    const act = () => go({ where: edited(isAbout("status"), [term("status", ":", status)]) }, { replace: true });
    const dot = el("span", "", "dot", { style: `background: var(${STATUS_COLOURS[status]})` });
    return button([dot, `${number(found[status])} ${status}`], act, "count", {
      title: `show trials that are ${status}`,
    });
  });
  $(".progress .words").replaceChildren(...words, ...legend_);
}

function tiles() {
  const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0);
  const best = `best ${D.metric}${D.winner ? " of the search" : ""}`;
  const label = D.best ? `${best}, ${T.id[D.best.trial]}` : best;
  const winner = D.winner ? [[number(D.winner.mean), `confirmed mean ${D.metric}, ${D.winner.trial}`]] : [];
  const content = [
    ...winner,
    ...(hasFront() ? frontTiles() : [[D.best ? number(D.best.value) : DASH, label]]),
    [number(COUNT), "trials"],
    [amount(sum(T.epochs)), interval().unit === "seconds" ? "trained" : `${inUnit()} trained`],
    [duration(sum(T.seconds)), "training, all trials"],
    [duration(D.began === null ? null : D.last - D.began), "from start to end"],
  ];
  const tile = ([value, about], k) => el("div", [el("b", value), el("span", about)], k ? "tile" : "tile lead");
  $(".tiles").replaceChildren(...content.map(tile));
}

/** Trials that ended badly, by cause; a click shows them in the table. */
function problemSection() {
  $("#problems").hidden = !D.problems.length;
  const rows_ = D.problems.map((problem) => {
    const act = () => {
      go({ where: term("cause", "=", problem.cause) }, { replace: true });
      $("#trials").scrollIntoView();
    };
    const [low, high] = problem.epochs;
    const place = low === high ? `after ${reportAt(low)}` : `between ${reportAt(low)} and ${reportAt(high)}`;
    const status = el("span", problem.status, "status", { style: "color: var(--bad)" });
    const example = el("span", short(problem.example.split("\n")[0], 160), "example");
    const label = [
      el("b", plural(problem.trials.length, "trial")),
      " ",
      status,
      ` ${high ? place : "before the first report"}`,
      example,
    ];
    return el("li", [button(label, act, "problem", { title: "show these trials" })]);
  });
  $("#problems ul").replaceChildren(...rows_);
}

const NOTHING_FOUND = "Nothing can be said yet: the trials are too few, or the good ones lie everywhere.";

function findings() {
  const later = D.forecast.map((line_) => line_[0].toUpperCase() + line_.slice(1));
  const lines = [...importanceInWords(), ...D.ranges.map((range) => range.text), ...D.memory, ...later];
  const bounds = D.bounds.map((bound) => el("li", bound.text, "bound"));
  const items = [...bounds, ...lines.map((text) => el("li", text))];
  if (!items.length) items.push(el("li", isUnanalysed() ? "The trials are being analysed …" : NOTHING_FOUND));
  $("#findings .sentences").replaceChildren(...items);
  const steps = D.next.map((step) => el("li", [el("p", step.why), commandLine(step.command)]));
  $("#findings .steps").replaceChildren(...steps);
  $("#findings h3").hidden = !steps.length;
  scoreInWords();
}

/** Which parameters matter, from the permutation importance. */
function importanceInWords() {
  const rows_ = (D.importance.rows ?? []).filter((row) => row.low > 0);
  if (!D.importance.rows || D.importance.score < 0.2) return [];
  if (!rows_.length) return ["No hyperparameter stands out: the intervals of all importances touch zero."];
  const named = rows_.slice(0, 4).map((row) => `${row.name} (${Math.round(100 * row.mean)} %)`);
  const rest = D.importance.rows.length - rows_.length;
  const others = rest ? `; nothing shows that the other ${rest === 1 ? "one matters" : `${rest} matter`}` : "";
  return [`What matters most: ${named.join(", ")} of the variance${others}`];
}

function scoreInWords() {
  if (!D.importance.rows) return;
  const weak = D.importance.score < 0.2 ? " That is too little to rely on the bars." : "";
  const percent = Math.round(100 * Math.max(0, D.importance.score));
  const trials = plural(D.importance.trials, "trial");
  $(".score").textContent =
    `In cross-validation over ${trials}, the forest explains ${percent} % of the variance.${weak}`;
}

/** The comparison of searchers, if there are several studies to compare. */
function compared() {
  $("#comparison").hidden = D.ranking.length < 2 && !D.findings.length;
  $("#comparison .sentences").replaceChildren(...D.findings.map((line_) => el("li", line_)));
  facts($(".ranking"), D.ranking);
  const { metric, maximize } = comparedRun(D);
  for (const place of document.querySelectorAll(".better")) place.textContent = maximize ? "up" : "down";
  const measured = metric === HYPERVOLUME ? MEASURED : "best value";
  for (const place of document.querySelectorAll(".measured")) place.textContent = measured;
}

function reliability() {
  $("#reliability").hidden = !D.retrainings.length && !D.stoppingAudit;
  const lines = [...D.retrainingFindings, ...(D.stoppingAudit ? [D.stoppingAudit.finding] : [])];
  $("#reliability .sentences").replaceChildren(...lines.map((text) => el("li", text)));
  facts(
    $(".retrainings"),
    D.retrainings.map((row) => ({
      finalist: row.trial,
      "selected for": row.selected,
      "validation, retrained": row.validation,
      [`mean, ${row.split} split`]: row.mean,
      interval: `${number(row.low)} … ${number(row.high)}`,
      seeds: row.seeds,
      "optimistic by": row.optimism,
    })),
  );
  facts(
    $(".rungs"),
    (D.stoppingAudit?.rungs ?? []).map((row) => ({
      rung: reportAt(row.level),
      "trials trained to the end": row.trials,
      "rank correlation with the final loss (Kendall's tau)": row.tau,
    })),
  );
}

function simulated() {
  $("#simulation").hidden = !D.simulation;
  if (!D.simulation) return;
  $("#simulation .sentences").replaceChildren(...D.simulation.findings.map((text) => el("li", text)));
  facts($("#simulation .facts"), D.simulation.ranking);
}

function surroundings() {
  const words = {
    commit: (value) => value.slice(0, 12),
    dirty: (value) => (value ? "yes" : "no"),
    memory: (value) => `${(value / 2 ** 30).toFixed(1)} GiB`,
    gpus: (value) => value.join(", ") || "none",
  };
  const isGroup = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const flat = (content) =>
    Object.entries(content).flatMap(([name, value]) => (isGroup(value) ? flat(value) : [[name, value]]));
  const known = flat(D.environment).filter(([, value]) => value !== null);
  const titles = { dirty: "changed since", gpus: "GPUs" };
  pairs(
    $("#environment .config"),
    known.map(([name, value]) => [titles[name] ?? name, (words[name] ?? number)(value)]),
  );
  $(".yaml").textContent = D.yaml;
  const live = state.served
    ? "; it follows the sweep"
    : D.live
      ? "; the page refreshes itself while the sweep runs"
      : "";
  $("footer").textContent = `written ${when(D.written)}${live}`;
}
