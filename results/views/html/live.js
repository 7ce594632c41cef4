// The server: requests, the stream of changes, and applying them without a reload.

let source = null;
let isCatchingUp = false;
let isBehind = false;

/** An answer of the server as data. Throws an Error with one line. */
async function api(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the server cannot be reached; is raysweep serve running?");
  }
  let content = null;
  try {
    content = await answer.json();
  } catch {
    /* said below */
  }
  if (answer.ok && content !== null) return content;
  throw new Error(content?.error ?? content?.text ?? `the server answers ${answer.status} ${answer.statusText}`);
}

/** The header cannot be sent by a form of another site. */
function post(path, content) {
  const headers = { "Content-Type": "application/json", "X-Raysweep": "1" };
  return api(path, { method: "POST", headers, body: JSON.stringify(content) });
}

/** Listen to what changes in a run, or in all runs; `act` gets each message. */
function listenToServer(run, act) {
  source?.close();
  source = new EventSource(run === null ? "api/stream" : `api/stream?run=${encodeURIComponent(run)}`);
  source.addEventListener("changed", (event) => act(JSON.parse(event.data)));
  source.onopen = () => {
    connected(true);
    act({ run, version: Infinity }); // whatever happened while there was no connection
  };
  source.onerror = () => connected(false);
}

function connected(is) {
  $("#offline").hidden = is;
}

/** Ask for what changed in the open run, and show it. Requests never overlap. */
async function catchUp() {
  if (!state.served || !D) return;
  if (isCatchingUp) {
    isBehind = true;
    return;
  }
  isCatchingUp = true;
  try {
    const changes = await api(`api/runs/${encodeURIComponent(state.run)}/changes?after=${state.version}`);
    if (changes.reload) await loadRun(state.run);
    else showChanges(changes);
    connected(true);
  } catch (error) {
    connected(false);
    $("#offline").textContent = error.message;
  } finally {
    isCatchingUp = false;
    if (isBehind) {
      isBehind = false;
      catchUp();
    }
  }
}

/** Show changes: the words at once, rows in their places, and plots where they changed. */
function showChanges(changes) {
  const before = COUNT;
  const changed = patch(changes);
  sections();
  if (changes.analyses) navigate(); // they may have a section that was hidden
  if (!changed.length && !changes.analyses) return;
  const isOrdered = COUNT === before && changed.every((i) => rowOf(i) === null || visible(i));
  if (isOrdered && state.sort !== "best") updateRows(changed);
  else table();
  redraw(null, 1000);
  const opened = state.open.map((id) => indices.get(id));
  if (changed.some((i) => opened.includes(i))) refreshPanel();
}

/** Show an opened trial anew, unless somebody is filling in one of its forms. */
function refreshPanel() {
  const place = $("#trial");
  const isTyping =
    place.contains(document.activeElement) && /^(INPUT|SELECT)$/.test(document.activeElement.tagName);
  if (!isTyping && !$("details[open]", place)) showTrials(state.open);
}

/** Load a run and show it. */
async function loadRun(name) {
  const found = await api(`api/runs/${encodeURIComponent(name)}/data`);
  state.version = found.version;
  state.summary = null;
  adopt(found.data);
  state.run = name;
  showRun();
  catchUp(); // for the row of the list, which has the commands that wait
}
