"""`track: [wandb, mlflow]`: what is reported goes there as well, a run for each trial.

Written by the driver from the events of the ledger, and not by Ray's callbacks: those see nothing of a trial's configuration and metrics,
which travel packed. A thread does it, so that no training waits for a tracker. One that fails is left out; the sweep goes on.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from raysweep.errors import UserError
from raysweep.history import Event, Trial
from raysweep.results.storage.tables import flatten
from raysweep.text_limits import message, shorten, visible

MLFLOW_NAME_CHARACTERS = 250
MLFLOW_VALUE_CHARACTERS = 500
"""The longest name, and the longest value of a parameter, that every version of MLflow takes."""
PATIENCE = 60.0
"""Seconds that the end of a session waits for what is still on its way to a tracker."""


class TrackerError(UserError):
    """A tracker that cannot be used here, in one line."""


@dataclass(frozen=True)
class Told:
    """What a tracker hears of a trial: a report, or with a `status` its end."""

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
    """Hears of every report and of every end."""

    def report(self, told: Told) -> None: ...

    def close(self, told: Told) -> None: ...

    def finish(self) -> None: ...


def check(names: Sequence[str]) -> None:
    """TrackerError where one is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise TrackerError(f"track: {name} is not installed: pip install {name}")


class Trackers:
    """All trackers of a sweep. `say` tells a person which one failed."""

    def __init__(self, names: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
        self._folder, self._say = folder, say
        self._queue: queue.Queue[Told | None] = queue.Queue()
        self._trackers: dict[str, Tracker] = {}
        self._thread = threading.Thread(target=self._work, args=(names,), daemon=True)
        if names:
            self._thread.start()

    def applied(self, event: Event, trial: Trial) -> None:
        """Called after an event of a trial changed its history."""
        if not self._thread.is_alive() or event["event"] not in ("reported", "ended"):
            return
        last = trial.reports[-1] if trial.reports else None
        told = Told(
            trial.id,
            trial.study,
            dict(trial.config),
            trial.epoch,
            dict(last.metrics) if last else {},
            last.time if last else 0.0,
        )
        if event["event"] == "ended":
            told = replace(
                told,
                status=trial.status.value,
                succeeded=trial.status.succeeded,
                reason=trial.reason,
            )
        self._queue.put(told)

    def finish(self) -> None:
        """The session is over; a trial that is not goes on in another one, as the same run where the tracker knows such."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(PATIENCE)

    def _work(self, names: Sequence[str]) -> None:
        for name in names:
            self._try(name, lambda name: self._trackers.update({name: KINDS[name](self._folder)}))
        while (told := self._queue.get()) is not None:
            self._each(told)
        for name in list(self._trackers):
            self._try(name, lambda name: self._trackers[name].finish())

    def _each(self, told: Told) -> None:
        for name in list(self._trackers):
            self._try(
                name,
                lambda name: (
                    self._trackers[name].close if told.status else self._trackers[name].report
                )(told),
            )

    def _try(self, name: str, act: Callable[[str], None]) -> None:
        try:
            act(name)
        except Exception as error:
            self._trackers.pop(name, None)
            self._say(f"{name} is left out from here on: {_reason(error)}")


def _reason(error: Exception) -> str:
    """The first line of what a tracker raised."""
    return message((str(error).splitlines() or [type(error).__name__])[0])


class Wandb:
    """Weights & Biases: a group for the sweep. Offline unless `WANDB_API_KEY` or `WANDB_MODE` says otherwise, so that it never asks."""

    def __init__(self, folder: Path) -> None:
        import wandb

        self._wandb: Any = wandb
        self._folder = folder
        self._mode = os.environ.get("WANDB_MODE") or (
            "online" if os.environ.get("WANDB_API_KEY") else "offline"
        )
        self._runs: dict[str, Any] = {}

    def report(self, told: Told) -> None:
        self._run(told).log(dict(told.metrics), step=told.epoch)

    def close(self, told: Told) -> None:
        run = self._run(told)
        run.summary["status"], run.summary["reason"] = told.status, told.reason
        run.finish(exit_code=0 if told.succeeded else 1)
        del self._runs[told.trial]

    def finish(self) -> None:
        for run in self._runs.values():
            run.finish()
        self._runs.clear()
        self._wandb.teardown()  # waits until all is on disk

    def _run(self, told: Told) -> Any:
        if told.trial not in self._runs:
            self._runs[told.trial] = self._wandb.init(
                project="raysweep",
                group=self._folder.name,
                name=told.trial,
                id=f"{self._folder.name}-{told.trial}",
                resume="allow",
                config=dict(told.config),
                dir=str(self._folder),
                mode=self._mode,
                reinit="create_new",
                settings=self._wandb.Settings(
                    silent=True,
                    console="off",
                    x_disable_stats=True,
                    disable_git=True,
                    disable_code=True,
                ),
            )
        return self._runs[told.trial]


class Mlflow:
    """MLflow: an experiment for the sweep, in `MLFLOW_TRACKING_URI`, else in the run folder's `mlruns/`."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient(
            os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve() / "mlruns").as_uri()
        )
        found = self._client.get_experiment_by_name(folder.name)
        self._experiment = (
            found.experiment_id if found else self._client.create_experiment(folder.name)
        )
        self._runs: dict[str, str] = {}
        self._going: set[str] = set()

    def report(self, told: Told) -> None:
        run = self._run(told)
        self._going.add(run)
        for name, value in told.metrics.items():
            self._client.log_metric(
                run, mlflow_name(name), value, timestamp=int(told.time * 1000), step=told.epoch
            )

    def close(self, told: Told) -> None:
        run = self._run(told)
        self._client.set_tag(run, "status", told.status)
        self._client.set_tag(run, "reason", told.reason)
        self._client.set_terminated(run, "FINISHED" if told.succeeded else "FAILED")
        self._going.discard(run)  # a trial that is promoted goes on in the same run

    def finish(self) -> None:
        for run in self._going:
            self._client.set_terminated(run, "KILLED")
        self._runs.clear()

    def _run(self, told: Told) -> str:
        if told.trial not in self._runs:
            run = self._client.create_run(
                self._experiment, run_name=told.trial, tags={"searcher": told.study}
            )
            self._runs[told.trial] = run.info.run_id
            for name, value in flatten(dict(told.config)).items():
                self._client.log_param(run.info.run_id, mlflow_name(name), _mlflow_text(value))
        return self._runs[told.trial]


def mlflow_name(name: str) -> str:
    """A name that MLflow takes: letters, digits and `_-. :/`, and no other path than this one."""
    parts = re.sub(r"[^-/\w.: ]", "_", name).split("/")
    kept = "/".join(part for part in parts if part.strip(". "))
    return kept[:MLFLOW_NAME_CHARACTERS] or "_"


def _mlflow_text(value: Any) -> str:
    return shorten(visible(str(value)), MLFLOW_VALUE_CHARACTERS)


KINDS: dict[str, Callable[[Path], Tracker]] = {"wandb": Wandb, "mlflow": Mlflow}
