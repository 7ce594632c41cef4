"""BOHB, with hpbandster's model: Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018, section 3.2.

Under Ray's own `TuneBOHB` with ASHA that model never sees a result. Here it is fitted, when asked, on the
largest rung that has enough trials.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le

from results.history import Config, History
from search_spaces.params import Choice
from search_spaces.space import Space
from tune.searchers.evidence import at_level

MOST_REDRAWS = 20


@dataclass(frozen=True)
class Bohb:
    """A fair draw with probability `random_fraction`; else the likeliest of `samples` draws around the best `top_percent` at a rung.

    `bandwidth_factor` widens those draws; `min_bandwidth` keeps them apart where all good values are equal.
    """

    random_fraction: Annotated[float, Ge(0), Le(1)] = 1 / 3
    top_percent: Annotated[int, Ge(1), Le(99)] = 15
    samples: Annotated[int, Ge(1)] = 64
    bandwidth_factor: Annotated[float, Gt(0)] = 3.0
    min_bandwidth: Annotated[float, Gt(0)] = 1e-3

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        rng = np.random.default_rng([seed, len(history)])
        fair = rng.random() < self.random_fraction
        level = None if fair or not len(space) else self._level(space, history)
        if level is None:
            return space.sample(rng)
        good, bad = self._fit(space, history, level, rng)
        for _ in range(MOST_REDRAWS):
            config = space.from_unit(self._best(space, good, bad, rng))
            if space.allows(config):
                return config
        return space.sample(rng)

    def _level(self, space: Space, history: History) -> int | None:
        """The largest rung with enough trials for two densities that differ."""
        enough = 2 * (len(space) + 1)
        return next((level for level in reversed(history.levels) if len(history.rungs[level]) >= enough), None)

    def _fit(self, space: Space, history: History, level: int, rng: np.random.Generator) -> tuple[Any, Any]:
        """The densities of the good and of the bad configurations at a rung."""
        points, losses = at_level(history, space, level)
        rows = np.column_stack([_coordinate(param, points[:, i]) for i, param in enumerate(space.params.values())])
        with warnings.catch_warnings(), _global_state(int(rng.integers(2**32))):
            warnings.simplefilter("ignore")
            model = self._model(space)
            model.configs[level], model.losses[level] = list(rows[:-1]), list(losses[:-1])
            model.new_result(_job(level, float(losses[-1]), _configuration(model.configspace, rows[-1])))
        fitted = model.kde_models[level]
        return fitted["good"], fitted["bad"]

    def _model(self, space: Space) -> Any:
        from hpbandster.optimizers.config_generators.bohb import BOHB

        return BOHB(
            _configspace(space),
            top_n_percent=self.top_percent,
            num_samples=self.samples,
            bandwidth_factor=self.bandwidth_factor,
            min_bandwidth=self.min_bandwidth,
        )

    def _best(self, space: Space, good: Any, bad: Any, rng: np.random.Generator) -> Any:
        """The draw with the highest ratio of the densities, as a point of the unit cube."""
        picked = good.data[rng.integers(len(good.data), size=self.samples)]
        rows = np.column_stack([self._draw(param, picked[:, i], float(good.bw[i]), rng) for i, param in enumerate(space.params.values())])
        ratio = np.maximum(good.pdf(rows), 1e-32) / np.maximum(bad.pdf(rows), 1e-32)
        row = rows[int(np.argmax(np.nan_to_num(ratio, nan=-1.0)))]
        return np.array(
            [(u + 0.5) / param.count if isinstance(param, Choice) else u for param, u in zip(space.params.values(), row, strict=True)]
        )

    def _draw(self, param: Any, centres: Any, bandwidth: float, rng: np.random.Generator) -> Any:
        """`samples` values of one coordinate around good ones: a truncated normal, or the same choice with probability 1 - bandwidth."""
        from scipy.special import ndtr, ndtri

        width = max(bandwidth, self.min_bandwidth)
        if isinstance(param, Choice):
            return np.where(rng.random(self.samples) < 1 - width, centres, rng.integers(param.count, size=self.samples))
        width *= self.bandwidth_factor
        low, high = ndtr(-centres / width), ndtr((1 - centres) / width)
        return np.clip(centres + width * ndtri(low + rng.random(self.samples) * (high - low)), 0.0, 1.0)


def _job(budget: float, loss: float, config: Any) -> Any:
    """A finished run as hpbandster's generator reads it."""
    from hpbandster.core.dispatcher import Job

    job = Job((0, 0, 0), config=config, budget=budget)
    job.result, job.exception = {"loss": loss}, None
    return job


def _coordinate(param: Any, column: Any) -> Any:
    """Unit-cube coordinates as hpbandster's model holds them: the index of a choice, the coordinate itself otherwise."""
    return np.minimum(np.floor(column * param.count), param.count - 1) if isinstance(param, Choice) else column


def _configspace(space: Space) -> Any:
    from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, UniformFloatHyperparameter

    made = ConfigurationSpace()
    made.add(
        [
            CategoricalHyperparameter(f"p{i:03d}", list(range(param.count)))
            if isinstance(param, Choice)
            else UniformFloatHyperparameter(f"p{i:03d}", 0.0, 1.0)
            for i, param in enumerate(space.params.values())
        ]
    )
    return made


def _configuration(configspace: Any, row: Any) -> Any:
    from ConfigSpace import Configuration

    return Configuration(configspace, vector=row)


@contextmanager
def _global_state(seed: int) -> Iterator[None]:
    """hpbandster draws from numpy's global generator: give it a seeded one, and put the former back."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
