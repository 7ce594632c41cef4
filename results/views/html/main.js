// Puts the page together: the words, the filter and the address, and what follows when these change.

const LIVE_FILE_SECONDS = 30; // between two reloads of the file of a running sweep
const applied = { where: null, key: null, at: null };

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
  frontSection();
}

/** Show the run that was adopted, from the top. */
function showRun() {
  document.title = `${D.name} · raysweep`;
  for (const place of document.querySelectorAll("#sweep [data-plot=slice]")) place.remove();
  sections();
  choices(
    $("[data-choice=unit]"),
    Object.keys(D.incumbents).map((unit) => [unit, unit === "epochs" ? budgetUnit() : unit]),
    "unit",
    ["incumbents"],
  );
  choices(
    $("[data-choice=cost]"),
    [
      ["seconds", "seconds"],
      ["epochs", budgetUnit()],
    ],
    "cost",
    ["pareto"],
  );
  applied.key = null;
  applyRoute(readRoute());
  navigate();
  redraw();
  performance.mark("first screen");
}

function choices(place, options, key, plots) {
  place.hidden = options.length < 2;
  place.replaceChildren(
    ...options.map(([value, label]) => {
      const act = () => {
        state[key] = value;
        choices(place, options, key, plots);
        redraw(plots);
      };
      return button(label, act, "", { "aria-pressed": String(state[key] === value) });
    }),
  );
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
  if (open.join() !== state.open.join() || $("#trial").hidden === open.length > 0) showTrials(open);
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
  $(".chips").replaceChildren(
    ...(D.searchers.length < 2 ? [] : D.searchers).map((name) => {
      const isHidden = state.terms.some(isHiding(name));
      const act = () =>
        go(
          { where: edited(isHiding(name), isHidden ? [] : [term("searcher", ":", name, true)]) },
          { replace: true },
        );
      const dot = el("span", "", "dot", { style: `background: ${colour(name)}` });
      return button([dot, name], act, "", { "aria-pressed": String(!isHidden) });
    }),
  );
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
  foldMenu();
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
  listenToServer(null, () => {
    if (isListShown()) showList();
  });
}

async function openOverlay(names) {
  await showOverlay(names);
  source?.close();
}

async function openRun(name) {
  Object.assign(state, { marked: null, pair: null, where: "", terms: [], open: [] });
  stale.clear();
  answers.clear();
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
  $("#columns").addEventListener("toggle", (event) => {
    if (event.target.open) columnChooser();
  });
  listenToThemes();
  listenToMenu();
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

/** Where a reader was in the file of a running sweep, before it is loaded again. */
function keepPlace() {
  const key = `raysweep:${D.name}`;
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "{}");
    sessionStorage.removeItem(key);
    state.unit = kept.unit ?? state.unit;
    state.marked = T.id.includes(kept.marked) ? T.id.indexOf(kept.marked) : null;
    if (kept.scroll) requestAnimationFrame(() => scrollTo(0, kept.scroll));
  } catch {
    /* a page opened from a file may have no storage */
  }
  setInterval(() => {
    if (document.hidden || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName)) return;
    const kept = { scroll: scrollY, unit: state.unit, marked: T.id[state.marked] };
    try {
      sessionStorage.setItem(key, JSON.stringify(kept));
    } catch {
      /* as above */
    }
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
