"""What a study has not tried yet of its space, so that no configuration is trained twice.

Two configurations are the same if their active parameters have the same values. A space of real
numbers hardly ever repeats one; a space of a few values does so soon, and ends.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from raysweep.history import Config, History
from raysweep.search_spaces.language.points import key_of
from raysweep.search_spaces.language.space import Space

DRAWS = 100
"""So many draws in a row that were all tried before: then the rest of the space is listed."""
MOST_LISTED = 100_000
"""A space of more combinations of values is never listed, and so never taken for exhausted."""


class Untried:
    """The configurations of a space without those of the trials of one history.

    A searcher keeps one for each history (`per_history.py`). A space without parameters has one
    configuration, which is there to be repeated.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._tried: set[str] = set()
        self._n_read = 0
        self._rest: dict[str, Config] | None = None

    def read(self, history: History) -> Untried:
        """Take note of the trials that are new. Returns itself.

        A trial that began with the checkpoint of another one has not tried its configuration.
        """
        for trial in islice(history, self._n_read, None):
            if "parent" not in trial.notes:
                key = key_of(trial.config)
                self._tried.add(key)
                if self._rest is not None:
                    self._rest.pop(key, None)
        self._n_read = len(history)
        return self

    def __contains__(self, config: Config) -> bool:
        return not len(self._space) or key_of(config) not in self._tried

    def sample(self, rng: np.random.Generator) -> Config | None:
        """Draw a configuration that was not tried, from the priors; None if all were.

        If only a few are left, each of them is as likely. In a space that cannot be listed, the
        last of DRAWS draws is returned although it was tried.
        """
        for _ in range(DRAWS):
            config = self._space.sample(rng)
            if config in self:
                return config
        rest = self.listed(MOST_LISTED)
        if rest is None:
            return config
        return rest[int(rng.integers(len(rest)))] if rest else None

    def listed(self, most: int) -> list[Config] | None:
        """The untried configurations, if the space has at most `most` combinations of values."""
        count = self._space.n_combinations
        if count is None or count > most:
            return None
        if self._rest is None:
            known = {key_of(config): config for config in self._space.all_drawn()}
            self._rest = {key: known[key] for key in known if key not in self._tried}
        return list(self._rest.values())
