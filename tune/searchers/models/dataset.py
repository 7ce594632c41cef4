"""What a model learns from: the history as arrays, with each trial's loss at the highest level that it reached."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, cast
from weakref import WeakKeyDictionary

import numpy as np

from raysweep.history import History, Rung, Status
from raysweep.search_spaces.language.space import Space

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

WRONG = (Status.FAILED, Status.OOM, Status.DIVERGED)
"""What ended without a loss that counts: a bad configuration. A trial that only lost its worker waits, and is none of these."""


class Growing:
    """Rows of an array that are added as they come, and made once."""

    def __init__(self, *shape: int, dtype: type = np.float64) -> None:
        self._buffer: np.ndarray[Any, np.dtype[Any]] = np.empty((64, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: Any) -> None:
        start, self._count = self._count, self._count + len(rows)
        if self._count > len(self._buffer):
            before, self._buffer = (
                self._buffer,
                np.empty((2 * self._count, *self._buffer.shape[1:]), self._buffer.dtype),
            )
            self._buffer[:start] = before[:start]
        self._buffer[start : self._count] = rows

    @property
    def rows(self) -> Any:
        """All of them, to read."""
        view = self._buffer[: self._count]
        view.flags.writeable = False
        return view


@dataclass(frozen=True)
class Observed:
    """One row a trial, in the order of their numbers.

    units: (trials, dimensions), NaN where inactive. place: the index of the highest level reached, -1 below the first. loss: the one
    recorded at that level, inf where the trial went wrong or reached none. pending: trials without an end, at whatever level.
    """

    units: FloatArray
    place: IntArray
    loss: FloatArray
    pending: Flags
    failed: Flags

    @property
    def known(self) -> Flags:
        """The trials that tell something: that reached a level, or went wrong."""
        return (self.place >= 0) | self.failed


Remembered = WeakKeyDictionary[History, tuple[Space, Growing]]
_units: Remembered = WeakKeyDictionary()
_arrivals: WeakKeyDictionary[Rung, tuple[Growing, Growing]] = WeakKeyDictionary()


def units(space: Space, history: History) -> FloatArray:
    """The history's configurations as points of the unit cube, (trials, dimensions). Each is translated once, then remembered."""
    known = remembered(_units, space, history, len(space))
    if len(known) < len(history):
        known.add(
            [space.to_unit(history[number].config) for number in range(len(known), len(history))]
        )
    return cast("FloatArray", known.rows)


def remembered(memo: Remembered, space: Space, history: History, width: int) -> Growing:
    """The rows of a history's trials, one each, that were made before."""
    of, known = memo.get(history, (None, None))
    if of is not space or known is None:
        memo[history] = space, known = space, Growing(width)
    return known


def arrivals(rung: Rung) -> tuple[IntArray, FloatArray]:
    """The numbers of the trials that reached a rung, in order of arrival, and their losses there."""
    numbers, losses = _arrivals.setdefault(rung, (Growing(dtype=np.int64), Growing()))
    if len(numbers) < len(rung):
        new = list(islice(reversed(rung.by_trial.items()), len(rung) - len(numbers)))[::-1]
        numbers.add([number for number, _ in new])
        losses.add([loss for _, loss in new])
    return numbers.rows, losses.rows


def observe(space: Space, history: History) -> Observed:
    """The history as arrays."""
    place = np.full(len(history), -1)
    loss = np.full(len(history), np.inf)
    for index, level in enumerate(history.levels):
        numbers, losses = arrivals(history.rungs[level])
        place[numbers], loss[numbers] = index, losses
    statuses = [trial.status for trial in history]
    wrong = np.fromiter((status in WRONG for status in statuses), np.bool_, len(history))
    pending = np.fromiter((not status.ended for status in statuses), np.bool_, len(history))
    loss[wrong] = np.inf
    return Observed(units(space, history), place, loss, pending, wrong)
