"""A model of each earlier run: how good its configurations were, from what it shares with this one.

Quantiles are compared by their logarithms, which spread the best ones, as the process of `auto`
does with its own trials. So runs whose losses have nothing in common are of one scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.memory.sources import Source, position
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import GaussianProcess, Observations, fit


@dataclass(frozen=True)
class Surrogate:
    """A Gaussian process over the trials of an earlier run, in the space of this sweep.

    units: (n, dimensions), the trials, NaN where a parameter is not matched or has no place.
    columns: the coordinates of the encoding that belong to matched parameters. quantile: (n,).
    """

    source: Source
    units: FloatArray
    columns: IntArray
    quantile: FloatArray
    model: GaussianProcess

    @classmethod
    def of(cls, source: Source, space: Space, encoding: Encoding) -> Surrogate | None:
        """The model of a source; None if the space has none of its parameters any more."""
        columns = _columns(space, encoding, source)
        if not len(columns):
            return None
        units = _units(space, source)
        x, quantile = encoding(units)[:, columns], np.array(source.quantiles)
        observations = Observations(x, np.arange(len(x)), np.zeros(len(x), np.int64))
        y = np.log(np.maximum(quantile, 1e-6))
        y = (y - y.mean()) / (y.std() or 1.0)
        model = GaussianProcess.condition(fit(observations, y), observations, y)
        return cls(source, units, columns, quantile, model)

    def __call__(self, encoded: FloatArray) -> FloatArray:
        """The logarithm of the quantile expected at encoded points (k, width), standardised."""
        return self.model.predict_mean(encoded[:, self.columns])


def _units(space: Space, source: Source) -> FloatArray:
    units = np.full((len(source.values), len(space)), np.nan)
    for dimension, (name, param) in enumerate(space.params.items()):
        if name not in source.kinds:
            continue
        for row, values in enumerate(source.values):
            if name in values:
                units[row, dimension] = position(param, values[name])
    return units


def _columns(space: Space, encoding: Encoding, source: Source) -> IntArray:
    """The coordinates of the encoding that belong to parameters of the source."""
    names = list(space.params)
    of_column = [names[dimension] for dimension in encoding.numbers.tolist()]
    for dimension, count in encoding.choices:
        of_column += [names[dimension]] * count
    return np.flatnonzero([name in source.kinds for name in of_column])
