"""What a model learns from: the trials of a history as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, cast

import numpy as np

from raysweep.arrays import BoolArray, FloatArray, IntArray
from raysweep.history import History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.untried import Untried


class GrowingArray:
    """An array to which rows are appended. `rows` shows all of them, and is read-only."""

    def __init__(self, *shape: int, dtype: type = np.float64) -> None:
        self._buffer: np.ndarray[Any, np.dtype[Any]] = np.empty((64, *shape), dtype)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: Any) -> None:
        start, self._count = self._count, self._count + len(rows)
        if self._count > len(self._buffer):
            old, shape = self._buffer, self._buffer.shape[1:]
            self._buffer = np.empty((2 * self._count, *shape), old.dtype)
            self._buffer[:start] = old[:start]
        self._buffer[start : self._count] = rows

    @property
    def rows(self) -> Any:
        view = self._buffer[: self._count]
        view.flags.writeable = False
        return view


class DatasetCache:
    """The arrays of one history. Each trial, and each arrival at a rung, is translated once.

    A searcher keeps one for each history (`per_history.py`). `drawn_space`: the space as points are
    drawn from it, whose priors a searcher may drop.
    """

    def __init__(self, space: Space) -> None:
        self.drawn_space = space
        self.encoding = Encoding.of(space)
        self.units = GrowingArray(len(space))
        self.encoded = GrowingArray(self.encoding.width)
        self.arrivals: dict[int, tuple[GrowingArray, GrowingArray]] = {}
        self.untried = Untried(space)


@dataclass(frozen=True)
class Dataset:
    """A history as arrays. The arrays about trials have a row for each, in order of their numbers.

    It describes the history as it is when it is made; make another one after the next event.
    """

    space: Space
    history: History
    cache: DatasetCache

    @classmethod
    def of(cls, space: Space, history: History) -> Dataset:
        """A dataset that is used once."""
        return cls(space, history, DatasetCache(space))

    @cached_property
    def units(self) -> FloatArray:
        """The configurations as points of the unit cube, (trials, dimensions), NaN if inactive."""
        known, space, history = self.cache.units, self.space, self.history
        new = range(len(known), len(history))
        if new:
            known.append([space.to_unit(history[number].config) for number in new])
        return cast("FloatArray", known.rows)

    @cached_property
    def encoded(self) -> FloatArray:
        """The configurations as coordinates, (trials, coordinates); see `encoding.py`."""
        known = self.cache.encoded
        if len(known) < len(self.history):
            known.append(self.cache.encoding(self.units[len(known) :]))
        return cast("FloatArray", known.rows)

    @cached_property
    def untried(self) -> Untried:
        """The configurations of the space without those of the history."""
        return self.cache.untried.read(self.history)

    def arrivals(self, level: int) -> tuple[IntArray, FloatArray]:
        """The numbers of the trials that reached a rung, in order of arrival, and their losses."""
        rung = self.history.rungs[level]
        if level not in self.cache.arrivals:
            self.cache.arrivals[level] = GrowingArray(dtype=np.int64), GrowingArray()
        numbers, losses = self.cache.arrivals[level]
        if len(numbers) < len(rung):
            new = list(islice(reversed(rung.by_trial.items()), len(rung) - len(numbers)))[::-1]
            numbers.append([number for number, _ in new])
            losses.append([loss for _, loss in new])
        return numbers.rows, losses.rows

    @property
    def rung_index(self) -> IntArray:
        """The index of the highest rung that each trial reached, -1 if it reached none."""
        return self._at_highest_rung[0]

    @property
    def loss(self) -> FloatArray:
        """The loss of each trial at its highest rung; inf if it failed or reached none."""
        return self._at_highest_rung[1]

    @cached_property
    def _at_highest_rung(self) -> tuple[IntArray, FloatArray]:
        rung_index = np.full(len(self.history), -1)
        loss = np.full(len(self.history), np.inf)
        for index, level in enumerate(self.history.levels):
            numbers, losses = self.arrivals(level)
            rung_index[numbers], loss[numbers] = index, losses
        loss[self.failed] = np.inf
        return rung_index, loss

    @cached_property
    def failed(self) -> BoolArray:
        """The trials that failed, diverged or ran out of memory.

        A trial whose worker failed is waiting for another one, and is not among them. Nor is one
        that began with the checkpoint of another trial, because that may be why it failed.
        """
        failed = np.zeros(len(self.history), np.bool_)
        failed[list(self.history.failed)] = True
        return failed

    @property
    def seeds(self) -> IntArray:
        """The seeds of each trial's configuration, over which its loss is the mean, (trials,)."""
        seeds = (trial.notes.get("seeds", 1) for trial in self.history)
        return np.fromiter(seeds, np.int64, len(self.history))

    @cached_property
    def pending(self) -> BoolArray:
        """The trials that have not ended, whatever rung they have reached."""
        not_ended = (not trial.status.ended for trial in self.history)
        return np.fromiter(not_ended, np.bool_, len(self.history))

    @property
    def observed(self) -> BoolArray:
        """The trials with an outcome: they reached a rung, or failed."""
        return (self.rung_index >= 0) | self.failed
