"""BOHB: hpbandster's densities of good and bad configurations, a pair for each rung.

Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018,
section 3.2. The densities are fitted by hpbandster's own BOHB class, for each proposal, on the
highest rung that has enough trials. So they learn under any scheduler that stops trials there;
under Ray's `TuneBOHB` with ASHA they never see a result.

Two parts are ours. Samples are drawn in one array operation in place of thousands of calls, and
numpy's global generator is left alone. And a proposal keeps its distance from earlier and pending
trials (`candidate_filters.py`), so that several workers do not train one point.

With several metrics the good trials of a rung are the first ones by fronts, with those that break a
limit last (`raysweep/front_order.py`), as MO-ASHA ranks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from raysweep.arrays import FloatArray, IntArray
from raysweep.front_order import positions
from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.candidate_filters import first_distant
from raysweep.tune.searchers.models.dataset import Dataset, DatasetCache
from raysweep.tune.searchers.models.kde import Densities, fit
from raysweep.tune.searchers.models.threads import single_thread
from raysweep.tune.searchers.per_history import PerHistory


@dataclass
class Bohb:
    """Proposes where good configurations are dense and bad ones are not.

    `top_percent`: the part of a rung's trials that are the good ones. `samples`: the number of
    draws from the good that compete. `random_fraction`: the part of the proposals that are drawn
    from the space instead. `bandwidth_factor` widens the draws; `min_bandwidth` keeps the densities
    from collapsing.
    """

    several_metrics: ClassVar[bool] = True

    top_percent: Annotated[int, Ge(1), Le(99)] = 15
    samples: Annotated[int, Ge(1)] = 64
    random_fraction: Annotated[float, Ge(0), Le(1)] = 1 / 3
    bandwidth_factor: Annotated[float, Gt(0)] = 3.0
    min_bandwidth: Annotated[float, Gt(0)] = 1e-3
    _caches: PerHistory[DatasetCache] = field(
        default_factory=lambda: PerHistory(DatasetCache), init=False, repr=False, compare=False
    )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        dataset = Dataset(space, history, self._caches.of(space, history))
        if rng.random() < self.random_fraction:
            return dataset.untried.sample(rng)
        densities = self.densities(dataset, rng)
        if densities is None:
            return dataset.untried.sample(rng)
        points = densities.draw(self.samples, self.bandwidth_factor, rng)
        best_first = points[np.argsort(-densities.log_ratio(points), kind="stable")]
        with single_thread():
            return first_distant(dataset, best_first) or dataset.untried.sample(rng)

    def densities(self, dataset: Dataset, rng: np.random.Generator) -> Densities | None:
        """The densities of the highest rung with enough trials; None if no rung has enough."""
        dimensions = len(dataset.space)
        if not dimensions:
            return None
        for level in reversed(dataset.history.levels):
            numbers, losses = _outcomes(dataset, level)
            n_good = self._n_good(dimensions, len(losses))
            if n_good is not None:
                points = dataset.units[numbers]
                return fit(dataset.space, points, losses, n_good, self.min_bandwidth, rng)
        return None

    def _n_good(self, dimensions: int, count: int) -> int | None:
        """How many of `count` trials are the good ones, by hpbandster's rule.

        None if there are too few for two densities.
        """
        n_good = max(dimensions + 1, self.top_percent * count // 100)
        return n_good if count - n_good > dimensions else None


def _outcomes(dataset: Dataset, level: int) -> tuple[IntArray, FloatArray]:
    """The trials that the densities of a rung learn from, and their losses.

    They are those that reached the rung, and at the lowest rung those too that failed before it.
    """
    numbers, losses = dataset.arrivals(level)
    history = dataset.history
    if outcomes := history.rungs[level].outcomes:
        losses = np.array(positions(tuple(outcomes[number] for number in numbers.tolist())))
    failed_early: list[int] = []
    if level == history.levels[0]:
        reached = (rung.by_trial for rung in history.rungs.values())
        failed_early = sorted(history.failed.difference(*reached))
    return (
        np.concatenate([numbers, np.array(failed_early, np.int64)]),
        np.concatenate([losses, np.full(len(failed_early), np.inf)]),
    )
