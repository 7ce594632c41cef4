// An opened trial, or two side by side, compared with the best one. A served page asks for the details; in a
// shared file they are part of the data.

const LOG_SECONDS = 2; // between two looks at the log of a running trial
const LOG_CHARACTERS = 200_000; // of a log that the page keeps
const panel = { serial: 0, timers: [], focus: null, logs: new Map() };

/** Open trials by an address of their own; [] closes. */
function openTrials(ids) {
  const isStep = state.open.length > 0 && ids.length > 0; // from trial to trial: "back" closes at once
  return go({ trial: ids.join(",") || null }, { replace: isStep });
}

/** Show the trials of the address. Unknown names are said, and nothing else happens. */
async function showTrials(ids) {
  const serial = ++panel.serial;
  for (const timer of panel.timers.splice(0)) clearInterval(timer);
  const place = $("#trial");
  state.open = ids;
  if (!ids.length) return closePanel(place);
  if (place.hidden) panel.focus = document.activeElement;
  place.hidden = false;
  document.body.classList.add("opened");
  place.classList.toggle("two", ids.length > 1);
  const missing = ids.filter((id) => !indices.has(id));
  if (missing.length) return showMissing(place, missing);
  const opened = ids.slice(0, 2).map((id) => indices.get(id));
  mark(opened[0], { scroll: place.dataset.shown !== opened.join(",") });
  const all = D.best && !opened.includes(D.best.trial) ? [...opened, D.best.trial] : opened;
  const found = await Promise.all(all.map(detailsOf));
  if (serial !== panel.serial) return undefined;
  renderPanel(place, opened, all, new Map(all.map((i, k) => [i, found[k]])));
  return undefined;
}

function closePanel(place) {
  if (place.hidden) return;
  place.hidden = true;
  place.dataset.shown = "";
  panel.logs.clear();
  for (const about_ of [...answers.keys()].filter(Boolean)) answers.delete(about_);
  document.body.classList.remove("opened");
  const back = document.contains(panel.focus) ? panel.focus : $("a, button", rowOf(state.marked) ?? $(".rows"));
  back?.focus({ preventScroll: true });
}

function showMissing(place, missing) {
  const text = `There is no trial ${missing.map((id) => short(id, 60)).join(", ")} in this run.`;
  place.replaceChildren(
    panelHead([el("h2", "No such trial", "", { id: "trial-title", tabIndex: -1 })]),
    el("p", text, "mistake"),
  );
  $("h2", place).focus();
}

/** What is known of a trial beyond the table. */
async function detailsOf(i) {
  if (!state.served) return sharedDetails(i);
  try {
    return await api(`api/runs/${encodeURIComponent(state.run)}/trials/${encodeURIComponent(T.id[i])}`);
  } catch (error) {
    return { ...sharedDetails(i), complaint: error.message };
  }
}

function sharedDetails(i) {
  const kept = D.details?.[i] ?? {};
  const metrics = { [D.metric]: D.curves[i].map((point) => point[1]), ...kept.metrics };
  return {
    metrics,
    decisions: kept.decisions ?? [],
    notes: kept.notes ?? [],
    tags: (T.tags?.[i] ?? "").split(" ").filter(Boolean),
    traceback: kept.error ?? null,
    device: kept.device,
    parent: kept.parent,
    memory: kept.memory,
    seed: kept.seed,
    node: T.node[i],
    peak_memory: T.peakMemory?.[i],
    attempts: T.attempts?.[i],
  };
}

function renderPanel(place, opened, all, details) {
  const isFirst = !place.contains(document.activeElement);
  const focused = isFirst ? "" : spokenName(document.activeElement);
  const scroll = $(".body", place)?.scrollTop ?? 0;
  const isSame = place.dataset.shown === opened.join(",");
  place.dataset.shown = opened.join(",");
  const titles = opened.map((i) => el("a", T.id[i], "", { href: fragment({ trial: T.id[i] }) }));
  const heading = el("h2", titles.length > 1 ? [titles[0], " and ", titles[1]] : T.id[opened[0]], "", {
    id: "trial-title",
    tabIndex: -1,
  });
  const columns_ = opened.map((i) => trialColumn(i, details.get(i)));
  const body = el(
    "div",
    [el("div", charts(opened, all, details), "charts"), configTable(opened, all), el("div", columns_, "columns")],
    "body",
    { tabIndex: 0, role: "group", "aria-label": "about this trial" },
  );
  place.replaceChildren(panelHead([heading, ...opened.map(statusPill), compareChoice(opened)]), body);
  if (isSame) body.scrollTop = scroll;
  const same = isFirst || !isSame ? null : controlNamed(place, focused);
  (same ?? heading).focus({ preventScroll: true });
}

/** What tells a control apart from the others of the panel, also after they are drawn again. */
const spokenName = (node) => `${node.tagName} ${node.getAttribute("aria-label") ?? node.textContent}`;

function controlNamed(place, name) {
  return [...place.querySelectorAll("a, button, input, select, summary, [tabindex]")].find(
    (node) => spokenName(node) === name,
  );
}

const statusPill = (i) =>
  el("span", T.status[i], "pill plain", { style: `color: var(${STATUS_COLOURS[T.status[i]]})` });

function panelHead(content) {
  const close = button("×", () => openTrials([]), "close", {
    "aria-label": "close (Escape)",
    title: "close (Escape)",
  });
  return el("div", [...content, close], "panel-head");
}

/** Which trial to put beside this one; or only one of two again. */
function compareChoice(opened) {
  if (opened.length > 1) return button("only the first", () => openTrials([T.id[opened[0]]]));
  const others = table_.order.filter((i) => i !== opened[0]).slice(0, 200);
  const options = [
    el("option", "beside …", "", { value: "" }),
    ...others.map((i) => el("option", T.id[i], "", { value: T.id[i] })),
  ];
  const select = el("select", options, "", { "aria-label": "show another trial beside this one" });
  select.addEventListener("change", () => {
    if (select.value) openTrials([T.id[opened[0]], select.value]);
  });
  return select;
}

/** How trials are told apart in the panel. */
function panelColours(opened, all) {
  const row = PALETTES[theme()];
  return new Map(all.map((i) => [i, opened.includes(i) ? row[opened.indexOf(i)] : css("--soft")]));
}

/** A small chart for each metric, with the opened trials and the best one. */
function charts(opened, all, details) {
  const shades = panelColours(opened, all);
  const names = [...new Set([D.metric, ...opened.flatMap((i) => Object.keys(details.get(i).metrics ?? {}))])];
  const series = (name) =>
    all
      .map((i) => ({
        name: T.id[i],
        color: shades.get(i),
        isMain: opened.includes(i),
        points: curveOf(i, details.get(i).metrics?.[name]),
      }))
      .filter((line_) => line_.points.length)
      .reverse();
  const key = el(
    "p",
    all.map((i) => {
      const dot = el("span", "", "dot", { style: `background: ${shades.get(i)}` });
      return el("span", [dot, T.id[i] + (i === D.best?.trial ? ", the best" : "")]);
    }),
    "key",
  );
  return [
    key,
    ...names
      .slice(0, 24)
      .map((name) => chart(name, series(name)))
      .filter(Boolean),
  ];
}

/** Values by epoch as points; the epochs are those of the trial's reports. */
function curveOf(i, values) {
  const epochs = D.curves[i].map((point) => point[0]);
  return (values ?? []).map((value, k) => [epochs[k] ?? k + 1, value]);
}

/** The configurations side by side; parameters that differ come first and are marked. */
function configTable(opened, all) {
  const names = Object.keys(T.config).filter((name) => all.some((i) => (T.config[name][i] ?? null) !== null));
  const differs = (name) => all.some((i) => (T.config[name][i] ?? null) !== (T.config[name][all[0]] ?? null));
  const order = [...names.filter(differs), ...names.filter((name) => !differs(name))];
  const title = (i) => (opened.includes(i) ? T.id[i] : `${T.id[i]} (best)`);
  const head_ = [
    el("th", "configuration", "left", { scope: "col" }),
    ...all.map((i) => el("th", title(i), "", { scope: "col" })),
  ];
  const body = order.map((name) => {
    const cells = all.map((i) => el("td", number(T.config[name][i])));
    return el("tr", [el("th", name, "left", { scope: "row" }), ...cells], differs(name) ? "differs" : "");
  });
  const made = el("table", [el("thead", [el("tr", head_)]), el("tbody", body)], "facts differences");
  return el("div", [made], "scroll", { tabIndex: 0, role: "group", "aria-label": "configuration" });
}

/** Everything else about one of the opened trials. */
function trialColumn(i, details) {
  const parts = [el("h3", T.id[i])];
  if (details.complaint) parts.push(el("p", details.complaint, "mistake"));
  if (T.reason[i]) parts.push(el("p", T.reason[i], "reason-text"));
  parts.push(trialCommands(i, details), trialFacts(i, details));
  const noted = [...(details.notes ?? [])].map((note) => el("li", typeof note === "string" ? note : note.text));
  if (noted.length) parts.push(el("h4", "Notes"), el("ul", noted, "plain-list"));
  parts.push(...decisionList(details));
  if (details.traceback)
    parts.push(
      el("h4", state.served ? "Traceback" : "Error"),
      el("pre", details.traceback, "log", { tabIndex: 0 }),
    );
  if (details.snippet) parts.push(el("h4", "Load it"), el("pre", details.snippet, "snippet", { tabIndex: 0 }));
  if (state.served) parts.push(...logView(i));
  else parts.push(commandLine(`raysweep logs ${quoted(D.path)} ${quoted(T.id[i])}`));
  return el("div", parts, "column");
}

function trialFacts(i, details) {
  const parent =
    details.parent && indices.has(details.parent)
      ? el("a", details.parent, "", { href: fragment({ trial: details.parent }) })
      : details.parent;
  const rows_ = [
    [`best ${D.metric}`, T.best[i] === null ? null : `${number(T.best[i])} at ${reportAt(T.bestEpoch[i])}`],
    [inUnit(), amount(T.epochs[i]) + (details.epochs_allowed ? ` of ${amount(details.epochs_allowed)}` : "")],
    ["training time", T.seconds[i] ? duration(T.seconds[i]) : null],
    ["node", details.node],
    ["device", details.device],
    ["peak memory", details.peak_memory ? size(details.peak_memory) : null],
    ["times started", details.attempts > 1 ? details.attempts : null],
    ["searcher", T.searcher[i]],
    ["search seed", T.seed[i]],
    ["training seed", details.seed === undefined ? null : String(details.seed)],
    ["continues", parent],
    ["from earlier runs", details.memory],
    ["checkpoint", details.checkpoint],
    ["tags", (details.tags ?? []).join(" ")],
  ].filter(([, value]) => value !== null && value !== undefined && value !== "");
  const made = el("dl", "", "config");
  made.append(
    ...rows_.map(([name, value]) =>
      el("div", [el("dt", name), el("dd", value instanceof Node ? [value] : number(value))]),
    ),
  );
  return made;
}

/** What was decided at rungs and by commands. */
function decisionList(details) {
  const known = (details.decisions ?? []).filter((decision) => decision.text || decision.kind);
  if (!known.length) return [];
  const item = ({ epoch, text, kind }) =>
    el("li", [
      el("span", epoch ? reportAt(epoch) : "begin", "epoch"),
      kind && !text?.includes(kind) ? `${kind}: ${text}` : text,
    ]);
  return [el("h4", "Decisions"), el("ol", known.map(item), "decisions")];
}

/** The end of what the trial printed, followed while it runs. */
function logView(i) {
  const text = el("pre", "", "log", { tabIndex: 0, role: "log", "aria-label": `what ${T.id[i]} printed` });
  const said = el("p", "", "how");
  const kept = panel.logs.get(T.id[i]) ?? { text: "", next: null }; // the panel may be drawn again
  text.textContent = kept.text;
  requestAnimationFrame(() => (text.scrollTop = text.scrollHeight));
  let isBusy = false;
  const read = async () => {
    if (isBusy) return;
    isBusy = true;
    try {
      const from = kept.next === null ? "" : `?from=${kept.next}`;
      const found = await api(
        `api/runs/${encodeURIComponent(state.run)}/trials/${encodeURIComponent(T.id[i])}/log${from}`,
      );
      const isAtEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;
      if (found.text) text.textContent = (text.textContent + found.text).slice(-LOG_CHARACTERS);
      if (isAtEnd) text.scrollTop = text.scrollHeight;
      panel.logs.set(T.id[i], Object.assign(kept, { text: text.textContent, next: found.next }));
      said.textContent = text.textContent ? "" : "It has printed nothing.";
      if (found.ended) clearInterval(timer);
    } catch (error) {
      said.textContent = error.message;
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(read, LOG_SECONDS * 1000);
  panel.timers.push(timer);
  read();
  return [el("h4", "Log"), said, text];
}
