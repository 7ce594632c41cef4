// The first screen of a served page: all sweeps of the folder. And several runs, one over the other.

const OVERLAY_SECONDS = 2; // between two questions whether an analysis is there
const LIST_TITLES = ["", "run", "state", "trials", "left", "best", "best so far", "failures", "tags", "started"];
const list = { runs: [], folder: "", chosen: new Set(), marked: 0, text: "", others: new Map() };

async function showList() {
  try {
    const found = await api("api/runs");
    list.runs = found.runs;
    list.folder = found.folder;
    connected(true);
  } catch (error) {
    $("#list .how").textContent = error.message;
    connected(false);
    return;
  }
  renderList();
}

/** Words of the search box must all be in a run's name, state or tags. */
function listed() {
  const wanted = words(list.text.toLowerCase());
  const textOfRun = (run) =>
    [run.name, run.state, run.metric, ...run.tags, ...run.notes.map(noteText)].join(" ").toLowerCase();
  return list.runs.filter((run) => wanted.every((one) => textOfRun(run).includes(one)));
}

const noteText = (note) => (typeof note === "string" ? note : note.text);

function renderList() {
  const runs = listed();
  const focused = focusedRun();
  $("#list .how").textContent = `${plural(list.runs.length, "run")} in ${list.folder}`;
  const heads = LIST_TITLES.map((title) =>
    title ? el("th", title, "left", { scope: "col", role: "columnheader" }) : el("td", "", "", { role: "cell" }),
  );
  const body = runs.map(runRow);
  list.marked = Math.min(list.marked, Math.max(0, runs.length - 1));
  const parts = [el("thead", [el("tr", heads, "", { role: "row" })]), el("tbody", body)];
  for (const part of parts) part.setAttribute("role", "rowgroup");
  $("#list table").replaceChildren(...parts);
  if (focused) focusRun(...focused);
  $("#list .nothing").hidden = runs.length > 0;
  $("#list .nothing").textContent = list.runs.length
    ? "No run matches."
    : `There are no runs in ${list.folder} yet.`;
  markRun(list.marked, false);
  overlayButton();
}

/** The run whose row has the keyboard's focus, and whether its box or its link has it; or nothing. */
function focusedRun() {
  const row = document.activeElement?.closest("#list tr.run");
  return row && [row.dataset.run, document.activeElement.matches("input") ? "input" : "a"];
}

/** Give the focus to a part of a run's row, which was made anew. */
function focusRun(name, part) {
  const row = [...document.querySelectorAll("#list tr.run")].find((one) => one.dataset.run === name);
  row?.querySelector(part).focus({ preventScroll: true });
}

/** The best value of a run; after a confirmation the winner's, which is a mean over retrainings. */
function bestCell(run) {
  if (run.front) return frontCell(run.front);
  if (!run.best) return run.limits_kept === false ? "none within the limits" : DASH;
  const best = `${number(run.best.value)} ${run.metric}`;
  if (!run.winner) return best;
  const mean = `${run.winner.trial}: mean over ${plural(run.winner.retrainings, "retraining")}`;
  const told = `${mean}; best of the search: ${best}`;
  return [el("span", `${number(run.winner.mean)} ${run.metric}`, "", { title: told }), el("span", "confirmed", "note")];
}

/** Of several objectives: how many trials are on the front, and the values of its knee. */
function frontCell({ size, knee, values }) {
  const told = Object.entries(values).map(([name, value]) => `${short(name, 24)} ${number(value)}`);
  return [
    el("span", `${number(size)} on the front`),
    el("span", `knee: ${told.join(", ")}`, "note", { title: `knee of the front: ${knee}` }),
  ];
}

/** The best value so far; of several objectives the hypervolume, which its cell names. */
function sparkCell({ front, spark, spark_of }) {
  const drawn = sparkline(spark, spark_of);
  return front && spark.length > 1 ? [drawn, el("span", "hypervolume", "note")] : [drawn];
}

function runRow(run) {
  const box = el("input", "", "", {
    type: "checkbox",
    checked: list.chosen.has(run.name),
    "aria-label": `compare ${run.name}`,
  });
  box.addEventListener("change", () => {
    list.chosen[box.checked ? "add" : "delete"](run.name);
    overlayButton();
  });
  const link = el("a", run.name, "", { href: fragment({ run: run.name }, {}) });
  const failures = Object.entries(run.failures).map(([cause, count]) => `${count} × ${cause}`);
  const failed = Object.values(run.failures).reduce((a, b) => a + b, 0);
  const cells = [
    el("td", [box]),
    el(
      "td",
      [link, ...run.notes.slice(-1).map((note) => el("span", short(noteText(note), 60), "note"))],
      "left name",
    ),
    el("td", [pill(run.state, run.state)], "left"),
    el("td", [runProgress(run)], "left"),
    el("td", run.state === "running" ? duration(run.seconds_left) : DASH, "left"),
    el("td", bestCell(run), "left"),
    el("td", sparkCell(run), "left spark-of"),
    el("td", failed ? [el("span", number(failed), "bad-count", { title: failures.join("\n") })] : DASH, "left"),
    el(
      "td",
      run.tags.map((tag) => el("span", tag, "tag")),
      "left",
    ),
    el("td", when(run.began), "left"),
  ];
  // On a narrow screen a row is a card, and browsers then forget that it is the row of a table.
  cells.forEach((cell, k) => {
    cell.setAttribute("role", "cell");
    cell.dataset.title = LIST_TITLES[k];
    if (cell.textContent === DASH) cell.classList.add("absent");
  });
  const row = el("tr", cells, "run", { role: "row" });
  row.dataset.run = run.name;
  return row;
}

function runProgress(run) {
  const of = run.of ?? Math.max(run.ended, 1);
  const bar = el(
    "span",
    [el("span", "", "", { style: `width: ${Math.min(100, (100 * run.ended) / of)}%` })],
    "mini",
  );
  return el("span", [bar, run.of ? `${number(run.ended)} of ${number(run.of)}` : number(run.ended)], "ended");
}

function overlayButton() {
  const place = $("#list .overlay");
  place.disabled = list.chosen.size < 2;
  place.textContent = list.chosen.size < 2 ? "choose runs to compare" : `compare ${list.chosen.size} runs`;
}

function markRun(at, focus = true) {
  const rows_ = [...document.querySelectorAll("#list tr.run")];
  if (!rows_.length) return;
  list.marked = Math.min(rows_.length - 1, Math.max(0, at));
  rows_.forEach((row, k) => row.classList.toggle("marked", k === list.marked));
  if (focus) rows_[list.marked].querySelector("a").focus();
}

function listenToList() {
  const search = $("#list input[type=search]");
  search.addEventListener("input", () => {
    list.text = search.value;
    renderList();
  });
  $("#list .overlay").addEventListener("click", () => go({ run: [...list.chosen].join(",") }, { base: {} }));
}

/** Several runs: the incumbents of all of them over each other. */
async function showOverlay(names) {
  const place = $("#overlaid");
  $("h1", place).textContent = names.map((name) => short(name, 40)).join(" and ");
  const answers = await Promise.all(names.map((name) => api(`api/runs/${encodeURIComponent(name)}/data`)));
  const found = answers.map(({ data }, k) => [names[k], { ...LATER, ...data }]);
  list.others = new Map(found);
  const metrics = new Set(found.map(([, run]) => objectivesOf(run).join(" and ")));
  $(".how", place).textContent =
    metrics.size > 1
      ? `These runs optimize different metrics (${[...metrics].join(", ")}), so their values cannot be compared.`
      : overlaidInWords(found.map(([, run]) => run));
  facts(
    $(".facts", place),
    found.map(([name, run]) => overlayRow(name, run)),
  );
  drawOverlay();
  names.forEach((name, k) => awaitIncumbents(name, answers[k].version));
}

/** The names of what a run optimizes. */
function objectivesOf(run) {
  if (!run.objectives) return [run.metric];
  return run.objectives.filter((metric) => metric.limit === null).map(({ name }) => name);
}

function overlaidInWords(runs) {
  const against = "so far of each run and searcher, against the epochs trained by each study";
  if (!runs.some((run) => comparedRun(run).metric === HYPERVOLUME)) return `The best value ${against}.`;
  return (
    `The hypervolume of the front ${against}. That of a run with several objectives is measured in the box of its ` +
    "own trials; raysweep compare measures all of them in one."
  );
}

/** Ask again until the server has computed the incumbents of a run, which may take half a minute. */
async function awaitIncumbents(name, version) {
  const run = list.others.get(name);
  const isShown = () => !$("#overlaid").hidden && list.others.get(name) === run;
  while (isShown() && !Object.keys(run.incumbents).length) {
    $("#overlaid .waiting").hidden = false;
    await new Promise((act) => setTimeout(act, OVERLAY_SECONDS * 1000));
    try {
      const changes = await api(`api/runs/${encodeURIComponent(name)}/changes?after=${version}`);
      if (changes.reload) return;
      Object.assign(run, changes.analyses ?? {});
    } catch {
      /* the server may be back at the next try */
    }
  }
  if (!isShown()) return;
  const isComplete = [...list.others.values()].every((other) => Object.keys(other.incumbents).length);
  $("#overlaid .waiting").hidden = isComplete;
  drawOverlay();
}

function overlayRow(name, run) {
  const best = run.best;
  return {
    run: name,
    searchers: run.searchers.join(", "),
    trials: run.trials.id.length,
    best: run.frontLine || (best ? `${number(best.value)} ${run.metric}` : null),
    "of trial": best && !run.frontLine ? run.trials.id[best.trial] : null,
    at: best && !run.frontLine ? reportAt(best.epoch, run) : null,
    started: when(run.began),
  };
}

function drawOverlay() {
  const place = $("#overlaid .plot");
  const unit = "epochs";
  const units = new Set([...list.others.values()].map(budgetUnit));
  const isOneUnit = units.size < 2;
  const bands = { budget: null, searchers: {} };
  for (const [name, run] of list.others) {
    const mine = run.incumbents[unit]?.searchers ?? {};
    for (const [searcher, band] of Object.entries(mine)) {
      const scaled = isOneUnit ? bandsInUnit({ searchers: { band }, budget: null }, run).searchers.band : band;
      bands.searchers[Object.keys(mine).length > 1 ? `${name}: ${searcher}` : name] = scaled;
    }
  }
  const names = Object.keys(bands.searchers);
  const row = PALETTES[theme()];
  const [first] = list.others.values();
  const shade = (name) => row[names.indexOf(name) % row.length];
  const title = `${isOneUnit ? [...units][0] : "reports"} trained, by each study`;
  const made = incumbentPlot(bands, names, shade, title, comparedRun(first));
  whenPlotly(() => Plotly.react(place, made.traces, made.layout, CONFIG));
}
