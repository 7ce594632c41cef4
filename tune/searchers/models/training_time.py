"""How long an epoch of a configuration lasts, as a Gaussian process predicts it.

Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning Algorithms",
NeurIPS 2012, section 3.2: the logarithm of the duration is a function of the configuration, apart
from the function of the losses, and what is proposed is what improves most per second.

Where the best configurations train long, they are found later so. Lee et al., "Cost-aware Bayesian
Optimization", 2020, section 3.2, let time count less and less over the budget for that. A searcher
does not know the budget, and a power that falls with the number of trials gave away what was won
(`benchmarks/cost.py`); the square root, for slow ones alone, did not (`benchmarks/search.md`, #87).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.gaussian_process import GaussianProcess, Observations, fit

MAX_OBSERVATIONS = 140
"""The process conditions on at most so many trials, spread evenly over their arrival."""
LEAST_DEVIATION = 0.1
"""Of the logarithms. Below it, epochs last alike."""
OVERHEAD = 0.01
"""Seconds that are added to an epoch, so that trainings of milliseconds last alike, whatever their
clocks say. What a worker does between two epochs takes about as long."""


LogCost = Callable[[FloatArray], FloatArray]
"""The cost of encoded configurations x (k, d), as a logarithm of base e; (k,)."""


@dataclass(frozen=True)
class TrainingTime:
    """The posterior of the logarithm of an epoch's seconds. `scale`: the mean and deviation."""

    model: GaussianProcess
    scale: tuple[float, float]

    @classmethod
    def of(cls, dataset: Dataset, count: int) -> TrainingTime | None:
        """Fitted to the first `count` arrivals at the lowest rung; None if epochs last alike."""
        found = list(_durations(dataset, count))
        if len(found) > MAX_OBSERVATIONS:
            spread = np.linspace(0, len(found) - 1, MAX_OBSERVATIONS).astype(np.int64)
            found = [found[i] for i in spread.tolist()]
        y = np.log([OVERHEAD + seconds for _, seconds in found])
        if len(y) < 3 or float(y.std()) < LEAST_DEVIATION:
            return None
        places = np.arange(len(y))
        x = dataset.encoded[[number for number, _ in found]]
        observations = Observations(x, places, np.zeros_like(places))
        middle, deviation = float(y.mean()), float(y.std())
        standardised = (y - middle) / deviation
        model = GaussianProcess.condition(
            fit(observations, standardised), observations, standardised
        )
        return cls(model, (middle, deviation))

    def log_slowness(self, x: FloatArray) -> FloatArray:
        """Half the logarithm of how many times longer than the median of x each trains, (k,).

        0 for the faster half: nothing is gained by what is faster still, for cheap configurations
        are not seldom bad ones.
        """
        log_seconds = self.log_seconds(x)
        return np.maximum(log_seconds - np.median(log_seconds), 0.0) / 2

    def log_seconds(self, x: FloatArray) -> FloatArray:
        """The expected logarithm of the seconds of an epoch at the encoded points x (k, d)."""
        middle, deviation = self.scale
        return middle + deviation * self.model.predict_mean(x)


def _durations(dataset: Dataset, count: int) -> Iterator[tuple[int, float]]:
    """Trial numbers and their seconds an epoch, up to the lowest rung, if they are known."""
    level = dataset.history.levels[0]
    numbers, _ = dataset.arrivals(level)
    for number in numbers[:count].tolist():
        trial = dataset.history[number]
        report = next(report for report in trial.reports if report.epoch >= level)
        if report.seconds > 0:
            yield number, report.seconds / report.epoch


def per_cost(improvement: FloatArray, x: FloatArray, cost: LogCost | None) -> FloatArray:
    """The improvement (k,) per cost at x (k, d). Below 0 it says only that there is none."""
    if cost is None:
        return improvement
    return np.where(improvement > 0, improvement * np.exp(-cost(x)), improvement)
