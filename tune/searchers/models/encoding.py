"""Points of the unit cube as the kernel of a Gaussian process needs them.

A choice becomes one coordinate for each of its values, and an inactive parameter lies in the middle
of its range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space


@dataclass(frozen=True)
class Encoding:
    """Encodes points of the unit cube.

    `numbers` are the dimensions that are not choices. `choices` are the others, each with its
    number of values.
    """

    numbers: IntArray
    choices: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, space: Space) -> Encoding:
        params = list(space.params.values())
        numbers = [i for i, param in enumerate(params) if not isinstance(param, Choice)]
        choices = ((i, param.count) for i, param in enumerate(params) if isinstance(param, Choice))
        return cls(np.array(numbers, np.int64), tuple(choices))

    @property
    def width(self) -> int:
        """The number of coordinates."""
        return len(self.numbers) + sum(count for _, count in self.choices)

    def __call__(self, units: FloatArray) -> FloatArray:
        """Points (n, dimensions), NaN where inactive, as coordinates (n, width)."""
        columns = [np.nan_to_num(units[:, self.numbers], nan=0.5)]
        for dimension, count in self.choices:
            value = units[:, dimension]
            index = np.where(
                np.isnan(value), -1, np.minimum(np.nan_to_num(value) * count, count - 1)
            ).astype(np.int64)
            columns.append((index[:, None] == np.arange(count)).astype(np.float64))
        return np.concatenate(columns, axis=1)
