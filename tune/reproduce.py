"""Train a trial of a run again, and compare its metrics with the recorded ones."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.history import Report, Trial
from raysweep.results.storage.run_directory import RunDirectory, RunError
from raysweep.trainables.runtime.resource_monitor import COLUMNS
from raysweep.trainables.runtime.train_job import train_job
from raysweep.tune.executors.debug import kept_environment
from raysweep.tune.kept_checkpoints import TrialCheckpoints
from raysweep.tune.make_job import job
from raysweep.tune.run_folders import recorded_sweep
from raysweep.tune.sweep import Sweep


@dataclass(frozen=True)
class EpochComparison:
    """The metrics of one epoch, as recorded and as reproduced. Equal on the same machine's CPU."""

    epoch: int
    recorded: dict[str, float]
    reproduced: dict[str, float]

    @property
    def difference(self) -> float:
        """The largest absolute difference among the metrics; two NaN are equal."""
        differences = [0.0]
        for name, value in self.recorded.items():
            other = self.reproduced.get(name, math.nan)
            if value == other or (math.isnan(value) and math.isnan(other)):
                continue
            difference = abs(value - other)
            differences.append(math.inf if math.isnan(difference) else difference)
        return max(differences)


def reproduce(run: RunDirectory, trial_id: str) -> list[EpochComparison]:
    """Train a trial again for as many epochs as it has.

    Raises RunError if it has none, or if it fails now.
    """
    trial = run.trial(trial_id)
    if not trial.reports:
        raise RunError(f"{trial_id} reported nothing, so there is nothing to reproduce")
    sweep = recorded_sweep(run.path)
    messages: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="raysweep-reproduce-") as scratch:
        _train(run, sweep, trial, Path(scratch), trial.epoch, messages.append)
    metrics = {message["epoch"]: message["metrics"] for message in messages}
    return [
        EpochComparison(report.epoch, _without_columns(report), metrics.get(report.epoch, {}))
        for report in trial.reports
    ]


def _train(
    run: RunDirectory,
    sweep: Sweep,
    trial: Trial,
    scratch: Path,
    epochs: int,
    send: Callable[[dict[str, Any]], None],
) -> None:
    """Train a trial to an epoch, after the trial with whose checkpoint it begins, if any."""
    if "parent" in trial.notes:
        parent = run.trial(trial.notes["parent"])
        _train(run, sweep, parent, scratch, trial.start, lambda message: None)
        TrialCheckpoints(scratch, sweep).keep(parent, trial.notes["enqueued"])
    known = trial.start
    again = replace(job(sweep, scratch, trial), epochs=epochs, known_epoch=known)
    if trial.notes.get("device", "cpu") == "cpu":
        again = replace(again, gpu=0.0)
    with kept_environment():  # without a GPU, a trial hides the GPUs from its process
        outcome = train_job(again, send)
    if outcome.status != "completed":
        raise RunError(f"{trial.id} failed when trained again: {outcome.reason}\n{outcome.trace}")


def _without_columns(report: Report) -> dict[str, float]:
    """The metrics that the train function itself reported."""
    return {name: value for name, value in report.metrics.items() if name not in COLUMNS}
