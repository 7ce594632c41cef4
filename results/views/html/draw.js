// When plots are drawn: as they come into sight, and again where something changed; all of them for paper.

const PRINTED = 290; // pixels: the height of a plot on paper
const PLOTS = { incumbents, simulation, curves, parallel, contour, importance, pareto, workers, slice };
const MAX_SLICES = 18;
const drawn = new Set();
const stale = new Set();
const pending = [];
let fetching = 0; // the frame after which a served page runs plotly's code
const WHY = {
  incumbents: "No trial has reported a finite value yet.",
  parallel: "Nothing differs between the trials yet.",
  workers: "No trial has started yet.",
  contour: "It takes five trials with both parameters.",
};

/** Do something as soon as plotly is there: its four megabytes come after the words. */
function whenPlotly(act) {
  if (window.Plotly) {
    act();
    return;
  }
  pending.push(act);
  if (state.served && !fetching) fetching = requestAnimationFrame(() => setTimeout(fetchPlotly));
}

/** Load plotly's code into a served page, which has painted its words by now: they take much less time. */
function fetchPlotly() {
  const script = el("script", "", "", { src: "plotly.js" });
  script.addEventListener("error", plotlyIsMissing);
  document.head.append(script);
}

function plotlyArrived() {
  if (window.Plotly) for (const act of pending.splice(0)) act();
}

/** The code is in an element after this one, in a file of its own, or fetched from the server. */
function listenForPlotly() {
  document.addEventListener("load", plotlyArrived, true); // of script elements, which does not bubble
  document.addEventListener("DOMContentLoaded", plotlyArrived);
  if (state.served) return; // such a page asks for it
  addEventListener("load", () => (window.Plotly ? plotlyArrived() : plotlyIsMissing()));
}

function plotlyIsMissing() {
  const text = state.served
    ? "The plots need plotly.js, which could not be loaded. Load the page again."
    : "The plots need plotly.js, which lies beside this file while the sweep runs. " +
      "raysweep report writes one file.";
  for (const place of allPlots()) if (place.dataset.plot !== "slice") place.textContent = text;
}

function draw(place) {
  stale.delete(place);
  if (!window.Plotly) return whenPlotly(() => draw(place));
  const name = place.dataset.plot;
  drawn.add(name);
  if (name === "slices") return slices(place);
  const made = PLOTS[name](place);
  place.classList.toggle("empty", !made);
  if (!made) return drawNothing(place, name);
  if (!place.classList.contains("js-plotly-plot")) place.textContent = "";
  if (made.layout.height) place.style.height = `${made.layout.height}px`;
  const options = name === "slice" ? { ...CONFIG, displayModeBar: false } : CONFIG;
  if (made.marks) setMarks(place, made.marks, made.marked);
  Plotly.react(place, made.traces, made.layout, options);
  if (made.marks) showMarks(place);
  if (made.after) afterPlot(place, made.after);
  return undefined;
}

/** What is laid over a plot is laid again whenever plotly has drawn it, as after a change of its size. */
function afterPlot(place, act) {
  if (!place.afterPlot) place.on("plotly_afterplot", () => place.afterPlot(place));
  place.afterPlot = act;
  act(place);
}

function drawNothing(place, name) {
  Plotly.purge(place);
  clearMarks(place);
  place.afterPlot = undefined;
  place.textContent = COUNT && !shown().length ? "No trial matches the filter." : whyNothing(name);
}

function whyNothing(name) {
  if (name === "importance") return `Importance is not shown: ${D.importance.why}.`;
  if (name === "incumbents" && D.best && isUnanalysed()) return "It is being computed …";
  return WHY[name] ?? "Nothing to show yet.";
}

/** A plot for each parameter; each is drawn when it comes into sight. */
function slices(place) {
  const count = Math.min(D.parameters.length, MAX_SLICES);
  place.classList.toggle("empty", !count);
  if (!count) {
    place.textContent = WHY.parallel;
    return;
  }
  if (!place.childElementCount) place.textContent = "";
  while (place.childElementCount < count) {
    const child = el("div", "", "small plot");
    Object.assign(child.dataset, { plot: "slice", index: place.childElementCount });
    place.append(child);
    stale.add(child);
    sight.observe(child);
  }
}

const allPlots = () => document.querySelectorAll("#sweep [data-plot]");

/** Whether a plot is in sight, or so many pixels away from it. */
function nearSight(place, away = 300) {
  const { top, bottom } = place.getBoundingClientRect();
  return bottom > -away && top < innerHeight + away;
}

const sight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) if (entry.isIntersecting && stale.has(entry.target)) draw(entry.target);
  },
  { rootMargin: "400px 0px" },
);

let redrawing = 0;

/** Draw plots again: those in sight soon, the others when they come into sight. names: null for all. */
function redraw(names = null, wait = 0) {
  for (const place of allPlots()) if (!names || names.includes(place.dataset.plot)) stale.add(place);
  if (redrawing) return;
  redrawing = setTimeout(drawNext, wait);
}

/** Draw one plot that is in sight, then the next one after the browser has shown it. */
function drawNext() {
  redrawing = 0;
  for (const place of stale) if (!place.isConnected) stale.delete(place);
  const near = [...stale].filter((place) => place.offsetParent !== null && nearSight(place));
  const next = near.find((place) => nearSight(place, 0)) ?? near[0];
  if (!next) return;
  draw(next);
  redrawing = setTimeout(drawNext, 0);
}

function printing() {
  let before = "light";
  addEventListener("beforeprint", () => {
    before = theme();
    document.documentElement.dataset.theme = "light";
    table();
    for (const place of allPlots()) if (place.offsetParent !== null) draw(place);
    for (const place of document.querySelectorAll("[data-plot=slice]")) draw(place);
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      const isOwnHeight = plot.classList.contains("small") || plot.style.height;
      Plotly.relayout(plot, {
        width: Math.min(plot.clientWidth, 690),
        ...(isOwnHeight ? {} : { height: PRINTED }),
      });
    }
  });
  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = before;
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      Plotly.relayout(plot, {
        width: undefined,
        height: plot.style.height ? parseInt(plot.style.height) : undefined,
        autosize: true,
      });
    }
    recolour();
  });
}
