"""Train one trial of a run again, from what the ledger says of it, and hold the numbers against those that were recorded."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.results.storage.run_directory import RunDirectory, RunError
from raysweep.trainables.runtime.resource_monitor import COLUMNS
from raysweep.trainables.runtime.train_job import train_job
from raysweep.tune.load import load_sweep
from raysweep.tune.make_job import job
from raysweep.tune.run_folders import SWEEP


@dataclass(frozen=True)
class Replayed:
    """One epoch: the metrics recorded then, and those of now. Equal on the same machine's CPU."""

    epoch: int
    recorded: dict[str, float]
    again: dict[str, float]

    @property
    def difference(self) -> float:
        """The largest absolute difference among the metrics; NaN against NaN is none."""
        pairs = [
            (self.recorded[name], self.again.get(name, float("nan"))) for name in self.recorded
        ]
        return max(
            (0.0 if a == b or (a != a and b != b) else abs(a - b) for a, b in pairs), default=0.0
        )


def replay(run: RunDirectory, trial_id: str) -> list[Replayed]:
    """Train the trial again for as many epochs as it has. RunError where it has none, or where it fails now."""
    trial = run.trial(trial_id)
    if not trial.reports:
        raise RunError(f"{trial_id} reported nothing; there is nothing to hold a replay against")
    sweep = load_sweep(str(run.path / SWEEP))
    messages: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="raysweep-replay-") as scratch:
        again = job(
            sweep,
            Path(scratch),
            0.0 if trial.notes.get("device", "cpu") == "cpu" else sweep.resources.gpu,
            trial,
        )
        outcome = train_job(replace(again, epochs=trial.epoch, known_epoch=0), messages.append)
    if outcome.status != "completed":
        raise RunError(f"{trial_id} failed when trained again: {outcome.reason}\n{outcome.trace}")
    metrics = {message["epoch"]: message["metrics"] for message in messages}
    recorded = [
        {name: value for name, value in report.metrics.items() if name not in COLUMNS}
        for report in trial.reports
    ]
    return [
        Replayed(report.epoch, past, metrics.get(report.epoch, {}))
        for report, past in zip(trial.reports, recorded, strict=True)
    ]
