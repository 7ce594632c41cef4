// The table of trials: sorted by any column, filtered by what stands above it, a page at a time.

const PAGE = 60;
const COLUMNS = [
  { key: "id", title: "trial", left: true, get: (i) => T.id[i] },
  { key: "best", title: `best ${D.metric}`, get: (i) => T.best[i] },
  { key: "status", title: "status", left: true, get: (i) => T.status[i] },
  { key: "bestEpoch", title: "at", get: (i) => T.bestEpoch[i] },
  { key: "epochs", title: "epochs", get: (i) => T.epochs[i] },
  { key: "seconds", title: "time", get: (i) => T.seconds[i], show: duration },
  ...D.parameters.map((one) => ({ key: `config ${one.name}`, title: one.name, get: (i) => T.config[one.name][i] })),
  { key: "reason", title: "why it ended", left: true, get: (i) => T.reason[i] },
];

function sorted(some) {
  const column = COLUMNS.find((one) => one.key === state.sort) ?? COLUMNS[1], sign = state.up ? 1 : -1;
  return some.sort((a, b) => {
    const [x, y] = [column.get(a), column.get(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true }));
  });
}

function head() {
  const row = el("tr");
  for (const column of COLUMNS) {
    const cell = el("th", column.title, column.left ? "left" : "");
    cell.scope = "col";
    cell.tabIndex = 0;
    if (column.key === state.sort) cell.setAttribute("aria-sort", state.up ? "ascending" : "descending");
    const sort = () => { state.up = state.sort === column.key ? !state.up : column.left === true; state.sort = column.key; table(); };
    cell.addEventListener("click", sort);
    cell.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
    row.append(cell);
  }
  const made = el("thead");
  made.append(row);
  return made;
}

function line(i) {
  const row = el("tr", "", i === state.marked ? "marked" : "");
  for (const column of COLUMNS) {
    const value = column.get(i), cell = el("td", (column.show ?? number)(value), column.left ? "left" : "");
    if (value === null) cell.classList.add("absent");
    if (column.key === "id") { const dot = el("span", "", "dot"); dot.style.background = colour(T.searcher[i]); cell.prepend(dot); }
    if (column.key === "status") { cell.classList.add("status"); cell.style.color = `var(${STATUS_COLOURS[value]})`; }
    if (column.key === "reason") { cell.classList.add("reason"); cell.title = value; }
    row.append(cell);
  }
  row.addEventListener("click", () => { state.marked = state.marked === i ? null : i; refresh(); });
  return row;
}

function table() {
  const some = sorted(shown()), body = el("tbody"), page = state.all ? some : some.slice(0, PAGE);
  body.append(...page.map(line));
  $("table.trials").replaceChildren(head(), body);
  $("#filters output").textContent = some.length === COUNT ? `${number(COUNT)} trials` : `${number(some.length)} of ${number(COUNT)} trials`;
  const more = $("#more");
  more.hidden = some.length <= PAGE;
  more.textContent = state.all ? "show fewer" : `show all ${number(some.length)}`;
}

function facts(target, rows) {
  if (!rows.length) return target.replaceChildren();
  const names = Object.keys(rows[0]).filter((name) => rows.some((row) => number(row[name]) !== DASH)), made = el("thead"), titles = el("tr"), body = el("tbody");
  names.forEach((name, k) => titles.append(el("th", name, k ? "" : "left")));
  made.append(titles);
  for (const row of rows) {
    const tr = el("tr");
    names.forEach((name, k) => tr.append(el("td", number(row[name]), k ? "" : "left")));
    body.append(tr);
  }
  return target.replaceChildren(made, body);
}

function pairs(target, content) {
  target.replaceChildren(...content.map(([name, value]) => { const row = el("div"); row.append(el("dt", name), el("dd", value)); return row; }));
}
