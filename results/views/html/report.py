"""The page about a run, `report.html`: one HTML file that needs neither a network nor a server.

As a program (`main`), it writes the page of the run directory that the command line names. A
running sweep uses `Refresher`, which starts that program from time to time.
"""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

from raysweep.files import atomic_write
from raysweep.finder import program
from raysweep.results.storage.run_directory import RunDirectory, load

NAME = "report.html"
SCRIPTS = ("base.js", "plots.js", "table.js", "main.js")
SECONDS = 30.0
"""The least time between two refreshes, in seconds."""
MAX_CPU_FRACTION = 0.05
"""The most of one core that refreshing may take: a page that takes long is written less often."""
NICENESS = 10
"""The priority of a refresh: whatever trains on the machine goes first."""


def write(run: RunDirectory, out: Path | None = None, live: bool = False) -> Path:
    r"""Write the page about a run, whole or not at all, and return its path.

    out: the file, by default `report.html` in the run directory. live: the page refreshes itself,
    because the sweep is running. What UTF-8 cannot encode, as a surrogate in the name of a folder,
    becomes an escape (`\udcff`).
    """
    path = out or run.path / NAME
    atomic_write(path, page(run, live).encode(errors="backslashreplace"))
    return path


def page(run: RunDirectory, live: bool = False) -> str:
    """The page as text. live: as in `write`."""
    from raysweep.results.views.html.page_data import page_data

    parts = {
        "title": html.escape(f"{run.name} · raysweep"),
        "style": _asset("report.css"),
        "data": _embedded(page_data(run, live)),
        "plotly": _plotly(),
        "script": "\n".join(_asset(name) for name in SCRIPTS),
    }
    # Not `str.format`: CSS and JavaScript are full of braces. Nor `replace`, part by part: what a
    # user's text holds must not be taken for a place to fill.
    head, *rest = _asset("report.html").split("{{")
    pieces = (piece.split("}}", 1) for piece in rest)
    return head + "".join(parts[name] + text for name, text in pieces)


class Refresher:
    """Writes the page of a running sweep again and again, in a process of its own.

    The session never waits for it, and two pages are never written at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started = time.monotonic() - SECONDS / 2  # the first page comes after half the time
        self._pause = SECONDS

    def tick(self) -> None:
        """Start writing a page if it is time. Call it often."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            # Its wall time bounds its CPU time from above, since it has one thread.
            self._pause = max(SECONDS, (now - self._started) / MAX_CPU_FRACTION)
        if now - self._started >= self._pause:
            self._started = now
            self._process = _start(self._folder)

    def close(self) -> None:
        """Stop a page that is being written, so that it cannot replace the final one later."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()  # or a zombie stays until the session ends
            self._process = None


def main() -> None:
    """Write the page of the run directory that the command line names.

    `--live`: the sweep is running.
    """
    is_live = "--live" in sys.argv
    if is_live:  # at the end of a sweep, and by `raysweep report`, somebody waits for the page
        os.nice(NICENESS)
    print(write(load(sys.argv[1]), live=is_live))


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program("raysweep.results.views.html.report", str(folder), "--live"),
        # One thread: numpy's would otherwise take all cores from the trials.
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _embedded(data: object) -> str:
    """JSON in which no text can end the script element that holds it."""
    # NaN is no JSON: `allow_nan=False` finds a number that `plain` did not turn into null.
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for letter in "&<>\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _plotly() -> str:
    """The plotly.js that comes with the Python package, without importing that package."""
    path = files("plotly") / "package_data" / "plotly.min.js"
    # Inside of a string of JavaScript both mean the same, but the first would end the element.
    return path.read_text(encoding="utf-8").replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return (files("raysweep.results.views.html") / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
