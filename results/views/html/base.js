"use strict";
// The data, the state of the page, words and colours. Text of the user's only ever becomes text nodes, or goes through `safe`.

const D = JSON.parse(document.getElementById("data").textContent);
const T = D.trials;
const COUNT = T.id.length;
const KEY = `raysweep:${D.name}`;
const PALETTES = {
  light: ["#3d52d5", "#e0742e", "#13937a", "#b83b8e", "#8a7300", "#5f7287", "#2a90c9", "#7a4fc4"],
  dark: ["#93a2ff", "#ffa161", "#4fd0b1", "#f080c4", "#dcc04a", "#a8b7c9", "#6cc4f5", "#bf9cff"],
};
const RAMPS = {
  light: ["#d9dfea", "#bcc9e2", "#93a9dd", "#6b86d8", "#4a62cf", "#3442ad", "#241f7d"],
  dark: ["#2b3446", "#34456a", "#3e5c96", "#4f7cc4", "#6fa1e6", "#a3c8fb", "#e4f1ff"],
};
const STATUS_COLOURS = { completed: "--good", stopped: "--warn", running: "--accent", waiting: "--soft", diverged: "--bad", failed: "--bad", oom: "--bad" };
const DASH = "–";
const state = { hidden: new Set(), status: "", text: "", sort: "best", up: D.maximize ? false : true, marked: null, unit: "epochs", cost: "seconds", all: false };

const $ = (selector, inside = document) => inside.querySelector(selector);
const theme = () => document.documentElement.dataset.theme;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour = (searcher) => { const row = PALETTES[theme()]; return row[Math.max(0, D.searchers.indexOf(searcher)) % row.length]; };
const fade = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");
const safe = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const short = (text, most = 28) => { const all = String(text); return all.length > most ? `${all.slice(0, most - 1)}…` : all; };
const finite = (values) => values.filter((value) => value !== null && Number.isFinite(value));
const better = (a, b) => (D.maximize ? a > b : a < b);

function el(tag, content = "", name = "") {
  const made = document.createElement(tag);
  if (content !== "") made.textContent = content;
  if (name) made.className = name;
  return made;
}

function number(value) {
  if (value === null || value === undefined) return DASH;
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2).replace("e+", "e");
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return DASH;
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function when(seconds) {
  return seconds === null ? DASH : new Date(seconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

const text_of = Array.from({ length: COUNT }, (_, i) =>
  [T.id[i], T.searcher[i], T.status[i], T.reason[i], ...Object.entries(T.config).map(([name, values]) => (values[i] === null ? "" : `${name}=${values[i]}`))].join(" ").toLowerCase());

function visible(i) {
  if (state.hidden.has(T.searcher[i]) || (state.status && T.status[i] !== state.status)) return false;
  return !state.text || state.text.toLowerCase().split(/\s+/).every((word) => text_of[i].includes(word));
}

const shown = () => Array.from({ length: COUNT }, (_, i) => i).filter(visible);

/** What pointing at a trial says. */
function about(i) {
  const settings = D.parameters.filter((one) => T.config[one.name][i] !== null).map((one) => `${safe(short(one.name))} ${safe(number(T.config[one.name][i]))}`);
  const lines = [`<b>${safe(T.id[i])}</b>  ${safe(T.status[i])}`, `${safe(D.metric)} ${number(T.best[i])} at epoch ${T.bestEpoch[i] ?? DASH} of ${T.epochs[i]}`, ...settings.slice(0, 12)];
  if (T.reason[i]) lines.push(`<i>${safe(short(T.reason[i], 70))}</i>`);
  return lines.join("<br>");
}

/** The axis range that shows the better part of the values. */
function readable(values, part = 0.95, room = 0.06) {
  const sorted = finite(values).sort((a, b) => a - b);
  if (sorted.length < 2) return undefined;
  const cut = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = D.maximize ? [cut(1 - part), sorted.at(-1)] : [sorted[0], cut(part)];
  const pad = high > low ? (high - low) * room : Math.abs(high) * 0.05 || 1;
  return [low - pad, high + pad];
}

function keep() {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ ...state, hidden: [...state.hidden], scroll: scrollY }));
  } catch { /* a page opened from a file may have no storage */ }
}

function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    if (kept) Object.assign(state, kept, { hidden: new Set(kept.hidden) });
    return kept?.scroll ?? 0;
  } catch { return 0; }
}
