// Puts the page together: words first, plots when they come into sight, everything again when a filter or the theme changes.

const PLOTS = { incumbents, simulation, curves, parallel, importance, pareto, workers };
const PRINTED = 290;
const drawn = new Set();
const WHY = { incumbents: "No trial has reported a finite value yet.", parallel: "Nothing differs between the trials yet.", importance: `Importance is not shown: ${D.importance.why}.`, workers: "No trial has started yet." };

function draw(place) {
  const name = place.dataset.plot;
  drawn.add(name);
  if (name === "slices") return slices(place);
  const made = PLOTS[name]();
  place.classList.toggle("empty", !made);
  if (!made) { Plotly.purge(place); place.textContent = WHY[name] ?? "Nothing to show yet."; return undefined; }
  if (!place.classList.contains("js-plotly-plot")) place.textContent = "";
  if (made.layout.height) place.style.height = `${made.layout.height}px`;
  return Plotly.react(place, made.traces, made.layout, CONFIG);
}

function slices(place) {
  place.classList.toggle("empty", !D.parameters.length);
  if (!D.parameters.length) { place.textContent = WHY.parallel; return; }
  if (!place.childElementCount) place.append(...D.parameters.slice(0, 18).map(() => el("div", "", "small")));
  D.parameters.slice(0, 18).forEach((one, k) => { const made = slice(one); Plotly.react(place.children[k], made.traces, made.layout, { ...CONFIG, displayModeBar: false }); });
}

function refresh() {
  table();
  for (const place of document.querySelectorAll("[data-plot]")) if (drawn.has(place.dataset.plot)) draw(place);
  keep();
}

function opening() {
  const silent = D.live && Date.now() / 1000 - D.written > 300, end = { done: "finished" }[D.ended] ?? (D.ended === null ? "interrupted" : "finished");
  const how = silent ? "silent" : D.live ? "running" : end;
  $("h1").textContent = D.name;
  const pill = el("span", how === "silent" ? `no update since ${when(D.written)}` : how === "finished" && D.ended !== "done" && D.ended ? `finished: ${D.ended}` : how, `pill ${how}`);
  const rest = [`${D.maximize ? "largest" : "smallest"} ${D.metric}`, D.searchers.join(", "), D.seeds > 1 ? `${D.seeds} search seeds` : "", `started ${when(D.began)}`].filter(Boolean).join("  ·  ");
  $(".state").replaceChildren(pill, document.createTextNode(rest));
  const sum = (values) => values.reduce((a, b) => a + (b ?? 0), 0), ended = T.status.filter((one) => one === "stopped").length;
  const tiles = [[D.best ? number(D.best.value) : DASH, `best ${D.metric}${D.best ? `, ${T.id[D.best.trial]}` : ""}`], [number(COUNT), `trials, ${number(ended)} stopped early`], [number(sum(T.epochs)), "epochs trained"],
    [duration(sum(T.seconds)), "training, all trials"], [duration(D.began === null ? null : D.last - D.began), "from start to end"]];
  $(".tiles").replaceChildren(...tiles.map(([value, label], k) => { const tile = el("div", "", k ? "tile" : "tile lead"); tile.append(el("b", value), el("span", label)); return tile; }));
}

function findings() {
  $("#findings .sentences").replaceChildren(...D.findings.map((line) => el("li", line)));
  facts($(".ranking"), D.ranking);
  for (const place of document.querySelectorAll(".better")) place.textContent = D.maximize ? "up" : "down";
  const all = D.best ? Object.entries(T.config).filter(([, values]) => values[D.best.trial] !== null).map(([name, values]) => [name, number(values[D.best.trial])]) : [];
  pairs($("#findings .config"), all);
  $("#findings h3").textContent = D.best ? `Best configuration: ${T.id[D.best.trial]} at epoch ${D.best.epoch}` : "No trial has reported a finite value yet";
  if (D.importance.rows) {
    const score = D.importance.score, weak = score < 0.2 ? " That is too little to rely on the bars." : "";
    $(".score").textContent = `In cross-validation over ${number(D.importance.trials)} trials, the forest explains ${Math.round(100 * Math.max(0, score))} % of the variance.${weak}`;
  }
}

function reliability() {
  if (!D.retrainings.length && !D.stoppingAudit) return;
  $("#reliability").hidden = false;
  $("#reliability .sentences").replaceChildren(...D.retrainingFindings.map((line) => el("li", line)), ...(D.stoppingAudit ? [el("li", D.stoppingAudit.finding)] : []));
  const interval = (row) => `${number(row.low)} … ${number(row.high)}`;
  facts($(".retrainings"), D.retrainings.map((row) => ({ finalist: row.trial, "selected for": row.selected, "validation, retrained": row.validation, [`mean, ${row.split} split`]: row.mean, interval: interval(row), seeds: row.seeds, "optimistic by": row.optimism })));
  facts($(".rungs"), (D.stoppingAudit?.rungs ?? []).map((row) => ({ "rung, epoch": row.level, "trials trained to the end": row.trials, "rank correlation with the final loss (Kendall's tau)": row.tau })));
}

function simulated() {
  if (!D.simulation) return;
  $("#simulation").hidden = false;
  $("#simulation .sentences").replaceChildren(...D.simulation.findings.map((line) => el("li", line)));
  facts($("#simulation .facts"), D.simulation.ranking);
}

function surroundings() {
  const words = { commit: (value) => value.slice(0, 12), dirty: (value) => (value ? "yes" : "no"), memory: (value) => `${(value / 2 ** 30).toFixed(1)} GiB`, gpus: (value) => value.join(", ") || "none" };
  const flat = (content) => Object.entries(content).flatMap(([name, value]) => (value !== null && typeof value === "object" && !Array.isArray(value) ? flat(value) : [[name, value]]));
  const rows = flat(D.environment).filter(([, value]) => value !== null);
  pairs($("#environment .config"), rows.map(([name, value]) => [{ dirty: "changed since", gpus: "GPUs" }[name] ?? name, (words[name] ?? number)(value)]));
  $(".yaml").textContent = D.yaml;
  $("footer").textContent = `written ${when(D.written)}${D.live ? "; the page refreshes itself while the sweep runs" : ""}`;
}

function choices(place, options, key) {
  if (options.length < 2) return;
  place.replaceChildren(...options.map(([value, label]) => {
    const button = el("button", label);
    button.type = "button";
    button.setAttribute("aria-pressed", state[key] === value);
    button.addEventListener("click", () => { state[key] = value; choices(place, options, key); refresh(); });
    return button;
  }));
}

function filters() {
  const form = $("#filters");
  $(".chips").replaceChildren(...(D.searchers.length < 2 ? [] : D.searchers).map((name) => {
    const chip = el("button"), dot = el("span", "", "dot");
    dot.style.background = colour(name);
    chip.type = "button";
    chip.append(dot, name);
    chip.setAttribute("aria-pressed", !state.hidden.has(name));
    chip.addEventListener("click", () => { if (!state.hidden.delete(name)) state.hidden.add(name); filters(); refresh(); });
    return chip;
  }));
  const select = form.elements.status;
  if (select.length === 1) select.append(...[...new Set(T.status)].sort().map((name) => el("option", name)));
  select.value = state.status;
  form.elements.text.value = state.text;
}

function listen() {
  const form = $("#filters");
  let wait = 0;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.elements.status.addEventListener("change", (event) => { state.status = event.target.value; refresh(); });
  form.elements.text.addEventListener("input", (event) => { clearTimeout(wait); wait = setTimeout(() => { state.text = event.target.value; refresh(); }, 180); });
  $("#more").addEventListener("click", () => { state.all = !state.all; table(); });
  $("#theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = theme() === "dark" ? "light" : "dark";
    try { localStorage.setItem("raysweep-theme", theme()); } catch { /* a page opened from a file may have no storage */ }
    filters();
    refresh();
  });
}

function navigate() {
  const links = new Map();
  for (const section of document.querySelectorAll("section[data-title]:not([hidden])")) {
    const link = el("a", section.dataset.title);
    link.href = `#${section.id}`;
    links.set(section, link);
  }
  $(".bar nav").replaceChildren(...links.values());
  const watch = new IntersectionObserver((entries) => { for (const entry of entries) links.get(entry.target).classList.toggle("here", entry.isIntersecting); }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of links.keys()) watch.observe(section);
}

function lazily() {
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { watch.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "400px 0px" });
  for (const place of document.querySelectorAll("[data-plot]")) watch.observe(place);
}

function printing() {
  let before = "light";
  addEventListener("beforeprint", () => {
    before = theme();
    document.documentElement.dataset.theme = "light";
    table();
    for (const place of document.querySelectorAll("section:not([hidden]) [data-plot]")) draw(place);
    for (const plot of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(plot, { width: Math.min(plot.clientWidth, 690), ...(plot.classList.contains("small") || plot.style.height ? {} : { height: PRINTED }) });
  });
  addEventListener("afterprint", () => {
    document.documentElement.dataset.theme = before;
    for (const plot of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(plot, { width: undefined, height: plot.style.height ? parseInt(plot.style.height) : undefined, autosize: true });
    refresh();
  });
}

const scrolled = recall();
opening();
findings();
reliability();
simulated();
surroundings();
filters();
listen();
table();
choices($("[data-choice=unit]"), Object.keys(D.incumbents).map((unit) => [unit, unit]), "unit");
navigate();
lazily();
printing();
if (scrolled) scrollTo(0, scrolled);
addEventListener("pagehide", keep);
if (D.live) setInterval(() => { if (!document.hidden && document.activeElement?.name !== "text") location.reload(); }, 30_000);
