"""`track: [wandb, mlflow]`: reports go to experiment trackers as well, a run for each trial.

The driver tells them of the ledger's events. Ray's own callbacks cannot be used: configurations
and metrics travel packed, so they see neither. A thread talks to the trackers, so that no training
waits for one. A tracker that fails is left out, and the sweep continues.
"""

from __future__ import annotations

import importlib.util
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from raysweep.errors import UserError, first_line
from raysweep.history import Event, Trial
from raysweep.text_limits import message
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController

CLOSE_SECONDS = 60.0
"""Seconds that the end of a session waits for what is still on its way to a tracker."""


class TrackerError(UserError):
    """A tracker that cannot be used here, in one line."""


@dataclass(frozen=True)
class TrialUpdate:
    """What a tracker is told of a trial: a report or, with a `status`, its end."""

    trial: str
    study: str
    config: Mapping[str, Any]
    epoch: int
    metrics: Mapping[str, float]
    time: float
    status: str = ""
    succeeded: bool = False
    reason: str = ""


class Tracker(Protocol):
    """Receives every report and every end of a trial."""

    def report(self, update: TrialUpdate) -> None: ...

    def close(self, update: TrialUpdate) -> None: ...

    def finish(self) -> None:
        """The session ends. A trial that has not ended may continue in another session."""


def wandb(folder: Path) -> Tracker:
    from raysweep.tune.callbacks.wandb import Wandb

    return Wandb(folder)


def mlflow(folder: Path) -> Tracker:
    from raysweep.tune.callbacks.mlflow import Mlflow

    return Mlflow(folder)


TRACKERS: dict[str, Callable[[Path], Tracker]] = {"wandb": wandb, "mlflow": mlflow}


def check(names: Sequence[str]) -> None:
    """Raise TrackerError if one of them is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise TrackerError(f"track: {name} is not installed: pip install {name}")


class Trackers(Callback):
    """All trackers of a sweep. `say` tells the user which one failed."""

    def __init__(self, names: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._queue: queue.Queue[TrialUpdate | None] = queue.Queue()
        self._trackers: dict[str, Tracker] = {}
        self._thread = threading.Thread(target=self._work, args=(names,), daemon=True)
        if names:
            self._thread.start()

    def on_event(self, event: Event, controller: SweepController) -> None:
        if self._thread.is_alive() and event["event"] in ("reported", "ended"):
            trial = controller.trial(event["trial"])
            self._queue.put(_update(trial, ended=event["event"] == "ended"))

    def close(self, controller: SweepController) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(CLOSE_SECONDS)

    def _work(self, names: Sequence[str]) -> None:
        """What the thread does: make the trackers, and tell them what comes."""
        for name in names:
            self._try(name, self._make)
        while (update := self._queue.get()) is not None:
            for name in list(self._trackers):
                self._try(name, partial(self._tell, update=update))
        for name in list(self._trackers):
            self._try(name, lambda name: self._trackers[name].finish())

    def _make(self, name: str) -> None:
        self._trackers[name] = TRACKERS[name](self._folder)

    def _tell(self, name: str, update: TrialUpdate) -> None:
        tracker = self._trackers[name]
        if update.status:
            tracker.close(update)
        else:
            tracker.report(update)

    def _try(self, name: str, act: Callable[[str], None]) -> None:
        try:
            act(name)
        except Exception as error:
            self._trackers.pop(name, None)
            reason = message(first_line(error) or type(error).__name__)
            self._say(f"{name} is left out from here on: {reason}")


def _update(trial: Trial, ended: bool) -> TrialUpdate:
    """The state of a trial after its last report; with `ended`, also how it ended."""
    metrics: Mapping[str, float] = {}
    time = 0.0
    if trial.reports:
        metrics, time = dict(trial.reports[-1].metrics), trial.reports[-1].time
    update = TrialUpdate(trial.id, trial.study, dict(trial.config), trial.epoch, metrics, time)
    if not ended:
        return update
    status = trial.status
    return replace(update, status=status.value, succeeded=status.succeeded, reason=trial.reason)
