"""Proposals that keep their distance: configurations beside the best one train alike and tell nothing new.

Measured on TaskSet's problems to develop on: without it one curve is trained again and again, and the final regret is several times as
large, under the Gaussian process as under BOHB's densities (`benchmarks/search.md`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from results.history import Config, History
from search_spaces.space import Space
from tune.searchers.encoded import encoded, encoding
from tune.searchers.gaussian import squares
from tune.searchers.observed import Floats

TOGETHER = 8
"""So many candidates are looked at in one array operation; the first few mostly do."""


def first_apart(space: Space, candidates: Floats, history: History) -> Config | None:
    """The first candidate that the constraints allow and that keeps the spacing of a grid of as many points from all earlier trials.

    Running ones are among those. Where none does: the first one that is new; None where all were tried. candidates: (n, dimensions) points
    of the unit cube, the best first.
    """
    encode, earlier = encoding(space), encoded(space, history)
    gap = len(earlier) ** (-2.0 / len(space))
    for least, some in (
        (gap, _far(encode(candidates), earlier, gap)),
        (0.0, range(len(candidates))),
    ):
        for i in some:
            config = space.from_unit(candidates[i])
            if (
                space.allows(config)
                and np.square(earlier - encode(np.asarray(space.to_unit(config))[None]))
                .sum(axis=1)
                .min()
                > least
            ):
                return config
    return None


def _far(points: Floats, earlier: Floats, gap: float) -> Iterator[int]:
    """The indices of the points whose squared distance from all earlier ones is larger than `gap`."""
    for start in range(0, len(points), TOGETHER):
        nearest = squares(points[start : start + TOGETHER], earlier).min(axis=1)
        yield from (start + np.flatnonzero(nearest > gap)).tolist()
