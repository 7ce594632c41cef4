"""Kernel densities of good and of bad configurations, over the unit cube.

They are fitted as hpbandster does (Falkner et al., ICML 2018, section 3.2), and drawn from in one
array operation. k is the number of points, d that of dimensions.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.search_spaces.language.params import Choice, Param
from raysweep.search_spaces.language.space import Space


@dataclass(frozen=True)
class Density:
    """A product kernel around each data point.

    The kernel is normal for numbers, and Aitchison and Aitken's for choices.
    """

    data: FloatArray
    """(k, d), choices as whole numbers."""
    bandwidth: FloatArray
    """(d,)"""
    counts: IntArray
    """(d,): the number of values of a choice, 0 for a number."""

    def log(self, points: FloatArray) -> FloatArray:
        """The logarithm of the density at points (candidates, d); (candidates,)."""
        kernels = np.zeros((len(points), len(self.data)))
        for d, (width, count) in enumerate(zip(self.bandwidth, self.counts, strict=True)):
            difference = points[:, None, d] - self.data[None, :, d]
            if count == 0:
                kernels += -0.5 * (difference / width) ** 2 - np.log(width * np.sqrt(2 * np.pi))
            elif count > 1:
                other = min(float(width), 1 - 1 / count)
                kernels += np.where(difference == 0, np.log1p(-other), np.log(other / (count - 1)))
        largest = kernels.max(axis=1)
        density: FloatArray = largest + np.log(np.exp(kernels - largest[:, None]).mean(axis=1))
        return density


@dataclass(frozen=True)
class Densities:
    """The densities of the good and of the bad configurations.

    Choices are whole numbers in both. `draw` and `log_ratio` are about points of the unit cube.
    """

    good: Density
    bad: Density

    def draw(self, count: int, factor: float, rng: np.random.Generator) -> FloatArray:
        """Draw points near good ones, (count, d).

        Numbers come from hpbandster's truncated normal distribution, whose width is `factor` times
        the bandwidth, by its inverse. A choice keeps its value, or takes any with the probability
        of its bandwidth.
        """
        from scipy.special import ndtr, ndtri

        data, counts = self.good.data, self.good.counts
        centres = data[rng.integers(len(data), size=count)]
        width = factor * self.good.bandwidth
        bottom, top = ndtr(-centres / width), ndtr((1 - centres) / width)
        near = centres + width * ndtri(bottom + rng.random(centres.shape) * (top - bottom))
        kept = rng.random(centres.shape) < 1 - self.good.bandwidth
        other = np.floor(rng.random(centres.shape) * counts)
        values = np.where(kept, centres, other)
        return np.where(counts > 0, (values + 0.5) / np.maximum(counts, 1), np.clip(near, 0.0, 1.0))

    def log_ratio(self, points: FloatArray) -> FloatArray:
        """The logarithm of the ratio of good to bad at points (candidates, d); (candidates,)."""
        coded = code(points, self.good.counts)
        return self.good.log(coded) - self.bad.log(coded)


def fit(
    space: Space,
    units: FloatArray,
    losses: FloatArray,
    n_good: int,
    min_bandwidth: float,
    rng: np.random.Generator,
) -> Densities:
    """Fit the densities of the `n_good` best trials and of the others, by hpbandster.

    `units`: (trials, d), NaN where inactive. `losses`: (trials,).
    """
    counts = np.array([_count(param) for param in space.params.values()])
    order = np.argsort(losses, kind="stable")
    coded = code(units[order], counts)
    rows = np.concatenate(
        [impute(coded[:n_good], counts, rng), impute(coded[n_good:], counts, rng)]
    )
    model = _hpbandster(rows, n_good, counts, min_bandwidth)
    return Densities(
        *(
            Density(np.asarray(model[name].data), np.asarray(model[name].bw), counts)
            for name in ("good", "bad")
        )
    )


def _count(param: Param) -> int:
    """The number of values of a choice; 0 for a number."""
    return param.count if isinstance(param, Choice) else 0


def code(points: FloatArray, counts: IntArray) -> FloatArray:
    """Points of the unit cube, with choices as whole numbers."""
    return np.where(counts > 0, np.minimum(np.floor(points * counts), counts - 1), points)


def impute(rows: FloatArray, counts: IntArray, rng: np.random.Generator) -> FloatArray:
    """Replace inactive values by those of random rows that have one; rows (k, d), NaN if inactive.

    If no row has one, the values are random. hpbandster means to do the same, but its own loop
    leaves a NaN in the first column, because numpy.any([0]) is False.
    """
    rows = rows.copy()
    for d, count in enumerate(counts):
        missing = np.isnan(rows[:, d])
        if not missing.any():
            continue
        present = rows[~missing, d]
        if count == 0:
            fresh = rng.random(len(rows))
        else:
            fresh = rng.integers(count, size=len(rows)).astype(float)
        if len(present):
            rows[missing, d] = rng.choice(present, size=int(missing.sum()))
        else:
            rows[missing, d] = fresh[missing]
    return rows


def _hpbandster(
    rows: FloatArray, n_good: int, counts: IntArray, min_bandwidth: float
) -> dict[str, Any]:
    """hpbandster's two fitted models, {"good": ..., "bad": ...}. `rows`: best first, no NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hpbandster.optimizers.config_generators.bohb import BOHB

        generator = BOHB(
            _cube(counts), min_points_in_model=n_good, top_n_percent=0, min_bandwidth=min_bandwidth
        )
        *first, last = rows
        generator.configs[1], generator.losses[1] = list(first), list(range(len(first)))
        generator.new_result(HpbandsterJob(last, counts, len(first)))
    model: dict[str, Any] = generator.kde_models[1]
    return model


def _cube(counts: IntArray) -> Any:
    """The unit cube as a ConfigSpace."""
    from ConfigSpace import (
        CategoricalHyperparameter,
        ConfigurationSpace,
        UniformFloatHyperparameter,
    )

    cube = ConfigurationSpace()
    for d, count in enumerate(counts):
        name = _name(d)
        if count:
            cube.add(CategoricalHyperparameter(name, list(range(count))))
        else:
            cube.add(UniformFloatHyperparameter(name, 0.0, 1.0))
    return cube


def _name(dimension: int) -> str:
    """A name whose order is that of the dimensions, for ConfigSpace sorts by names."""
    return f"{dimension:04d}"


class HpbandsterJob:
    """What hpbandster's BOHB reads of a finished job."""

    def __init__(self, row: FloatArray, counts: IntArray, loss: int) -> None:
        values: dict[str, int | float] = {}
        for d, (value, count) in enumerate(zip(row, counts, strict=True)):
            values[_name(d)] = int(value) if count else float(value)
        self.kwargs = {"budget": 1, "config": values}
        self.result = {"loss": float(loss)}
        self.exception = None
