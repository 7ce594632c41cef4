"""All runs of the folder that is served, followed by a thread of their own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from raysweep.errors import UserError, first_line
from raysweep.results.views.html.page_data import Data
from raysweep.tune.serve.folders import Folder
from raysweep.tune.serve.followed_run import FollowedRun

LOOK_SECONDS = 0.25
"""Seconds between two looks at the files of all runs."""
FIND_SECONDS = 2.0
"""Seconds between two searches for runs that came or went."""
FIND_CPU_FRACTION = 0.05
"""The most of one core that searching may take: a large folder is searched less often."""
LOOK_CPU_FRACTION = 0.2
"""The same for looking, of which most is reading what is new."""
MAX_REPORTS = 500_000
"""Reports that are held in memory, some 250 MB. Above it, runs that nobody looks at are forgotten
until they are asked for or something happens in them; their rows in the list stay."""
USED_SECONDS = 60.0
"""A run counts as looked at for so many seconds after a request for it."""
FIRST_ANSWER_SECONDS = 1.5
"""The longest, in seconds, that the list of sweeps waits for ledgers that are being read."""
ORDER = ("running", "paused", "silent", "loading")
"""States of the runs that come first in the list."""


class UnknownRunError(UserError):
    """There is no run of that name."""


class Runs:
    """The runs of a folder. `on_change` is called with the name and the version of a run in which
    something happened, from the thread that follows them; the version is 0 if the run is gone."""

    def __init__(self, folder: Folder, on_change: Callable[[str, int], None]) -> None:
        self.folder = folder
        self.problem = ""
        """Why the folder cannot be read now, in one line; "" if it can be."""
        self._on_change = on_change
        self._runs: dict[str, FollowedRun] = {}
        self._closing = threading.Event()
        self._read = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="runs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()

    def __getitem__(self, name: str) -> FollowedRun:
        """The run of a name. Raises UnknownRunError."""
        if name not in self._runs:  # as before the first search has ended
            self._read.wait(FIRST_ANSWER_SECONDS)
        run = self._runs.get(name)
        if run is None:
            raise UnknownRunError("there is no run of this name")
        return run

    def __iter__(self) -> Iterator[FollowedRun]:
        return iter(list(self._runs.values()))

    def announce(self, run: FollowedRun) -> None:
        """Say that something has changed in a run."""
        self._on_change(run.name, run.version)

    def rows(self) -> list[Data]:
        """The list of sweeps: first those that run, then the newest."""
        self._read.wait(FIRST_ANSWER_SECONDS)
        rows = [run.row() for run in self]
        return sorted(rows, key=lambda row: (row["state"] not in ORDER, -(row["updated"] or 0.0)))

    def _follow(self) -> None:
        search_at = 0.0
        while not self._closing.is_set():
            began = time.monotonic()
            if began >= search_at:
                self._search()
                took = time.monotonic() - began
                search_at = began + max(FIND_SECONDS, took / FIND_CPU_FRACTION)
            began = time.monotonic()
            try:
                is_behind = self._look()
            except Exception:  # a bug is shown where the server was started, which goes on
                logging.getLogger(__name__).exception("the runs cannot be followed")
                is_behind = False
            if is_behind:
                continue
            self._read.set()
            self._forget()
            took = time.monotonic() - began
            self._closing.wait(max(LOOK_SECONDS, took / LOOK_CPU_FRACTION))

    def _search(self) -> None:
        """Note which runs there are now."""
        try:
            found = self.folder.find()
        except (OSError, UserError) as error:
            self.problem = f"{self.folder.place} cannot be read: {first_line(error)}"
            return  # what is known of its runs stays
        self.problem = ""
        for name in self._runs.keys() - found.keys():
            del self._runs[name]
            self._on_change(name, 0)
        for name, path in found.items():
            if name not in self._runs:
                self._runs[name] = FollowedRun(name, path)

    def _look(self) -> bool:
        """Look at each run once. True if there are ledgers that have not been read yet."""
        unread = [run for run in self if run.is_wanted and not run.is_loaded]
        for run in self:
            if run not in unread and run.look():
                self.announce(run)
        if unread:
            # A chunk of the newest one, so that what happens elsewhere does not wait for it.
            run = max(unread, key=lambda run: run.modified)
            if run.look() and run.is_loaded:
                self.announce(run)
        return bool(unread)

    def _forget(self) -> None:
        """Forget histories that nobody looks at, the longest unused first, if there are many."""
        held = sum(run.size for run in self)
        now = time.monotonic()
        for run in sorted(self, key=lambda run: run.used):
            if held <= MAX_REPORTS:
                return
            if run.size and not run.is_running and now - run.used > USED_SECONDS:
                held -= run.size
                run.unload()
