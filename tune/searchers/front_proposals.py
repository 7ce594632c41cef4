"""What the default searcher proposes in a sweep with several metrics.

It takes the candidate that is expected to add most hypervolume to the front, counting pending
trials and the chance that a limit is broken (`models/front_model.py`). If all trials are trained to
their end, points beside the front and beside the best candidates are compared too (without limits),
and a proposal may lie close to an earlier one, as in `full_losses.py`. What this does, and what is
done under limits, is measured in `docs/benchmarks/objectives.md`.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.front_order import fronts
from raysweep.history import Config, History
from raysweep.tune.searchers.candidate_filters import first_distant
from raysweep.tune.searchers.full_losses import GAP, is_trained_fully
from raysweep.tune.searchers.models.candidates import beside, drawn
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.front_model import (
    MetricModel,
    Outcomes,
    expected_front,
    holds,
    hyperparameters,
    improvement,
    not_dominated,
    processes,
)
from raysweep.tune.searchers.models.gaussian_process import Hyperparameters
from raysweep.tune.searchers.models.rung_quantiles import compared_rungs
from raysweep.tune.searchers.models.training_time import LogCost, per_cost

MAX_OBSERVATIONS, MAX_FITTED = 160, 100
"""As in `gp.py`, where there is one process; here there is one for each metric."""
CHOSEN = 48
"""So many of the best candidates may be proposed."""
BOLD, CAREFUL = (0.1, 0.9), (0.5, 0.95)
"""The least probability with which a proposal is to keep the limits lies between these: the second
ones if trials are trained to their end, so that each broken limit costs a whole training."""
MORE, BESIDE, LEAST = 1600, 800, 8
"""With limits, so many more points are drawn, and so many beside trials that keep them. The LEAST
most likely ones are compared if fewer have that probability. So many points beside the front are
compared without limits, if trials are trained to their end."""
CENTRES, NEAR = 8, 400
"""Then so many points are compared too, beside so many of the best candidates. With limits they
would lie where these just hold, or do not."""
REFIT = 1.25
"""The hyperparameters are fitted again when a rung has grown by this factor."""


class Known(NamedTuple):
    """What is known after the last report."""

    outcomes: Outcomes
    models: list[MetricModel]
    """First those of the objectives, then those of the limits."""
    is_startup: bool
    """True if the objectives are not asked yet."""


class FrontCache:
    """What is kept for a history, each with what it depends on."""

    def __init__(self) -> None:
        self.key: tuple[object, ...] | None = None
        self.known: Known | None = None
        self.counts: tuple[int, ...] | None = None
        self.fitted: list[Hyperparameters] | None = None


def improving_front(
    dataset: Dataset,
    candidates: FloatArray,
    cache: FrontCache,
    startup: int,
    rng: np.random.Generator,
    cost: LogCost | None = None,
) -> Config | None:
    """The candidate that is expected to add most to the front, or most per cost.

    candidates: (q, dimensions) points of the unit cube. While fewer than `startup` trials have
    reached a rung or failed, it is a random one, drawn as likely as the limits hold. None without
    limits by then, or if too little is known of them, or if no candidate is new.
    """
    known = _known(dataset, cache, startup)
    if known is None or not len(candidates):
        return None
    outcomes, models, is_startup = known
    x, k = dataset.encoded, outcomes.y.shape[1]
    if is_startup:
        return _drawn(dataset, candidates, outcomes, models[k:], rng)
    if models[k:]:
        candidates = _promising(dataset, candidates, outcomes, models[k:], rng)
    elif is_trained_fully(dataset):
        candidates = _with_neighbours(dataset, candidates, outcomes, models, rng)
    pending = dataset.pending.copy()
    pending[outcomes.numbers] = False
    models = [model.fantasize(x[pending]) for model in models]
    feasible = x[outcomes.numbers[outcomes.feasible]]
    front = expected_front(models, k, feasible, x[pending])
    z = not_dominated(front, rng)

    def best_first(points: FloatArray) -> FloatArray:
        encoded = dataset.cache.encoding(points)
        gain = per_cost(improvement(models, k, front, encoded, z), encoded, cost)
        chosen: FloatArray = points[np.argsort(-gain, kind="stable")[:CHOSEN]]
        return chosen

    best = best_first(candidates)
    if not is_trained_fully(dataset):
        return first_distant(dataset, best)
    if models[k:]:
        return first_distant(dataset, best, GAP)
    near = beside(dataset.space, best[:CENTRES], NEAR, rng)
    return first_distant(dataset, best_first(np.concatenate([best, near])), GAP)


def has_limits(history: History) -> bool:
    """True if reports are of a sweep with limits; False before a trial has reached a rung."""
    outcomes = (one for rung in history.rungs.values() for one in rung.outcomes.values())
    return any(bool(excesses) for _, excesses in islice(outcomes, 1))


def _drawn(
    dataset: Dataset,
    candidates: FloatArray,
    outcomes: Outcomes,
    limits: list[MetricModel],
    rng: np.random.Generator,
) -> Config | None:
    """A random candidate, drawn as likely as the limits hold; None if no candidate is new.

    As long as no trial has kept them, it is the most likely one (Eriksson and Poloczek, "Scalable
    Constrained Bayesian Optimization", AISTATS 2021, section 3). Draws with weights are those of
    Efraimidis and Spirakis (2006): the largest of random numbers to the power of 1 / weight.
    If trials are trained to their end, it is one that will more likely than not keep the limits.
    """
    keys = np.maximum(holds(limits, dataset.cache.encoding(candidates)), 1e-9)
    if outcomes.feasible.any():
        if is_trained_fully(dataset):
            enough = _enough(keys, CAREFUL[0])
            candidates, keys = candidates[enough], keys[enough]
        keys = np.log(rng.random(len(candidates))) / keys
    return first_distant(dataset, candidates[np.argsort(-keys, kind="stable")[:CHOSEN]])


def _promising(
    dataset: Dataset,
    candidates: FloatArray,
    outcomes: Outcomes,
    limits: list[MetricModel],
    rng: np.random.Generator,
) -> FloatArray:
    """The candidates, and more, that keep the limits with a probability that is drawn each time.

    Gelbart et al., "Bayesian Optimization with Unknown Constraints", UAI 2014, section 2.3, where
    it is fixed. Without one, large improvements that are all but forbidden are tried again and
    again once little is left to gain within the limits. With one that is always high, what lies
    beyond the places that are known to keep them is never tried.
    """
    candidates = np.concatenate([candidates, drawn(dataset.space, MORE, rng)])
    kept = dataset.units[outcomes.numbers[outcomes.feasible]]
    if len(kept):
        near = beside(dataset.space, kept, BESIDE, rng)
        candidates = np.concatenate([candidates, near])
    likely = holds(limits, dataset.cache.encoding(candidates))
    least = rng.uniform(*(CAREFUL if is_trained_fully(dataset) else BOLD))
    return candidates[_enough(likely, least)]


def _enough(likely: FloatArray, least: float) -> IntArray:
    """The indices of the probabilities of that size at least; or of the LEAST largest ones."""
    enough = np.flatnonzero(likely >= least)
    if len(enough) < LEAST:
        enough = np.argsort(-likely, kind="stable")[:LEAST]
    return enough


def _with_neighbours(
    dataset: Dataset,
    candidates: FloatArray,
    outcomes: Outcomes,
    models: list[MetricModel],
    rng: np.random.Generator,
) -> FloatArray:
    """The candidates, and points beside the trials on the front of the posterior means."""
    numbers = outcomes.numbers
    points = np.stack([model.predict(dataset.encoded[numbers])[0] for model in models], axis=1)
    best = dataset.units[numbers[fronts(points)[0]]]
    return np.concatenate([candidates, beside(dataset.space, best, BESIDE, rng)])


def _known(dataset: Dataset, cache: FrontCache, startup: int) -> Known | None:
    """The outcomes and the processes given them; None with too few."""
    history = dataset.history
    key = (*(len(rung) for rung in compared_rungs(history)), frozenset(history.failed))
    if cache.key != key:
        cache.key, cache.known = key, _condition(dataset, cache, startup)
    return cache.known


def _condition(dataset: Dataset, cache: FrontCache, startup: int) -> Known | None:
    outcomes = Outcomes.of(dataset.history)
    if outcomes is None:
        return None
    is_startup = len(outcomes.numbers) < startup
    if is_startup and not outcomes.e.shape[1]:
        return None
    fitted = _fitted(dataset, cache)
    if fitted is None:
        return None
    models = processes(dataset, outcomes, fitted, MAX_OBSERVATIONS)
    return Known(outcomes.thinned(MAX_OBSERVATIONS), models, is_startup)


def _fitted(dataset: Dataset, cache: FrontCache) -> list[Hyperparameters] | None:
    """The hyperparameters, which the first arrivals at each rung decide; None with too few.

    How many count grows in steps, so a resumed sweep finds the same.
    """
    counts = tuple(_rounded(len(rung)) for rung in compared_rungs(dataset.history))
    if cache.counts != counts:
        outcomes = Outcomes.of(dataset.history, counts)
        cache.counts, cache.fitted = counts, None
        if outcomes is not None:
            cache.fitted = hyperparameters(dataset, outcomes, MAX_FITTED)
    return cache.fitted


def _rounded(count: int) -> int:
    """The largest of 0, 4, 5, 6.25, ... that is not above `count`, rounded down."""
    if count < 4:
        return 0
    size = 4.0
    while size * REFIT <= count:
        size *= REFIT
    return int(size)
