// The table of trials: sorted by any column, filtered by the query. Only the rows in sight are in the document.

const ROW_HEIGHT = 32; // pixels; as in the style sheet
const MAX_HEIGHT = 640; // pixels of the table that are seen at once; as in the style sheet
const SPARE_ROWS = 12; // rows above and below those in sight
const MEASURED_ROWS = 200; // rows whose texts decide how wide a column is
const LEAST_REASON = 160; // pixels that why it ended has at least; its title and the opened trial have it whole
const HIDDEN_COLUMNS = ["seed", "node", "tags", "last", "attempts", "peakMemory"];
const table_ = { order: [], first: -1, last: -1 };

/** All columns that the table may have. `query` is the column's name in the filter. */
function allColumns() {
  const metrics = metricNames().map((name) => ({
    key: `metric ${name}`,
    title: name,
    get: (i) => T[`metric ${name}`][i],
  }));
  const config = D.parameters.map(({ name }) => ({
    key: `config ${name}`,
    title: name,
    get: (i) => T.config[name]?.[i],
  }));
  return [
    { key: "id", title: "trial", left: true, get: (i) => T.id[i] },
    { key: "best", title: `best ${D.metric}`, get: (i) => T.best[i] },
    ...frontColumns(),
    { key: "status", title: "status", left: true, get: (i) => T.status[i] },
    { key: "bestEpoch", title: "at", get: (i) => T.bestEpoch[i], show: amount },
    { key: "epochs", title: inUnit(), get: (i) => T.epochs[i], show: amount },
    { key: "seconds", title: "time", get: (i) => T.seconds[i], show: duration },
    ...config,
    ...metrics,
    { key: "last", title: `last ${D.metric}`, get: (i) => T.last[i] },
    { key: "seed", title: "search seed", get: (i) => T.seed[i] },
    { key: "node", title: "node", left: true, get: (i) => T.node[i] },
    { key: "attempts", title: "times started", get: (i) => T.attempts?.[i] },
    { key: "peakMemory", title: "peak memory", get: (i) => T.peakMemory?.[i], show: size },
    { key: "tags", title: "tags", left: true, get: (i) => T.tags?.[i] || null },
    { key: "reason", title: "why it ended", left: true, get: (i) => T.reason[i] || null },
  ];
}

/** True if every trial was best at its last report, so that both columns would say the same. */
const isAlwaysLast = () => T.bestEpoch.every((best, i) => best === null || best === T.epochs[i]);

/** The columns that are shown: those of the address, or all but the seldom used ones. */
function columns() {
  const all = allColumns();
  const isHidden = (key) => HIDDEN_COLUMNS.includes(key) || (key === "bestEpoch" && isAlwaysLast());
  const isExtra = (key) => key.startsWith("metric ") && !isObjective(key.slice("metric ".length));
  if (!state.columns) return all.filter(({ key }) => !isHidden(key) && !isExtra(key));
  return all.filter(({ key }) => key === "id" || state.columns.has(key));
}

function sorted(some) {
  const column = allColumns().find((known) => known.key === state.sort) ?? allColumns()[1];
  const values = new Map(some.map((i) => [i, column.get(i) ?? null]));
  const sign = state.up ? 1 : -1;
  const collator = new Intl.Collator(undefined, { numeric: true });
  return some.sort((a, b) => {
    const [x, y] = [values.get(a), values.get(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return sign * (typeof x === "number" && typeof y === "number" ? x - y : collator.compare(x, y)) || a - b;
  });
}

/** Draw the table anew: what is in it, in which order. */
function table() {
  const place = $("table.trials");
  const box = $(".rows");
  const [top, focused] = [box.scrollTop, focusedTrial()];
  table_.order = sorted(shown());
  table_.columns = columns();
  place.setAttribute("aria-rowcount", table_.order.length + 1);
  place.replaceChildren(widths(), head(), el("tbody"));
  table_.first = -1;
  rows(top, focused);
  box.scrollTop = top; // while the table was empty, it could not be kept
  const count = table_.order.length;
  $("#filters output").textContent =
    count === COUNT ? plural(COUNT, "trial") : `${number(count)} of ${plural(COUNT, "trial")}`;
  $(".rows .nothing").hidden = count > 0;
}

/** The columns' widths, from the texts of some rows: they stay the same while rows come and go. */
function widths() {
  const context = el("canvas").getContext("2d");
  context.font = `600 13.5px ${css("--text")}`;
  const sample = table_.order.slice(0, MEASURED_ROWS);
  const made = table_.columns.map((column) => {
    const show = column.show ?? number;
    const texts_ = [`${column.title} ↓`, ...sample.map((i) => show(column.get(i)))];
    const most = texts_.reduce((wide, text) => Math.max(wide, context.measureText(text).width), 0);
    const limit = column.key === "reason" ? LEAST_REASON : 210;
    column.width = Math.ceil(Math.min(limit, most) + (column.key === "id" ? 36 : 20));
    // The last column takes the room that is left.
    return el("col", "", "", column.key === "reason" ? {} : { style: `width: ${column.width}px` });
  });
  $("table.trials").style.minWidth = `${table_.columns.reduce((sum, column) => sum + column.width, 0)}px`;
  return el("colgroup", made);
}

function head() {
  const cells = table_.columns.map((column) => {
    const sort = button(column.title, () => sortBy(column), "sort");
    const cell = el("th", [sort], column.left ? "left" : "", { scope: "col" });
    cell.title = column.title;
    if (column.key === state.sort) cell.setAttribute("aria-sort", state.up ? "ascending" : "descending");
    return cell;
  });
  return el("thead", [el("tr", cells, "", { "aria-rowindex": 1 })]);
}

function sortBy(column) {
  const up = state.sort === column.key ? !state.up : column.left === true;
  go({ sort: `${up ? "" : "-"}${column.key}` }, { replace: true });
  [...document.querySelectorAll("th .sort")][table_.columns.findIndex((known) => known.key === column.key)]?.focus({
    preventScroll: true,
  });
}

/** Put the rows that are in sight into the document, and space for the others. */
function rows(top = $(".rows").scrollTop, focused = focusedTrial()) {
  const place = $(".rows");
  const body = $("tbody", place);
  if (!body) return; // no run is shown yet
  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - SPARE_ROWS);
  const inSight = Math.ceil(MAX_HEIGHT / ROW_HEIGHT) + 2 * SPARE_ROWS;
  const last = Math.min(table_.order.length, first + inSight);
  if (first === table_.first && last === table_.last) return;
  Object.assign(table_, { first, last });
  const lines = table_.order.slice(first, last).map((i, k) => line(i, first + k));
  body.replaceChildren(spacer(first), ...lines, spacer(table_.order.length - last));
  if (focused !== null) rowOf(focused)?.querySelector("a").focus({ preventScroll: true });
}

/** The trial in whose row the focus is; null if it is elsewhere. */
function focusedTrial() {
  const row = document.activeElement?.closest("tr[data-trial]");
  return row ? Number(row.dataset.trial) : null;
}

function spacer(count) {
  const cell = el("td", "", "", { style: `height: ${count * ROW_HEIGHT}px`, colSpan: table_.columns.length });
  return el("tr", [cell], "spacer", { hidden: count === 0, "aria-hidden": "true" });
}

function line(i, place) {
  const row = el(
    "tr",
    table_.columns.map((column) => cellOf(column, i)),
    i === state.marked ? "marked" : "",
  );
  row.dataset.trial = i;
  row.setAttribute("aria-rowindex", place + 2);
  if (i === state.marked) row.setAttribute("aria-current", "true");
  return row;
}

function cellOf(column, i) {
  const value = column.get(i) ?? null;
  const shownText = (column.show ?? number)(value);
  if (column.key === "id") {
    const dot = el("span", "", "dot", { style: `background: ${colour(T.searcher[i])}` });
    const link = el("a", T.id[i], "", { href: fragment({ trial: T.id[i] }) });
    return el("td", [dot, link], "left");
  }
  const cell = el("td", shownText, column.left ? "left" : "");
  if (value === null) cell.classList.add("absent");
  else if (column.left || shownText.length > 20) cell.title = value;
  if (column.key === "status") {
    cell.classList.add("status");
    cell.style.color = `var(${STATUS_COLOURS[value]})`;
  }
  if (column.key === "reason") cell.classList.add("reason");
  if (column.key === "best" && D.best?.trial === i) cell.classList.add("leading");
  return cell;
}

const rowOf = (i) => $(`table.trials tr[data-trial="${i}"]`);

/** Redraw the rows of trials that have changed, in their places. */
function updateRows(changed) {
  for (const i of changed) {
    const row = rowOf(i);
    if (row) row.replaceWith(line(i, Number(row.getAttribute("aria-rowindex")) - 2));
  }
}

/** Mark a trial in the table and in the plots; null marks none. Nothing else is drawn again. */
function mark(i, { scroll = false } = {}) {
  const old = state.marked === null ? null : rowOf(state.marked);
  old?.classList.remove("marked");
  old?.removeAttribute("aria-current");
  state.marked = i;
  if (scroll && i !== null) reveal(i);
  const row = i === null ? null : rowOf(i);
  row?.classList.add("marked");
  row?.setAttribute("aria-current", "true");
  for (const place of allPlots()) paintMarked(place);
  $("#marked").textContent = i === null ? "" : `${T.id[i]}: ${T.status[i]}, ${D.metric} ${number(T.best[i])}`;
}

/** Scroll the table so that a trial's row is in sight. */
function reveal(i) {
  const place = $(".rows");
  const at = table_.order.indexOf(i);
  if (at < 0) return;
  const top = at * ROW_HEIGHT;
  const room = place.clientHeight - 2 * ROW_HEIGHT;
  if (top < place.scrollTop) place.scrollTop = top;
  else if (top > place.scrollTop + room) place.scrollTop = top - room;
  rows();
}

/** The trial so many rows below the marked one; above it if negative. */
function neighbour(steps) {
  const at = table_.order.indexOf(state.marked);
  if (!table_.order.length) return null;
  if (at < 0) return table_.order[0];
  return table_.order[Math.min(table_.order.length - 1, Math.max(0, at + steps))];
}

function listenToTable() {
  const place = $(".rows");
  place.addEventListener("scroll", () => rows(), { passive: true });
  new ResizeObserver(() => rows()).observe(place);
  place.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-trial]");
    if (!row || event.target.closest("a")) return;
    const i = Number(row.dataset.trial);
    mark(state.marked === i ? null : i);
  });
  place.addEventListener("dblclick", (event) => {
    const row = event.target.closest("tr[data-trial]");
    if (row) openTrials([T.id[Number(row.dataset.trial)]]);
  });
}

/** The choice of columns: a list with a box for each. */
function columnChooser() {
  const chosen = new Set(columns().map(({ key }) => key));
  const boxes = allColumns()
    .filter(({ key }) => key !== "id")
    .map(({ key, title }) => {
      const box = el("input", "", "", { type: "checkbox", checked: chosen.has(key) });
      box.addEventListener("change", () => {
        if (box.checked) chosen.add(key);
        else chosen.delete(key);
        go({ columns: [...chosen].join(",") }, { replace: true });
      });
      return el("label", [box, short(title, 40)]);
    });
  const reset = button("the usual ones", () => {
    go({ columns: null }, { replace: true });
    columnChooser();
  });
  $("#columns div").replaceChildren(...boxes, reset);
}
