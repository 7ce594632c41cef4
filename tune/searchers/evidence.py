"""What a history tells a model: points of the unit cube and how good they were, compared at equal epochs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from results.history import History, Status, Trial
from search_spaces.space import Space

Array = np.ndarray[Any, Any]


def counts(trial: Trial) -> bool:
    """Whether a trial says something of its configuration: it reported, diverged, or ran out of memory. A lost machine says nothing."""
    return bool(trial.reports) or trial.status in (Status.OOM, Status.FAILED)


def at_level(history: History, space: Space, level: int) -> tuple[Array, Array]:
    """The points of the trials that reached a level, float64 of shape (n, len(space)), NaN where inactive, and their losses there, (n,)."""
    rung = history.rungs[level]
    rows = [(space.to_unit(history[number].config), loss) for number, loss in rung.by_trial.items()]
    lowest = level == history.levels[0]
    rows += [(space.to_unit(trial.config), math.inf) for trial in history if lowest and not trial.reports and counts(trial)]
    points = np.array([point for point, _ in rows]).reshape(len(rows), len(space))
    return points, np.array([loss for _, loss in rows])


def ranked(history: History) -> list[Trial]:
    """Trials that say something, best first: by the highest level reached, then by the loss there.

    A stopped trial's last value is not held against another's final one: what went further under a scheduler was better where they met.
    """
    return sorted((trial for trial in history if counts(trial)), key=lambda trial: _order(trial, history))


def _order(trial: Trial, history: History) -> tuple[float, float, int]:
    level = history.level_of(trial.epoch) if math.isfinite(trial.loss) else None
    if level is None:
        return (0.0, trial.loss, trial.number)
    return (-level, history.rungs[level].by_trial[trial.number], trial.number)
