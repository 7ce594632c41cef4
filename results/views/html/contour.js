// The metric over two parameters: a surface smoothed from the trials, drawn only near trials.

const GRID = 36;
const BANDWIDTH = 0.09; // of the axis: how far a trial speaks for its surroundings
const LEAST_WEIGHT = 0.35; // the surface ends where less than this much of a trial is near
const MAX_POINTS = 1500; // the latest trials with a value; more do not change the surface

/** The two parameters that are shown: chosen ones, or the most important ones. */
function chosenPair() {
  const numeric = D.parameters.filter((known) => known.numeric).map((known) => known.name);
  const ranked = (D.importance.rows ?? []).map((row) => row.name).filter((name) => numeric.includes(name));
  const order = [...new Set([...ranked, ...numeric])];
  if (state.pair?.every((name) => numeric.includes(name))) return state.pair;
  return order.length < 2 ? null : order.slice(0, 2);
}

function contour() {
  const pair = chosenPair();
  if (!pair) return null;
  const [across, up] = pair.map((name) => D.parameters.find((known) => known.name === name));
  const [xs, ys] = [T.config[across.name], T.config[up.name]];
  const some = shown().filter((i) => T.best[i] !== null && xs[i] !== null && ys[i] !== null);
  if (some.length < 5) return null;
  const trace = surface(some, coordinate(across), coordinate(up));
  const marks = [
    {
      kind: "dots",
      points: some.map((i) => [xs[i], ys[i], i]),
      color: css("--ink"),
      alpha: Math.max(0.25, Math.min(0.8, 20 / Math.sqrt(some.length))),
      size: 2.4,
    },
  ];
  if (D.best && visible(D.best.trial)) {
    const i = D.best.trial;
    marks.push({ kind: "dots", points: [[xs[i], ys[i], i]], color: css("--ink"), shape: "ring", size: 6, line: 2 });
  }
  return {
    traces: [trace],
    marks,
    marked: (i) => [ring([[xs[i], ys[i], i]])],
    layout: layout({
      showlegend: false,
      margin: { l: 60, r: 10, t: 14, b: 46 },
      xaxis: parameterAxis(across),
      yaxis: parameterAxis(up),
    }),
  };
}

/** The mean of the metric with Gaussian weights (Nadaraya-Watson) on a grid over both axes. */
function surface(some, across, up) {
  const points = some.slice(-MAX_POINTS).map((i) => [across.at(i), up.at(i), T.best[i]]);
  const shownValues = readable(
    points.map((point) => point[2]),
    0.75,
    0,
  );
  const clip = (value) => (shownValues ? Math.min(shownValues[1], Math.max(shownValues[0], value)) : value);
  const places = Array.from({ length: GRID }, (_, k) => k / (GRID - 1));
  const mean = (x, y) => {
    let [sum, weights] = [0, 0];
    for (const [a, b, value] of points) {
      const squared = ((a - x) ** 2 + (b - y) ** 2) / BANDWIDTH ** 2;
      if (squared > 16) continue;
      const weight = Math.exp(-0.5 * squared);
      sum += weight * clip(value);
      weights += weight;
    }
    return weights < LEAST_WEIGHT ? null : sum / weights;
  };
  const ramp = RAMPS[theme()];
  const colours = D.maximize ? ramp : [...ramp].reverse();
  return {
    type: "contour",
    x: places.map(across.value),
    y: places.map(up.value),
    z: places.map((y) => places.map((x) => mean(x, y))),
    colorscale: colours.map((shade, k) => [k / (ramp.length - 1), shade]),
    connectgaps: false,
    hoverinfo: "skip",
    contours: { coloring: "heatmap", showlines: true },
    line: { width: 0.6, color: fade(css("--ink"), 0.35) },
    colorbar: {
      thickness: 10,
      outlinewidth: 0,
      tickfont: { size: 11, color: css("--soft") },
      title: { text: METRIC(), font: { size: 12, color: css("--soft") } },
    },
  };
}

/** The choice of the two parameters. */
function contourChoices() {
  const place = $("#contour .choice");
  const numeric = D.parameters.filter((known) => known.numeric).map((known) => known.name);
  const pair = chosenPair();
  $("#contour").hidden = !pair;
  if (!pair) return;
  const select = (k, label) => {
    const options = numeric.map((name) =>
      el("option", short(name, 40), "", { value: name, selected: name === pair[k] }),
    );
    const made = el("select", options, "", { "aria-label": label });
    made.addEventListener("change", () => {
      state.pair = [...chosenPair()];
      state.pair[k] = made.value;
      contourChoices();
      redraw(["contour"]);
    });
    return made;
  };
  place.replaceChildren(
    select(0, "parameter on the horizontal axis"),
    el("span", "against"),
    select(1, "parameter on the vertical axis"),
  );
}
