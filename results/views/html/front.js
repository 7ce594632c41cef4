// The front of a run with several objectives: the trials that keep all limits and that no other beats in all of them.
// It follows from the table, so it is never older than that.

/** The metrics that are optimized; [] with a single one. */
const objectives = () => (D.objectives ?? []).filter((metric) => metric.limit === null);

/** The value of a metric of a trial, at its best epoch; null if it has none. */
const outcome = (i, name) => (name === D.metric ? T.best[i] : T[`metric ${name}`]?.[i]) ?? null;

/** The losses of a trial, one for each objective: less is better. */
const losses = (i) => objectives().map(({ name, maximize }) => (maximize ? -1 : 1) * outcome(i, name));

/** True if the run has several objectives, so that no single value says how good it is. */
const hasFront = () => objectives().length > 1;

/** The trials of the front, as a set of indices, the best in the first objective first. */
function frontTrials() {
  const metrics = objectives();
  const candidates = [];
  for (let i = 0; i < COUNT; i += 1) {
    if (T.feasible?.[i] && metrics.every(({ name }) => outcome(i, name) !== null)) candidates.push([losses(i), i]);
  }
  // In lexicographic order a trial is beaten only by one before it.
  const compare = ([a, i], [b, j]) => a.map((x, k) => x - b[k]).find((difference) => difference) ?? i - j;
  const front = [];
  for (const [own, i] of candidates.sort(compare)) {
    if (!front.some(([other]) => other.every((x, k) => x <= own[k]))) front.push([own, i]);
  }
  return new Set(front.map(([, i]) => i));
}

/** The trial of the front that is nearest to the best of all objectives, as `raysweep best` names it; null without. */
function kneeOf(front) {
  const points = [...front].map((i) => [i, losses(i)]);
  if (!points.length) return null;
  const ends = points[0][1].map((_, k) => {
    const known = points.map(([, point]) => point[k]);
    const low = Math.min(...known);
    return [low, Math.max(...known) - low || 1];
  });
  const distance = (point) => Math.hypot(...point.map((x, k) => (x - ends[k][0]) / ends[k][1]));
  return points.reduce((best, other) => (distance(other[1]) < distance(best[1]) ? other : best))[0];
}

/** The front of a run with several objectives in words, with a link to its knee; [] without one. */
function frontInWords() {
  const front = frontTrials();
  const knee = hasFront() ? kneeOf(front) : null;
  if (knee === null) return [];
  const values = objectives().map(({ name }) => `${name} ${number(outcome(knee, name))}`);
  const told = [`${plural(front.size, "trial")} on the front; its knee is `, trialLink(T.id[knee])];
  return [el("p", [...told, `: ${values.join(", ")}.`], "front")];
}

/** The cards of a run with several objectives: how large the front is, and what its knee has. */
function frontTiles() {
  const front = frontTrials();
  const knee = kneeOf(front);
  const values = objectives().map(({ name }) =>
    knee === null ? [DASH, name] : [number(outcome(knee, name)), `${name} at the knee, ${T.id[knee]}`],
  );
  return [[number(front.size), "on the front"], ...values];
}

/** Columns of the table that a run with several objectives has. */
function frontColumns() {
  if (!D.objectives) return [];
  const on = frontTrials();
  const kept = (i) => ({ true: "yes", false: "no" })[T.feasible?.[i]] ?? null;
  const limits = D.objectives.filter((metric) => metric.limit !== null);
  return [
    { key: "front", title: "front", left: true, get: (i) => (on.has(i) ? "front" : null) },
    ...(limits.length ? [{ key: "feasible", title: "limits kept", left: true, get: kept }] : []),
  ];
}

const isObjective = (name) => (D.objectives ?? []).some((metric) => metric.name === name);

/** Show the section if there is something to choose from, with a button for each metric of the axis. */
function frontSection() {
  $("#front").hidden = !D.objectives;
  if (!D.objectives) return;
  const others = D.objectives.map(({ name }) => name).filter((name) => name !== D.metric);
  if (!others.includes(state.against)) [state.against] = others;
  const options = others.map((name) => [name, name]);
  choices($("[data-choice=against]"), options, "against", ["front"]);
}

function front() {
  const against = D.objectives?.find(({ name }) => name === state.against);
  if (!against) return null;
  const some = shown().filter((i) => T.best[i] !== null && outcome(i, against.name) !== null);
  if (!some.length) return null;
  const [on, cost] = [frontTrials(), (i) => outcome(i, against.name)];
  const marks = groups(some).map(([name, mine]) => ({
    kind: "dots",
    color: colour(name),
    points: mine.map((i) => [cost(i), T.best[i], i]),
    alphaOf: (i) => (on.has(i) ? 1 : T.feasible?.[i] ? 0.45 : 0.7),
    sizeOf: (i) => (on.has(i) ? 5 : 3),
    shapeOf: (i) => (T.feasible?.[i] ? undefined : "cross"),
  }));
  const line = some.filter((i) => on.has(i)).sort((a, b) => cost(a) - cost(b));
  const joined = {
    x: line.map(cost),
    y: line.map((i) => T.best[i]),
    mode: "lines",
    line: { color: css("--ink"), width: 1.6, dash: "dot" },
    hoverinfo: "skip",
    showlegend: false,
  };
  const values = some.map((i) => T.best[i]);
  return {
    traces: [...extent(some.map(cost), values), ...legend(groups(some).map(([name]) => name)), joined],
    marks,
    marked: (i) => [ring([[cost(i), T.best[i], i]])],
    layout: layout({
      xaxis: axis(safe(against.name)),
      yaxis: axis(`best ${METRIC()}`, { range: readable(values, 0.95) }),
      shapes: against.limit === null ? [] : [vertical(against.limit)],
    }),
  };
}
