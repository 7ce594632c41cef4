"""The callbacks that write a run directory while a sweep runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from raysweep.formatting import size
from raysweep.history import Event, Trial
from raysweep.results.storage.tables import write_tables
from raysweep.results.views.html.report import Refresher
from raysweep.results.views.tensorboard import Writer
from raysweep.text_limits import visible
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController
from raysweep.tune.run_folders import RunFolder

ERROR = "error.txt"
GROWTH = "memory_growth"
GROWTH_HINT = (
    "is something kept of every batch? `total += loss` keeps its whole graph, "
    "`total += loss.item()` does not"
)
TABLES_SECONDS = 20.0
"""Seconds between two writings of the tables while a sweep runs: each writes all trials."""


class RunFiles(Callback):
    """Several callbacks that write a run directory, as one.

    If the storage refuses, the session ends with SessionInterrupted: the ledger is whole, and the
    sweep can be resumed.
    """

    def __init__(self, run: RunFolder, callbacks: Sequence[Callback]) -> None:
        self._run = run
        self._callbacks = callbacks

    def on_event(self, event: Event, controller: SweepController) -> None:
        with self._run.storage_errors():
            for callback in self._callbacks:
                callback.on_event(event, controller)

    def on_tick(self, controller: SweepController) -> None:
        with self._run.storage_errors():
            for callback in self._callbacks:
                callback.on_tick(controller)

    def close(self, controller: SweepController) -> None:
        """Complete the files. The ledger has all that they show, so an error is only said."""
        try:
            for callback in self._callbacks:
                callback.close(controller)
        except OSError as error:
            controller.say(f"the tables cannot be written: {error.strerror or error}")


class TensorBoardFiles(Callback):
    """Writes `tensorboard/<trial>/`."""

    def __init__(self, folder: Path, metric: str) -> None:
        self._writer = Writer(folder, metric)

    def on_event(self, event: Event, controller: SweepController) -> None:
        if event["event"] == "reported":
            trial = controller.trial(event["trial"])
            self._writer.report(trial, trial.reports[-1])
        elif event["event"] == "ended":
            self._writer.close(controller.trial(event["trial"]))

    def close(self, controller: SweepController) -> None:
        self._writer.finish()


class ErrorFiles(Callback):
    """Writes `trials/<trial>/error.txt` when a trial fails."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_event(self, event: Event, controller: SweepController) -> None:
        notes = event.get("notes", {})
        if notes.get("traceback"):
            reason = event.get("reason") or notes.get("afterwards", "")
            traceback = controller.traceback or notes["traceback"]
            trial = controller.trial(event["trial"])
            after = controller.sweep.budget.interval.at(trial.epoch)
            write_error(self._folder, trial, f"after {after}: {reason}", traceback)


def write_error(folder: Path, trial: Trial, what: str, traceback: str) -> None:
    """Write `trials/<trial>/error.txt`: when and why, the configuration and the whole traceback."""
    place = folder / "trials" / trial.id
    place.mkdir(parents=True, exist_ok=True)
    config = json.dumps(trial.config, indent=2, ensure_ascii=False)
    parts = (
        f"{trial.id}, {what}",
        f"configuration\n{config}",
        f"traceback\n{traceback}\n",
    )
    (place / ERROR).write_text(visible("\n\n".join(parts)), encoding="utf-8")


class MemoryGrowthWarning(Callback):
    """Says once of each trial that its memory grows from epoch to epoch."""

    def __init__(self, past: Iterable[Event]) -> None:
        self._warned = {event["trial"] for event in past if GROWTH in event.get("notes", {})}

    def on_event(self, event: Event, controller: SweepController) -> None:
        growth = event.get("notes", {}).get(GROWTH)
        if growth and event["trial"] not in self._warned:
            self._warned.add(event["trial"])
            each = "epoch" if controller.sweep.budget.interval.is_epoch else "report"
            controller.say(
                f"{event['trial']}: memory grows by {size(growth)} with each {each}; {GROWTH_HINT}"
            )


class TableFiles(Callback):
    """Writes `trials.csv` and `curves.csv` every `TABLES_SECONDS`, and at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = time.monotonic()

    def on_tick(self, controller: SweepController) -> None:
        if time.monotonic() - self._written > TABLES_SECONDS:
            self.close(controller)

    def close(self, controller: SweepController) -> None:
        sweep = controller.sweep
        write_tables(
            self._folder,
            controller.histories,
            sweep.metric.name,
            sweep.seed,
            sweep.seeds,
            controller.may_promote,
            sweep.objectives,
            controller.final_reasons,
            sweep.budget.interval,
        )
        self._written = time.monotonic()


class PageFile(Callback):
    """Has another process write `report.html` every now and then."""

    def __init__(self, folder: Path) -> None:
        self._refresher = Refresher(folder)

    def on_tick(self, controller: SweepController) -> None:
        self._refresher.tick()

    def close(self, controller: SweepController) -> None:
        self._refresher.close()
