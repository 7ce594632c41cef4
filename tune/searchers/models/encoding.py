"""Points of the unit cube as a kernel wants them: a choice as one coordinate for each of its values, what is inactive in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast
from weakref import WeakKeyDictionary

import numpy as np

from raysweep.history import History
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.dataset import (
    FloatArray,
    IntArray,
    Remembered,
    remembered,
    units,
)

_encoded: Remembered = WeakKeyDictionary()


@dataclass(frozen=True)
class Encoding:
    """numbers: the dimensions that are not choices. choices: dimension and how many values, for the others."""

    numbers: IntArray
    choices: tuple[tuple[int, int], ...]

    @property
    def width(self) -> int:
        return len(self.numbers) + sum(count for _, count in self.choices)

    def __call__(self, units: FloatArray) -> FloatArray:
        """(n, dimensions), NaN where inactive, to (n, coordinates)."""
        columns = [np.nan_to_num(units[:, self.numbers], nan=0.5)]
        for dimension, count in self.choices:
            value = units[:, dimension]
            kind = np.where(
                np.isnan(value), -1, np.minimum(np.nan_to_num(value) * count, count - 1)
            ).astype(np.int64)
            columns.append((kind[:, None] == np.arange(count)).astype(np.float64))
        return np.concatenate(columns, axis=1)


def encoding(space: Space) -> Encoding:
    params = list(space.params.values())
    numbers = [i for i, param in enumerate(params) if not isinstance(param, Choice)]
    return Encoding(
        np.array(numbers, np.int64),
        tuple((i, param.count) for i, param in enumerate(params) if isinstance(param, Choice)),
    )


def encoded(space: Space, history: History) -> FloatArray:
    """The history's configurations, (trials, coordinates), each encoded once."""
    encode = encoding(space)
    known = remembered(_encoded, space, history, encode.width)
    if len(known) < len(history):
        known.add(encode(units(space, history)[len(known) :]))
    return cast("FloatArray", known.rows)
