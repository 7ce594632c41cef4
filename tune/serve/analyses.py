"""The analyses of the runs that people look at, made again from time to time in another process.

Requests never wait for them, at most one runs at a time, and they take at most a twentieth of a
core in the long run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from raysweep.finder import program
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.results.views.html.page_data import Data, analyses, run_data
from raysweep.results.views.html.report import MAX_CPU_FRACTION, NICENESS
from raysweep.tune.serve.followed_run import FollowedRun
from raysweep.tune.serve.live_run import NOT_YET, best_part
from raysweep.tune.serve.runs import USED_SECONDS, Runs

SECONDS = 20.0
"""The least time between two analyses of a run, in seconds."""
LOOK_SECONDS = 0.25
"""Seconds between two looks at whether there is something to analyse."""
CONSTANT = ("name", "metric", "maximize", "yaml", "environment")
SENT_OTHERWISE = ("trials", "curves", "live", "written", *CONSTANT)
"""Parts of the page's data that clients have from elsewhere."""


class Analyst:
    """Has the runs analysed at which somebody looks and in which something has happened."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._made: dict[str, int] = {}
        self._next: dict[str, float] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="analyses", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread, and the process that it waits for."""
        self._closing.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            for run in self._runs:
                if self._is_due(run):
                    self._analyse(run)
                    break

    def _is_due(self, run: FollowedRun) -> bool:
        now = time.monotonic()
        watched = run.used and now - run.used < USED_SECONDS
        is_new = run.version and run.version != self._made.get(run.name)
        return bool(watched and is_new and now >= self._next.get(run.name, 0.0))

    def _analyse(self, run: FollowedRun) -> None:
        began, version = time.monotonic(), run.version
        found = self._ask(run.path)
        if self._closing.is_set():
            return
        took = time.monotonic() - began
        self._next[run.name] = began + max(SECONDS, took / MAX_CPU_FRACTION)
        self._made[run.name] = run.analysed(found, version)
        self._runs.announce(run)

    def _ask(self, path: Path) -> Data:
        """What a process of its own says of a run."""
        self._process = subprocess.Popen(
            program("raysweep.tune.serve.analyses", str(path)),
            # One thread: numpy's would otherwise take all cores from the trials.
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if self._closing.is_set():  # `close` came before there was a process to end
            self._process.terminate()
        out, errors = self._process.communicate()
        if self._process.returncode == 0:
            found: Data = json.loads(out)
            return found
        last = (errors.decode(errors="replace").strip().splitlines() or ["it was ended"])[-1]
        return {"importance": {"why": f"it could not be computed: {last}"}}


def main() -> None:
    """Print the analyses of the run directory that the command line names, as JSON."""
    os.nice(NICENESS)
    print(json.dumps(analysed(Path(sys.argv[1])), allow_nan=False))


def analysed(path: Path) -> Data:
    """All that the page shows of a run but for the trials and what does not change."""
    read = RunDirectory(path)
    parts = {"sweep": read.sweep, "events": read.events, "histories": read.histories}
    run = RunDirectory.followed(path, **parts, **best_part(path, read.histories, read.metric))
    found = {**NOT_YET, **run_data(run), **analyses(run)}
    return {name: value for name, value in found.items() if name not in SENT_OTHERWISE}


if __name__ == "__main__":
    main()
