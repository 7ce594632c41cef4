"""Two kernel densities over the unit cube, of good and of bad configurations, as hpbandster fits them; drawn from in one go."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.dataset import FloatArray, IntArray


@dataclass(frozen=True)
class Density:
    """A product kernel around each of `data`, (points, dimensions): normal for numbers, Aitchison and Aitken's for choices."""

    data: FloatArray
    bandwidth: FloatArray
    counts: IntArray
    """(dimensions,): how many values a choice has, 0 for a number."""

    def log(self, points: FloatArray) -> FloatArray:
        """The logarithm of the density at each of `points`, (candidates, dimensions); shape (candidates,)."""
        kernels = np.zeros((len(points), len(self.data)))
        for d, (width, count) in enumerate(zip(self.bandwidth, self.counts, strict=True)):
            apart = points[:, None, d] - self.data[None, :, d]
            if count == 0:
                kernels += -0.5 * (apart / width) ** 2 - np.log(width * np.sqrt(2 * np.pi))
            elif count > 1:
                wide = min(float(width), 1 - 1 / count)
                kernels += np.where(apart == 0, np.log1p(-wide), np.log(wide / (count - 1)))
        most = kernels.max(axis=1)
        density: FloatArray = most + np.log(np.exp(kernels - most[:, None]).mean(axis=1))
        return density


@dataclass(frozen=True)
class Densities:
    """The good and the bad. Choices are whole numbers in both; `draw` and `preference` speak of points of the unit cube."""

    good: Density
    bad: Density

    def draw(self, count: int, factor: float, rng: np.random.Generator) -> FloatArray:
        """Points near good ones, (count, dimensions): hpbandster's truncated normal, `factor` times the bandwidth wide, by its inverse."""
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

    def preference(self, points: FloatArray) -> FloatArray:
        """How much denser the good are than the bad at each point, as a logarithm; shape (candidates,)."""
        coded = code(points, self.good.counts)
        return self.good.log(coded) - self.bad.log(coded)


def fit(
    space: Space,
    units: FloatArray,
    losses: FloatArray,
    good: int,
    min_bandwidth: float,
    rng: np.random.Generator,
) -> Densities:
    """The densities of the `good` best and of the rest, by hpbandster. units: (trials, dimensions), NaN where inactive."""
    counts = np.array(
        [param.count if isinstance(param, Choice) else 0 for param in space.params.values()]
    )
    order = np.argsort(losses, kind="stable")
    coded = code(units[order], counts)
    rows = np.concatenate([impute(coded[:good], counts, rng), impute(coded[good:], counts, rng)])
    model = _hpbandster(rows, good, counts, min_bandwidth)
    return Densities(
        *(
            Density(np.asarray(model[name].data), np.asarray(model[name].bw), counts)
            for name in ("good", "bad")
        )
    )


def code(points: FloatArray, counts: IntArray) -> FloatArray:
    """Points of the unit cube with choices as whole numbers."""
    return np.where(counts > 0, np.minimum(np.floor(points * counts), counts - 1), points)


def impute(rows: FloatArray, counts: IntArray, rng: np.random.Generator) -> FloatArray:
    """Inactive values replaced by those of a random row that has one, or by a random value where none has. As hpbandster means it.

    (Its own loop leaves a NaN in the first column: numpy.any([0]) is False.)
    """
    rows = rows.copy()
    for d, count in enumerate(counts):
        missing = np.isnan(rows[:, d])
        if not missing.any():
            continue
        there = rows[~missing, d]
        fresh = (
            rng.random(len(rows))
            if count == 0
            else rng.integers(count, size=len(rows)).astype(float)
        )
        rows[missing, d] = (
            rng.choice(there, size=int(missing.sum())) if len(there) else fresh[missing]
        )
    return rows


def _hpbandster(
    rows: FloatArray, good: int, counts: IntArray, min_bandwidth: float
) -> dict[str, Any]:
    """hpbandster's two fitted models, {"good": ..., "bad": ...}. rows: best first, without NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from hpbandster.optimizers.config_generators.bohb import BOHB

        generator = BOHB(
            _cube(counts), min_points_in_model=good, top_n_percent=0, min_bandwidth=min_bandwidth
        )
        *first, last = rows
        generator.configs[1], generator.losses[1] = list(first), list(range(len(first)))
        generator.new_result(_Job(last, counts, len(first)))
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
        name = f"{d:04d}"
        cube.add(
            CategoricalHyperparameter(name, list(range(count)))
            if count
            else UniformFloatHyperparameter(name, 0.0, 1.0)
        )
    return cube


class _Job:
    """What hpbandster's BOHB reads of a finished job."""

    def __init__(self, row: FloatArray, counts: IntArray, loss: int) -> None:
        values = {
            f"{d:04d}": int(value) if count else float(value)
            for d, (value, count) in enumerate(zip(row, counts, strict=True))
        }
        self.kwargs = {"budget": 1, "config": values}
        self.result = {"loss": float(loss)}
        self.exception = None
