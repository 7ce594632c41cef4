"""The share of a GPU that a trial gets under `gpu: auto`: from measured peaks of memory, more where more is predicted.

The first trial has a whole device to itself until its first report; then it goes on from its checkpoint with its share, beside others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from raysweep.history import Status, Trial
from raysweep.search_spaces.language.space import Space

MARGIN = 1.2
CONTEXT = 600 * 2**20
"""What CUDA takes in each process beside what torch allocates, in bytes."""
MOST = 8
"""So many trials share a device at most: beyond, their kernels wait for each other."""
NEAREST = 3


@dataclass
class Shares:
    """Reads the peaks from the notes of `trials`, so that a resumed sweep knows them."""

    space: Space
    trials: list[Trial] = field(default_factory=list)
    measuring: str = ""

    def update(self, trials: Iterable[Trial]) -> None:
        """Take in what is measured by now."""
        self.trials = [
            trial
            for trial in trials
            if trial.notes.get("device_memory") and trial.notes.get("peak_memory")
        ]

    def of(self, trial: Trial) -> float:
        """1 before anything is measured; then 1/n, the smallest that holds what the trial is predicted to need."""
        if not self.trials:
            return 1.0
        total = min(float(one.notes["device_memory"]) for one in self.trials)
        return 1 / min(MOST, max(1, math.floor(total / self._predicted(trial))))

    def give(self, trial: Trial) -> float:
        """The share for an attempt that starts now. A trial that ran out of memory in a smaller one has a whole device for itself."""
        if not self.trials:
            self.measuring = trial.id
        return 1.0 if self.trials and trial.notes.get("share") == 1.0 else self.of(trial)

    def shrinks(self, trial: Trial) -> bool:
        """Whether a running trial holds more than it turned out to need, because it was the one that was measured."""
        return trial.id == self.measuring and self.of(trial) < 1.0

    @property
    def smallest(self) -> float:
        """With which to count how many trials find room; 1 before anything is measured."""
        return min((self.of(trial) for trial in self.trials), default=1.0)

    def _predicted(self, trial: Trial) -> float:
        """Bytes: the most of the nearest measured configurations, or the trend over all of them where that is more."""
        points = np.nan_to_num(
            np.array([self.space.to_unit(one.config) for one in self.trials]), nan=0.5
        )
        point = np.nan_to_num(self.space.to_unit(trial.config), nan=0.5)
        logs = np.log([need(one) for one in self.trials])
        near = np.argsort(np.linalg.norm(points - point, axis=1), kind="stable")[:NEAREST]
        found = float(logs[near].max())
        if len(logs) > points.shape[1] + 1:
            centre = points.mean(axis=0)
            slope = np.linalg.solve(
                (points - centre).T @ (points - centre) + 0.1 * np.eye(len(point)),
                (points - centre).T @ (logs - logs.mean()),
            )
            found = max(found, float(logs.mean() + (point - centre) @ slope))
        return math.exp(found)


def need(trial: Trial) -> float:
    """What a measured trial needs of a device, in bytes. One that ran out of memory needs twice what it had, for all that is known."""
    short = trial.status is Status.OOM or trial.notes.get("accumulation", 1) > 1
    return float(trial.notes["peak_memory"]) * (2.0 if short else MARGIN) + CONTEXT
