"""Proposals that keep their distance: configurations beside the best one train alike and tell nothing new.

Measured on TaskSet's problems to develop on: without it one curve is trained again and again, and the final regret is several times as
large, under the Gaussian process as under BOHB's densities (`benchmarks/search.md`).
"""

from __future__ import annotations

import numpy as np

from results.history import Config
from search_spaces.space import Space
from tune.searchers.encoded import encoding
from tune.searchers.gaussian import squares
from tune.searchers.observed import Floats


def first_apart(space: Space, candidates: Floats, known: Floats) -> Config | None:
    """The first candidate that the constraints allow and that keeps the spacing of a grid of as many points from all earlier trials.

    Where none does: the first one that is new; None where all were tried. candidates: (n, dimensions) points of the unit cube, the best
    first; known: those of the earlier trials, running ones among them, NaN where inactive.
    """
    encoded = encoding(space)
    earlier, gap = encoded(known), len(known) ** (-1.0 / len(space))
    far = squares(encoded(candidates), earlier).min(axis=1) > gap * gap
    for least, some in ((gap * gap, candidates[far]), (0.0, candidates)):
        for candidate in some:
            config = space.from_unit(candidate)
            if space.allows(config) and np.square(earlier - encoded(np.asarray(space.to_unit(config))[None])).sum(axis=1).min() > least:
                return config
    return None
