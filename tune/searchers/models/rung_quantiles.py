"""Where each trial stands among all, in one number, although trials were stopped at different epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.history import History, Rung
from raysweep.tune.searchers.models.dataset import FloatArray, IntArray, arrivals

MOST_LEVELS = 6


@dataclass(frozen=True)
class Standing:
    """numbers: the trials that reached a level. place: the index of the highest one they reached. share: (0, 1), the better the less.
    steps: where each stood at each level on its way.

    `share` is the part of all trials that are better. At the first level it is the rank there; those that reached the next one exchange
    the shares that they hold among themselves, by their ranks at that level; and so on to the top. A trial that was stopped keeps its own.
    """

    numbers: IntArray
    place: IntArray
    share: FloatArray
    steps: Steps

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Steps:
    """One for each trial and level that it reached. trial: the index in `numbers`. place: the level's index. share: what was held there."""

    trial: IntArray
    place: IntArray
    share: FloatArray


def standing(history: History, counts: Sequence[int] | None = None) -> Standing:
    """Where the trials stand. counts: how many of each of `compared`'s rungs are looked at, the first to arrive; None looks at all."""
    rungs = compared(history)
    (numbers, losses), *higher = [
        _first(rung, None if counts is None else counts[i]) for i, rung in enumerate(rungs)
    ]
    share, place = _ranks(losses) / len(losses), np.zeros(len(numbers), np.int64)
    steps = [(np.arange(len(numbers)), place.copy(), share.copy())]
    if not len(numbers):
        return Standing(numbers, place, share, Steps(*steps[0]))
    index = np.full(int(numbers.max()) + 1, -1)
    index[numbers] = np.arange(len(numbers))
    for depth, (there, values) in enumerate(higher, 1):
        known = there < len(index)
        known[known] = index[there[known]] >= 0
        mine = index[there[known]]
        place[mine] = depth
        share[mine] = _exchanged(np.sort(share[mine]), values[known])
        steps.append((mine, place[mine], share[mine]))
    trial, at, held = (np.concatenate(part) for part in zip(*steps, strict=True))
    return Standing(numbers, place, share, Steps(trial, at, held))


def compared(history: History) -> list[Rung]:
    """The rungs that are looked at: all, or a few spread over their logarithms where there are many."""
    rungs = list(history.rungs.values())
    if len(rungs) <= MOST_LEVELS:
        return rungs
    chosen = np.unique(np.geomspace(1, len(rungs), MOST_LEVELS).round().astype(int) - 1)
    return [rungs[i] for i in chosen]


def _first(rung: Rung, count: int | None) -> tuple[IntArray, FloatArray]:
    numbers, losses = arrivals(rung)
    return numbers[:count], losses[:count]


def _ranks(losses: FloatArray) -> FloatArray:
    """0.5 for the best, 1.5 for the next, ...; equal losses share the mean of theirs."""
    _, kind, count = np.unique(losses, return_inverse=True, return_counts=True)
    after: FloatArray = np.cumsum(count) - 0.5 * count
    return np.asarray(after[kind], dtype=np.float64)


def _exchanged(shares: FloatArray, losses: FloatArray) -> FloatArray:
    """The sorted shares given out by the ranks of the losses; equal losses get the same."""
    if not len(losses):
        return shares
    at = _ranks(losses) - 0.5
    return np.asarray(np.interp(at, np.arange(len(shares)), shares), dtype=np.float64)
