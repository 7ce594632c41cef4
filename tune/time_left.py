"""How long a sweep still takes, as an estimate and as a person is shown it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from raysweep.history import History
from raysweep.repeats import REPEATS
from raysweep.tune.budget import describe_budget
from raysweep.tune.sweep import Sweep

STEADY_SECONDS = 20.0
"""Seconds in which most of the way to a new estimate of the time left is made."""


class Progress(Protocol):
    """What an estimate of the time left needs to know, as a controller does. Times in seconds."""

    @property
    def sweep(self) -> Sweep: ...

    @property
    def histories(self) -> Mapping[str, History]: ...

    @property
    def seconds(self) -> float: ...

    @property
    def training_seconds(self) -> float: ...


class SteadyTime:
    """The time left, which runs down with the clock and comes near to new estimates without jumps.

    An estimate changes at once when a trial ends early; a person reads that as a clock that is
    broken.
    """

    def __init__(self) -> None:
        self._shown: float | None = None
        self._time = 0.0

    def follow(self, estimate: float | None, now: float) -> float | None:
        """The seconds to show at `now`; None as long as there is no estimate."""
        if estimate is None or self._shown is None:
            self._shown, self._time = estimate, now
            return estimate
        passed, self._time = now - self._time, now
        expected = max(0.0, self._shown - passed)
        nearer = 1.0 - math.exp(-passed / STEADY_SECONDS)
        self._shown = expected + nearer * (estimate - expected)
        return self._shown


def time_left(controller: Progress) -> float | None:
    """Seconds that the rest takes if it continues at the same pace; None if not known yet."""
    budget = controller.sweep.budget
    spent = controller.training_seconds  # without Ray's start, which happens once
    fraction = _fraction_spent(controller)
    known = []
    if fraction > 0 and spent > 0:
        known.append(spent * (1 - fraction) / fraction)
    if budget.seconds is not None:
        known.append(budget.seconds - controller.seconds)
    return max(0.0, min(known)) if known else None


def _fraction_spent(controller: Progress) -> float:
    """The fraction of the whole budget that is spent, in 0 .. 1."""
    budget = controller.sweep.budget
    fractions = [
        _study_fraction(history, budget.trials, budget.total_epochs, budget.epochs)
        for history in controller.histories.values()
    ]
    if not describe_budget(controller.sweep):
        return sum(fractions) / len(fractions)
    # Every study is to train as many epochs as the one that will train most.
    epochs = [history.epochs for history in controller.histories.values()]
    expected = [
        spent / fraction for spent, fraction in zip(epochs, fractions, strict=True) if fraction
    ]
    most = max(expected, default=0.0)
    return sum(epochs) / (len(epochs) * most) if most else 0.0


def _study_fraction(history: History, trials: int | None, epochs: int | None, length: int) -> float:
    """The fraction of a study's budget that is spent, in 0 .. 1.

    length: the epochs of a whole trial. A trial counts by the part of it that is trained.
    """
    spent = []
    if trials:
        unfinished = [
            trial for trial in history if not trial.status.ended and REPEATS not in trial.notes
        ]
        begun = sum(min(1.0, trial.epoch / length) for trial in unfinished)
        spent.append((history.n_configurations - len(unfinished) + begun) / trials)
    if epochs:
        spent.append(history.epochs / epochs)
    return min(1.0, max(spent, default=0.0))
