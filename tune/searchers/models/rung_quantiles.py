"""The quantile of each trial among all, although trials were stopped at different epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.history import History, Rung
from raysweep.tune.searchers.models.dataset import Dataset

MAX_RUNGS = 6
"""If a scheduler has more rungs (the median rule has one at each epoch), these many are used."""


@dataclass(frozen=True)
class Quantiles:
    """The quantiles of m trials, in (0, 1), the better the lower.

    The quantile of a trial is the part of all trials that are better. At the lowest rung it comes
    from the rank there. The trials that reached the next rung exchange the quantiles that they hold
    among themselves, by their ranks at that rung, and so on to the highest rung. So a trial that
    was stopped keeps the quantile that it has.
    """

    numbers: IntArray
    """(m,): the numbers of the trials that reached a rung."""
    rung_index: IntArray
    """(m,): the index of the highest rung that each reached."""
    quantile: FloatArray
    """(m,): at that rung."""
    path: QuantilePath

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class QuantilePath:
    """The quantile of each trial at each rung that it reached: n of them, rung by rung."""

    trial_index: IntArray
    """(n,): the index of the trial in `Quantiles.numbers`."""
    rung_index: IntArray
    """(n,)"""
    quantile: FloatArray
    """(n,)"""


def rung_quantiles(dataset: Dataset, counts: Sequence[int] | None = None) -> Quantiles:
    """The quantiles of all trials that reached a rung.

    `counts`: how many of the arrivals at each of `compared_rungs` are used, the first ones; None
    uses all.
    """
    arrivals = [dataset.arrivals(rung.level) for rung in compared_rungs(dataset.history)]
    if counts is not None:
        arrivals = [
            (numbers[:count], losses[:count])
            for (numbers, losses), count in zip(arrivals, counts, strict=True)
        ]
    (numbers, losses), *higher = arrivals
    quantile, rung_index = _ranks(losses) / len(losses), np.zeros(len(numbers), np.int64)
    steps = [(np.arange(len(numbers)), rung_index.copy(), quantile.copy())]
    if not len(numbers):
        return Quantiles(numbers, rung_index, quantile, QuantilePath(*steps[0]))
    index = np.full(int(numbers.max()) + 1, -1)
    index[numbers] = np.arange(len(numbers))
    for depth, (there, values) in enumerate(higher, 1):
        # With counts, a trial may be among the first at a rung and not at the lowest one.
        known = there < len(index)
        known[known] = index[there[known]] >= 0
        reached = index[there[known]]
        rung_index[reached] = depth
        quantile[reached] = _exchanged(np.sort(quantile[reached]), values[known])
        steps.append((reached, rung_index[reached], quantile[reached]))
    trial_index, at, held = (np.concatenate(part) for part in zip(*steps, strict=True))
    return Quantiles(numbers, rung_index, quantile, QuantilePath(trial_index, at, held))


def compared_rungs(history: History) -> list[Rung]:
    """The rungs that are used: all, or MAX_RUNGS that are spread evenly over their logarithms."""
    rungs = list(history.rungs.values())
    if len(rungs) <= MAX_RUNGS:
        return rungs
    chosen = np.unique(np.geomspace(1, len(rungs), MAX_RUNGS).round().astype(int) - 1)
    return [rungs[i] for i in chosen]


def _ranks(losses: FloatArray) -> FloatArray:
    """0.5 for the best, 1.5 for the next, ...; equal losses share the mean of their ranks."""
    _, group, count = np.unique(losses, return_inverse=True, return_counts=True)
    middle: FloatArray = np.cumsum(count) - 0.5 * count
    return np.asarray(middle[group], dtype=np.float64)


def _exchanged(quantiles: FloatArray, losses: FloatArray) -> FloatArray:
    """The sorted quantiles, given out by the ranks of the losses; equal losses get the same."""
    if not len(losses):
        return quantiles
    at = _ranks(losses) - 0.5
    return np.asarray(np.interp(at, np.arange(len(quantiles)), quantiles), dtype=np.float64)
