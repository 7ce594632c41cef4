"""What a study has not tried yet of its space, so that no configuration is trained twice.

Two configurations are the same if their active parameters have the same values. A space of real
numbers hardly ever repeats one; a space of a few values does so soon, and ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import islice

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config, History
from raysweep.search_spaces.language.points import key_of, typed
from raysweep.search_spaces.language.space import Space

DRAWS = 100
"""So many draws in a row that were all tried before: then the rest of the space is listed."""
MOST_LISTED = 100_000
"""A space of more combinations of values is never listed, and so never taken for exhausted."""


class Listed:
    """All configurations of a space, and which of them are left."""

    def __init__(self, space: Space) -> None:
        self._space = space
        configs = {key_of(config): config for config in space.all_drawn()}
        self.configs = list(configs.values())
        self.left = np.ones(len(configs), np.bool_)
        self._places = {key: place for place, key in enumerate(configs)}

    def remove(self, keys: Iterable[str]) -> None:
        self.left[[self._places[key] for key in keys if key in self._places]] = False

    @cached_property
    def units(self) -> FloatArray:
        """All as points of the unit cube, (configurations, dimensions)."""
        return self._space.to_units(self.configs)


class Untried:
    """The configurations of a space without those of the trials of one history.

    A searcher keeps one for each history (`per_history.py`). A space without parameters has one
    configuration, which is there to be repeated.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._tried: set[str] = set()
        self._n_read = 0
        self._all: Listed | None = None

    def read(self, history: History) -> Untried:
        """Take note of the trials that are new. Returns itself.

        A trial that began with the checkpoint of another one has not tried its configuration.
        """
        new = islice(history, self._n_read, None)
        tried = [trial.config for trial in new if "parent" not in trial.notes]
        keys = {key_of(typed(self._space, config)) for config in tried}
        self._n_read = len(history)
        self._tried |= keys
        if self._all is not None:
            self._all.remove(keys)
        return self

    def __contains__(self, config: Config) -> bool:
        return not len(self._space) or key_of(config) not in self._tried

    def sample(self, rng: np.random.Generator, space: Space | None = None) -> Config | None:
        """Draw a configuration that was not tried, from the priors; None if all were.

        space: the same with other priors, if it is to be drawn from.
        If only a few are left, each of them is as likely. In a space that cannot be listed, the
        last of DRAWS draws is returned although it was tried.
        """
        for _ in range(DRAWS):
            config = (space or self._space).sample(rng)
            if config in self:
                return config
        listed = self._listed(MOST_LISTED)
        if listed is None:
            return config
        left = np.flatnonzero(listed.left)
        return listed.configs[int(rng.choice(left))] if len(left) else None

    def points(self, most: int) -> FloatArray | None:
        """The untried configurations as points of the unit cube, (configurations, dimensions).

        None if the space has more than `most` combinations of values.
        """
        listed = self._listed(most)
        return None if listed is None else listed.units[listed.left]

    def _listed(self, most: int) -> Listed | None:
        count = self._space.n_combinations
        if count is None or count > most:
            return None
        if self._all is None:
            self._all = Listed(self._space)
            self._all.remove(self._tried)
        return self._all
