"""What a training costs: a Gaussian process on the logarithm of its seconds per epoch.

Snoek, Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning Algorithms",
NeurIPS 2012, section 3.2: a proposal is the candidate of largest expected improvement per second,
where the logarithm of the seconds is modelled by a process of its own. It pays where width or depth
drives the time: what a cheap training tells costs less.

Where the best configurations are dear, they are found later than without. Lee et al., "Cost-aware
Bayesian Optimization", 2020, section 3.2, let the seconds count less and less over the budget for
that. A searcher does not know the budget, and a power that falls with the number of trials gave
away what was won, and did not avert the loss (six seeds of `benchmarks/cost.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    NoisePrior,
    Observations,
    fit,
)

FEWEST = 4
"""Fewer observed trainings say nothing of the cost."""
MOST = 120
"""The process conditions on so many trainings, spread evenly over all."""
NOISE = NoisePrior(0.03, 2.0)
"""Seconds are measured well, as long as no other work disturbs them."""
GROWTH = 1.5
"""The hyperparameters are fitted again when the trainings have grown by this factor."""

LogCost = Callable[[FloatArray], FloatArray]
"""The cost of encoded configurations x (k, d), as a logarithm of base e; (k,)."""


class CostCache:
    """What is kept for a history, each with what it depends on."""

    def __init__(self) -> None:
        self.count = 0
        self.log_cost: LogCost | None = None
        self.fitted_count = 0
        self.hyperparameters: Hyperparameters | None = None


def log_cost(dataset: Dataset, cache: CostCache) -> LogCost | None:
    """The expected seconds per epoch, by which an improvement is divided, up to a factor.

    None while fewer than FEWEST trials have reached the first rung, or if all took equally long.
    """
    history = dataset.history
    numbers, _ = dataset.arrivals(history.levels[0])
    if cache.count != len(numbers):
        cache.count = len(numbers)
        cache.log_cost = _model(dataset, numbers.tolist(), cache)
    return cache.log_cost


def per_cost(improvement: FloatArray, x: FloatArray, cost: LogCost | None) -> FloatArray:
    """The improvement (k,) per cost at x (k, d). Below 0 it says only that there is none."""
    if cost is None:
        return improvement
    return np.where(improvement > 0, improvement * np.exp(-cost(x)), improvement)


def _model(dataset: Dataset, numbers: list[int], cache: CostCache) -> LogCost | None:
    y = np.array([_log_seconds(dataset, number) for number in numbers])
    known = np.flatnonzero(np.isfinite(y))
    spread = float(y[known].std()) if len(known) >= FEWEST else 0.0
    if spread < 1e-6:
        return None
    hyperparameters = _hyperparameters(dataset, numbers, y, cache)
    if hyperparameters is None:
        return None
    picked = _thinned(known)
    mean = float(y[known].mean())
    model = GaussianProcess.condition(
        hyperparameters, _observations(dataset, numbers, picked), (y[picked] - mean) / spread
    )
    return lambda x: np.asarray(spread * model.predict_mean(x))


def _hyperparameters(
    dataset: Dataset, numbers: list[int], y: FloatArray, cache: CostCache
) -> Hyperparameters | None:
    """The hyperparameters, which the first trainings decide, so that a resumed sweep finds them."""
    count = float(FEWEST)
    while count * GROWTH <= len(numbers):
        count *= GROWTH
    if cache.fitted_count != int(count):
        cache.fitted_count, cache.hyperparameters = int(count), None
        first = y[: int(count)]
        known = _thinned(np.flatnonzero(np.isfinite(first)))
        spread = float(first[known].std()) if len(known) >= FEWEST else 0.0
        if spread > 0:
            standardised = (first[known] - first[known].mean()) / spread
            observations = _observations(dataset, numbers, known)
            cache.hyperparameters = fit(observations, standardised, NOISE)
    return cache.hyperparameters


def _log_seconds(dataset: Dataset, number: int) -> float:
    """The logarithm of a trial's seconds per epoch up to the first rung; NaN if not measured."""
    level = dataset.history.levels[0]
    trial = dataset.history[number]
    report = next(report for report in trial.reports if report.epoch >= level)
    if report.seconds <= 0:
        return float("nan")
    return float(np.log(report.seconds / report.epoch))


def _thinned(indices: IntArray) -> IntArray:
    if len(indices) <= MOST:
        return indices
    return indices[np.linspace(0, len(indices) - 1, MOST).astype(np.int64)]


def _observations(dataset: Dataset, numbers: list[int], picked: IntArray) -> Observations:
    count = len(picked)
    x = dataset.encoded[np.array(numbers)[picked]]
    return Observations(x, np.arange(count), np.zeros(count, np.int64))
