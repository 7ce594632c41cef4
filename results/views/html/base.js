// Words, colours and elements. Text of the user's only ever becomes text nodes, or goes through `safe`.
"use strict";

const PALETTES = {
  light: ["#3d52d5", "#c85a17", "#0f7f6a", "#b83b8e", "#7d6800", "#5f7287", "#1f7fb5", "#7a4fc4"],
  dark: ["#93a2ff", "#ffa161", "#4fd0b1", "#f080c4", "#dcc04a", "#a8b7c9", "#6cc4f5", "#bf9cff"],
};
const RAMPS = {
  light: ["#d9dfea", "#bcc9e2", "#93a9dd", "#6b86d8", "#4a62cf", "#3442ad", "#241f7d"],
  dark: ["#2b3446", "#34456a", "#3e5c96", "#4f7cc4", "#6fa1e6", "#a3c8fb", "#e4f1ff"],
};
const STATUS_COLOURS = {
  completed: "--good",
  paused: "--warn",
  stopped: "--stopped",
  running: "--accent",
  waiting: "--soft",
  diverged: "--bad",
  failed: "--bad",
  oom: "--bad",
};
const STATUS_ORDER = ["completed", "paused", "stopped", "running", "waiting", "diverged", "failed", "oom"];
const DASH = "–";
const SVG = "http://www.w3.org/2000/svg";

const $ = (selector, inside = document) => inside.querySelector(selector);
const theme = () => document.documentElement.dataset.theme;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const fade = (hex, alpha) =>
  hex +
  Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0");
const safe = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const finite = (values) => values.filter((value) => typeof value === "number" && Number.isFinite(value));
const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

function short(text, most = 28) {
  const all = String(text);
  return all.length > most ? `${all.slice(0, most - 1)}…` : all;
}

/** An element with text or children: `el("p", "text", "name")`, `el("ul", [item, item])`. */
function el(tag, content = "", name = "", properties = {}) {
  const made = document.createElement(tag);
  if (Array.isArray(content)) made.append(...content);
  else if (content !== "") made.textContent = content;
  if (name) made.className = name;
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  return made;
}

function svg(tag, attributes = {}, children = []) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function button(label, act, name = "quiet", properties = {}) {
  const made = el("button", label, name, { type: "button", ...properties });
  made.addEventListener("click", act);
  return made;
}

function number(value) {
  if (value === null || value === undefined) return DASH;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) return String(Number(value.toPrecision(4)));
  return value.toExponential(2).replace("e+", "e");
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 72) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.round(hours / 24)} days`;
}

function size(bytes) {
  if (bytes === null || bytes === undefined) return DASH;
  const gigabytes = bytes / 2 ** 30;
  return gigabytes >= 1 ? `${gigabytes.toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

function when(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  return new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** A word of a shell command, quoted if it has to be. */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", `'"'"'`)}'`;
}

/** A command line with a button that copies it. */
function commandLine(text) {
  const code = el("code", text);
  const copy = button(
    "copy",
    async () => {
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(code); // a page opened from a file may have no clipboard
        copy.textContent = "selected";
      }
      setTimeout(() => {
        copy.textContent = "copy";
      }, 1500);
    },
    "copy",
    { "aria-label": `copy ${short(text, 60)}` },
  );
  return el("div", [code, copy], "command");
}

function pill(text, kind) {
  return el("span", text, `pill ${kind}`);
}

/** A small line of numbers, with the last of them as a dot. */
function sparkline(values, label) {
  const known = finite(values);
  if (known.length < 2) return el("span", DASH, "absent");
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = (k) => 2 + (k / (known.length - 1)) * 92;
  const y = (value) => 22 - (high > low ? (value - low) / (high - low) : 0.5) * 20;
  const points = known.map((value, k) => `${x(k).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const dot = { cx: x(known.length - 1), cy: y(known.at(-1)), r: 2.2 };
  const drawn = [svg("polyline", { points }), svg("circle", dot)];
  return svg("svg", { viewBox: "0 0 98 24", class: "spark", role: "img", "aria-label": label }, drawn);
}

/** A table of rows that are mappings; columns without any value are left out. */
function facts(target, rows) {
  if (!rows.length) return target.replaceChildren();
  const names = Object.keys(rows[0]).filter((name) => rows.some((row) => number(row[name]) !== DASH));
  const titles = names.map((name, k) => el("th", name, k ? "" : "left", { scope: "col" }));
  const cells = (row) => names.map((name, k) => el("td", number(row[name]), k ? "" : "left"));
  const body = rows.map((row) => el("tr", cells(row)));
  return target.replaceChildren(el("thead", [el("tr", titles)]), el("tbody", body));
}

function pairs(target, content) {
  target.replaceChildren(...content.map(([name, value]) => el("div", [el("dt", name), el("dd", value)])));
}

/** Keep a value in the browser; null forgets it. */
function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    /* a page opened from a file may have no storage */
  }
}
