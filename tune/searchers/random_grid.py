"""Searchers that learn nothing. They are the controls of every comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.per_history import PerHistory
from raysweep.tune.searchers.untried import Untried

MAX_CELLS = 100_000
"""The largest grid that is accepted. All its configurations are held in memory, to be shuffled."""


@dataclass
class Random:
    """Draws uniformly, or from the priors if the space has them, and nothing twice."""

    _untried: PerHistory[Untried] = field(
        default_factory=lambda: PerHistory(Untried), init=False, repr=False, compare=False
    )

    several_metrics: ClassVar[bool] = True

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        untried = self._untried.of(space, history).read(history)
        return untried.sample(np.random.default_rng([seed, len(history)]))


class GridCache:
    """The cells of the space that was asked about last, and the order of each seed."""

    def __init__(self) -> None:
        self._space: Space | None = None
        self._cells: list[Config] = []
        self._orders: dict[int, list[int]] = {}

    def cells(self, space: Space, points: int) -> list[Config]:
        if self._space is not space:
            self._space, self._cells, self._orders = space, list(space.grid(points)), {}
        return self._cells

    def order(self, seed: int) -> list[int]:
        """The indices of the cells, shuffled by a seed."""
        if seed not in self._orders:
            count = len(self._cells)
            shuffled = np.random.default_rng([seed, count]).permutation(count)
            self._orders[seed] = shuffled.tolist()
        return self._orders[seed]


@dataclass
class Grid:
    """Tries each cell of the grid once, in an order that is shuffled by the seed.

    So a sweep that ends early has not tried one corner of the space only. `points` is the number of
    values of a float (or of an int that has more values), unless the parameter itself says so.
    """

    several_metrics: ClassVar[bool] = True

    points: Annotated[int, Ge(1), Le(MAX_CELLS)] = 3
    _cache: GridCache = field(default_factory=GridCache, init=False, repr=False, compare=False)

    def check_space(self, space: Space) -> None:
        """Raise ValueError if the grid has more than MAX_CELLS cells."""
        count = math.prod(len(param.grid(self.points)) for param in space.params.values())
        if count > MAX_CELLS:
            raise ValueError(
                f"the grid has up to {count:,} cells; at most {MAX_CELLS:,} are tried: "
                "write `points: 2` on some parameters, or leave grid out"
            )

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        cells = self._cache.cells(space, self.points)
        # A configuration that a person enqueued takes no cell's place.
        tried = sum("enqueued" not in trial.notes for trial in history)
        if tried >= len(cells):
            return None
        return cells[self._cache.order(seed)[tried]]
