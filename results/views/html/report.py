"""One self-contained HTML page about a run: `report.html`. No network, no server; written while the sweep runs, and at its end.

`python -m results.report RUN` writes it once. A driver uses `Refresher`, which writes it in a process of its own.
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

from raysweep.finder import program
from raysweep.results.storage.run_directory import RunDirectory, load

NAME = "report.html"
SCRIPTS = ("base.js", "plots.js", "table.js", "main.js")
SECONDS = 30.0
SHARE = 0.05
"""At most this part of one core goes into refreshing the page."""


def write(run: RunDirectory, out: Path | None = None, live: bool = False) -> Path:
    r"""Write the page about a run, whole or not at all, to `report.html` in its folder; the path.

    What UTF-8 cannot encode, as a surrogate in a folder's name, becomes an escape (`\udcff`).
    """
    path = out or run.path / NAME
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    unfinished.write_text(page(run, live), encoding="utf-8", errors="backslashreplace")
    os.replace(unfinished, path)
    return path


def page(run: RunDirectory, live: bool = False) -> str:
    """The page as text. `live`: it refreshes itself, because the sweep goes on."""
    from raysweep.results.views.html.page_data import page_data

    parts = {
        "title": html.escape(f"{run.path.resolve().name} · raysweep"),
        "style": _asset("report.css"),
        "data": _embedded(page_data(run, live)),
        "plotly": _plotly(),
        "script": "\n".join(_asset(name) for name in SCRIPTS),
    }
    text = _asset("report.html")
    head, *rest = text.split("{{")
    return head + "".join(
        parts[name] + after for name, after in (piece.split("}}", 1) for piece in rest)
    )


def _embedded(data: object) -> str:
    """JSON that no text in it can end early."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (
        text.replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


def _plotly() -> str:
    """plotly.js as the Python package brings it, without importing the package's figures."""
    return (
        (files("plotly") / "package_data" / "plotly.min.js")
        .read_text(encoding="utf-8")
        .replace("</script", "<\\/script")
    )


def _asset(name: str) -> str:
    return (files("raysweep.results.views.html") / name).read_text(encoding="utf-8")


class Refresher:
    """Has the page written every so often by another process, never two at once, so that the driver does not wait."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = time.monotonic() - SECONDS / 2
        self._pause = SECONDS

    def tick(self) -> None:
        """Called often. Starts a new page where it is time."""
        now = time.monotonic()
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._process = None
            self._pause = max(SECONDS, (now - self._begun) / SHARE)
        if now - self._begun >= self._pause:
            self._begun = now
            self._process = _start(self._folder)

    def close(self) -> None:
        """Wait for a page that is being written, so that it does not replace the last one later."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


def _start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        program("raysweep.results.views.html.report", str(folder), "--live"),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main() -> None:
    if "--live" in sys.argv:
        os.nice(10)
    print(write(load(sys.argv[1]), live="--live" in sys.argv))


if __name__ == "__main__":
    main()
