"""The default searcher: a Gaussian process over the quantiles of the trials.

It proposes the candidate of largest expected improvement. What it does and why is measured in
`benchmarks/search.md`. Every trial counts, however early it was stopped, with its quantile at each
rung that it reached (`models/rung_quantiles.py`). A pending trial counts as if it came out as
expected. A proposal keeps its distance from all earlier ones (`candidate_filters.py`). One that
trains longer than most is to improve more (`models/training_time.py`).

If all trials are trained to their end, their losses take the place of the quantiles, and
`full_losses.py` proposes. With several metrics, `front_proposals.py` does. What earlier runs tell
(`memory/`) are first configurations, and the mean function of the process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from raysweep.arrays import FloatArray, IntArray
from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.candidate_filters import first_distant
from raysweep.tune.searchers.front_proposals import FrontCache, has_limits, improving_front
from raysweep.tune.searchers.full_losses import (
    best_candidate,
    fit_losses,
    is_trained_fully,
    n_ended,
)
from raysweep.tune.searchers.memory.guard import NOTHING
from raysweep.tune.searchers.memory.memory import FORGET, Assessment, Memory, Recollection
from raysweep.tune.searchers.models.candidates import drawn
from raysweep.tune.searchers.models.dataset import Dataset, DatasetCache
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Observations,
    expected_improvement,
    fit,
)
from raysweep.tune.searchers.models.rung_quantiles import (
    QuantilePath,
    Quantiles,
    compared_rungs,
    rung_quantiles,
)
from raysweep.tune.searchers.models.threads import single_thread
from raysweep.tune.searchers.models.training_time import LogCost, TrainingTime, per_cost
from raysweep.tune.searchers.per_history import PerHistory
from raysweep.tune.searchers.prior_guard import drop_contradicted, dropped

MAX_OBSERVATIONS, MAX_FITTED = 200, 140
"""The process conditions on about so many observations; so many decide its hyperparameters.

An observation is a trial at a rung. The time for a proposal grows with the cube of these numbers.
"""
CANDIDATES, SHORTLIST, CHOSEN = 800, 128, 48
"""So many points are drawn; the expected improvement is computed for the SHORTLIST of lowest mean;
the best CHOSEN may be proposed."""
INCUMBENTS = 6
"""The incumbent's value is the lowest posterior mean at so many of the best trials."""
REFIT, FULL_REFIT = 1.25, 1.1
"""The hyperparameters are fitted again when a rung has grown by this factor; the second one is for
trials that are all trained to their end."""
Fit = Callable[[Dataset, tuple[int, ...]], Hyperparameters | None]
"""Fits the hyperparameters to so many of the first arrivals at each rung."""


@dataclass(frozen=True)
class Posterior:
    """The quantiles of all trials, and the process that was conditioned on some of them."""

    quantiles: Quantiles
    model: GaussianProcess
    numbers: IntArray
    """(m,): the numbers of the trials that the process observed."""

    @cached_property
    def optimistic_final(self) -> dict[int, float]:
        """The value expected of each observed trial at the highest rung, less its deviation."""
        mean, deviation = self.model.predict_final()
        return dict(zip(self.numbers.tolist(), (mean - deviation).tolist(), strict=True))


class AutoCache:
    """What is kept for a history: its arrays, and the last fit, each with what it depends on."""

    def __init__(self, space: Space) -> None:
        self.arrays = DatasetCache(space)
        self.posterior_key: tuple[object, ...] | None = None
        self.posterior: Posterior | None = None
        self.fitted_counts: tuple[int, ...] | None = None
        self.hyperparameters: Hyperparameters | None = None
        self.timed_count = 0
        self.time: TrainingTime | None = None
        self.front = FrontCache()
        self.prior_mean = NOTHING
        self.recollection: Recollection | None = None


@dataclass
class Auto:
    """Proposes what a Gaussian process expects to improve most.

    `startup`: the number of trials that must have reached a rung before the process is asked.
    `random_fraction`: the part of the proposals that are drawn from the space all the same.
    `cost`: what the expected improvement of a candidate is held against
    (`models/training_time.py`). With `seconds` it is divided by those that an epoch lasts, for
    spaces in which a width or a depth drives the time. With `auto`, where the sweep's time is what
    ends it and trials are stopped early, that of a candidate that trains longer than the median is
    divided by the square root of how many times longer. With `none` time does not matter.
    """

    several_metrics: ClassVar[bool] = True

    startup: Annotated[int, Ge(3)] = 10
    random_fraction: Annotated[float, Ge(0), Le(1)] = 0.0
    cost: Literal["auto", "seconds", "none"] = "auto"
    _caches: PerHistory[AutoCache] = field(
        default_factory=lambda: PerHistory(AutoCache), init=False, repr=False, compare=False
    )
    _memory: Memory | None = field(default=None, init=False, repr=False, compare=False)

    def remembering(self, memory: Memory) -> Auto:
        """The same searcher with earlier runs to remember."""
        other = replace(self)
        other._memory = memory
        return other

    def recollection(self, space: Space, history: History) -> Recollection | None:
        """What its earlier runs tell of this space; None without any, or with several metrics."""
        if self._memory is None or history.has_several:
            return None
        cache = self._caches.of(space, history)
        if cache.recollection is None:
            cache.recollection = Recollection(self._memory, space)
        return cache.recollection

    def origin(self, space: Space, history: History, seed: int, config: Config) -> str:
        """What a proposal just made owes to earlier runs: "first configuration", "mean" or ""."""
        remembered = self.recollection(space, history)
        if remembered is None:
            return ""
        if len(history) >= self.startup:
            cache = self._caches.of(space, history)
            return "mean" if cache.posterior is not None and cache.prior_mean.surrogates else ""
        untried = self._dataset(space, history).untried
        first = remembered.first(history, untried, seed)
        return "first configuration" if first == config else ""

    def assessment(self, space: Space, history: History) -> Assessment | None:
        """Which earlier runs the process uses; None before it judges them, and when it does not."""
        if len(history) >= FORGET:
            return None
        remembered = self.recollection(space, history)
        cache = self._caches.of(space, history)
        if remembered is None or not remembered.surrogates or cache.posterior is None:
            return None
        return remembered.assessment(cache.prior_mean)

    def dropped_priors(self, space: Space, history: History) -> tuple[str, ...]:
        """The parameters whose priors (`around`) the trials contradict; see `prior_guard.py`."""
        return dropped(space, self._caches.of(space, history).arrays.drawn_space)

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        remembered_seed = self._memory.seed if self._memory is not None else ()
        rng = np.random.default_rng([seed, len(history), *remembered_seed])
        dataset = self._dataset(space, history)
        starts = len(history) < self.startup and not has_limits(history)
        if not len(space) or starts or rng.random() < self.random_fraction:
            remembered = self.recollection(space, history)
            first = remembered.first(history, dataset.untried, seed) if remembered else None
            return first or dataset.untried.sample(rng, dataset.cache.drawn_space)
        with single_thread():
            found = self._best_candidate(dataset, rng)
            return found or dataset.untried.sample(rng, dataset.cache.drawn_space)

    def rank(self, space: Space, history: History) -> dict[int, float]:
        """The final value expected of each trial that the process observes, less its deviation.

        Uncertain trials may be good. So a trial that begins badly where others came out well goes
        before one that begins well where none did.
        """
        dataset = self._dataset(space, history)
        # Without lower rungs nothing is promoted.
        has_forecast = not (history.has_several or is_trained_fully(dataset))
        if not len(space) or len(history) < self.startup or not has_forecast:
            return {}
        with single_thread():
            posterior = self._posterior(dataset)
            return {} if posterior is None else posterior.optimistic_final

    def _dataset(self, space: Space, history: History) -> Dataset:
        return Dataset(space, history, self._caches.of(space, history).arrays)

    def _best_candidate(self, dataset: Dataset, rng: np.random.Generator) -> Config | None:
        """The candidate of largest expected improvement.

        None while the process has observed too little, or if no candidate is new.
        """
        if dataset.history.has_several:
            cache = self._caches.of(dataset.space, dataset.history).front
            candidates = _candidates(dataset, rng)
            cost = self._cost(dataset)
            return improving_front(dataset, candidates, cache, self.startup, rng, cost)
        if is_trained_fully(dataset):
            return self._best_by_losses(dataset, rng)
        posterior = self._posterior(dataset)
        if posterior is None:
            return None
        x, quantiles = dataset.encoded, posterior.quantiles
        pending = np.ones(len(x), np.bool_)
        pending[quantiles.numbers] = False
        model = posterior.model.fantasize(x[pending])
        best = quantiles.numbers[np.argsort(quantiles.quantile, kind="stable")[:INCUMBENTS]]
        incumbent = float(model.predict(x[best])[0].min())
        candidates = _candidates(dataset, rng)
        if not len(candidates):
            return None
        encoded = dataset.cache.encoding(candidates)
        improvement = expected_improvement(model, encoded, incumbent, SHORTLIST)
        improvement = per_cost(improvement, encoded, self._cost(dataset, stops_early=True))
        chosen = candidates[np.argsort(-improvement, kind="stable")[:CHOSEN]]
        return first_distant(dataset, chosen)

    def _best_by_losses(self, dataset: Dataset, rng: np.random.Generator) -> Config | None:
        """The candidate of largest expected improvement where each trial has one loss."""
        if n_ended(dataset) < self.startup:
            return None
        cache = self._caches.of(dataset.space, dataset.history)
        hyperparameters = _hyperparameters(dataset, cache, fit_losses)
        if hyperparameters is None:
            return None
        return best_candidate(dataset, hyperparameters, rng, self._cost(dataset))

    def _cost(self, dataset: Dataset, stops_early: bool = False) -> LogCost | None:
        """The logarithm of what improvements are divided by; None if time does not matter."""
        if self.cost == "none":
            return None
        if self.cost == "auto" and not (stops_early and dataset.history.is_timed):
            return None
        cache = self._caches.of(dataset.space, dataset.history)
        count = _rounded(len(compared_rungs(dataset.history)[0]), REFIT)
        if cache.timed_count != count:
            cache.timed_count, cache.time = count, TrainingTime.of(dataset, count)
        if cache.time is None:
            return None
        return cache.time.log_seconds if self.cost == "seconds" else cache.time.log_slowness

    def _posterior(self, dataset: Dataset) -> Posterior | None:
        """The posterior; None while too few trials have reached a rung or failed."""
        cache = self._caches.of(dataset.space, dataset.history)
        counts = (len(rung) for rung in compared_rungs(dataset.history))
        key = (*counts, frozenset(dataset.history.failed))
        if cache.posterior_key != key:
            cache.posterior_key = key
            cache.posterior = self._condition(dataset, cache)
        return cache.posterior

    def _condition(self, dataset: Dataset, cache: AutoCache) -> Posterior | None:
        quantiles = with_failed(rung_quantiles(dataset), dataset.history)
        if len(quantiles) < self.startup:
            return None
        remembered = self.recollection(dataset.space, dataset.history)
        hyperparameters = _hyperparameters(dataset, cache, partial(_fit, cache, remembered))
        if hyperparameters is None:
            return None
        observations, y, trials = _observations(dataset, quantiles, MAX_OBSERVATIONS)
        mean = cache.prior_mean if cache.prior_mean.surrogates else None
        model = GaussianProcess.condition(hyperparameters, observations, y, mean)
        return Posterior(quantiles, model, quantiles.numbers[trials])


def _hyperparameters(dataset: Dataset, cache: AutoCache, fit_to: Fit) -> Hyperparameters | None:
    """The hyperparameters, which the first arrivals at each rung decide.

    How many arrivals count grows in steps. Rungs only grow, so a resumed sweep finds the same.
    """
    growth = FULL_REFIT if is_trained_fully(dataset) else REFIT
    counts = tuple(_rounded(len(rung), growth) for rung in compared_rungs(dataset.history))
    if cache.fitted_counts != counts:
        cache.fitted_counts = counts
        cache.hyperparameters = fit_to(dataset, counts)
    return cache.hyperparameters


def _fit(
    cache: AutoCache,
    remembered: Recollection | None,
    dataset: Dataset,
    counts: tuple[int, ...],
) -> Hyperparameters | None:
    """Fit the hyperparameters to the first arrivals; None if these hardly differ.

    The same arrivals decide which earlier runs give the mean function.
    """
    quantiles = rung_quantiles(dataset, counts)
    if len(np.unique(quantiles.quantile)) < 3:
        return None
    observations, y, _ = _observations(dataset, quantiles, MAX_FITTED)
    found = fit(observations, y)
    drop_contradicted(dataset, found, observations, y)
    if remembered is None:
        return found
    cache.prior_mean = NOTHING
    if len(quantiles) < FORGET:
        cache.prior_mean = remembered.prior_mean(found, observations, y)
    if cache.prior_mean.surrogates:
        found = fit(observations, cache.prior_mean.residual(observations, y))
    return found


def _observations(
    dataset: Dataset, quantiles: Quantiles, limit: int
) -> tuple[Observations, FloatArray, IntArray]:
    """About `limit` observations, their standardised values, and the indices of their trials.

    The value of an observation is the logarithm of its quantile, which spreads the best ones.
    """
    path = quantiles.path
    picked = thinned(quantiles, limit)
    trials, trial_index = np.unique(path.trial_index[picked], return_inverse=True)
    y = _standardised(np.log(path.quantile[picked]))
    x = dataset.encoded[quantiles.numbers[trials]]
    return Observations(x, trial_index, path.rung_index[picked]), y, trials


def with_failed(quantiles: Quantiles, history: History) -> Quantiles:
    """The quantiles with the failed trials as the worst of all, whatever rungs they reached."""
    is_failed = np.zeros(len(history), np.bool_)
    is_failed[list(history.failed)] = True
    reached = is_failed[quantiles.numbers]
    quantile = np.where(reached, 1.0, quantiles.quantile)
    is_failed[quantiles.numbers] = False
    early = np.flatnonzero(is_failed)
    first_rung, worst = np.zeros_like(early), np.ones(len(early))
    path = quantiles.path
    on_path = np.where(reached[path.trial_index], 1.0, path.quantile)
    return Quantiles(
        np.concatenate([quantiles.numbers, early]),
        np.concatenate([quantiles.rung_index, first_rung]),
        np.concatenate([quantile, worst]),
        QuantilePath(
            np.concatenate([path.trial_index, len(quantiles) + np.arange(len(early))]),
            np.concatenate([path.rung_index, first_rung]),
            np.concatenate([on_path, worst]),
        ),
    )


def thinned(quantiles: Quantiles, limit: int) -> IntArray:
    """The indices of about `limit` steps of the path, of whole trials.

    Half of them are of the best trials. The other half are of trials that are spread evenly over
    the ranks of all others.
    """
    trial_index = quantiles.path.trial_index
    n_steps = np.bincount(trial_index, minlength=len(quantiles))
    order = np.argsort(quantiles.quantile, kind="stable")
    total = np.cumsum(n_steps[order])
    if total[-1] <= limit:
        return np.arange(len(trial_index))
    head = int(np.searchsorted(total, limit // 2, side="right"))
    best, others = order[:head], order[head:]
    count = max(1, int((limit - n_steps[best].sum()) / n_steps[others].mean()))
    spread = np.linspace(0, len(others) - 1, count).astype(np.int64)
    chosen = np.zeros(len(quantiles), np.bool_)
    chosen[best] = True
    chosen[others[spread]] = True
    return np.flatnonzero(chosen[trial_index])


def _standardised(values: FloatArray) -> FloatArray:
    deviation = float(values.std())
    if deviation == 0:
        deviation = 1.0
    return np.asarray((values - values.mean()) / deviation, dtype=np.float64)


def _candidates(dataset: Dataset, rng: np.random.Generator) -> FloatArray:
    """Points of the unit cube, (k, dimensions): all that is untried of a small space."""
    rest = dataset.untried.points(CANDIDATES)
    return drawn(dataset.cache.drawn_space, CANDIDATES, rng) if rest is None else rest


def _rounded(count: int, growth: float) -> int:
    """The largest of 0, 4, 4 * growth, 4 * growth^2, ... that is at most `count`, rounded down."""
    if count < 4:
        return 0
    size = 4.0
    while size * growth <= count:
        size *= growth
    return int(size)
