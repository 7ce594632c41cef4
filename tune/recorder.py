"""Where events go: the ledger first, then TensorBoard's files, the tables, and whoever watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from results.history import Event, Trial
from results.ledger import Ledger
from results.segments import StoredLedger
from results.table import write_tables
from results.tensorboard import Writer
from results.words import size
from results.working_copy import Pusher, shown
from tune import trackers
from tune.files import Checkpoints, write_error
from tune.interruption import Interruption
from tune.loop import Loop
from tune.screen import Observer
from tune.sweep import Sweep

GROWTH = "memory_growth"
HINT = "is something kept of every batch? `total += loss` keeps its whole graph, `total += loss.item()` does not"
TABLES_SECONDS = 20.0
"""The tables are written anew this often while a sweep runs, and at its end."""


class Recorder:
    """Writes each event before it takes effect (`write`), and what follows from it afterwards (`applied`)."""

    def __init__(
        self, folder: Path, sweep: Sweep, ledger: Ledger | StoredLedger, observer: Observer
    ) -> None:
        self.observer = observer
        self._folder = folder
        self._sweep = sweep
        self._ledger = ledger
        self._boards = Writer(folder, sweep.metric.name)
        self._checkpoints = Checkpoints(folder, sweep.keep)
        self._pusher = Pusher(folder)
        trackers.check(sweep.track)
        self._trackers = trackers.Trackers(sweep.track, folder, observer.say)
        self._leaking = {
            event["trial"] for event in ledger.past if GROWTH in event.get("notes", {})
        }
        self._written = time.monotonic()
        with self._writing():
            self._pusher.push()

    @property
    def past(self) -> list[Event]:
        """What former sessions left in the ledger."""
        return self._ledger.past

    def write(self, event: Event) -> None:
        with self._writing():
            self._ledger.append(event)

    def applied(self, event: Event, loop: Loop) -> None:
        """Called by the loop after an event changed its histories."""
        if "trial" in event:
            with self._writing():
                self._keep(event, loop.trial(event["trial"]), loop.traceback)
            self._trackers.applied(event, loop.trial(event["trial"]))
        if event["event"] == "ended":
            self._checkpoints.collect(loop)
        self.observer.event(event, loop)
        self._warn(event)

    def _warn(self, event: Event) -> None:
        """Say once of a trial that its memory leaks."""
        grows = event.get("notes", {}).get(GROWTH)
        if grows and event["trial"] not in self._leaking:
            self._leaking.add(event["trial"])
            self.observer.say(
                f"{event['trial']}: memory grows by {size(grows)} with each epoch; {HINT}"
            )

    def tick(self, loop: Loop) -> None:
        self.observer.tick(loop)
        self._pusher.tick()
        if time.monotonic() - self._written > TABLES_SECONDS:
            with self._writing():
                self.tables(loop)

    def tables(self, loop: Loop) -> None:
        """Write `trials.csv` and `curves.csv` as things stand."""
        write_tables(
            self._folder,
            loop.histories,
            self._sweep.metric.name,
            self._sweep.seed,
            self._sweep.seeds,
        )
        self._written = time.monotonic()

    def close(self, loop: Loop) -> None:
        self.finish(loop)
        self.observer.close()

    def finish(self, loop: Loop) -> None:
        """Complete the files; the observer goes on to another loop."""
        self._trackers.finish()
        try:
            self._boards.finish()
            self.tables(loop)
            self._pusher.close()
        except OSError as error:
            self.observer.say(f"the tables cannot be written: {error.strerror or error}")

    def _keep(self, event: Event, trial: Trial, traceback: str) -> None:
        if event["event"] == "reported":
            self._boards.report(trial, trial.reports[-1])
        elif event["event"] == "ended":
            self._boards.close(trial)
        notes = event.get("notes", {})
        if notes.get("traceback"):
            reason = event.get("reason") or notes.get("afterwards", "")
            write_error(self._folder, trial, reason, traceback or notes["traceback"])

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what the storage refuses into the end of the session; the ledger is whole, and the sweep can be resumed."""
        try:
            yield
        except OSError as error:
            raise Interruption(
                f"{shown(self._folder)} cannot be written: {error.strerror or error}"
            ) from error
