"""What the default searcher proposes in a sweep with several metrics.

It takes the candidate that is expected to add most hypervolume to the front, counting pending
trials and the chance that a limit is broken (`models/front_model.py`).
"""

from __future__ import annotations

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config
from raysweep.tune.searchers.candidate_filters import first_distant
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.front_model import (
    MetricModel,
    Outcomes,
    expected_front,
    hyperparameters,
    improvement,
    processes,
)
from raysweep.tune.searchers.models.gaussian_process import Hyperparameters
from raysweep.tune.searchers.models.rung_quantiles import compared_rungs
from raysweep.tune.searchers.training_cost import LogCost, per_cost

MAX_OBSERVATIONS, MAX_FITTED = 160, 100
"""As in `gp.py`, where there is one process; here there is one for each metric."""
CHOSEN = 48
"""So many of the best candidates may be proposed."""
REFIT = 1.25
"""The hyperparameters are fitted again when a rung has grown by this factor."""


class FrontCache:
    """What is kept for a history, each with what it depends on."""

    def __init__(self) -> None:
        self.key: tuple[object, ...] | None = None
        self.known: tuple[Outcomes, list[MetricModel]] | None = None
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

    candidates: (q, dimensions) points of the unit cube. None while fewer than `startup` trials have
    reached a rung or failed, or if no candidate is new.
    """
    known = _known(dataset, cache, startup)
    if known is None or not len(candidates):
        return None
    outcomes, models = known
    x, k = dataset.encoded, outcomes.y.shape[1]
    pending = dataset.pending.copy()
    pending[outcomes.numbers] = False
    models = [model.fantasize(x[pending]) for model in models]
    feasible = x[outcomes.numbers[outcomes.feasible]]
    front = expected_front(models, k, feasible, x[pending])
    encoded = dataset.cache.encoding(candidates)
    gain = per_cost(improvement(models, k, front, encoded, rng), encoded, cost)
    return first_distant(dataset, candidates[np.argsort(-gain, kind="stable")[:CHOSEN]])


def _known(
    dataset: Dataset, cache: FrontCache, startup: int
) -> tuple[Outcomes, list[MetricModel]] | None:
    """All outcomes and the processes given them; None with too few."""
    history = dataset.history
    key = (*(len(rung) for rung in compared_rungs(history)), frozenset(history.failed))
    if cache.key != key:
        cache.key, cache.known = key, _condition(dataset, cache, startup)
    return cache.known


def _condition(
    dataset: Dataset, cache: FrontCache, startup: int
) -> tuple[Outcomes, list[MetricModel]] | None:
    outcomes = Outcomes.of(dataset.history)
    if outcomes is None or len(outcomes.numbers) < startup:
        return None
    fitted = _fitted(dataset, cache)
    if fitted is None:
        return None
    outcomes = outcomes.thinned(MAX_OBSERVATIONS)
    return outcomes, processes(dataset, outcomes, fitted)


def _fitted(dataset: Dataset, cache: FrontCache) -> list[Hyperparameters] | None:
    """The hyperparameters, which the first arrivals at each rung decide; None with too few.

    How many count grows in steps, so a resumed sweep finds the same.
    """
    counts = tuple(_rounded(len(rung)) for rung in compared_rungs(dataset.history))
    if cache.counts != counts:
        outcomes = Outcomes.of(dataset.history, counts)
        cache.counts, cache.fitted = counts, None
        if outcomes is not None:
            cache.fitted = hyperparameters(dataset, outcomes.thinned(MAX_FITTED))
    return cache.fitted


def _rounded(count: int) -> int:
    """The largest of 0, 4, 5, 6.25, ... that is not above `count`, rounded down."""
    if count < 4:
        return 0
    size = 4.0
    while size * REFIT <= count:
        size *= REFIT
    return int(size)
