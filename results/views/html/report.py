"""The page about a run, `report.html`: one HTML file that needs neither a network nor a server.

The same page is the application that `raysweep serve` sends (`application`, `asset`).

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
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from raysweep.files import atomic_write
from raysweep.finder import program
from raysweep.results.storage import ledger
from raysweep.results.storage.run_directory import RunDirectory, load

NAME = "report.html"
PLOTLY = "plotly.js"
"""The file beside the page of a running sweep that has plotly's code, which is written once."""
STYLE = "report.css"
THEME = "theme.js"
"""Runs before anything is painted."""
SCRIPTS = (
    "base.js",
    "data.js",
    "filter.js",
    "route.js",
    "canvas.js",
    "plots.js",
    "front.js",
    "curves.js",
    "parallel.js",
    "contour.js",
    "table.js",
    "summary.js",
    "best.js",
    "chart.js",
    "trial.js",
    "commands.js",
    "live.js",
    "list.js",
    "keys.js",
    "draw.js",
    "bar.js",
    "main.js",
)
"""The parts of the script, in the order in which they need each other."""
_NOTHING_ELSE = "default-src 'none'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
POLICIES = {
    "file": "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
    "live": "style-src 'unsafe-inline'; script-src 'unsafe-inline' 'self' file:",
    # plotly sets styles of elements.
    "served": "style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'",
}
"""What the page may load, as a content security policy, by how it comes to the browser."""
SECONDS = 30.0
"""The least time between two refreshes, in seconds."""
MAX_CPU_FRACTION = 0.05
"""The most of one core that refreshing may take: a page that takes long is written less often."""
UNCHANGED_SECONDS = 240.0
"""A page is written again after this time even if nothing happened, in seconds: the page says that
there is no update if it is older than five minutes."""
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
    if out is None:
        (run.path / PLOTLY).unlink(missing_ok=True)  # the page has its own again
    return path


def refresh(run: RunDirectory) -> Path:
    """Write the page of a running sweep, with plotly's code in a file beside it.

    The code is four megabytes that do not change, while the page is written every half minute.
    """
    beside = run.path / PLOTLY
    code = _plotly().encode()
    if not beside.is_file() or beside.stat().st_size != len(code):
        atomic_write(beside, code)
    path = run.path / NAME
    script = f'<script id="plotly" src="{PLOTLY}"></script>'
    text = _page(run, "live", script, live=True)
    atomic_write(path, text.encode(errors="backslashreplace"))
    return path


def page(run: RunDirectory, live: bool = False) -> str:
    """The page as text, with everything in it. live: as in `write`."""
    return _page(run, "file", f"<script>{_plotly()}</script>", live)


def application() -> str:
    """The page that `raysweep serve` sends: the same, but its data come from the server."""
    return _filled(
        {
            "policy": _NOTHING_ELSE + POLICIES["served"],
            "title": "raysweep",
            "head": '<link rel="stylesheet" href="app.css">\n<script src="app.js"></script>',
            "data": _embedded({"served": True}),
            "scripts": "",  # it asks for plotly's code itself, after its words
        }
    )


def asset(name: str) -> tuple[bytes, str]:
    """A file that `application` refers to, `app.js`, `app.css` or `plotly.js`, and its media type.

    Raises KeyError for any other name.
    """
    javascript = "text/javascript; charset=utf-8"
    content, kind = {
        "app.js": (_script, javascript),
        "app.css": (lambda: _asset(STYLE), "text/css; charset=utf-8"),
        PLOTLY: (_plotly, javascript),
    }[name]
    return content().encode(), kind


def _page(run: RunDirectory, policy: str, plotly: str, live: bool) -> str:
    from raysweep.results.views.html.page_data import page_data

    parts = (_asset(name) for name in SCRIPTS)
    return _filled(
        {
            "policy": _NOTHING_ELSE + POLICIES[policy],
            "title": html.escape(f"{run.name} · raysweep"),
            "head": f"<style>{_asset(STYLE)}</style>\n<script>{_asset(THEME)}</script>",
            "data": _embedded(page_data(run, live, details=True)),
            # The page's own script first: what it says in words need not wait for plotly.
            "scripts": "<script>{}</script>\n{}".format("\n".join(parts), plotly),
        }
    )


def _filled(parts: Mapping[str, str]) -> str:
    """The template with its parts.

    Not by `str.format`: CSS and JavaScript are full of braces. Nor by `replace`, part by part: what
    a user's text holds must not be taken for a place to fill.
    """
    head, *rest = _asset("report.html").split("{{")
    pieces = (piece.split("}}", 1) for piece in rest)
    return head + "".join(parts[name] + text for name, text in pieces)


def _script() -> str:
    return "\n".join(_asset(name) for name in (THEME, *SCRIPTS))


class Refresher:
    """Writes the page of a running sweep again and again, in a process of its own.

    The session never waits for it, and two pages are never written at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started = time.monotonic() - SECONDS / 2  # the first page comes after half the time
        self._pause = SECONDS
        self._shown: tuple[int, int] | None = None

    def tick(self) -> None:
        """Start writing a page if it is time. Call it often."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            # Its wall time bounds its CPU time from above, since it has one thread.
            self._pause = max(SECONDS, (now - self._started) / MAX_CPU_FRACTION)
        waited = now - self._started
        if waited < self._pause:
            return
        state = self._ledger()
        if state is not None and state == self._shown and waited < UNCHANGED_SECONDS:
            return
        self._started, self._shown = now, state
        self._process = _start(self._folder)

    def _ledger(self) -> tuple[int, int] | None:
        """The size and the time of the ledger, which change with every event; None without a file.

        The ledger of a run in object storage lies elsewhere.
        """
        try:
            found = (self._folder / ledger.NAME).stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

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
    if "--live" in sys.argv:
        # At the end of a sweep, and by `raysweep report`, somebody waits for the page. Not now.
        os.nice(NICENESS)
        print(refresh(load(sys.argv[1])))
    else:
        print(write(load(sys.argv[1])))


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
