// One function a plot: from the data and the filters to traces and a layout. Nothing is drawn before it is nearly in sight.

const METRIC = safe(D.metric);
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: [["toImage", "resetScale2d"]] };
const touch = matchMedia("(pointer: coarse)").matches;

const axis = (title, more = {}) => ({ title: { text: title, standoff: 10, font: { size: 12.5, color: css("--soft") } }, gridcolor: css("--grid"), linecolor: css("--line"),
  zeroline: false, automargin: true, tickfont: { color: css("--soft"), size: 12 }, ...more });

function layout(more = {}) {
  return { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: css("--text"), size: 13, color: css("--ink") }, margin: { l: 56, r: 14, t: 26, b: 46 },
    hovermode: "closest", dragmode: touch ? false : "zoom", showlegend: true, modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--soft"), activecolor: css("--ink") }, legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
    hoverlabel: { align: "left", bgcolor: css("--card"), bordercolor: css("--line"), font: { family: css("--text"), size: 12.5, color: css("--ink") } }, ...more };
}

/** Lines of several trials as one trace, with gaps between them. */
function joined(lines) {
  const x = [], y = [];
  for (const points of lines) { for (const [a, b] of points) { x.push(a); y.push(b); } x.push(null); y.push(null); }
  return { x, y };
}

function incumbents() {
  const bands = D.incumbents[state.unit];
  if (!bands) return null;
  const title = { epochs: "epochs trained, by each study", seconds: "seconds of training, by each study", "GPU-seconds": "GPU-seconds, by each study" }[state.unit];
  return incumbentPlot(bands, Object.keys(bands.searchers).filter((name) => !state.hidden.has(name)), colour, title);
}

function simulation() {
  if (!D.simulation) return null;
  const names = Object.keys(D.simulation.incumbents.searchers), row = PALETTES[theme()];
  return incumbentPlot(D.simulation.incumbents, names, (name) => row[names.indexOf(name) % row.length], "epochs trained, by each study");
}

/** Best so far with its interval, and where searchers are compared. Names beyond the colours are dashed. */
function incumbentPlot(bands, names, shade, title) {
  const searchers = names.map((name) => [name, bands.searchers[name]]).filter(([, band]) => band.spent.length), traces = [];
  for (const [name, band] of searchers) {
    if (band.seeds < 2) continue;
    const edge = { x: band.spent, line: { width: 0, shape: "hv" }, hoverinfo: "skip", showlegend: false, mode: "lines", legendgroup: name };
    traces.push({ ...edge, y: band.low }, { ...edge, y: band.high, fill: "tonexty", fillcolor: fade(shade(name), searchers.length > 5 ? 0.08 : 0.15) });
  }
  for (const [name, band] of searchers) {
    const seeds = band.seeds > 1 ? `, mean of ${band.seeds} seeds` : "", dash = names.indexOf(name) < PALETTES[theme()].length ? "solid" : "dash";
    traces.push({ x: band.spent, y: band.mean, name: safe(name), mode: "lines", legendgroup: name, line: { color: shade(name), width: 2.5, shape: "hv", dash },
      hovertemplate: `<b>${safe(name)}</b>${seeds}<br>${METRIC} %{y:.4~g} after %{x:.4~g}<extra></extra>` });
  }
  const line = { type: "line", x0: bands.budget, x1: bands.budget, yref: "paper", y0: 0, y1: 1, line: { color: css("--soft"), width: 1, dash: "dot" } };
  const range = readable(searchers.flatMap(([, band]) => band.mean));
  return { traces, layout: layout({ xaxis: axis(title, { rangemode: "tozero" }), yaxis: axis(`best ${METRIC}`, { range }), shapes: [line] }) };
}

function curves() {
  const some = shown().filter((i) => D.curves[i].length), traces = [];
  const alpha = Math.max(0.13, Math.min(0.75, 9 / Math.sqrt(some.length || 1)));
  for (const name of D.searchers) {
    const mine = some.filter((i) => T.searcher[i] === name);
    if (!mine.length) continue;
    traces.push({ ...joined(mine.map((i) => D.curves[i])), name: safe(name), mode: "lines", line: { color: fade(colour(name), alpha), width: 1.2 }, hoverinfo: "skip", showlegend: false });
    traces.push({ x: [null], y: [null], name: safe(name), mode: "lines", line: { color: colour(name), width: 3 } });
    traces.push({ ...ends(mine), mode: "markers", showlegend: false, hovertemplate: "%{text}<extra></extra>",
      marker: { color: fade(colour(name), 0.75), size: 6, symbol: mine.map((i) => (T.status[i] === "stopped" ? "x-thin" : "circle")), line: { width: 1.4, color: fade(colour(name), 0.75) } } });
  }
  for (const [i, name] of [[D.best?.trial, "best"], [state.marked, "marked"]]) {
    if (i === undefined || i === null || !D.curves[i].length) continue;
    traces.push({ ...joined([D.curves[i]]), name: `${safe(T.id[i])}, ${name}`, mode: "lines+markers", marker: { size: 4 }, line: { width: 3.5, color: name === "best" ? css("--ink") : css("--bad") }, hoverinfo: "skip" });
  }
  const shapes = D.levels.slice(0, -1).map((level) => ({ type: "line", x0: level, x1: level, yref: "paper", y0: 0, y1: 1, line: { color: css("--soft"), width: 1, dash: "dot" } }));
  const [edge, anchor] = D.maximize ? [1, "top"] : [0, "bottom"], most = Math.max(1, ...some.map((i) => T.epochs[i])), room = Math.max(0.1, 0.03 * (most - 1));
  const annotations = D.levels.slice(0, -1).map((level) => ({ x: level, yref: "paper", y: edge, text: `rung ${level}`, showarrow: false, xanchor: "left", yanchor: anchor, textangle: -90, xshift: 1, font: { size: 11, color: css("--soft") } }));
  const range = readable(some.flatMap((i) => D.curves[i].map((point) => point[1])));
  return { traces, layout: layout({ xaxis: axis("epoch", { range: [1 - room, most + room], dtick: most <= 12 ? 1 : undefined }), yaxis: axis(METRIC, { range }), shapes, annotations }) };
}

function ends(some) {
  const last = some.map((i) => D.curves[i].filter((point) => point[1] !== null).at(-1) ?? [null, null]);
  return { x: last.map((point) => point[0]), y: last.map((point) => point[1]), text: some.map(about) };
}

/** A value's place on an axis of the plot of configurations, 0 .. 1; -0.08 where the parameter is absent. */
function scale(one) {
  const values = T.config[one.name];
  if (!one.numeric) return (i) => (values[i] === null ? -0.08 : one.categories.length > 1 ? one.categories.indexOf(values[i]) / (one.categories.length - 1) : 0.5);
  const shape = one.log ? Math.log : Number, known = finite(values).map(shape), low = Math.min(...known), high = Math.max(...known);
  return (i) => (values[i] === null ? -0.08 : high > low ? (shape(values[i]) - low) / (high - low) : 0.5);
}

/** As many parameters as there is room for: the most important ones, in the order of the file. */
function foremost() {
  const room = Math.max(3, Math.floor(Math.min(innerWidth, 1180) / 88) - 1);
  if (D.parameters.length <= room) return D.parameters;
  const rank = (D.importance.rows ?? []).map((row) => row.name), place = (one) => (rank.includes(one.name) ? rank.indexOf(one.name) : rank.length);
  const chosen = new Set([...D.parameters].sort((a, b) => place(a) - place(b)).slice(0, room));
  return D.parameters.filter((one) => chosen.has(one));
}

function parallel() {
  const some = shown().filter((i) => T.best[i] !== null), all = foremost();
  if (!all.length || !some.length) return null;
  const scales = all.map(scale), range = readable(some.map((i) => T.best[i]), 0.95, 0), ramp = RAMPS[theme()];
  const place = (i) => Math.min(1, Math.max(0, (T.best[i] - range[0]) / (range[1] - range[0])));
  const wobble = (i, k) => (all[k].numeric ? 0 : (((i * 37 + k * 11) % 17) / 17 - 0.5) * 0.035);
  const order = [...some].sort((a, b) => (better(T.best[a], T.best[b]) ? 1 : -1)), traces = [];
  const line = (i) => [...all.map((_, k) => [k, scales[k](i) + wobble(i, k)]), [all.length, place(i)]];
  ramp.forEach((shade, bin) => {
    const mine = order.filter((_, rank) => Math.floor((rank / order.length) ** 3 * ramp.length) === bin);
    if (mine.length) traces.push({ ...joined(mine.map(line)), mode: "lines", hoverinfo: "skip", line: { color: fade(shade, 0.3 + 0.5 * (bin / (ramp.length - 1)) ** 2), width: bin === ramp.length - 1 ? 1.7 : 1 } });
  });
  if (state.marked !== null && T.best[state.marked] !== null) traces.push({ ...joined([line(state.marked)]), mode: "lines+markers", hoverinfo: "skip", line: { color: css("--bad"), width: 3 } });
  traces.push({ x: order.map(() => all.length), y: order.map(place), mode: "markers", marker: { size: 7, color: fade(css("--ink"), 0.01) }, text: order.map(about), hovertemplate: "%{text}<extra></extra>" });
  const shapes = [...all, null].map((_, k) => ({ type: "line", x0: k, x1: k, y0: 0, y1: 1, line: { color: css("--soft"), width: 1.2 }, layer: "above" }));
  return { traces, layout: layout({ showlegend: false, dragmode: false, margin: { l: 24, r: 58, t: 44, b: 30 }, shapes, annotations: marks(all, range),
    xaxis: { visible: false, range: [-0.12, all.length + 0.12], fixedrange: true }, yaxis: { visible: false, range: [all.some((one) => some.some((i) => T.config[one.name][i] === null)) ? -0.12 : -0.03, 1.02], fixedrange: true } }) };
}

/** Names above the axes and values along them. */
function marks(all, range) {
  const label = (k, y, text, more = {}) => ({ x: k, y, text, showarrow: false, xanchor: "left", xshift: 4, font: { size: 11, color: css("--soft") }, bgcolor: fade(css("--card"), 0.82), ...more });
  const made = [], most = innerWidth < 640 ? 8 : Math.max(9, Math.floor(130 / (all.length + 1)));
  all.forEach((one, k) => {
    made.push(label(k, 1, `<b>${safe(short(one.name, most))}</b>`, { yshift: 22, xanchor: "center", xshift: k === 0 ? 8 : 0, font: { size: 12.5, color: css("--ink") }, hovertext: safe(one.name) }));
    if (one.numeric) {
      const known = finite(T.config[one.name]), low = Math.min(...known), high = Math.max(...known);
      const middle = one.log ? Math.sqrt(low * high) : (low + high) / 2, few = distinct(one), shape = one.log ? Math.log : Number;
      for (const value of few && few.length <= 8 ? few : [low, middle, high]) made.push(label(k, high > low ? (shape(value) - shape(low)) / (shape(high) - shape(low)) : 0.5, number(value)));
    } else one.categories.slice(0, 12).forEach((value, j) => made.push(label(k, one.categories.length > 1 ? j / (one.categories.length - 1) : 0.5, safe(short(value, 12)))));
  });
  made.push(label(all.length, 1, `<b>${safe(short(D.metric, innerWidth < 640 ? 10 : 14))}</b>`, { yshift: 22, xanchor: "right", xshift: 44, font: { size: 12.5, color: css("--ink") } }));
  for (const share of [0, 0.5, 1]) made.push(label(all.length, share, number(Number((range[0] + share * (range[1] - range[0])).toPrecision(3)))));
  return made;
}

function importance() {
  const found = D.importance;
  if (!found.rows) return null;
  const rows = [...found.rows].reverse().slice(-15), low = rows.map((row) => row.mean - row.low), high = rows.map((row) => row.high - row.mean);
  const sure = rows.map((row) => (row.low > 0 ? css("--accent") : fade(css("--soft"), 0.55)));
  const trace = { type: "bar", orientation: "h", x: rows.map((row) => Math.max(0, row.mean)), y: rows.map((row) => safe(short(row.name))), marker: { color: sure }, width: 0.55, showlegend: false,
    error_x: { type: "data", symmetric: false, array: high, arrayminus: low, color: css("--ink"), thickness: 1.4, width: 5 }, hovertemplate: "<b>%{y}</b> %{x:.1%}<extra></extra>" };
  const tall = { height: Math.max(150, 70 + rows.length * 34) };
  return { traces: [trace], layout: layout({ ...tall, margin: { l: 20, r: 20, t: 6, b: 46 }, xaxis: axis("fraction of the variance explained", { tickformat: ".0%", range: [0, Math.max(0.05, ...rows.map((row) => row.high)) * 1.04] }), yaxis: axis("", { ticksuffix: "  ", gridcolor: "rgba(0,0,0,0)" }) }) };
}

/** How often each level is among the values, the most frequent as 1. */
function shares(levels, values) {
  const counts = levels.map((level) => values.filter((value) => value === level).length), most = Math.max(...counts, 1);
  return counts.map((count) => count / most);
}

/** The values of a numeric parameter that has few of them, in order; null where it has many. */
function distinct(one) {
  const values = one.numeric ? [...new Set(finite(T.config[one.name]))].sort((a, b) => a - b) : [];
  return values.length > 1 && values.length <= 8 ? values : null;
}

/** Where trials were placed along a parameter, as the height of a band, 0 .. 1. */
function density(one, some) {
  const values = some.map((i) => T.config[one.name][i]).filter((value) => value !== null), few = distinct(one);
  if (few) return { type: "bar", x: few, y: shares(few, values), width: one.log ? few.map((x) => x * 0.12) : (few.at(-1) - few[0]) / (few.length * 2.6) };
  if (!one.numeric) return { type: "bar", x: one.categories.map((value) => safe(short(value, 14))), y: shares(one.categories, values), width: 0.5 };
  const shape = one.log ? Math.log : Number, back = one.log ? Math.exp : Number, known = values.map(shape), low = Math.min(...known), high = Math.max(...known);
  const width = (high - low) / 14 || 1, places = Array.from({ length: 60 }, (_, k) => low + ((high - low) * k) / 59);
  const heights = places.map((x) => known.reduce((sum, value) => sum + Math.exp(-0.5 * ((x - value) / width) ** 2), 0));
  const most = Math.max(...heights, 1e-9);
  return { x: places.map(back), y: heights.map((height) => height / most), mode: "lines", fill: "tozeroy", line: { width: 0 } };
}

function slice(one) {
  const some = shown().filter((i) => T.best[i] !== null && T.config[one.name][i] !== null), most = Math.max(...T.epochs, 1), values = T.config[one.name];
  const traces = [{ ...density(one, some), yaxis: "y2", hoverinfo: "skip", showlegend: false, fillcolor: fade(css("--soft"), 0.3), marker: { color: fade(css("--soft"), 0.3) } }];
  for (const name of D.searchers) {
    const mine = some.filter((i) => T.searcher[i] === name);
    const x = mine.map((i) => (one.numeric ? values[i] : safe(short(values[i], 14))));
    traces.push({ x, y: mine.map((i) => T.best[i]), mode: "markers", showlegend: false, text: mine.map(about), hovertemplate: "%{text}<extra></extra>",
      marker: { color: colour(name), size: 6, opacity: mine.map((i) => 0.18 + 0.72 * (T.epochs[i] / most) ** 1.5) } });
  }
  if (state.marked !== null && values[state.marked] !== null && T.best[state.marked] !== null)
    traces.push({ x: [one.numeric ? values[state.marked] : safe(short(values[state.marked], 14))], y: [T.best[state.marked]], mode: "markers", hoverinfo: "skip", showlegend: false, marker: { color: "rgba(0,0,0,0)", size: 13, line: { color: css("--bad"), width: 2.5 } } });
  const few = distinct(one), ticks = few ? { tickvals: few, ticktext: few.map(number) } : one.log ? { dtick: 1, exponentformat: "power", tickfont: { size: 11, color: css("--soft") } } : {};
  const kind = one.numeric ? { type: one.log ? "log" : "linear", ...ticks } : { type: "category", categoryorder: "array", categoryarray: one.categories.map((value) => safe(short(value, 14))) };
  return { traces, layout: layout({ margin: { l: 50, r: 8, t: 8, b: 42 }, xaxis: axis(safe(short(one.name)), { ...kind, anchor: "y2", showgrid: one.numeric }), yaxis: axis(METRIC, { range: readable(some.map((i) => T.best[i]), 0.75), domain: [0.2, 1] }), yaxis2: { domain: [0, 0.16], visible: false, fixedrange: true, range: [0, 1.05] } }) };
}

function pareto() {
  const cost = T[state.cost], some = shown().filter((i) => T.best[i] !== null), traces = [];
  const front = some.length ? frontier(some, cost) : [];
  traces.push({ x: front.map((i) => cost[i]), y: front.map((i) => T.best[i]), name: "best for its cost", mode: "lines", line: { color: css("--ink"), width: 1.6, shape: "hv" }, hoverinfo: "skip" });
  for (const name of D.searchers) {
    const mine = some.filter((i) => T.searcher[i] === name), on = new Set(front);
    traces.push({ x: mine.map((i) => cost[i]), y: mine.map((i) => T.best[i]), name: safe(name), mode: "markers", text: mine.map(about), hovertemplate: "%{text}<extra></extra>",
      marker: { color: colour(name), opacity: mine.map((i) => (on.has(i) ? 1 : 0.45)), size: mine.map((i) => (on.has(i) ? 10 : 6)) } });
  }
  const title = state.cost === "seconds" ? "training time of the trial, seconds" : "epochs trained";
  return { traces, layout: layout({ xaxis: axis(title, { rangemode: "tozero" }), yaxis: axis(`best ${METRIC}`, { range: readable(some.map((i) => T.best[i]), 0.75) }) }) };
}

function frontier(some, cost) {
  const order = [...some].sort((a, b) => cost[a] - cost[b] || (better(T.best[a], T.best[b]) ? -1 : 1)), front = [];
  for (const i of order) if (!front.length || better(T.best[i], T.best[front.at(-1)])) front.push(i);
  return front;
}

function workers() {
  if (!D.timeline.length) return null;
  const begin = D.began, lanes = Math.max(...D.timeline.map((bar) => bar[0])) + 1, length = D.last - begin;
  const [unit, word] = length > 7200 ? [3600, "hours"] : length > 180 ? [60, "minutes"] : [1, "seconds"];
  const traces = D.searchers.map((name) => {
    const mine = D.timeline.filter((bar) => T.searcher[bar[1]] === name && visible(bar[1]));
    return { type: "bar", orientation: "h", name: safe(name), base: mine.map((bar) => (bar[2] - begin) / unit), x: mine.map((bar) => Math.max(bar[3] - bar[2], length / 4000) / unit), y: mine.map((bar) => bar[0] + 1), width: 0.72,
      text: mine.map((bar) => `${about(bar[1])}<br>${duration(bar[3] - bar[2])} on ${safe(bar[4] || DASH)}`), textposition: "none", hovertemplate: "%{text}<extra></extra>", marker: { color: fade(colour(name), 0.85), line: { color: css("--card"), width: 0.6 } } };
  });
  const tall = { height: Math.max(170, 96 + Math.min(lanes, 64) * 26) };
  return { traces, layout: layout({ ...tall, barmode: "overlay", xaxis: axis(`${word} since the start`, { rangemode: "tozero" }), yaxis: axis("worker", { dtick: lanes > 12 ? undefined : 1, range: [lanes + 0.5, 0.5], gridcolor: "rgba(0,0,0,0)" }) }) };
}
