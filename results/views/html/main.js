// Puts the page together: words first, plots when they come into sight, and everything again only where it changed.

const PLOTS = { incumbents, simulation, curves, parallel, contour, importance, pareto, workers, slice };
const PRINTED = 290; // pixels: the height of a plot on paper
const MAX_SLICES = 18;
const LIVE_FILE_SECONDS = 30; // between two reloads of the file of a running sweep
const drawn = new Set();
const stale = new Set();
const pending = [];
const applied = { where: null, key: null, at: null };
const WHY = {
  incumbents: "No trial has reported a finite value yet.", parallel: "Nothing differs between the trials yet.",
  workers: "No trial has started yet.", contour: "It takes five trials with both parameters.",
};

/** Do something as soon as plotly is there: its four megabytes come after the words. */
function whenPlotly(act) {
  if (window.Plotly) act();
  else pending.push(act);
}

function plotlyArrived() {
  if (window.Plotly) for (const act of pending.splice(0)) act();
}

/** The code is in an element after this one, or in a file of its own. */
function listenForPlotly() {
  document.addEventListener("load", plotlyArrived, true); // of script elements, which does not bubble
  document.addEventListener("DOMContentLoaded", plotlyArrived);
  addEventListener("load", () => (window.Plotly ? plotlyArrived() : plotlyIsMissing()));
}

function plotlyIsMissing() {
  const text = "The plots need plotly.js, which lies beside this file while the sweep runs. raysweep report writes one file.";
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
  const why = name === "importance" ? `Importance is not shown: ${D.importance.why}.` : WHY[name];
  place.textContent = COUNT && !shown().length ? "No trial matches the filter." : why ?? "Nothing to show yet.";
}

/** A plot for each parameter; each is drawn when it comes into sight. */
function slices(place) {
  const count = Math.min(D.parameters.length, MAX_SLICES);
  place.classList.toggle("empty", !count);
  if (!count) { place.textContent = WHY.parallel; return; }
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

const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting && stale.has(entry.target)) draw(entry.target);
}, { rootMargin: "400px 0px" });

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

/** All words of a run's page. */
function sections() {
  opening();
  bestSection();
  problemSection();
  findings();
  compared();
  reliability();
  simulated();
  surroundings();
  sweepCommands();
  contourChoices();
}

/** Show the run that was adopted, from the top. */
function showRun() {
  document.title = `${D.name} · raysweep`;
  for (const place of document.querySelectorAll("#sweep [data-plot=slice]")) place.remove();
  sections();
  choices($("[data-choice=unit]"), Object.keys(D.incumbents).map((unit) => [unit, unit]), "unit", ["incumbents"]);
  choices($("[data-choice=cost]"), [["seconds", "seconds"], ["epochs", "epochs"]], "cost", ["pareto"]);
  applied.key = null;
  applyRoute(readRoute());
  navigate();
  redraw();
  performance.mark("first screen");
}

function choices(place, options, key, plots) {
  place.hidden = options.length < 2;
  place.replaceChildren(...options.map(([value, label]) => {
    const act = () => {
      state[key] = value;
      choices(place, options, key, plots);
      redraw(plots);
    };
    return button(label, act, "", { "aria-pressed": String(state[key] === value) });
  }));
}

/** Take over filter, order, columns and opened trials from the address. */
function applyRoute(route) {
  const key = JSON.stringify([route.where, route.sort, route.columns]);
  if (key !== applied.key) {
    const isFiltered = applied.key === null || route.where !== applied.where;
    Object.assign(applied, { key, where: route.where });
    const sort = route.sort ?? (D.maximize ? "-best" : "best");
    Object.assign(state, { up: !sort.startsWith("-"), sort: sort.replace(/^-/, "") });
    state.columns = route.columns ? new Set(route.columns.split(",")) : null;
    ask(route.where ?? "");
    table();
    if (isFiltered) {
      $(".rows").scrollTop = 0;
      filters();
      redraw();
    }
  }
  const open = route.trial ? route.trial.split(",") : [];
  if (open.join() !== state.open.join() || $("#trial").hidden === (open.length > 0)) showTrials(open);
  if (route.at && route.at !== applied.at) document.getElementById(route.at)?.scrollIntoView();
  applied.at = route.at;
}

/** Use a query as the filter. A mistake is said in one line, and the former filter stays. */
function ask(query) {
  state.where = query;
  const place = $("#mistake");
  const field_ = $("#filters input");
  try {
    state.terms = parseQuery(query);
    place.textContent = "";
  } catch (error) {
    if (!(error instanceof QueryMistake)) throw error;
    place.textContent = error.message;
  }
  place.hidden = !place.textContent;
  field_.setAttribute("aria-invalid", String(!place.hidden));
  if (document.activeElement !== field_ || field_.value.trim() !== query.trim()) field_.value = query;
}

/** The shortcuts beside the query: a chip for each searcher, and the statuses. */
function filters() {
  const isHiding = (name) => (known) => isAbout("searcher")(known) && known.negated && known.value === name;
  $(".chips").replaceChildren(...(D.searchers.length < 2 ? [] : D.searchers).map((name) => {
    const isHidden = state.terms.some(isHiding(name));
    const act = () => go({ where: edited(isHiding(name), isHidden ? [] : [term("searcher", ":", name, true)]) }, { replace: true });
    const dot = el("span", "", "dot", { style: `background: ${colour(name)}` });
    return button([dot, name], act, "", { "aria-pressed": String(!isHidden) });
  }));
  const select = $("#filters select");
  const names = STATUS_ORDER.filter((status) => T.status.includes(status));
  select.replaceChildren(el("option", "any status", "", { value: "" }), ...names.map((name) => el("option", name)));
  select.value = state.terms.find((known) => isAbout("status")(known) && !known.negated)?.value ?? "";
}

/** Follow the address: the list, several runs over each other, or a run. */
async function follow() {
  const route = readRoute();
  if (!state.served) return applyRoute(route);
  const names = (route.run ?? "").split(",").filter(Boolean);
  const wanted = names.length > 1 ? "overlaid" : names.length ? "sweep" : "list";
  for (const id of ["list", "overlaid", "sweep"]) $(`#${id}`).hidden = id !== wanted;
  $(".bar nav").hidden = wanted !== "sweep";
  if (wanted !== "sweep") {
    state.run = null;
    showTrials([]);
    document.title = "raysweep";
  }
  try {
    if (wanted === "list") await openList();
    else if (wanted === "overlaid") await openOverlay(names);
    else if (state.run !== names[0]) await openRun(names[0]);
    else applyRoute(route);
  } catch (error) {
    $("#offline").textContent = error.message;
    connected(false);
  }
  return undefined;
}

async function openList() {
  await showList();
  listenToServer(null, () => { if (isListShown()) showList(); });
}

async function openOverlay(names) {
  await showOverlay(names);
  source?.close();
}

async function openRun(name) {
  Object.assign(state, { marked: null, pair: null, where: "", terms: [], open: [] });
  stale.clear();
  await loadRun(name);
  listenToServer(name, catchUp);
}

function listen() {
  const form = $("#filters");
  let wait = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  $("select", form).addEventListener("change", (event) => {
    const added = event.target.value ? [term("status", ":", event.target.value)] : [];
    go({ where: edited(isAbout("status"), added) }, { replace: true });
  });
  $("input", form).addEventListener("input", (event) => {
    clearTimeout(wait);
    wait = setTimeout(() => go({ where: event.target.value }, { replace: true }), 150);
  });
  $("#columns").addEventListener("toggle", (event) => { if (event.target.open) columnChooser(); });
  $("#theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    remember("raysweep-theme", theme());
    recolour();
  });
  $("#keys").addEventListener("click", () => $("#help").showModal());
  for (const event of ["hashchange", "popstate"]) addEventListener(event, follow);
  $(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // the fragment of the address is a route
    $("#main").focus();
  });
  $(".mark").addEventListener("click", (event) => {
    event.preventDefault();
    if (state.served) go({}, { base: {} });
    scrollTo(0, 0);
  });
}

/** Draw in the colours of the theme. */
function recolour() {
  if (!$("#overlaid").hidden) drawOverlay();
  if (!D || $("#sweep").hidden) return;
  table();
  filters();
  sections();
  redraw();
  if (state.open.length) showTrials(state.open);
}

function navigate() {
  const links = new Map();
  for (const section of document.querySelectorAll("#sweep section[data-title]:not([hidden])")) {
    const link = el("a", section.dataset.title, "", { href: fragment({ at: section.id }) });
    link.addEventListener("click", (event) => {
      event.preventDefault();
      applied.at = section.id;
      go({ at: section.id }, { replace: true });
      section.scrollIntoView();
    });
    links.set(section, link);
  }
  $(".bar nav").replaceChildren(...links.values());
  navigate.watch?.disconnect();
  navigate.watch = new IntersectionObserver((entries) => {
    for (const entry of entries) links.get(entry.target)?.classList.toggle("here", entry.isIntersecting);
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of links.keys()) navigate.watch.observe(section);
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
      Plotly.relayout(plot, { width: Math.min(plot.clientWidth, 690), ...(isOwnHeight ? {} : { height: PRINTED }) });
    }
  });
  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = before;
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      Plotly.relayout(plot, { width: undefined, height: plot.style.height ? parseInt(plot.style.height) : undefined, autosize: true });
    }
    recolour();
  });
}

/** Where a reader was in the file of a running sweep, before it is loaded again. */
function keepPlace() {
  const key = `raysweep:${D.name}`;
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "{}");
    sessionStorage.removeItem(key);
    state.unit = kept.unit ?? state.unit;
    state.marked = T.id.includes(kept.marked) ? T.id.indexOf(kept.marked) : null;
    if (kept.scroll) requestAnimationFrame(() => scrollTo(0, kept.scroll));
  } catch { /* a page opened from a file may have no storage */ }
  setInterval(() => {
    if (document.hidden || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
    const kept = { scroll: scrollY, unit: state.unit, marked: T.id[state.marked] };
    try {
      sessionStorage.setItem(key, JSON.stringify(kept));
    } catch { /* as above */ }
    location.reload();
  }, LIVE_FILE_SECONDS * 1000);
}

function start() {
  const given = JSON.parse($("#data").textContent);
  state.served = given.served === true;
  listenForPlotly();
  listen();
  listenToTable();
  listenToList();
  listenToKeys();
  printing();
  for (const place of allPlots()) sight.observe(place);
  if (state.served) {
    follow();
    return;
  }
  adopt(given);
  $("#sweep").hidden = false;
  if (D.live) keepPlace();
  showRun();
}

if (document.getElementById("data")) start();
else document.addEventListener("DOMContentLoaded", start);
