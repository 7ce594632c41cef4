// Sets the colours before anything is painted, so that a dark page never flashes light.
"use strict";

(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("raysweep-theme");
  } catch {
    /* a page opened from a file may have no storage */
  }
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = kept ?? system;
})();
