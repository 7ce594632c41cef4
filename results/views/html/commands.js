// Commands to the sweep: buttons in a served page, command lines to type in a shared file. Each is one of those of
// docs/how-to/steering.md; the server gives it to the sweep.

/** Give a command and show what became of it. */
async function give(place, command, args) {
  place.className = "answer";
  place.textContent = "…";
  try {
    const answer = await post(`api/runs/${encodeURIComponent(state.run)}/commands`, { command, arguments: args });
    place.textContent = answer.text;
    place.classList.add(answer.outcome);
    catchUp();
    return true;
  } catch (error) {
    place.textContent = error.message;
    place.classList.add("refused");
    return false;
  }
}

/** A form of a command: a button, and perhaps a field before it. `make` returns its arguments. */
function commandForm(label, command, make, output, input = null) {
  const form = el("form", [...(input ? [input] : []), el("button", label, "do", { type: "submit" })], "act");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if ((await give(output, command, make(input?.value.trim()))) && input && input.type === "text")
      input.value = "";
  });
  return form;
}

function input(type, label, value = "", more = {}) {
  return el("input", "", "", {
    type,
    value,
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
  const output = el("output", "", "answer", { "aria-live": "polite" });
  const forms = [];
  if (isAlive) forms.push(commandForm("stop", "stop", () => ({ trial: id, now: false }), output));
  if (hasFailed) forms.push(commandForm("retry", "retry", () => ({ trial: id }), output));
  if (!hasFailed && status !== "diverged") {
    const { unit, every } = interval();
    const label = `to ${unit === "seconds" ? "second" : unit.slice(0, -1)}`;
    const length = input("number", label, String(position(longer)), { min: position(T.epochs[i] + 1), step: every });
    forms.push(
      commandForm(
        `continue ${label}`,
        "continue",
        (value) => ({ trial: id, [unit]: Number(value) }),
        output,
        length,
      ),
    );
  }
  forms.push(
    commandForm("note", "note", (text) => ({ trial: id, text }), output, input("text", `note about ${id}`)),
  );
  forms.push(
    commandForm("tag", "tag", (text) => ({ trial: id, tags: words(text) }), output, input("text", `tags of ${id}`)),
  );
  return el("div", [...forms, enqueueForm(i, details, output), output], "commands");
}

/** The same configuration with changes, to be trained next. */
function enqueueForm(i, details, output) {
  const known = D.parameters.filter(({ name }) => (T.config[name]?.[i] ?? null) !== null);
  const original = flatten(details.config ?? {});
  const fields = known.map(({ name, numeric, categories }) => {
    const label = `${name} of the new trial`;
    if (numeric) return input("text", label, String(original[name] ?? T.config[name][i]), { name });
    const options = categories.map((value) =>
      el("option", value, "", { value, selected: value === T.config[name][i] }),
    );
    return el("select", options, "", { name, "aria-label": label });
  });
  const rows_ = known.map(({ name }, k) => el("label", [el("span", short(name, 30)), fields[k]]));
  const form = el("form", [...rows_, el("button", "enqueue", "do", { type: "submit" })], "enqueue");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const values = known.map(({ name }, k) => [name, valueOf(fields[k].value, original[name], T.config[name][i])]);
    give(output, "enqueue", { configurations: [Object.fromEntries(values)] });
  });
  return el("details", [el("summary", "enqueue the same with changes"), form]);
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
  if (place.dataset.state === how) return; // a form that somebody fills in stays
  place.dataset.state = how;
  const output = el("output", "", "answer", { "aria-live": "polite" });
  const forms = [];
  if (how === "running") forms.push(commandForm("pause", "pause", () => ({}), output));
  if (how === "paused") forms.push(commandForm("resume", "resume", () => ({}), output));
  if (how === "running" || how === "paused")
    forms.push(commandForm("stop the sweep", "stop", () => ({ now: false }), output));
  const more = input("text", "more trials", "+10", { pattern: "\\+?\\d+", type: "text" });
  forms.push(commandForm("extend by trials", "extend", (trials) => ({ trials }), output, more));
  const parallel_ = input("text", "trials at once", "auto", { pattern: "auto|\\d+" });
  const count = (text) => ({ parallel: text === "auto" ? "auto" : Number(text) });
  forms.push(commandForm("set parallel", "set", count, output, parallel_));
  forms.push(commandForm("note", "note", (text) => ({ text }), output, input("text", "note about the sweep")));
  forms.push(
    commandForm("tag", "tag", (text) => ({ tags: words(text) }), output, input("text", "tags of the sweep")),
  );
  const resume =
    how === "running" || how === "paused"
      ? []
      : [
          el("p", "No session runs. Commands wait for the next one:", "how"),
          commandLine(`raysweep resume ${quoted(D.path)}`),
        ];
  place.replaceChildren(el("div", [...forms, output, ...resume], "commands"));
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
