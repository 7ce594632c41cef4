// Sets the colours before anything is painted, so that a dark page never flashes light.
"use strict";

const darkSystem = matchMedia("(prefers-color-scheme: dark)");
const systemTheme = () => (darkSystem.matches ? "dark" : "light");

/** The theme that somebody chose with the button; null if the page follows the system. */
function chosenTheme() {
  try {
    return localStorage.getItem("raysweep-theme");
  } catch {
    return null; // a page opened from a file may have no storage
  }
}

document.documentElement.dataset.theme = chosenTheme() ?? systemTheme();
