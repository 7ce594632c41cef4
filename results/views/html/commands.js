// Commands to the sweep: buttons in a served page, command lines to type in a shared file. Each is one of those of
// docs/how-to/steering.md; the server gives it to the sweep.

// The answer to the last command about the sweep ("") and about each trial, with the label of its control.
const answers = new Map();

/** Give a command and show beside its control what became of it. */
async function give(control, command, args) {
  const run = state.run;
  const said = { label: control.label, outcome: "", text: "…" };
  answers.set(control.about, said);
  showAnswer(control.about);
  try {
    const answer = await post(`api/runs/${encodeURIComponent(run)}/commands`, { command, arguments: args });
    Object.assign(said, { outcome: answer.outcome, text: answer.text });
    catchUp();
  } catch (error) {
    Object.assign(said, { outcome: "refused", text: error.message });
  }
  if (state.run === run) showAnswer(control.about);
  return said.outcome !== "refused";
}

/** Show the last answer about the sweep or a trial at its control, and empty those of the other controls. */
function showAnswer(about_) {
  for (const place of document.querySelectorAll("output.answer"))
    if (place.dataset.about === about_) fillAnswer(place);
}

function fillAnswer(place) {
  const said = answers.get(place.dataset.about);
  const isHere = said?.label === place.dataset.label;
  place.className = `answer ${isHere ? said.outcome : ""}`;
  const text = isHere ? said.text : "";
  if (place.textContent !== text) place.textContent = text; // or a screen reader would say it again
}

/** Where the answer to a control stands. The controls may be drawn again meanwhile, so it is kept in `answers`. */
function answerPlace({ about: about_, label }) {
  const place = el("output", "", "answer", { "aria-live": "polite" });
  Object.assign(place.dataset, { about: about_, label });
  fillAnswer(place);
  return place;
}

/** The answer to a control that is gone, as that to a trial that was stopped. */
function otherAnswer(about_, labels) {
  const said = answers.get(about_);
  return said && !labels.includes(said.label) ? [answerPlace({ about: about_, label: said.label })] : [];
}

/**
 * A form of a command: a button, perhaps a field before it, and the answer under both.
 * about_: the trial, or "" for the sweep. `make` returns the arguments.
 */
function commandForm(label, command, make, about_, input = null) {
  const control = { about: about_, label };
  const parts = [...(input ? [input] : []), el("button", label, "do", { type: "submit" }), answerPlace(control)];
  const form = el("form", parts, "act");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const isDone = await give(control, command, make(input?.value.trim()));
    if (isDone && input?.type === "text") input.value = input.defaultValue;
  });
  return form;
}

const labelsOf = (forms) => forms.map((form) => $("button", form).textContent);

function input(type, label, value = "", more = {}) {
  return el("input", "", "", {
    type,
    value,
    defaultValue: value,
    required: true,
    "aria-label": label,
    placeholder: label,
    autocomplete: "off",
    ...more,
  });
}

const words = (text) => text.split(/\s+/).filter(Boolean);

/** The commands about one trial. */
function trialCommands(i, details) {
  const id = T.id[i];
  const status = T.status[i];
  const isAlive = status === "running" || status === "waiting";
  const hasFailed = status === "failed" || status === "oom";
  const longer = Math.max(T.epochs[i] + 1, details.epochs_allowed ?? D.levels.at(-1) ?? 1);
  if (!state.served) return shownLines(trialLines(id, isAlive, hasFailed, status, longer));
  const forms = [];
  if (isAlive) forms.push(commandForm("stop", "stop", () => ({ trial: id, now: false }), id));
  if (hasFailed) forms.push(commandForm("retry", "retry", () => ({ trial: id }), id));
  if (!hasFailed && status !== "diverged") forms.push(continueForm(i, longer));
  forms.push(commandForm("note", "note", (text) => ({ trial: id, text }), id, input("text", `note about ${id}`)));
  forms.push(
    commandForm("tag", "tag", (text) => ({ trial: id, tags: words(text) }), id, input("text", `tags of ${id}`)),
  );
  const gone = otherAnswer(id, [...labelsOf(forms), "enqueue"]);
  return el("div", [...forms, ...gone, enqueueForm(i, details)], "commands");
}

function continueForm(i, longer) {
  const { unit, every } = interval();
  const label = `to ${unit === "seconds" ? "second" : unit.slice(0, -1)}`;
  const length = input("number", label, String(position(longer)), { min: position(T.epochs[i] + 1), step: every });
  const make = (value) => ({ trial: T.id[i], [unit]: Number(value) });
  return commandForm(`continue ${label}`, "continue", make, T.id[i], length);
}

/** The same configuration with changes, to be trained next. */
function enqueueForm(i, details) {
  const known = D.parameters.filter(({ name }) => (T.config[name]?.[i] ?? null) !== null);
  const original = flatten(details.config ?? {});
  const fields = known.map((parameter) => {
    const { name } = parameter;
    return valueField(parameter, original[name], T.config[name][i]);
  });
  const rows_ = known.map(({ name, domain }, k) => {
    const range = rangeInWords(domain);
    return el("label", [el("span", short(name, 30)), fields[k], ...(range ? [el("span", range, "range")] : [])]);
  });
  const control = { about: T.id[i], label: "enqueue" };
  const submit = el("button", "enqueue", "do", { type: "submit" });
  const form = el("form", [...rows_, submit, answerPlace(control)], "enqueue");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = known.map(({ name }, k) => [name, givenValue(fields[k], original[name], T.config[name][i])]);
    give(control, "enqueue", { configurations: [Object.fromEntries(values)] });
  });
  const isAnswered = answers.get(control.about)?.label === control.label;
  return el("details", [el("summary", "enqueue the same with changes"), form], "", { open: isAnswered });
}

/** A field for the value of a parameter: a choice if it has certain values, else a text. */
function valueField({ name, numeric, categories, domain }, original, shownValue) {
  const range = rangeInWords(domain);
  const label = `${name} of the new trial${range ? `, ${range}` : ""}`;
  const values = domain?.values ?? (numeric ? null : categories);
  if (!values) return input("text", label, String(original ?? shownValue), { name, placeholder: "" });
  const isSame = (value) =>
    original === undefined
      ? inPython(value) === String(shownValue)
      : JSON.stringify(value) === JSON.stringify(original) || (!domain?.values && inPython(original) === value);
  // A value that the space does not have, as one from before a change, is offered too.
  const all = values.some(isSame) ? values : [original ?? shownValue, ...values];
  const options = all.map((value) => {
    const option = el("option", inPython(value), "", { value: inPython(value), selected: isSame(value) });
    option.given = domain?.values ? value : undefined;
    return option;
  });
  return el("select", options, "", { name, "aria-label": label });
}

/** A value as the table shows it, which the server wrote. */
function inPython(value) {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value === null) return "None";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The range of a number: `0.0001 to 0.1, or 0`. */
function rangeInWords(domain) {
  if (domain?.low === undefined) return "";
  const others = (domain.or ?? []).map((value) => `, or ${inPython(value)}`);
  return `${domain.whole ? "whole, " : ""}${domain.low} to ${domain.high}${others.join("")}`;
}

/** What somebody chose or wrote into a field of the form. */
function givenValue(field, original, shownValue) {
  const given = field.selectedOptions?.[0]?.given;
  return given === undefined ? valueOf(field.value, original, shownValue) : given;
}

/** A field's value; one that was not changed keeps the type that it had. */
function valueOf(text, original, shownValue) {
  if (original !== undefined && text === String(original ?? shownValue)) return original;
  if (original !== undefined && text === String(shownValue)) return original;
  if (text === "True" || text === "False") return text === "True";
  if (text === "None") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function flatten(config, prefix = "") {
  const isGroup = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  return Object.assign(
    {},
    ...Object.entries(config).map(([name, value]) =>
      isGroup(value) ? flatten(value, `${prefix}${name}.`) : { [prefix + name]: value },
    ),
  );
}

/** The commands about the whole sweep. */
function sweepCommands() {
  const place = $("#commands .content");
  if (!state.served) {
    place.replaceChildren(shownLines(sweepLines(stateOfRun())));
    return;
  }
  const how = stateOfRun();
  waitingCommands();
  showParallel(place);
  const drawnFor = `${state.run} ${how}`;
  if (place.dataset.drawnFor === drawnFor) return; // a form that somebody fills in stays
  place.dataset.drawnFor = drawnFor;
  const isAlive = how === "running" || how === "paused";
  const forms = [];
  if (how === "running") forms.push(commandForm("pause", "pause", () => ({}), ""));
  if (how === "paused") forms.push(commandForm("resume", "resume", () => ({}), ""));
  if (isAlive) forms.push(commandForm("stop the sweep", "stop", () => ({ now: false }), ""));
  const more = input("text", "more trials", "+10", { pattern: "\\+?\\d+" });
  forms.push(commandForm("extend by trials", "extend", (trials) => ({ trials }), "", more));
  const atOnce = input("text", "trials at once", String(D.parallel), { pattern: "auto|\\d+", name: "parallel" });
  const count = (text) => ({ parallel: text === "auto" ? "auto" : Number(text) });
  forms.push(commandForm("set parallel", "set", count, "", atOnce));
  forms.push(commandForm("note", "note", (text) => ({ text }), "", input("text", "note about the sweep")));
  forms.push(commandForm("tag", "tag", (text) => ({ tags: words(text) }), "", input("text", "tags of the sweep")));
  const gone = otherAnswer("", labelsOf(forms));
  const resume = [
    el("p", "No session runs. Commands wait for the next one:", "how"),
    commandLine(`raysweep resume ${quoted(D.path)}`),
  ];
  place.replaceChildren(el("div", [...gone, ...forms, ...(isAlive ? [] : resume)], "commands"));
}

/** The commands that wait for a session, each with a button that takes it back. */
function waitingCommands() {
  const place = $("#commands .waits");
  const waiting = (state.summary?.waiting ?? []).filter(({ command }) => command !== "withdraw");
  const control = { about: `waiting of ${state.run}`, label: "withdraw" };
  place.hidden = !waiting.length && !answers.has(control.about);
  const drawnFor = [state.run, ...waiting.map(({ id }) => id)].join(" ");
  if (place.dataset.drawnFor === drawnFor) return; // the focus stays on its button
  place.dataset.drawnFor = drawnFor;
  const rows_ = waiting.map(({ id, text }) => {
    const button = el("button", "withdraw", "do", { type: "button", "aria-label": `withdraw ${text}` });
    button.addEventListener("click", () => give(control, "withdraw", { withdrawn: id }));
    return el("li", [el("span", text), button]);
  });
  const title = el("p", `${plural(waiting.length, "command")} not carried out yet:`, "how");
  place.replaceChildren(...(waiting.length ? [title, el("ul", rows_)] : []), answerPlace(control));
}

/** Show how many trials may run at once in its field, unless somebody has written another number there. */
function showParallel(place) {
  const field = $("input[name=parallel]", place);
  if (!field || field.value !== field.defaultValue) return;
  field.defaultValue = field.value = String(D.parallel);
}

function sweepLines(how) {
  const run = quoted(D.path);
  const alive = [`raysweep pause ${run}`, `raysweep stop ${run}`];
  const always = [
    `raysweep extend ${run} trials=+10`,
    `raysweep set ${run} parallel=2`,
    `raysweep note ${run} 'a note'`,
    `raysweep tag ${run} tag`,
  ];
  return [...(how === "running" ? alive : [`raysweep resume ${run}`]), ...always, `raysweep serve`];
}

function trialLines(id, isAlive, hasFailed, status, longer) {
  const about_ = `${quoted(D.path)} ${quoted(id)}`;
  const lines = isAlive ? [`raysweep stop ${about_}`] : [];
  if (hasFailed) lines.push(`raysweep retry ${about_}`);
  else if (status !== "diverged") lines.push(`raysweep continue ${about_} ${interval().unit}=${position(longer)}`);
  const i = indices.get(id);
  const set = D.parameters.filter(({ name }) => (T.config[name][i] ?? null) !== null);
  const values = set.map(({ name }) => quoted(`${name}=${T.config[name][i]}`)).join(" ");
  return [
    ...lines,
    `raysweep enqueue ${quoted(D.path)} ${values}`,
    `raysweep note ${about_} 'a note'`,
    `raysweep tag ${about_} tag`,
  ];
}

function shownLines(lines) {
  return el("details", [el("summary", "commands to type"), ...lines.map(commandLine)], "lines");
}
