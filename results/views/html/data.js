// The open run: its data, and how it changes while the sweep runs.

let D = null;
let T = null;
let COUNT = 0;
let indices = new Map();
let texts = [];
const state = {
  served: false,
  run: null,
  version: 0,
  summary: null,
  where: "",
  terms: [],
  sort: "best",
  up: false,
  columns: null,
  marked: null,
  open: [],
  unit: "epochs",
  cost: "seconds",
  against: null,
  pair: null,
};

const better = (a, b) => (D.maximize ? a > b : a < b);
const METRIC = () => safe(D.metric);

function colour(searcher) {
  const row = PALETTES[theme()];
  return row[Math.max(0, D.searchers.indexOf(searcher)) % row.length];
}

/** What lies between two reports: what the data call an epoch is the number of a report. */
const interval = (run = D) => run.interval ?? { unit: "epochs", every: 1 };
const isByEpoch = () => interval().unit === "epochs" && interval().every === 1;
const position = (epochs) => (epochs === null || epochs === undefined ? null : epochs * interval().every);

/** How much so many reports have trained, without the unit. */
function amount(epochs) {
  return (interval().unit === "seconds" ? duration : number)(position(epochs));
}

/** Where a report is due: `epoch 3`, `step 1,500` or `12 s`. */
function reportAt(epoch, run = D) {
  if (epoch === null || epoch === undefined) return DASH;
  const { unit, every } = interval(run);
  return unit === "seconds" ? duration(epoch * every) : `${unit.slice(0, -1)} ${number(epoch * every)}`;
}

/** The title of an axis or a column of reports. */
const inUnit = () => (interval().unit === "seconds" ? "trained" : interval().unit);

/** What a budget is counted in on an axis: reports if trials are measured in seconds, as time has an axis too. */
const budgetUnit = (run = D) => {
  const { unit } = interval(run);
  return unit === "seconds" ? "reports" : unit;
};

/** So many reports in that unit. */
const inBudgetUnit = (reports, run = D) =>
  budgetUnit(run) === "reports" || reports === null ? reports : reports * interval(run).every;

/** Best so far over the reports, as data have it, with the reports in that unit. */
function bandsInUnit(bands, run = D) {
  const scaled = ([name, band]) => [name, { ...band, spent: band.spent.map((reports) => inBudgetUnit(reports, run)) }];
  const searchers = Object.fromEntries(Object.entries(bands.searchers).map(scaled));
  return { ...bands, budget: inBudgetUnit(bands.budget, run), searchers };
}

const LATER = {
  // what a server may not have analysed yet
  ranges: [],
  bounds: [],
  next: [],
  problems: [],
  memory: [],
  findings: [],
  ranking: [],
  forecast: [],
  winner: null,
  retrainings: [],
  retrainingFindings: [],
  incumbents: {},
  stoppingAudit: null,
  simulation: null,
  importance: { why: "it is being computed" },
  parallel: "auto",
  tags: [],
  notes: [],
};

/** True as long as a server has not analysed the run for the first time. */
const isUnanalysed = () => D.importance.why === LATER.importance.why;

/** Take over the data of a run. */
function adopt(data) {
  D = { ...LATER, ...data };
  T = D.trials;
  COUNT = T.id.length;
  indices = new Map(T.id.map((id, i) => [id, i]));
  texts = [];
}

/** Apply what has changed since `state.version`; returns the indices of the trials that changed. */
function patch(changes) {
  for (const row of changes.trials ?? []) putRow(row);
  for (const [i, curve] of Object.entries(changes.curves ?? {})) D.curves[i] = curve;
  Object.assign(D, changes.analyses ?? {});
  T = D.trials;
  state.version = changes.version;
  if (changes.summary) state.summary = changes.summary;
  refreshBest();
  if (changes.summary) followSummary(changes.summary);
  return (changes.trials ?? []).map((row) => row.index);
}

/** Some of what the page says of a run is part of its row in the list, and so never old. */
function followSummary(summary) {
  D.last = Math.max(D.last ?? 0, summary.updated ?? 0);
  D.began ??= summary.began;
  D.tags = summary.tags ?? D.tags;
  D.parallel = summary.parallel ?? D.parallel;
  const known = new Map(D.notes.map((note) => [note.text, note]));
  D.notes = (summary.notes ?? []).map((note) =>
    typeof note === "string" ? (known.get(note) ?? { text: note }) : note,
  );
}

function putRow({ index, config, ...row }) {
  while (COUNT <= index) addRow();
  for (const [name, value] of Object.entries(row)) {
    T[name] ??= Array(COUNT).fill(null);
    T[name][index] = value;
  }
  for (const [name, value] of Object.entries(config ?? {})) {
    T.config[name] ??= Array(COUNT).fill(null);
    const parameter = D.parameters.find((known) => known.name === name);
    const isText = parameter && !parameter.numeric && value !== null;
    T.config[name][index] = isText ? String(value) : value;
  }
  indices.set(T.id[index], index);
  delete texts[index];
}

function addRow() {
  for (const [name, values] of Object.entries(T)) if (name !== "config") values.push(null);
  for (const values of Object.values(T.config)) values.push(null);
  D.curves.push([]);
  COUNT += 1;
}

/** The best trial follows from the table: the analyses of the server may be some seconds old.
 *  Where configurations have several seeds it does not: there the server says which one it is. */
function refreshBest() {
  if (D.best?.by_seeds) return;
  let best = null;
  for (let i = 0; i < COUNT; i += 1) {
    if (T.best[i] === null || T.best[i] === undefined || T.feasible?.[i] === false) continue;
    if (best === null || better(T.best[i], T.best[best])) best = i;
  }
  if (best === null || (D.best?.trial === best && D.best.value === T.best[best])) return;
  D.best = { trial: best, epoch: T.bestEpoch[best], value: T.best[best], metrics: {} };
}

/** Everything that can be searched of a trial, in lower case. */
function textOf(i) {
  texts[i] ??= [
    T.id[i],
    T.searcher[i],
    T.status[i],
    T.reason[i],
    T.tags?.[i],
    ...Object.entries(T.config).map(([name, values]) => (values[i] === null ? "" : `${name}=${values[i]}`)),
  ]
    .join(" ")
    .toLowerCase();
  return texts[i];
}

/** What pointing at a trial says, a line each. */
function about(i) {
  const lines = [
    `${T.id[i]}  ${T.status[i]}`,
    `${D.metric} ${number(T.best[i])} at ${reportAt(T.bestEpoch[i])} of ${amount(T.epochs[i])}`,
  ];
  const set = D.parameters.filter((known) => (T.config[known.name]?.[i] ?? null) !== null);
  lines.push(...set.slice(0, 12).map(({ name }) => `${short(name)} ${number(T.config[name][i])}`));
  if (set.length > 12) lines.push(`and ${set.length - 12} more`);
  if (T.reason[i]) lines.push(short(T.reason[i], 70));
  return lines;
}

function counts() {
  const found = {};
  for (const status of T.status) found[status] = (found[status] ?? 0) + 1;
  return found;
}

/** running, paused, finished, interrupted or silent (a running sweep's file that is old). */
function stateOfRun() {
  if (state.summary) return state.summary.state;
  if (D.live && Date.now() / 1000 - D.written > 300) return "silent";
  if (D.live) return D.paused ? "paused" : "running";
  return D.ended === null ? "interrupted" : "finished";
}
