// Axes, layouts, and the plots of incumbents, importance, cost and workers. Each function makes of the data and the
// filter what `draw` shows: traces and a layout for plotly, marks for the canvas above it.

const touch = matchMedia("(pointer: coarse)").matches;
const SAVE = {
  name: "save",
  title: "save as a picture",
  click: (place) => savePicture(place),
  icon: { width: 24, height: 24, path: "M4 20h16v-2H4zM11 4h2v8h3l-4 4-4-4h3z" },
};
const CONFIG = {
  responsive: true,
  displaylogo: false,
  displayModeBar: "hover",
  modeBarButtons: [[SAVE, "resetScale2d"]],
};

function axis(title, more = {}) {
  return {
    title: { text: title, standoff: 10, font: { size: 12.5, color: css("--soft") } },
    gridcolor: css("--grid"),
    linecolor: css("--line"),
    zeroline: false,
    automargin: true,
    tickfont: { color: css("--soft"), size: 12 },
    ...more,
  };
}

function layout(more = {}) {
  const font = { family: css("--text"), size: 13, color: css("--ink") };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font,
    margin: { l: 56, r: 14, t: 26, b: 46 },
    hovermode: "closest",
    dragmode: touch ? false : "zoom",
    showlegend: true,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--ink") },
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
    hoverlabel: {
      align: "left",
      bgcolor: css("--card"),
      bordercolor: css("--line"),
      font: { ...font, size: 12.5 },
    },
    ...more,
  };
}

/** The least and the greatest of values. */
function corners(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** An invisible trace: it gives the axes of a canvas their whole range, which a double-click shows. */
function extent(xs, ys) {
  const [x, y] = [finite(xs), finite(ys)];
  if (!x.length || !y.length) return [];
  const hidden = { mode: "markers", marker: { opacity: 0 }, hoverinfo: "skip", showlegend: false };
  return [{ x: corners(x), y: corners(y), ...hidden }];
}

/** Entries of the legend for what the canvas shows. */
function legend(names) {
  if (names.length < 2) return [];
  const line = (name) => ({
    x: [null],
    y: [null],
    name: safe(name),
    mode: "lines",
    line: { color: colour(name), width: 3 },
  });
  return names.map(line);
}

/** By how many times the first values may enlarge an axis that would else leave them out. */
const MOST_DWARFED = 8;

/** The axis range that shows the better part of the values. */
function readable(values, part = 0.95, room = 0.06, maximize = D.maximize) {
  const sorted = finite(values).sort((a, b) => a - b);
  if (sorted.length < 2) return undefined;
  const cut = (fraction) => sorted[Math.round(fraction * (sorted.length - 1))];
  const [low, high] = maximize ? [cut(1 - part), sorted.at(-1)] : [sorted[0], cut(part)];
  const pad = high > low ? (high - low) * room : Math.abs(high) * 0.05 || 1;
  return [low - pad, high + pad];
}

/** The same for values that only improve: all of them, unless the first ones would dwarf what follows. */
function readableFromFirst(values, maximize) {
  const [part, all] = [readable(values, 0.95, 0.06, maximize), readable(values, 1, 0.06, maximize)];
  return part && all[1] - all[0] > MOST_DWARFED * (part[1] - part[0]) ? part : all;
}

/** The searchers that any of these trials has, in the order of the run. */
function groups(some) {
  const found = new Map(D.searchers.map((name) => [name, []]));
  for (const i of some) (found.get(T.searcher[i]) ?? found.set(T.searcher[i], []).get(T.searcher[i])).push(i);
  return [...found].filter(([, mine]) => mine.length);
}

function incumbents() {
  const given = D.incumbents[state.unit] ?? Object.values(D.incumbents)[0];
  if (!given) return null;
  const bands = given === D.incumbents.epochs ? bandsInUnit(given) : given;
  const title = {
    epochs: `${budgetUnit()} trained, by each study`,
    seconds: "seconds of training, by each study",
    "GPU-seconds": "GPU-seconds, by each study",
  }[state.unit];
  const searchers = new Set(shown().map((i) => T.searcher[i]));
  const names = Object.keys(bands.searchers).filter((name) => searchers.has(name));
  return incumbentPlot(bands, names, colour, title, comparedRun(D));
}

const HYPERVOLUME = "hypervolume";
const MEASURED =
  "hypervolume of the front (the part of the box between the best value of each objective and a point " +
  "behind the common front that it beats)";

/** What studies of a run are compared by: with several objectives, the hypervolume of their front. */
function comparedRun(run) {
  if (!run?.objectives?.length) return run;
  const several = run.objectives.filter((metric) => metric.limit === null).length > 1;
  return several ? { metric: HYPERVOLUME, maximize: true } : run;
}

function simulation() {
  if (!D.simulation) return null;
  const names = Object.keys(D.simulation.incumbents.searchers);
  const row = PALETTES[theme()];
  const shade = (name) => row[names.indexOf(name) % row.length];
  const title = `${budgetUnit()} trained, by each study`;
  return incumbentPlot(bandsInUnit(D.simulation.incumbents), names, shade, title, comparedRun(D));
}

/** Best so far with its interval, and where searchers are compared. Names beyond the colours are dashed. */
function incumbentPlot(bands, names, shade, title, run) {
  const searchers = names.map((name) => [name, bands.searchers[name]]).filter(([, band]) => band.spent.length);
  const metric = safe(run.metric);
  const traces = searchers.flatMap(([name, band]) => bandTraces(name, band, shade(name), searchers.length));
  for (const [name, band] of searchers) {
    const seeds = band.seeds > 1 ? `, mean of ${band.seeds} seeds` : "";
    const dash = names.indexOf(name) < PALETTES[theme()].length ? "solid" : "dash";
    traces.push({
      x: band.spent,
      y: band.mean,
      name: safe(name),
      mode: "lines",
      legendgroup: name,
      line: { color: shade(name), width: 2.5, shape: "hv", dash },
      hovertemplate: `<b>${safe(name)}</b>${seeds}<br>${metric} %{y:.4~g} after %{x:.4~g}<extra></extra>`,
    });
  }
  const shapes = bands.budget !== null && searchers.length > 1 ? [vertical(bands.budget)] : [];
  const range = D ? readableFromFirst(searchers.flatMap(([, band]) => band.mean), run.maximize) : undefined;
  const axes = { xaxis: axis(title, { rangemode: "tozero" }), yaxis: axis(`best ${metric}`, { range }) };
  return { traces, layout: layout({ ...axes, shapes, showlegend: searchers.length > 1 }) };
}

function bandTraces(name, band, shade, count) {
  if (band.seeds < 2) return [];
  const edge = {
    x: band.spent,
    line: { width: 0, shape: "hv" },
    hoverinfo: "skip",
    showlegend: false,
    mode: "lines",
    legendgroup: name,
  };
  const fillcolor = fade(shade, count > 5 ? 0.08 : 0.15);
  return [
    { ...edge, y: band.low },
    { ...edge, y: band.high, fill: "tonexty", fillcolor },
  ];
}

function vertical(x) {
  const line = { color: css("--soft"), width: 1, dash: "dot" };
  return { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line };
}

function importance() {
  const found = D.importance;
  if (!found.rows) return null;
  const rows = [...found.rows].reverse().slice(-15);
  const trace = {
    type: "bar",
    orientation: "h",
    x: rows.map((row) => Math.max(0, row.mean)),
    y: rows.map((row) => safe(short(row.name))),
    width: 0.55,
    showlegend: false,
    marker: { color: rows.map((row) => (row.low > 0 ? css("--accent") : fade(css("--soft"), 0.55))) },
    error_x: {
      type: "data",
      symmetric: false,
      array: rows.map((row) => row.high - row.mean),
      arrayminus: rows.map((row) => row.mean - row.low),
      color: css("--ink"),
      thickness: 1.4,
      width: 5,
    },
    hovertemplate: "<b>%{y}</b> %{x:.1%}<extra></extra>",
  };
  const most = Math.max(0.05, ...rows.map((row) => row.high)) * 1.04;
  return {
    traces: [trace],
    layout: layout({
      height: Math.max(150, 70 + rows.length * 34),
      margin: { l: 20, r: 20, t: 6, b: 46 },
      xaxis: axis("fraction of the variance explained", { tickformat: ".0%", range: [0, most] }),
      yaxis: axis("", { ticksuffix: "  ", gridcolor: "rgba(0,0,0,0)" }),
    }),
  };
}

function pareto() {
  const cost = state.cost === "epochs" ? T.epochs.map((reports) => inBudgetUnit(reports)) : T[state.cost];
  const some = shown().filter((i) => T.best[i] !== null);
  if (!some.length) return null;
  const front = frontier(some, cost);
  const on = new Set(front);
  const steps = {
    x: front.map((i) => cost[i]),
    y: front.map((i) => T.best[i]),
    name: "best for its cost",
    mode: "lines",
    line: { color: css("--ink"), width: 1.6, shape: "hv" },
    hoverinfo: "skip",
  };
  const marks = groups(some).map(([name, mine]) => ({
    kind: "dots",
    color: colour(name),
    points: mine.map((i) => [cost[i], T.best[i], i]),
    alphaOf: (i) => (on.has(i) ? 1 : 0.45),
    sizeOf: (i) => (on.has(i) ? 5 : 3),
  }));
  const marked = (i) => [ring([[cost[i], T.best[i], i]])];
  const title = state.cost === "seconds" ? "training time of the trial, seconds" : `${budgetUnit()} trained`;
  const values = some.map((i) => T.best[i]);
  return {
    traces: [
      ...extent(
        some.map((i) => cost[i]),
        values,
      ),
      ...legend(groups(some).map(([name]) => name)),
      steps,
    ],
    marks,
    marked,
    layout: layout({
      xaxis: axis(title, { rangemode: "tozero" }),
      yaxis: axis(`best ${METRIC()}`, { range: readable(values, 0.75) }),
    }),
  };
}

/** The marked trial as a ring. */
const ring = (points) => ({
  kind: "dots",
  points,
  color: css("--mark"),
  shape: "ring",
  size: 7,
  line: 2.5,
  room: 9,
});

function frontier(some, cost) {
  const order = [...some].sort((a, b) => cost[a] - cost[b] || (better(T.best[a], T.best[b]) ? -1 : 1));
  const front = [];
  for (const i of order) if (!front.length || better(T.best[i], T.best[front.at(-1)])) front.push(i);
  return front;
}

function workers() {
  if (!D.timeline.length) return null;
  const begin = D.began;
  const length = D.last - begin;
  const lanes = D.timeline.reduce((most, bar) => Math.max(most, bar[0]), 0) + 1;
  const [unit, word] = length > 7200 ? [3600, "hours"] : length > 180 ? [60, "minutes"] : [1, "seconds"];
  const bar = ([lane, i, start, end]) => [
    (start - begin) / unit,
    Math.max(end, start + length / 4000) / unit - begin / unit,
    lane + 1,
    i,
  ];
  const bars = D.timeline.filter((row) => visible(row[1])).map(bar);
  const byName = groups(bars.map((row) => row[3])).map(([name]) => name);
  const mark = (name) => ({
    kind: "bars",
    height: 0.72,
    color: fade(colour(name), 0.85),
    bars: bars.filter((row) => T.searcher[row[3]] === name),
  });
  const marked = (i) => [
    { kind: "bars", height: 0.9, color: css("--mark"), bars: bars.filter((row) => row[3] === i) },
  ];
  return {
    traces: [...extent([0, length / unit], [1, lanes]), ...legend(byName)],
    marks: byName.map(mark),
    marked,
    layout: layout({
      height: Math.max(170, 96 + Math.min(lanes, 64) * 26),
      xaxis: axis(`${word} since the start`, { rangemode: "tozero" }),
      yaxis: axis("worker", {
        dtick: lanes > 12 ? undefined : 1,
        range: [lanes + 0.5, 0.5],
        gridcolor: "rgba(0,0,0,0)",
      }),
    }),
  };
}
