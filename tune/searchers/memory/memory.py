"""What a study of `auto` takes from earlier runs: first configurations, and a mean function."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.memory.guard import PriorMean, judged
from raysweep.tune.searchers.memory.portfolio import configuration, portfolio
from raysweep.tune.searchers.memory.sources import Source
from raysweep.tune.searchers.memory.surrogates import Surrogate
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import Hyperparameters, Observations
from raysweep.tune.searchers.models.rung_quantiles import rung_quantiles
from raysweep.tune.searchers.untried import Untried

FIRST = 5
"""So many first configurations come from earlier runs: what begins before any trial has reached a
rung. From then on they take turns with drawn ones, by which the guard judges the runs."""
LAG = 0.2
"""The first configurations may stand so far behind drawn ones, in the mean, before they end."""
FORGET = 400
"""From so many trials on, a sweep knows more than the runs could tell."""


@dataclass(frozen=True)
class Assessment:
    """Which earlier runs a study uses, the best first, and which it drops, by name."""

    used: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Memory:
    """The earlier runs that a sweep remembers."""

    sources: tuple[Source, ...]

    @cached_property
    def seed(self) -> tuple[int, ...]:
        """What these runs add to the seed of a sweep; () without any.

        With its own seed alone, a sweep would draw what one of the runs has drawn already.
        """
        if not self.sources:
            return ()
        plain = json.dumps([source.plain() for source in self.sources], sort_keys=True)
        return (zlib.crc32(plain.encode()),)


class Recollection:
    """What a memory tells of one space. It depends on these two alone."""

    def __init__(self, memory: Memory, space: Space) -> None:
        self._memory, self._space = memory, space
        self._encoding = Encoding.of(space)

    @cached_property
    def surrogates(self) -> Sequence[Surrogate]:
        found = (Surrogate.of(one, self._space, self._encoding) for one in self._memory.sources)
        return [one for one in found if one is not None]

    @cached_property
    def members(self) -> FloatArray:
        """The first configurations, (at most FIRST, dimensions), NaN where they are free."""
        if not self.surrogates:
            return np.empty((0, len(self._space)))
        return portfolio(self.surrogates, self._space, self._encoding, FIRST)

    def first(self, history: History, untried: Untried, seed: int) -> Config | None:
        """The first configuration that is proposed now; None where one is drawn.

        None is any more once those that have reached a rung do not stand before the drawn ones.
        """
        turn = sum(trial.is_remembered for trial in history)
        if turn >= len(self.members) or _is_turn_of_drawn(history) or not _lead(history):
            return None
        config = configuration(
            self._space, self.members[turn], np.random.default_rng([seed, len(history)])
        )
        return config if config is not None and config in untried else None

    def prior_mean(
        self, hyperparameters: Hyperparameters, observations: Observations, y: FloatArray
    ) -> PriorMean:
        """The mean function that the observations bear out; see `judged`."""
        return judged(self.surrogates, hyperparameters, observations, y)

    def assessment(self, mean: PriorMean) -> Assessment:
        """Which of the runs passed when a mean function was made."""
        names = (surrogate.source.run for surrogate in self.surrogates)
        return Assessment(mean.passed, tuple(name for name in names if name not in mean.passed))


def _is_turn_of_drawn(history: History) -> bool:
    """True if a rung was reached, and the last proposal was a first configuration."""
    if not history.levels or not len(history.rungs[history.levels[0]]):
        return False
    # A configuration that a person enqueued takes no turn.
    proposed = [trial for trial in history if "enqueued" not in trial.notes]
    return bool(proposed) and proposed[-1].is_remembered


def _lead(history: History) -> bool:
    """True unless the first configurations are behind the others that have reached a rung.

    The means of their quantiles are compared, which differ by chance, too.
    """
    quantiles = rung_quantiles(Dataset.of(Space({}), history))
    is_first = np.array(
        [history[number].is_remembered for number in quantiles.numbers.tolist()], np.bool_
    )
    if not is_first.any() or is_first.all():
        return True
    quantile = quantiles.quantile
    return bool(quantile[is_first].mean() <= quantile[~is_first].mean() + LAG)
