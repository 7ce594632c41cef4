"""Searchers that learn nothing. They are the controls of every comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space

MAX_CELLS = 100_000
"""The largest grid that is accepted. All its configurations are held in memory, to be shuffled."""


@dataclass(frozen=True)
class Random:
    """Draws uniformly, or from the priors if the space has them."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng([seed, len(history)]))


@dataclass(frozen=True)
class Grid:
    """Tries each cell of the grid once, in an order that is shuffled by the seed.

    So a sweep that ends early has not tried one corner of the space only. `points` is the number of
    values of a float (or of an int that has more values), unless the parameter itself says so.
    """

    points: Annotated[int, Ge(1), Le(MAX_CELLS)] = 3
    _listed: dict[int, tuple[Space, list[Config]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _orders: dict[tuple[int, int], list[int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def check_space(self, space: Space) -> None:
        """Raise ValueError if the grid has more than MAX_CELLS cells."""
        count = math.prod(len(param.grid(self.points)) for param in space.params.values())
        if count > MAX_CELLS:
            raise ValueError(
                f"the grid has up to {count:,} cells; at most {MAX_CELLS:,} are tried: "
                "write `points: 2` on some parameters, or leave grid out"
            )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        cells = self._cells(space)
        if len(history) == len(cells):
            return None
        return cells[self._order(len(cells), seed)[len(history)]]

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
