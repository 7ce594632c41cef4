"""Where events go: the ledger first, then TensorBoard's files, the tables, and whoever watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from raysweep.errors import SessionInterrupted
from raysweep.formatting import size
from raysweep.history import Event, Trial
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.mirror import Uploader, display_path
from raysweep.results.storage.object_ledger import StoredLedger
from raysweep.results.storage.tables import write_tables
from raysweep.results.views.tensorboard import Writer
from raysweep.tune.callbacks import trackers
from raysweep.tune.callbacks.checkpoint_retention import Checkpoints, write_error
from raysweep.tune.callbacks.screen import Observer
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Sweep

GROWTH = "memory_growth"
HINT = "is something kept of every batch? `total += loss` keeps its whole graph, `total += loss.item()` does not"
TABLES_SECONDS = 20.0
"""The tables are written anew this often while a sweep runs, and at its end."""


class EventRecorder:
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
        self._uploader = Uploader(folder)
        trackers.check(sweep.track)
        self._trackers = trackers.Trackers(sweep.track, folder, observer.say)
        self._leaking = {
            event["trial"] for event in ledger.past if GROWTH in event.get("notes", {})
        }
        self._written = time.monotonic()
        with self._writing():
            self._uploader.upload()

    @property
    def past(self) -> list[Event]:
        """What former sessions left in the ledger."""
        return self._ledger.past

    def write(self, event: Event) -> None:
        with self._writing():
            self._ledger.append(event)

    def applied(self, event: Event, controller: SweepController) -> None:
        """Called by the controller after an event changed its histories."""
        if "trial" in event:
            with self._writing():
                self._keep(event, controller.trial(event["trial"]), controller.traceback)
            self._trackers.applied(event, controller.trial(event["trial"]))
        if event["event"] == "ended":
            self._checkpoints.collect(controller)
        self.observer.event(event, controller)
        self._warn(event)

    def _warn(self, event: Event) -> None:
        """Say once of a trial that its memory leaks."""
        grows = event.get("notes", {}).get(GROWTH)
        if grows and event["trial"] not in self._leaking:
            self._leaking.add(event["trial"])
            self.observer.say(
                f"{event['trial']}: memory grows by {size(grows)} with each epoch; {HINT}"
            )

    def tick(self, controller: SweepController) -> None:
        self.observer.tick(controller)
        self._uploader.tick()
        if time.monotonic() - self._written > TABLES_SECONDS:
            with self._writing():
                self.tables(controller)

    def tables(self, controller: SweepController) -> None:
        """Write `trials.csv` and `curves.csv` as things stand."""
        write_tables(
            self._folder,
            controller.histories,
            self._sweep.metric.name,
            self._sweep.seed,
            self._sweep.seeds,
        )
        self._written = time.monotonic()

    def close(self, controller: SweepController) -> None:
        self.finish(controller)
        self.observer.close()

    def finish(self, controller: SweepController) -> None:
        """Complete the files; the observer goes on to another loop."""
        self._trackers.finish()
        try:
            self._boards.finish()
            self.tables(controller)
            self._uploader.close()
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
            raise SessionInterrupted(
                f"{display_path(self._folder)} cannot be written: {error.strerror or error}"
            ) from error
