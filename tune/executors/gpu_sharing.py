"""The GPU fraction of each trial under `gpu: auto`.

It is one of as many as may share a device (`tune/executors/packing.py`), or more if the memory that
earlier trials needed says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from raysweep.history import Status, Trial
from raysweep.search_spaces.language.space import Space

MARGIN = 1.2
"""Factor on a measured peak: the same configuration may need a little more next time."""
OOM_MARGIN = 2.0
"""Factor on the peak of a trial that ran out of memory: it needs more than it had."""
CUDA_CONTEXT = 600 * 2**20
"""Bytes that CUDA takes in each process beside what torch allocates."""
MAX_SHARING = 32
"""Processes that share a device at most. CUDA's MPS takes 48 clients."""
N_NEAREST = 3
"""Measured configurations that a prediction looks at."""
RIDGE = 0.1
"""Keeps the trend flat in parameters that hardly varied."""


@dataclass
class Shares:
    """Predicts the memory of trials from the notes of those that were measured."""

    space: Space
    trials: list[Trial] = field(default_factory=list)
    """The trials with measurements."""
    level: int = 1
    """How many processes may share a device."""

    def update(self, trials: Iterable[Trial]) -> None:
        """Take in what is measured by now."""
        self.trials = [
            trial
            for trial in trials
            if trial.notes.get("device_memory") and trial.notes.get("peak_memory")
        ]

    def of(self, trial: Trial) -> float:
        """The smallest fraction 1/n that holds what the trial is predicted to need.

        1 before anything is measured, and at least that of `level` processes.
        """
        return 1 / min(self.level, self._fitting(trial))

    def give(self, trial: Trial) -> float:
        """The fraction for an attempt that starts now.

        A trial that ran out of memory in a smaller one gets a whole device.
        """
        return 1.0 if trial.notes.get("whole_gpu") else self.of(trial)

    @property
    def smallest(self) -> float:
        """The smallest fraction of a measured trial; 1 before anything is measured."""
        return min((self.of(trial) for trial in self.trials), default=1.0)

    @property
    def most(self) -> int:
        """How many of the smallest measured trials fit on a device; 1 before any is measured."""
        return max(map(self._fitting, self.trials), default=1)

    def _fitting(self, trial: Trial) -> int:
        """How many trials as large as this one fit on a device; 1 before any is measured."""
        if not self.trials:
            return 1
        device = min(float(measured.notes["device_memory"]) for measured in self.trials)
        return min(MAX_SHARING, max(1, math.floor(device / self._predicted(trial))))

    def _predicted(self, trial: Trial) -> float:
        """The bytes that the trial is predicted to need.

        The most of the nearest measured configurations, or the trend over all of them if that is
        more.
        """
        points = np.nan_to_num(
            np.array([self.space.to_unit(measured.config) for measured in self.trials]), nan=0.5
        )
        point = np.nan_to_num(self.space.to_unit(trial.config), nan=0.5)
        logs = np.log([needed_memory(measured) for measured in self.trials])
        distances = np.linalg.norm(points - point, axis=1)
        nearest = np.argsort(distances, kind="stable")[:N_NEAREST]
        predicted = float(logs[nearest].max())
        if len(logs) > points.shape[1] + 1:  # enough for a linear trend in each parameter
            centre = points.mean(axis=0)
            slope = np.linalg.solve(
                (points - centre).T @ (points - centre) + RIDGE * np.eye(len(point)),
                (points - centre).T @ (logs - logs.mean()),
            )
            predicted = max(predicted, float(logs.mean() + (point - centre) @ slope))
        return math.exp(predicted)


def needed_memory(trial: Trial) -> float:
    """The bytes that a measured trial needs of a device."""
    ran_out = trial.status is Status.OOM or trial.notes.get("accumulation", 1) > 1
    margin = OOM_MARGIN if ran_out else MARGIN
    return float(trial.notes["peak_memory"]) * margin + CUDA_CONTEXT
