"""Proposals that keep their distance: configurations beside the best one train alike and tell nothing new.

Measured on TaskSet's problems to develop on: without it one curve is trained again and again, and the final regret is several times as
large, under the Gaussian process as under BOHB's densities (`benchmarks/search.md`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from raysweep.history import Config, History
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.dataset import FloatArray
from raysweep.tune.searchers.models.encoding import encoded, encoding
from raysweep.tune.searchers.models.gaussian_process import squares

TOGETHER = 8
"""So many candidates are looked at in one array operation; the first few mostly do."""


def first_apart(space: Space, candidates: FloatArray, history: History) -> Config | None:
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


def _far(points: FloatArray, earlier: FloatArray, gap: float) -> Iterator[int]:
    """The indices of the points whose squared distance from all earlier ones is larger than `gap`."""
    for start in range(0, len(points), TOGETHER):
        nearest = squares(points[start : start + TOGETHER], earlier).min(axis=1)
        yield from (start + np.flatnonzero(nearest > gap)).tolist()
