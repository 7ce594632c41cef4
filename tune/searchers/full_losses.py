"""What `auto` proposes where every trial is trained to its end, and so has one loss.

These losses are compared as they are, not by their ranks: near the best one, small differences lead
on. The process then has little noise, its expected improvement is climbed from the best candidates,
and a proposal may lie close to an earlier one. Under early stopping none of this pays; what was
measured is in `benchmarks/search.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from raysweep.arrays import BoolArray, FloatArray, IntArray
from raysweep.history import Config
from raysweep.tune.searchers.models.acquisition import climb, log_expected_improvement
from raysweep.tune.searchers.models.candidates import beside, drawn
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    NoisePrior,
    Observations,
    fit,
    squared_distances,
)
from raysweep.tune.searchers.models.training_time import LogCost
from raysweep.tune.searchers.prior_guard import drop_contradicted

MAX_OBSERVATIONS, MAX_FITTED = 160, 120
"""The process conditions on so many trials; so many decide its hyperparameters."""
NOISE = NoisePrior(1e-3, 3.0)
"""Trainings may differ by a thousandth of the signal's variance, or by all of it."""
FIT_ITERATIONS = 50
DRAWN, BESIDE, CENTRES = 400, 400, 5
"""So many candidates are drawn from the space, and so many beside the best CENTRES trials."""
MOST_LISTED = 2000
"""A space of at most so many combinations is compared as a whole."""
SHORTLIST, CLIMBING, COMPARED = 100, 4, 16
"""The improvement is computed for the SHORTLIST of lowest mean. From the best CLIMBING it is
climbed. What comes out, and the best COMPARED, are compared as configurations."""
SURPRISE = 4.0
"""A loss so many standard deviations above what is expected without it does not count."""
GAP = 0.02
"""The least distance from earlier trials, as a part of the spacing of a grid of as many points."""


def is_trained_fully(dataset: Dataset) -> bool:
    """True if trials are compared at their end alone."""
    return len(dataset.history.levels) == 1


def fit_losses(dataset: Dataset, counts: tuple[int, ...]) -> Hyperparameters | None:
    """Fit the hyperparameters to the first losses; None if these hardly differ.

    The same losses decide which priors hold.
    """
    numbers, losses = dataset.arrivals(dataset.history.levels[0])
    finite = np.flatnonzero(np.isfinite(losses[: counts[0]]))
    numbers, losses = numbers[finite], losses[finite]
    if len(np.unique(losses)) < 3:
        return None
    picked = _thinned(losses, MAX_FITTED)
    numbers, y = numbers[picked], standardised(losses)[picked]
    observations = _observations(dataset, numbers)
    found = fit(observations, y, NOISE, FIT_ITERATIONS)
    kept = ~is_outlier(GaussianProcess.condition(found, observations, y))
    if not kept.all():
        numbers, y = numbers[kept], y[kept]
        observations = _observations(dataset, numbers)
        found = fit(observations, y, NOISE, FIT_ITERATIONS)
    drop_contradicted(dataset, found, observations, y)
    return found


def n_ended(dataset: Dataset) -> int:
    """The number of trials that have a loss, or failed."""
    return len(_ended(dataset)[0])


def best_candidate(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    rng: np.random.Generator,
    cost: LogCost | None = None,
) -> Config | None:
    """The untried configuration of largest expected improvement; None if no candidate is one.

    cost: it is the improvement per cost.
    """
    numbers, losses = _ended(dataset)
    best = numbers[np.argsort(losses, kind="stable")]
    points = _candidates(dataset, best[:CENTRES], rng)
    if not len(points) or not np.isfinite(losses).any():
        return None
    model = _model(dataset, hyperparameters, numbers, losses)
    # The lowest mean, for under noise the trial that looks best is mostly not the best.
    incumbent = float(model.predict_mean(model.observations.x).min())
    order = _best_first(model, dataset.cache.encoding(points), incumbent, cost)
    compared = points[list(islice(_allowed(dataset, points, order), COMPARED))]
    if len(dataset.cache.encoding.numbers) and len(compared):
        climbed = _climbed(dataset, model, compared[:CLIMBING], incumbent)
        compared = np.concatenate([climbed, compared])
    return _best_config(dataset, model, compared, incumbent, cost)


def _best_config(
    dataset: Dataset,
    model: GaussianProcess,
    points: FloatArray,
    incumbent: float,
    cost: LogCost | None,
) -> Config | None:
    """The best untried configuration at these points that keeps its distance, or else the best.

    Values on steps lie beside their points, so the improvement is computed again.
    """
    space = dataset.space
    configs: list[Config] = [space.from_unit(point) for point in points]
    configs = [one for one in configs if one in dataset.untried and space.allows(one)]
    if not configs:
        return None
    encoded = dataset.cache.encoding(space.to_units(configs))
    gap = GAP * len(dataset.encoded) ** (-1.0 / len(space))
    is_distant = squared_distances(encoded, dataset.encoded).min(axis=1) > gap**2
    order = _best_first(model, encoded, incumbent, cost)
    distant = order[is_distant[order]]
    return configs[int(distant[0] if len(distant) else order[0])]


def standardised(losses: FloatArray) -> FloatArray:
    """The losses with mean 0 and variance 1, so that a few very bad ones do not hide the others.

    A loss counts as at most as far above the median as the best one is below it; so does that of a
    failed trial, inf. A loss of -inf counts as the best finite one, of which there is one at least.
    """
    finite = losses[np.isfinite(losses)]
    middle, least = float(np.median(finite)), float(finite.min())
    worst = 2 * middle - least if middle > least else float(finite.max())
    # Divided first, for the squares of losses may be too large to be numbers.
    clipped = (np.clip(losses, least, worst) - least) / ((worst - least) or 1.0)
    deviation = float(clipped.std())
    return np.asarray((clipped - clipped.mean()) / (deviation or 1.0), dtype=np.float64)


def _ended(dataset: Dataset) -> tuple[IntArray, FloatArray]:
    """The numbers of the trials that have a loss or failed, and their losses, inf if failed."""
    numbers = np.flatnonzero(dataset.observed)
    return numbers, dataset.loss[numbers]


def _observations(dataset: Dataset, numbers: IntArray) -> Observations:
    count = len(numbers)
    return Observations(dataset.encoded[numbers], np.arange(count), np.zeros(count, np.int64))


def _model(
    dataset: Dataset, hyperparameters: Hyperparameters, numbers: IntArray, losses: FloatArray
) -> GaussianProcess:
    """The process, given the losses. Pending trials count as if they came out as expected."""
    picked = _thinned(losses, MAX_OBSERVATIONS)
    # A mean over n seeds, observed n times, has the noise of one training divided by n.
    picked = np.repeat(picked, dataset.seeds[numbers[picked]])
    y = standardised(losses)
    model = GaussianProcess.condition(
        hyperparameters, _observations(dataset, numbers[picked]), y[picked]
    )
    wrong = is_outlier(model) & np.isfinite(losses[picked])
    if wrong.any():
        picked = picked[~wrong]
        model = GaussianProcess.condition(
            hyperparameters, _observations(dataset, numbers[picked]), y[picked]
        )
    pending = np.ones(len(dataset.encoded), np.bool_)
    pending[numbers] = False
    return model.fantasize(dataset.encoded[pending])


def is_outlier(model: GaussianProcess) -> BoolArray:
    """The observations far worse than what all others say of them, (n,).

    It is the prediction that leaves each of them out (Rasmussen and Williams, "Gaussian Processes
    for Machine Learning", 2006, section 5.4.2).
    """
    from scipy.linalg import solve_triangular

    inverse = solve_triangular(
        model.cholesky, np.eye(len(model.cholesky)), lower=True, check_finite=False
    )
    precision = np.square(inverse).sum(axis=0)
    surprise = inverse.T @ model.whitened_targets
    return np.asarray(surprise > SURPRISE * np.sqrt(model.signal_variance * precision))


def _thinned(losses: FloatArray, limit: int) -> IntArray:
    """The indices of at most `limit` losses: half of them the best, the others spread evenly."""
    if len(losses) <= limit:
        return np.arange(len(losses))
    order = np.argsort(losses, kind="stable")
    best, others = order[: limit // 2], order[limit // 2 :]
    spread = np.linspace(0, len(others) - 1, limit - len(best)).astype(np.int64)
    return np.concatenate([best, others[spread]])


def _candidates(dataset: Dataset, best: IntArray, rng: np.random.Generator) -> FloatArray:
    """Points of the unit cube: all that is untried of a small space, else drawn ones."""
    rest = dataset.untried.points(MOST_LISTED)
    if rest is not None:
        return rest
    space = dataset.cache.drawn_space
    near = beside(space, dataset.units[best], BESIDE, rng)
    return np.concatenate([drawn(space, DRAWN, rng), near])


def _best_first(
    model: GaussianProcess, encoded: FloatArray, incumbent: float, cost: LogCost | None
) -> IntArray:
    """The indices of the SHORTLIST points of lowest mean, by their expected improvement.

    So the cost decides between good points alone: where all is uncertain, it would lead to points
    that are nothing but cheap.
    """
    lowest = np.argsort(model.predict_mean(encoded), kind="stable")[:SHORTLIST]
    value, *_ = log_expected_improvement(*model.predict(encoded[lowest]), incumbent, model.noise)
    if cost is not None:
        value = value - cost(encoded[lowest])
    return np.asarray(lowest[np.argsort(-value, kind="stable")], dtype=np.int64)


def _allowed(dataset: Dataset, points: FloatArray, order: IntArray) -> Iterator[int]:
    """Those of the indices at which the constraints hold."""
    space = dataset.space
    return (i for i in order.tolist() if space.allows(space.from_unit(points[i])))


def _climbed(
    dataset: Dataset, model: GaussianProcess, points: FloatArray, incumbent: float
) -> FloatArray:
    """Better points near these. Numbers move, as if they were real; choices stay."""
    encoding = dataset.cache.encoding
    found = climb(model, encoding(points), len(encoding.numbers), incumbent)
    climbed = points.copy()
    climbed[:, encoding.numbers] = found[:, : len(encoding.numbers)]
    return climbed
