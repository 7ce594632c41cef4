// Learning curves of all trials, and one hyperparameter at a time.

const MANY_LINES = 2000; // beyond, lines are so pale that thin ones of one colour do as well

function curves() {
  const some = shown().filter((i) => D.curves[i].length);
  if (!some.length) return null;
  const alpha = Math.max(0.06, Math.min(0.75, 9 / Math.sqrt(some.length)));
  const marks = groups(some).flatMap(([name, mine]) => [
    {
      kind: "lines",
      paths: mine.map((i) => D.curves[i]),
      color: colour(name),
      alpha,
      width: some.length > MANY_LINES ? 1 : 1.2,
    },
    {
      kind: "dots",
      points: mine.map(endOf),
      color: colour(name),
      alpha: Math.max(0.35, Math.min(0.8, 4 * alpha)),
      size: 2.8,
      shapeOf: (i) => (["stopped", "paused"].includes(T.status[i]) ? "cross" : "dot"),
    },
  ]);
  if (D.best) marks.push({ kind: "lines", paths: [D.curves[D.best.trial]], color: css("--ink"), width: 3 });
  const marked = (i) => [
    { kind: "lines", paths: [D.curves[i]], color: css("--mark"), width: 3 },
    {
      kind: "dots",
      points: D.curves[i].map(([epoch, value]) => [epoch, value, i]),
      color: css("--mark"),
      size: 3.4,
    },
  ];
  return { ...curveAxes(some), marks, marked };
}

function curveAxes(some) {
  const levels = D.levels.slice(0, -1);
  const most = Math.max(
    1,
    some.reduce((long, i) => Math.max(long, T.epochs[i]), 0),
  );
  const room = Math.max(0.1, 0.03 * (most - 1));
  const [edge, anchor] = D.maximize ? [1, "top"] : [0, "bottom"];
  const label = (level) => ({
    x: level,
    yref: "paper",
    y: edge,
    text: `rung ${amount(level)}`,
    showarrow: false,
    xanchor: "left",
    yanchor: anchor,
    textangle: -90,
    xshift: 1,
    yshift: D.maximize ? -5 : 5, // clear of the axis
    font: { size: 11, color: css("--soft") },
  });
  const values = some.flatMap((i) => D.curves[i].map((point) => point[1]));
  const names = groups(some).map(([name]) => name);
  const best = {
    x: [null],
    y: [null],
    name: "the best trial",
    mode: "lines",
    line: { color: css("--ink"), width: 3 },
  };
  return {
    traces: [...extent([1, most], values), ...legend(names), ...(D.best ? [best] : [])],
    layout: layout({
      xaxis: reportAxis(most, room),
      yaxis: axis(METRIC(), { range: readable(values) }),
      shapes: levels.map(vertical),
      annotations: levels.map(label),
    }),
  };
}

/** The axis of reports, which shows their places in the unit of the budget. */
function reportAxis(most, room) {
  const range = [1 - room, most + room];
  if (isByEpoch()) return axis("epoch", { range, dtick: most <= 12 ? 1 : undefined });
  const step = Math.ceil(most / 8);
  const tickvals = Array.from({ length: Math.floor(most / step) }, (_, k) => (k + 1) * step);
  return axis(inUnit(), { range, tickvals, ticktext: tickvals.map(amount) });
}

/** The end of a trial's curve: [epoch, value, trial]. */
function endOf(i) {
  const last = D.curves[i].findLast((point) => point[1] !== null);
  return last ? [last[0], last[1], i] : [null, null, i];
}

/** How a parameter is laid out on an axis: categories by their number. */
function scaleOf(parameter) {
  const values = T.config[parameter.name];
  if (parameter.numeric) return (i) => values[i] ?? null;
  return (i) => (values[i] === null || values[i] === undefined ? null : parameter.categories.indexOf(values[i]));
}

/** The values of a numeric parameter that has few of them, in order; null where it has many. */
function distinct(parameter) {
  if (!parameter.numeric) return null;
  const values = [...new Set(finite(T.config[parameter.name]))].sort((a, b) => a - b);
  return values.length > 1 && values.length <= 8 ? values : null;
}

/** The axis of a parameter. */
function parameterAxis(parameter, more = {}) {
  if (!parameter.numeric) {
    const ticks = {
      tickvals: parameter.categories.map((_, k) => k),
      ticktext: parameter.categories.map((value) => safe(short(value, 14))),
    };
    return axis(safe(short(parameter.name)), {
      type: "linear",
      range: [-0.5, parameter.categories.length - 0.5],
      ...ticks,
      ...more,
    });
  }
  const few = distinct(parameter);
  let ticks = {};
  if (few) ticks = { tickvals: few, ticktext: few.map(number) };
  else if (parameter.log)
    ticks = { dtick: 1, exponentformat: "power", tickfont: { size: 11, color: css("--soft") } };
  return axis(safe(short(parameter.name)), { type: parameter.log ? "log" : "linear", ...ticks, ...more });
}

function slice(place) {
  const parameter = D.parameters[Number(place.dataset.index)];
  if (!parameter) return null;
  const at = scaleOf(parameter);
  const some = shown().filter((i) => T.best[i] !== null && at(i) !== null);
  const most = Math.max(
    1,
    some.reduce((long, i) => Math.max(long, T.epochs[i]), 0),
  );
  const jitter = (i) => (parameter.numeric ? 0 : (((i * 37) % 17) / 17 - 0.5) * 0.3);
  const marks = groups(some).map(([name, mine]) => ({
    kind: "dots",
    color: colour(name),
    points: mine.map((i) => [at(i) + jitter(i), T.best[i], i]),
    alphaOf: (i) => 0.18 + 0.72 * (T.epochs[i] / most) ** 1.5,
  }));
  const marked = (i) => (at(i) === null ? [] : [ring([[at(i) + jitter(i), T.best[i], i]])]);
  const values = some.map((i) => T.best[i]);
  const band = { ...density(parameter, some.map(at)), yaxis: "y2", hoverinfo: "skip", showlegend: false };
  const shade = fade(css("--soft"), 0.3);
  return {
    traces: [...extent(some.map(at), values), { ...band, fillcolor: shade, marker: { color: shade } }],
    marks,
    marked,
    layout: layout({
      margin: { l: 50, r: 8, t: 8, b: 42 },
      showlegend: false,
      xaxis: parameterAxis(parameter, { anchor: "y2", showgrid: parameter.numeric }),
      yaxis: axis(METRIC(), { range: readable(values, 0.75), domain: [0.2, 1] }),
      yaxis2: { domain: [0, 0.16], visible: false, fixedrange: true, range: [0, 1.05] },
    }),
  };
}

/** Where trials were placed along a parameter, as the height of a band, 0 .. 1. */
function density(parameter, values) {
  const few = parameter.numeric ? distinct(parameter) : parameter.categories.map((_, k) => k);
  if (few) {
    const tally = few.map((level) => values.filter((value) => value === level).length);
    const most = Math.max(...tally, 1);
    const even = few.length > 1 ? (few.at(-1) - few[0]) / (few.length * 2.6) : 0.5;
    const width = parameter.log ? few.map((x) => x * 0.12) : parameter.numeric ? even : 0.5;
    return { type: "bar", x: few, y: tally.map((count) => count / most), width };
  }
  const [forward, back] = parameter.log ? [Math.log, Math.exp] : [Number, Number];
  const known = values.map(forward);
  const [low, high] = corners(known);
  const heights = histogram(known, low, high);
  const most = Math.max(...heights, 1e-9);
  const x = heights.map((_, k) => back(low + ((high - low) * k) / (heights.length - 1)));
  return { x, y: heights.map((height) => height / most), mode: "lines", fill: "tozeroy", line: { width: 0 } };
}

/** A smoothed histogram with 60 places. */
function histogram(values, low, high) {
  const places = 60;
  const tally = Array(places).fill(0);
  for (const value of values)
    tally[Math.min(places - 1, Math.max(0, Math.round(((value - low) / (high - low || 1)) * (places - 1))))] += 1;
  const weight = (step) => Math.exp(-0.5 * (step / 4) ** 2);
  return tally.map((_, k) => tally.reduce((sum, count, j) => sum + count * weight(j - k), 0));
}
