"""Searchers that learn nothing: the controls of every comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge

from results.history import Config, History
from search_spaces.space import Space


@dataclass(frozen=True)
class Random:
    """A fair draw, or one from the priors where the space has them."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng([seed, len(history)]))


@dataclass(frozen=True)
class Grid:
    """Each cell of the grid once, in an order that the seed shuffles: an early end is no corner of the space, and ASHA meets no slope.

    `points`: how many values a float (or an int with more values) takes, unless the parameter says so itself.
    """

    points: Annotated[int, Ge(1)] = 3
    _cells: dict[tuple[int, int], list[Config]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        cells = self._shuffled(space, seed)
        return cells[len(history)] if len(history) < len(cells) else None

    def _shuffled(self, space: Space, seed: int) -> list[Config]:
        key = (id(space), seed)
        if key not in self._cells:
            cells = list(space.grid(self.points))
            order = np.random.default_rng([seed, len(cells)]).permutation(len(cells))
            self._cells[key] = [cells[i] for i in order]
        return self._cells[key]
