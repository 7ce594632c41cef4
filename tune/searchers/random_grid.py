"""Searchers that learn nothing: the controls of every comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space


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

    points: Annotated[int, Ge(1), Le(100_000)] = 3
    _listed: dict[int, tuple[Space, list[Config]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _orders: dict[tuple[int, int], list[int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        cells = self._cells(space)
        return (
            cells[self._order(len(cells), seed)[len(history)]]
            if len(history) < len(cells)
            else None
        )

    def _cells(self, space: Space) -> list[Config]:
        """The grid. The space is kept beside it, so that its id stays its own."""
        if id(space) not in self._listed:
            self._listed[id(space)] = (space, list(space.grid(self.points)))
        return self._listed[id(space)][1]

    def _order(self, count: int, seed: int) -> list[int]:
        if (count, seed) not in self._orders:
            self._orders[count, seed] = (
                np.random.default_rng([seed, count]).permutation(count).tolist()
            )
        return self._orders[count, seed]
