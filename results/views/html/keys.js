// The keyboard: j/k to move, Enter to open, Escape to close, / to filter, ? for help.

const KEYS = {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: null,
  ArrowUp: null,
  Enter: (event) => openMarked(event),
  "/": () => searchField().focus(),
  "?": () => $("#help").showModal(),
};
const isListShown = () => !$("#list").hidden;
const searchField = () => $(isListShown() ? "#list input[type=search]" : "#filters input");

function move(steps) {
  if (isListShown()) return markRun(list.marked + steps);
  if ($("#sweep").hidden) return undefined;
  const i = neighbour(steps);
  if (i === null) return undefined;
  mark(i, { scroll: true });
  if (state.open.length) return openTrials([T.id[i]]);
  const { top, bottom } = $(".rows").getBoundingClientRect();
  if (bottom < 120 || top > innerHeight - 120) $("#trials").scrollIntoView();
  return undefined;
}

/** Enter opens the marked trial, unless it is meant for what has the focus. */
function openMarked(event) {
  const isForFocus = event.target.closest("a, button, summary, select, label, [role=button]");
  if (isForFocus || isListShown() || state.marked === null) return false;
  openTrials([T.id[state.marked]]);
  return true;
}

function escape_(target) {
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName) && !target.closest("#trial")) return target.blur();
  if (state.open.length) return openTrials([]);
  if (state.marked !== null) return mark(null);
  if (state.served && !isListShown()) return go({}, { base: {} });
  return undefined;
}

function listenToKeys() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("#help").open) return;
    if (event.key === "Escape") {
      event.preventDefault(); // a search field would be emptied
      escape_(event.target);
      return;
    }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || !KEYS[event.key]) return;
    if (KEYS[event.key](event) !== false) event.preventDefault();
  });
}
