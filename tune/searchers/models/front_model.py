"""A process for each objective and each limit, and the hypervolume that a candidate would add.

Notation:

    k, c                objectives and limits
    n                   observations of m trials, each at one rung
    y (n, k)            the losses, scaled by the front of their rung: 0 is its best, 1 its worst
    e (n, c)            the excesses over the limits; 0 and below keep them
    mu, sigma (q, k)    posterior means and deviations at q candidates

The losses of each rung are scaled by the front of that rung: the trials that a scheduler lets
continue are those of the front, so the fronts of two rungs can be compared where the means cannot.
Losses far behind the front are compressed, so that they do not decide the fit.

The expected hypervolume improvement of a candidate is the integral, over the points z that the
front does not dominate, of the probability that the candidate dominates z (Emmerich et al. 2006;
the objectives are independent given the data):

    EHVI = integral of prod_j Phi((z_j - mu_j) / sigma_j) dz

The integral is a mean over points drawn uniformly from a box, the same points for all candidates.
If all trials are trained to their end and there is no limit, the box ends at the medians of the
first few of them, where these are nearer than the ends of the front: what counts is to be better
than usual in all at once.
It is multiplied by the probability that the limits hold (Gardner et al., ICML 2014, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from raysweep.arrays import BoolArray, FloatArray, IntArray
from raysweep.front_order import fronts, positions
from raysweep.history import History
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    NoisePrior,
    Observations,
    fit,
)
from raysweep.tune.searchers.models.rung_quantiles import compared_rungs

FEWEST = 4
"""A rung with fewer outcomes than this has no front to scale them by."""
USUAL = 10
"""The medians of so many first trials are what is usual, if all are trained to their end. Later
ones are proposed, and better than usual."""
DRAWS = 512
"""Points of the box in which the improvement is integrated."""
LOWEST, HIGHEST = -0.5, 1.1
"""The box, for each scaled loss: half the front's extent better than its best, and the reference
point of the hypervolume that results show (`raysweep/fronts.py`)."""

EXACT = NoisePrior(1e-3, 3.0)
"""Of a limit that training does not change, and of trials that are all trained to their end: such
values may be exact."""
STEADY = 0.01
"""Training does not change a limit if it moves its values by less than this part of the variance
among trials."""


@dataclass(frozen=True)
class Outcomes:
    """What trials reached at the rungs: n observations of m trials."""

    numbers: IntArray
    """(m,): the numbers of the trials."""
    trial_index: IntArray
    """(n,): an index of `numbers`."""
    rung_index: IntArray
    """(n,)"""
    y: FloatArray
    """(n, k): the scaled losses."""
    e: FloatArray
    """(n, c): the compressed excesses; NaN for a trial that failed before it reported."""

    @classmethod
    def of(cls, history: History, counts: Sequence[int] | None = None) -> Outcomes | None:
        """Those of the first `counts` arrivals at each rung, or of all; None if they are too few.

        A trial that failed counts as the worst of all.
        """
        rows: list[tuple[int, int]] = []
        losses: list[FloatArray] = []
        excesses: list[FloatArray] = []
        for index, rung in enumerate(compared_rungs(history)):
            limit = None if counts is None else counts[index]
            arrived = list(islice(rung.outcomes.items(), limit))
            if len(arrived) < FEWEST:
                break
            rows += [(number, index) for number, _ in arrived]
            e = np.array([outcome[1] for _, outcome in arrived]).reshape(len(arrived), -1)
            y = np.array([outcome[0] for _, outcome in arrived])
            is_whole = len(history.levels) == 1 and not e.shape[1]
            losses.append(_scaled(y, e, _usual_losses(y) if is_whole else None))
            excesses.append(e)
        if not rows:
            return None
        y, e = np.concatenate(losses), _compressed(np.concatenate(excesses))
        # The first arrivals decide the fit, whatever has become of them since.
        failed = sorted(history.failed) if counts is None else []
        known = {number for number, _ in rows}
        y[[number in failed for number, _ in rows]] = y.max(axis=0)
        early = [number for number in failed if number not in known]
        rows += [(number, 0) for number in early]
        y = np.concatenate([y, np.tile(y.max(axis=0), (len(early), 1))])
        e = np.concatenate([e, np.full((len(early), e.shape[1]), np.nan)])
        all_numbers, rungs = np.array(rows).T
        numbers, trial_index = np.unique(all_numbers, return_inverse=True)
        return cls(numbers, trial_index, rungs, y, e)

    @property
    def last(self) -> IntArray:
        """(m,): the observation of each trial at its highest rung."""
        found = np.zeros(len(self.numbers), np.int64)
        found[self.trial_index] = np.arange(len(self.trial_index))  # rungs come in order
        return found

    @property
    def feasible(self) -> BoolArray:
        """(m,): the trials that keep all limits at their highest rung."""
        return np.asarray(np.all(self.e[self.last] <= 0, axis=1), dtype=np.bool_)

    def thinned(self, limit: int) -> Outcomes:
        """About `limit` observations of whole trials: half of the first ones by fronts.

        The others are spread evenly over the rest of that order.
        """
        if len(self.trial_index) <= limit:
            return self
        y, e = self.y[self.last].tolist(), np.nan_to_num(self.e[self.last], nan=np.inf).tolist()
        places = positions(tuple((tuple(a), tuple(b)) for a, b in zip(y, e, strict=True)))
        order = np.argsort(places, kind="stable")
        total = np.cumsum(np.bincount(self.trial_index)[order])
        head = int(np.searchsorted(total, limit // 2, side="right"))
        per_trial = total[-1] / len(order)
        spread = np.linspace(head, len(order) - 1, max(1, int(limit / 2 / per_trial)))
        kept = np.zeros(len(order), np.bool_)
        kept[order[:head]] = True
        kept[order[spread.astype(np.int64)]] = True
        picked = np.flatnonzero(kept[self.trial_index])
        trials, trial_index = np.unique(self.trial_index[picked], return_inverse=True)
        return Outcomes(
            self.numbers[trials],
            trial_index,
            self.rung_index[picked],
            self.y[picked],
            self.e[picked],
        )


def _usual_losses(losses: FloatArray) -> FloatArray:
    """The medians (k,) of the USUAL first of these (n, k); inf if none of them is finite."""
    first = losses[:USUAL]
    first = first[np.isfinite(first).all(axis=1)]
    return np.median(first, axis=0) if len(first) else np.full(losses.shape[1], np.inf)


def _scaled(losses: FloatArray, excesses: FloatArray, usual: FloatArray | None) -> FloatArray:
    """The losses of one rung (n, k), with 0 and 1 at the best and the worst of its front.

    Without a trial that keeps the limits it is the front of all. Where the `usual` losses (k,) are
    between these, 1 is there. What is behind is compressed by a logarithm.
    """
    finite = np.isfinite(losses).all(axis=1)
    kept = finite & (excesses <= 0).all(axis=1)
    points = losses[kept if kept.any() else finite]
    if not len(points):
        return np.ones_like(losses)
    front = points[fronts(points)[0]]
    low = front.min(axis=0)
    extent = front.max(axis=0) - low
    extent = np.where(extent > 0, extent, np.median(points, axis=0) - low)
    if usual is not None:
        extent = np.where(usual > low, np.minimum(extent, usual - low), extent)
    y = (losses - low) / np.where(extent > 0, extent, 1.0)
    y = np.where(np.isfinite(y), y, y[finite].max(axis=0))
    compressed: FloatArray = np.where(y > 1.0, 1.0 + np.log(np.maximum(y, 1.0)), y)
    return compressed


def _compressed(excesses: FloatArray) -> FloatArray:
    """The excesses (n, c) with their signs, compressed by a logarithm.

    The unit is what is usual on the side of the limit where the values are closer to it, so that
    the limit itself is resolved.
    """
    found = np.empty_like(excesses)
    for limit, values in enumerate(excesses.T):
        scaled = values / _usual(values)
        log = np.sign(scaled) * np.log1p(np.abs(scaled))
        largest = np.max(log, where=np.isfinite(log), initial=1.0)
        found[:, limit] = np.where(np.isfinite(log), log, largest)
    return found


def _usual(excesses: FloatArray) -> float:
    """The lesser median of the finite excesses beyond a limit and within it; 1 without any."""
    sizes = [
        float(np.median(np.abs(side)))
        for side in (excesses[excesses > 0], excesses[excesses < 0])
        if len(side)
    ]
    return min((size for size in sizes if 0 < size < np.inf), default=1.0)


@dataclass(frozen=True)
class MetricModel:
    """A process over standardised values, with what they were standardised by."""

    model: GaussianProcess
    mean: float
    deviation: float

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation at x (q, d), as scaled losses or excesses; both (q,)."""
        mean, deviation = self.model.predict(x)
        return self.mean + self.deviation * mean, np.maximum(self.deviation * deviation, 1e-9)

    def fantasize(self, x: FloatArray) -> MetricModel:
        return MetricModel(self.model.fantasize(x), self.mean, self.deviation)


def _standardised(values: FloatArray) -> tuple[FloatArray, float, float]:
    mean, deviation = float(values.mean()), float(values.std()) or 1.0
    return (values - mean) / deviation, mean, deviation


def hyperparameters(dataset: Dataset, outcomes: Outcomes, count: int) -> list[Hyperparameters]:
    """Those of each process, fitted to about `count` observations: first of the objectives."""
    found: list[Hyperparameters] = []
    for observations, values in _known(dataset, outcomes, count):
        is_limit = len(found) >= outcomes.y.shape[1]
        is_exact = is_limit and not observations.rung_index.any()
        prior = EXACT if is_exact or len(dataset.history.levels) == 1 else None
        found.append(fit(observations, _standardised(values)[0], prior))
    return found


def processes(
    dataset: Dataset, outcomes: Outcomes, fitted: Sequence[Hyperparameters], count: int
) -> list[MetricModel]:
    """The processes given about `count` observations each: first those of the objectives."""
    found = []
    for chosen, (observations, values) in zip(
        fitted, _known(dataset, outcomes, count), strict=True
    ):
        y, mean, deviation = _standardised(values)
        found.append(
            MetricModel(GaussianProcess.condition(chosen, observations, y), mean, deviation)
        )
    return found


def _known(
    dataset: Dataset, outcomes: Outcomes, count: int
) -> list[tuple[Observations, FloatArray]]:
    """About `count` observations, and their values, of each objective and then of each limit."""
    thinned = outcomes.thinned(count)
    found = [_observed(dataset, thinned, values) for values in thinned.y.T]
    for values, few in zip(outcomes.e.T, thinned.e.T, strict=True):
        all_known = _observed(dataset, outcomes, values)
        is_pooled = is_steady(all_known[0].trial_index, all_known[1])
        found.append(_pooled(*all_known, count) if is_pooled else _observed(dataset, thinned, few))
    return found


def _observed(
    dataset: Dataset, outcomes: Outcomes, values: FloatArray
) -> tuple[Observations, FloatArray]:
    """The observations whose value is known, and these values."""
    picked = np.flatnonzero(np.isfinite(values))
    trials, trial_index = np.unique(outcomes.trial_index[picked], return_inverse=True)
    x = dataset.encoded[outcomes.numbers[trials]]
    return Observations(x, trial_index, outcomes.rung_index[picked]), values[picked]


def _pooled(
    observations: Observations, values: FloatArray, count: int
) -> tuple[Observations, FloatArray]:
    """One observation of each trial, whatever rung it has reached; of the `count` at the limit.

    It is for what training does not change: a latency or a size is known after the first epoch.
    """
    last = np.zeros(len(observations.x), np.int64)
    last[observations.trial_index] = np.arange(len(values))  # rungs come in order
    nearest = np.sort(np.argsort(np.abs(values[last]), kind="stable")[:count])
    order = np.arange(len(nearest))
    return Observations(observations.x[nearest], order, np.zeros_like(order)), values[last][nearest]


def is_steady(trial_index: IntArray, values: FloatArray) -> bool:
    """True if the values (n,) hardly change while a trial trains.

    trial_index: (n,), the trial of each value, with those of a trial in order. The mean square of
    the changes is compared with the variance of all.
    """
    order = np.argsort(trial_index, kind="stable")
    changes = np.diff(values[order])[np.diff(trial_index[order]) == 0]
    return not len(changes) or float(np.square(changes).mean()) <= STEADY * float(values.var())


def holds(limits: Sequence[MetricModel], x: FloatArray) -> FloatArray:
    """The probability that all limits hold at x (q, d); (q,)."""
    from scipy.special import ndtr

    found = np.ones(len(x))
    for model in limits:
        mean, deviation = model.predict(x)
        found *= ndtr(-mean / deviation)
    return found


def not_dominated(front: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Of DRAWS points of the box, those that the front (f, k) does not dominate; (., k)."""
    z = LOWEST + (HIGHEST - LOWEST) * rng.random((DRAWS, front.shape[1]))
    return z[~(front[:, None, :] <= z).all(axis=2).any(axis=0)]


def improvement(
    models: Sequence[MetricModel],
    k: int,
    front: FloatArray,
    x: FloatArray,
    z: FloatArray,
) -> FloatArray:
    """How promising each candidate x (q, d) is; (q,).

    The expected hypervolume improvement over a front (f, k) times the probability that the limits
    hold; that probability alone if no trial has kept them yet. Where it vanishes, lower means come
    first. z: points that the front does not dominate, as `not_dominated` draws them.
    """
    from scipy.special import ndtr

    likely = holds(models[k:], x)
    if not len(front):
        return likely
    dominates, means = np.ones((len(x), len(z))), np.zeros(len(x))
    for j, model in enumerate(models[:k]):
        mean, deviation = model.predict(x)
        dominates *= ndtr((z[:, j] - mean[:, None]) / deviation[:, None])
        means += mean
    gain: FloatArray = dominates.sum(axis=1) / DRAWS * likely - 1e-9 * means
    return gain


def expected_front(
    models: Sequence[MetricModel], k: int, known: FloatArray, pending: FloatArray
) -> FloatArray:
    """The front (f, k) of the means at the trials that keep the limits and at pending ones.

    known, pending: (., d). A pending trial counts if it will more likely than not keep the limits.
    """
    likely = np.ones(len(pending), np.bool_)
    if len(pending):
        for model in models[k:]:
            likely &= model.predict(pending)[0] <= 0
    x = np.concatenate([known, pending[likely]])
    if not len(x):
        return np.empty((0, k))
    points = np.stack([model.predict(x)[0] for model in models[:k]], axis=1)
    return points[fronts(points)[0]]
