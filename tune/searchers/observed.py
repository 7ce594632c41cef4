"""What a model learns from: the history as arrays, with each trial's loss at the highest level that it reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from results.history import History, Status
from search_spaces.space import Space

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

WRONG = (Status.FAILED, Status.OOM, Status.DIVERGED)
"""What ended without a loss that counts: a bad configuration. A trial that only lost its worker waits, and is none of these."""


@dataclass(frozen=True)
class Rows:
    """The units of one history's first `count` trials, in a buffer that grows."""

    space: Space
    buffer: Floats
    count: int


@dataclass(frozen=True)
class Observed:
    """One row a trial, in the order of their numbers.

    units: (trials, dimensions), NaN where inactive. place: the index of the highest level reached, -1 below the first. loss: the one
    recorded at that level, inf where the trial went wrong or reached none. pending: trials without an end, at whatever level.
    """

    units: Floats
    place: Ints
    loss: Floats
    pending: Flags
    wrong: Flags

    @property
    def known(self) -> Flags:
        """The trials that tell something: that reached a level, or went wrong."""
        return (self.place >= 0) | self.wrong


_rows: WeakKeyDictionary[History, Rows] = WeakKeyDictionary()


def units(space: Space, history: History) -> Floats:
    """The history's configurations as points of the unit cube, (trials, dimensions). Each is translated once, then remembered."""
    rows = _rows.get(history)
    if rows is None or rows.space is not space or rows.count > len(history):
        rows = Rows(space, np.empty((64, len(space))), 0)
    if rows.count < len(history):
        buffer = rows.buffer
        if len(history) > len(buffer):
            buffer = np.concatenate([buffer[: rows.count], np.empty((2 * len(history) - rows.count, len(space)))])
        for number in range(rows.count, len(history)):
            buffer[number] = space.to_unit(history[number].config)
        rows = Rows(space, buffer, len(history))
        _rows[history] = rows
    return rows.buffer[: rows.count]


def at_level(history: History, level: int) -> tuple[Ints, Floats]:
    """The numbers of the trials that reached a level, in order of arrival, and their losses there."""
    recorded = history.rungs[level].by_trial
    return np.fromiter(recorded.keys(), np.int64, len(recorded)), np.fromiter(recorded.values(), np.float64, len(recorded))


def observe(space: Space, history: History) -> Observed:
    """The history as arrays."""
    place = np.full(len(history), -1)
    loss = np.full(len(history), np.inf)
    for index, level in enumerate(history.levels):
        numbers, losses = at_level(history, level)
        place[numbers], loss[numbers] = index, losses
    statuses = [trial.status for trial in history]
    wrong = np.fromiter((status in WRONG for status in statuses), np.bool_, len(history))
    pending = np.fromiter((not status.ended for status in statuses), np.bool_, len(history))
    loss[wrong] = np.inf
    return Observed(units(space, history), place, loss, pending, wrong)
