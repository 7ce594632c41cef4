"""The default: a Gaussian process over where trials stand, asked for the candidate that improves most.

What it does and why is measured in `benchmarks/search.md`. Every trial counts, however early it was stopped, with each rung that it reached
(`standing.py`). Those still running count as if they came out as expected. A proposal keeps its distance from all earlier ones
(`apart.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import numpy as np
from annotated_types import Ge, Le

from raysweep.history import Config, History
from raysweep.search_spaces.language.params import has_prior
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.apart import first_apart
from raysweep.tune.searchers.models.dataset import FloatArray, IntArray
from raysweep.tune.searchers.models.encoding import encoded, encoding
from raysweep.tune.searchers.models.gaussian_process import (
    Process,
    Scales,
    Seen,
    expected_improvement,
    fit,
    one_thread,
    process,
)
from raysweep.tune.searchers.models.rung_quantiles import Standing, Steps, compared, standing

SEEN, FITTED = 200, 140
"""How many observations the process looks at, one for each rung that a trial reached, and how many decide its scales."""
CANDIDATES, CLOSER, CHOSEN = 800, 128, 48
"""How many points are drawn; how many of them, by their means, are looked at closely; how many of these may be proposed."""
REFIT = 1.25
"""The scales are chosen anew when a rung has grown by this factor."""


@dataclass(frozen=True)
class Known:
    """Where trials stand, the process that has seen some of them, and their numbers."""

    stand: Standing
    model: Process
    seen: IntArray

    @cached_property
    def outlook(self) -> dict[int, float]:
        mean, deviation = self.model.ends()
        return dict(zip(self.seen.tolist(), (mean - deviation).tolist(), strict=True))


@dataclass(frozen=True)
class Auto:
    """Proposes what a Gaussian process expects to improve most.

    `startup`: how many trials must have reached a level before it is asked. `random_fraction`: how many proposals are drawn from the space
    all the same.
    """

    startup: Annotated[int, Ge(3)] = 10
    random_fraction: Annotated[float, Ge(0), Le(1)] = 0.0
    _known: WeakKeyDictionary[History, tuple[tuple[Any, ...], Known | None]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )
    _scales: WeakKeyDictionary[History, dict[tuple[int, ...], Scales | None]] = field(
        default_factory=WeakKeyDictionary, init=False, repr=False, compare=False
    )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        if not len(space) or len(history) < self.startup or rng.random() < self.random_fraction:
            return space.sample(rng)
        with one_thread():
            return self._asked(space, history, rng) or space.sample(rng)

    def rank(self, space: Space, history: History) -> dict[int, float]:
        """Where the trials that the process looks at would stand at the top, a deviation better than expected: what is unsure may be good.

        So a trial that begins badly where others came out well goes on before one that begins well where none did.
        """
        if not len(space) or len(history) < self.startup:
            return {}
        with one_thread():
            known = self._known_of(space, history)
            return {} if known is None else known.outlook

    def _asked(self, space: Space, history: History, rng: np.random.Generator) -> Config | None:
        """What the process proposes; None while it knows too little, or where it finds nothing new."""
        now = self._known_of(space, history)
        if now is None:
            return None
        points = encoded(space, history)
        pending = np.ones(len(points), np.bool_)
        pending[now.stand.numbers] = False
        model = now.model.believing(points[pending])
        best = now.stand.numbers[np.argsort(now.stand.share, kind="stable")[:6]]
        bar = float(model.at(points[best])[0].min())
        candidates = _candidates(space, rng)
        merit = expected_improvement(model, encoding(space)(candidates), bar, CLOSER)
        chosen = candidates[np.argsort(-merit, kind="stable")[:CHOSEN]]
        return first_apart(space, chosen, history)

    def _known_of(self, space: Space, history: History) -> Known | None:
        """What is known once trials have come to these rungs or gone wrong; None where that is too little."""
        key = (*(len(rung) for rung in compared(history)), frozenset(history.failed))
        memo = self._known.get(history)
        if memo is None or memo[0] != key:
            stand = _with_wrong(standing(history), history)
            scales = self._scales_of(space, history) if len(stand) >= self.startup else None
            memo = self._known[history] = (
                key,
                None if scales is None else _known(scales, encoded(space, history), stand),
            )
        return memo[1]

    def _scales_of(self, space: Space, history: History) -> Scales | None:
        """The scales that the first arrivals at each rung decide. Rungs only grow, so that a resumed sweep finds the same."""
        counts = tuple(_rounded(len(rung)) for rung in compared(history))
        memo = self._scales.setdefault(history, {})
        if counts not in memo:
            memo.clear()
            memo[counts] = _fitted(space, history, counts)
        return memo[counts]


def _fitted(space: Space, history: History, counts: tuple[int, ...]) -> Scales | None:
    """None where the trials do not differ."""
    stand = standing(history, counts)
    if len(np.unique(stand.share)) < 3:
        return None
    seen, values, _ = _seen(encoded(space, history), stand, FITTED)
    return fit(seen, values)


def _known(scales: Scales, points: FloatArray, stand: Standing) -> Known:
    seen, values, trials = _seen(points, stand, SEEN)
    return Known(stand, process(scales, seen, values), stand.numbers[trials])


def _seen(points: FloatArray, stand: Standing, most: int) -> tuple[Seen, FloatArray, IntArray]:
    """About `most` observations, their standardized values, and whose they are, as indices of the standing."""
    picked = _thinned(stand, most)
    trials, trial = np.unique(stand.steps.trial[picked], return_inverse=True)
    values = _standard(np.log(stand.steps.share[picked]))
    return Seen(points[stand.numbers[trials]], trial, stand.steps.place[picked]), values, trials


def _with_wrong(stand: Standing, history: History) -> Standing:
    """With the trials that went wrong as the worst of all, whether or not they had reached a level."""
    wrong = np.zeros(len(history), np.bool_)
    wrong[list(history.failed)] = True
    failed = wrong[stand.numbers]
    share = np.where(failed, 1.0, stand.share)
    wrong[stand.numbers] = False
    lost = np.flatnonzero(wrong)
    first, worst = np.zeros_like(lost), np.ones(len(lost))
    steps = Steps(
        np.concatenate([stand.steps.trial, len(stand) + np.arange(len(lost))]),
        np.concatenate([stand.steps.place, first]),
        np.concatenate([np.where(failed[stand.steps.trial], 1.0, stand.steps.share), worst]),
    )
    return Standing(
        np.concatenate([stand.numbers, lost]),
        np.concatenate([stand.place, first]),
        np.concatenate([share, worst]),
        steps,
    )


def _thinned(stand: Standing, most: int) -> IntArray:
    """The indices of about `most` steps: half are those of the best trials, half those of others, spread evenly over their ranks."""
    taken = np.bincount(stand.steps.trial, minlength=len(stand))
    order = np.argsort(stand.share, kind="stable")
    total = np.cumsum(taken[order])
    if total[-1] <= most:
        return np.arange(len(stand.steps.trial))
    head = int(np.searchsorted(total, most // 2, side="right"))
    best, rest = order[:head], order[head:]
    count = max(1, int((most - taken[best].sum()) / taken[rest].mean()))
    chosen = np.zeros(len(stand), np.bool_)
    chosen[best] = chosen[rest[np.linspace(0, len(rest) - 1, count).astype(np.int64)]] = True
    return np.flatnonzero(chosen[stand.steps.trial])


def _standard(values: FloatArray) -> FloatArray:
    spread = float(values.std())
    return np.asarray((values - values.mean()) / (spread if spread > 0 else 1.0), dtype=np.float64)


def _candidates(space: Space, rng: np.random.Generator) -> FloatArray:
    """Points of the unit cube, (CANDIDATES, dimensions), drawn as a sweep's first trials are."""
    points = rng.random((CANDIDATES, len(space)))
    for i, param in enumerate(space.params.values()):
        if has_prior(param):
            points[:, i] = [param.draw(value) for value in points[:, i].tolist()]
    return points


def _rounded(count: int) -> int:
    """The largest of 0, 4, 6, 8, 10, 12.5, ... (each by `REFIT` above the last) that is not above `count`."""
    size = 4.0
    while size * REFIT <= count:
        size *= REFIT
    return int(size) if count >= size else 0
