"""What a study of `auto` takes from earlier runs: first configurations, and a mean function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.memory.guard import NOTHING, PriorMean, judged
from raysweep.tune.searchers.memory.portfolio import configuration, portfolio
from raysweep.tune.searchers.memory.sources import Source
from raysweep.tune.searchers.memory.surrogates import Surrogate
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.untried import Untried

FIRST = 5
"""So many first configurations come from earlier runs. They take turns with drawn ones, by which
the guard judges the runs."""
FORGET = 400
"""From so many trials on, a sweep knows more than the runs could tell."""


@dataclass(frozen=True)
class Verdict:
    """Which earlier runs a study uses, the best first, and which it drops, by name."""

    used: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Memory:
    """The earlier runs that a sweep remembers."""

    sources: tuple[Source, ...]


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
        """The first configuration that is proposed now; None where one is drawn."""
        # A configuration that a person enqueued takes no turn.
        turn, is_drawn = divmod(sum("enqueued" not in trial.notes for trial in history), 2)
        if is_drawn or turn >= len(self.members):
            return None
        config = configuration(
            self._space, self.members[turn], np.random.default_rng([seed, len(history)])
        )
        return config if config is not None and config in untried else None

    def prior_mean(self, encoded: FloatArray, y: FloatArray) -> PriorMean:
        """The mean function that trials bear out; see `judged`."""
        return judged(self.surrogates, encoded, y) if len(y) < FORGET else NOTHING

    def verdict(self, mean: PriorMean) -> Verdict:
        """Which of the runs a mean function uses."""
        names = (surrogate.source.run for surrogate in self.surrogates)
        return Verdict(mean.used, tuple(name for name in names if name not in mean.used))
