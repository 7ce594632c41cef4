// The widget of a sweep. All texts are set as text, because names and reasons are a user's own.
function element(tag, text, parent, name) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
}

function button(text, label, parent, act) {
  const made = element("button", text, parent);
  made.type = "button";
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

function fraction(data) {
  if (data.state === "finished") return 1;
  if (!data.of) return null;
  return Math.min(1, data.ended / data.of);
}

function draw(model, root) {
  const data = model.get("data");
  const focused = root.contains(document.activeElement)
    ? document.activeElement.getAttribute("aria-label") : null;
  root.replaceChildren();
  const head = element("div", "", root, "rs-head");
  element("strong", data.run, head);
  element("span", data.state, head, `rs-state rs-${data.state}`);
  if (data.state === "running") {
    button("Pause", "pause the sweep", head, () => model.send({ command: "pause" }));
  }
  if (data.state === "paused") {
    button("Resume", "resume the sweep", head, () => model.send({ command: "resume" }));
  }
  if (data.state === "running" || data.state === "paused") {
    button("Stop", "stop the sweep", head, () => model.send({ command: "stop" }));
  }
  const part = fraction(data);
  if (part !== null) {
    const bar = element("progress", "", root);
    bar.value = part;
    bar.setAttribute("aria-label", "trials that have ended");
  }
  for (const line of (data.lines || []).slice(1)) {
    if (!(data.running || []).some((trial) => line.startsWith(`  ${trial.trial} runs`))) {
      element("div", line.trim(), root);
    }
  }
  if ((data.running || []).length) table(model, data, root);
  const answer = element("div", model.get("answer"), root, "rs-answer");
  answer.setAttribute("role", "status");
  if (focused) {
    [...root.querySelectorAll("button")]
      .find((one) => one.getAttribute("aria-label") === focused)?.focus();
  }
}

function table(model, data, root) {
  const rows = element("table", "", root);
  const head = element("tr", "", rows);
  for (const name of ["running", data.unit, data.metric, ""]) element("th", name, head);
  for (const trial of data.running) {
    const row = element("tr", "", rows);
    element("td", trial.trial, row);
    const length = data.length ? ` / ${data.length.toLocaleString()}` : "";
    element("td", `${trial.at.toLocaleString()}${length}`, row);
    element("td", trial.value === null ? "–" : trial.value.toPrecision(4), row);
    button("Stop", `stop ${trial.trial}`, element("td", "", row),
      () => model.send({ command: "stop", trial: trial.trial }));
  }
}

function render({ model, el }) {
  const root = element("div", "", el, "rs-sweep");
  const redraw = () => draw(model, root);
  model.on("change:data", redraw);
  model.on("change:answer", redraw);
  redraw();
  return () => {
    model.off("change:data", redraw);
    model.off("change:answer", redraw);
  };
}

export default { render };
