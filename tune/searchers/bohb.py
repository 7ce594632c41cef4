"""BOHB: hpbandster's density models of the good and the bad, one pair for each rung, fed from the history.

Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018, section 3.2. The models are fitted by
hpbandster's own BOHB class, when asked, on the highest rung that has enough trials, so they learn under whatever scheduler stops trials
there (under Ray's `TuneBOHB` with ASHA they never see a result). Drawing is ours: one array operation instead of thousands of calls, and
numpy's global generator is left alone. Ours too is that a proposal keeps its distance from earlier ones and from those still running
(`apart.py`), so that a batch of workers does not train one point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.apart import first_apart
from raysweep.tune.searchers.models.dataset import FloatArray, IntArray, arrivals, units
from raysweep.tune.searchers.models.gaussian_process import one_thread
from raysweep.tune.searchers.models.kde import Densities, fit


@dataclass(frozen=True)
class Bohb:
    """Proposes where good configurations are dense and bad ones are not.

    `top_percent`: how many of a rung are the good ones. `samples`: how many draws from the good compete. `random_fraction`: how many
    proposals are drawn from the space instead. `bandwidth_factor` widens the draws; `min_bandwidth` keeps them from collapsing.
    """

    top_percent: Annotated[int, Ge(1), Le(99)] = 15
    samples: Annotated[int, Ge(1)] = 64
    random_fraction: Annotated[float, Ge(0), Le(1)] = 1 / 3
    bandwidth_factor: Annotated[float, Gt(0)] = 3.0
    min_bandwidth: Annotated[float, Gt(0)] = 1e-3

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        models = None if rng.random() < self.random_fraction else self.model(space, history, rng)
        if models is None:
            return space.sample(rng)
        points = models.draw(self.samples, self.bandwidth_factor, rng)
        best_first = points[np.argsort(-models.preference(points), kind="stable")]
        with one_thread():
            return first_apart(space, best_first, history) or space.sample(rng)

    def model(self, space: Space, history: History, rng: np.random.Generator) -> Densities | None:
        """The models of the highest rung with enough trials; None where no rung has."""
        if not len(space):
            return None
        points = units(space, history)
        for level in reversed(history.levels):
            numbers, losses = _told(history, level)
            split = self._split(len(space), len(losses))
            if split is not None:
                return fit(space, points[numbers], losses, split, self.min_bandwidth, rng)
        return None

    def _split(self, dimensions: int, count: int) -> int | None:
        """How many of `count` are the good ones; None where there are too few for two models. hpbandster's rule."""
        good = max(dimensions + 1, self.top_percent * count // 100)
        return good if count - good > dimensions else None


def _told(history: History, level: int) -> tuple[IntArray, FloatArray]:
    """The trials that the model of a rung is told, and their losses: those that reached it; at the lowest one those too that went wrong
    before any."""
    numbers, losses = arrivals(history.rungs[level])
    early = (
        sorted(history.failed.difference(*(rung.by_trial for rung in history.rungs.values())))
        if level == history.levels[0]
        else []
    )
    return np.concatenate([numbers, np.array(early, np.int64)]), np.concatenate(
        [losses, np.full(len(early), np.inf)]
    )
