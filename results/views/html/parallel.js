// Parallel coordinates with brushing: dragging along an axis adds a range to the filter.

const ABSENT = -0.08; // where a line passes an axis whose parameter the trial does not have
const BRUSH_WIDTH = 26; // pixels beside an axis within which it can be brushed

/** A parameter's place on its axis, 0 .. 1, and back to a value. */
function coordinate(parameter) {
  const values = T.config[parameter.name];
  if (!parameter.numeric) {
    const last = parameter.categories.length - 1;
    const places = new Map(parameter.categories.map((name, k) => [name, last > 0 ? k / last : 0.5]));
    const at = (value) => places.get(String(value)) ?? -1;
    return { at: (i) => (values[i] === null ? ABSENT : at(values[i])), place: at };
  }
  const [forward, back] = parameter.log ? [Math.log, Math.exp] : [Number, Number];
  const known = finite(values).map(forward);
  const [low, high] = corners(known);
  const place = (value) => (high > low ? (forward(value) - low) / (high - low) : 0.5);
  return {
    at: (i) => (values[i] === null ? ABSENT : place(values[i])),
    place,
    value: (y) => back(low + y * (high - low)),
  };
}

/** As many parameters as there is room for: the most important ones, in the order of the file. */
function foremost() {
  const room = Math.max(3, Math.floor(Math.min(innerWidth, 1180) / 88) - 1);
  if (D.parameters.length <= room) return D.parameters;
  const rank = (D.importance.rows ?? []).map((row) => row.name);
  const place = (known) => (rank.includes(known.name) ? rank.indexOf(known.name) : rank.length);
  const chosen = new Set([...D.parameters].sort((a, b) => place(a) - place(b)).slice(0, room));
  return D.parameters.filter((known) => chosen.has(known));
}

function parallel() {
  const known = [...Array(COUNT).keys()].filter((i) => T.best[i] !== null && T.best[i] !== undefined);
  const some = known.filter(visible);
  const axes = foremost();
  if (!axes.length || !known.length) return null;
  const scales = axes.map(coordinate);
  const range = readable(
    (some.length ? some : known).map((i) => T.best[i]),
    0.95,
    0,
  ) ?? [T.best[known[0]] - 1, T.best[known[0]] + 1];
  const height = (i) => Math.min(1, Math.max(0, (T.best[i] - range[0]) / (range[1] - range[0])));
  const wobble = (i, k) => (axes[k].numeric ? 0 : (((i * 37 + k * 11) % 17) / 17 - 0.5) * 0.035);
  const line = (i) => [...axes.map((_, k) => [k, scales[k].at(i) + wobble(i, k)]), [axes.length, height(i)]];
  const marks = [
    ...lineMarks(known, some, line),
    {
      kind: "dots",
      points: some.map((i) => [axes.length, height(i), i]),
      color: css("--ink"),
      alpha: 0,
      size: 3,
    },
  ];
  const marked = (i) =>
    T.best[i] === null
      ? []
      : [
          { kind: "lines", paths: [line(i)], color: css("--mark"), width: 3 },
          { kind: "dots", points: line(i).map(([x, y]) => [x, y, i]), color: css("--mark"), size: 4 },
        ];
  const isGap = axes.some((parameter) => some.some((i) => (T.config[parameter.name][i] ?? null) === null));
  const shape = (_, k) => ({
    type: "line",
    x0: k,
    x1: k,
    y0: 0,
    y1: 1,
    line: { color: css("--soft"), width: 1.2 },
    layer: "above",
  });
  return {
    marks,
    marked,
    traces: extent([0, axes.length], [0, 1]),
    after: (place) => brushes(place, axes, scales, range),
    layout: layout({
      showlegend: false,
      dragmode: false,
      margin: { l: 24, r: 58, t: 44, b: 30 },
      shapes: [...axes, null].map(shape),
      annotations: labels(axes, range),
      xaxis: { visible: false, range: [-0.12, axes.length + 0.12], fixedrange: true },
      yaxis: { visible: false, range: [isGap ? -0.12 : -0.03, 1.02], fixedrange: true },
    }),
  };
}

/** Lines in seven strengths, the best on top; what the filter leaves out stays as a pale background. */
function lineMarks(known, some, line) {
  const ramp = RAMPS[theme()];
  const order = [...some].sort((a, b) => (better(T.best[a], T.best[b]) ? 1 : -1));
  const marks = [];
  if (some.length < known.length) {
    const rest = known.filter((i) => !visible(i));
    marks.push({
      kind: "lines",
      paths: rest.map(line),
      color: css("--soft"),
      alpha: Math.max(0.02, Math.min(0.12, 8 / rest.length)),
    });
  }
  ramp.forEach((color, bin) => {
    const mine = order.filter((_, rank) => Math.floor((rank / order.length) ** 3 * ramp.length) === bin);
    const strength = bin / (ramp.length - 1);
    const alpha = 0.3 + 0.5 * strength ** 2;
    marks.push({ kind: "lines", paths: mine.map(line), color, alpha, width: strength === 1 ? 1.7 : 1 });
  });
  return marks;
}

/** Names above the axes and values along them. */
function labels(axes, range) {
  const font = { size: 11, color: css("--soft") };
  const base = { showarrow: false, xanchor: "left", xshift: 4, font, bgcolor: fade(css("--card"), 0.82) };
  const label = (x, y, text, more = {}) => ({ x, y, text, ...base, ...more });
  const name = (x, text, most, more) =>
    label(x, 1, `<b>${safe(short(text, most))}</b>`, {
      yshift: 22,
      font: { size: 12.5, color: css("--ink") },
      ...more,
    });
  const most = innerWidth < 640 ? 8 : Math.max(9, Math.floor(130 / (axes.length + 1)));
  const made = axes.flatMap((parameter, k) => [
    name(k, parameter.name, most, { xanchor: "center", xshift: k === 0 ? 8 : 0, hovertext: safe(parameter.name) }),
    ...ticks(parameter).map(([place, text]) => label(k, place, safe(text))),
  ]);
  made.push(name(axes.length, D.metric, innerWidth < 640 ? 10 : 14, { xanchor: "right", xshift: 44 }));
  for (const part of [0, 0.5, 1])
    made.push(label(axes.length, part, number(Number((range[0] + part * (range[1] - range[0])).toPrecision(3)))));
  return made;
}

function ticks(parameter) {
  const { place, value } = coordinate(parameter);
  if (!parameter.numeric) return parameter.categories.slice(0, 12).map((text) => [place(text), short(text, 12)]);
  const values = distinct(parameter) ?? [0, 0.5, 1].map(value);
  return values.map((known) => [place(known), number(Number(known.toPrecision(3)))]);
}

/** Strips over the axes that can be dragged along, with the ranges that the filter has. */
function brushes(place, axes, scales, range) {
  const { x, y } = geometry(place);
  const [top, bottom] = [y(1), y(0)];
  const strips = [...axes, null].map((parameter, k) => {
    const name = parameter?.name ?? "best";
    const strip = el("div", "", "brush", {
      title: `drag to filter by ${short(name, 40)}; click to take the filter away`,
    });
    Object.assign(strip.style, {
      left: `${x(k) - BRUSH_WIDTH / 2}px`,
      width: `${BRUSH_WIDTH}px`,
      top: `${top}px`,
      height: `${bottom - top}px`,
    });
    const place_ = parameter ? scales[k].place : (value) => (value - range[0]) / (range[1] - range[0]);
    const value = parameter ? scales[k].value : (at) => range[0] + at * (range[1] - range[0]);
    showBrushed(strip, name, place_);
    listenToBrush(strip, (low, high) => brushed(name, parameter, low, high, value));
    return strip;
  });
  for (const old of place.querySelectorAll(".brush")) old.remove();
  place.append(...strips);
}

/** The part of an axis that the filter has chosen. */
function showBrushed(strip, name, placeOf) {
  const mine = state.terms.filter((known) => isAbout(name)(known) && !known.negated);
  if (!mine.length) return;
  let [low, high] = [0, 1];
  for (const known of mine) {
    if (known.operator.startsWith(">")) low = placeOf(Number(known.value));
    else if (known.operator.startsWith("<")) high = placeOf(Number(known.value));
    else {
      const places = known.value
        .split("|")
        .map(placeOf)
        .filter((at) => at >= 0);
      [low, high] = [Math.min(...places) - 0.03, Math.max(...places) + 0.03];
    }
  }
  if (![low, high].every(Number.isFinite)) return;
  const range = el("div", "", "range");
  const [upper, lower] = [Math.max(0, 1 - high), Math.max(0, low)];
  Object.assign(range.style, { top: `${upper * 100}%`, bottom: `${lower * 100}%` });
  strip.append(range);
}

function listenToBrush(strip, act) {
  strip.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    strip.setPointerCapture(event.pointerId);
    const { top, height } = strip.getBoundingClientRect();
    const at = (moved) => Math.min(1, Math.max(0, 1 - (moved.clientY - top) / height));
    const begin = at(event);
    const range = el("div", "", "range");
    strip.replaceChildren(range);
    const move = (moved) => {
      const [low, high] = [Math.min(begin, at(moved)), Math.max(begin, at(moved))];
      Object.assign(range.style, { top: `${(1 - high) * 100}%`, bottom: `${low * 100}%` });
    };
    move(event);
    strip.addEventListener("pointermove", move);
    strip.addEventListener(
      "pointerup",
      (ended) => {
        strip.removeEventListener("pointermove", move);
        const end = at(ended);
        if (Math.abs(end - begin) < 0.01) act(null, null);
        else act(Math.min(begin, end), Math.max(begin, end));
      },
      { once: true },
    );
  });
  strip.addEventListener("click", (event) => event.stopPropagation());
}

/** Filter by a part of an axis; without one, no longer. */
function brushed(name, parameter, low, high, value) {
  const added = [];
  if (low !== null && parameter && !parameter.numeric) {
    const last = Math.max(1, parameter.categories.length - 1);
    const chosen = parameter.categories.filter((_, k) => k / last >= low - 0.02 && k / last <= high + 0.02);
    if (chosen.length) added.push(term(name, "=", chosen.join("|")));
  } else if (low !== null) {
    const rounded = (at) => String(Number(value(at).toPrecision(3)));
    if (low > 0) added.push(term(name, ">=", rounded(low)));
    if (high < 1) added.push(term(name, "<=", rounded(high)));
  }
  go({ where: edited(isAbout(name), added) }, { replace: true });
}
