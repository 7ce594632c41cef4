"""The first configurations that earlier runs suggest, each good where those before it are not.

They are chosen greedily over the models of the runs (Wistuba, Schilling and Schmidt-Thieme,
"Sequential model-free hyperparameter tuning", 2015, and Feurer, Springenberg and Hutter,
"Initializing Bayesian hyperparameter optimization via meta-learning", 2015, choose so among the
best of the runs). As a new problem differs from all of them, each model is looked at with several
random deviations, which are alike for configurations that are alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.memory.surrogates import Surrogate
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import matern52
from raysweep.tune.searchers.prior_guard import centres

BEST = 10
"""So many of the best configurations of each run may become members."""
DEVIATIONS, SIZE = 32, 0.5
"""So many deviations of so many standard deviations are drawn of each model."""
DRAWS = 20
"""So often the parameters that are not matched are drawn before a member is given up."""


def portfolio(
    surrogates: Sequence[Surrogate], space: Space, encoding: Encoding, size: int
) -> FloatArray:
    """The first configurations, (at most size, dimensions), NaN where the sweep is free to draw.

    The user's defaults (`around`), if there are any, are the second one.
    """
    best = [one.units[np.argsort(one.quantile, kind="stable")[:BEST]] for one in surrogates]
    candidates = np.clip(np.concatenate(best), 0.0, 1.0)
    encoded = encoding(candidates)
    # Those beyond the same bound may be alike by now.
    _, distinct = np.unique(encoded.round(6), axis=0, return_index=True)
    distinct.sort()
    candidates, encoded = candidates[distinct], encoded[distinct]
    expected = np.concatenate([_deviating(one, encoded) for one in surrogates])
    chosen = _greedy(expected, size)
    members, defaults = candidates[chosen], centres(space)
    if np.isnan(defaults).all():
        return members
    return np.insert(members, 1, defaults, axis=0)[:size]


def configuration(space: Space, member: FloatArray, rng: np.random.Generator) -> Config | None:
    """The configuration of a member. What it leaves free is drawn. None if none is allowed."""
    for _ in range(DRAWS):
        drawn = space.draw(rng)
        config = space.from_unit(np.where(np.isnan(member), drawn, member))
        if space.allows(config):
            return config
    return None


def _deviating(surrogate: Surrogate, encoded: FloatArray) -> FloatArray:
    """What a model expects of k points, with random deviations; (DEVIATIONS, k)."""
    scaled = encoded[:, surrogate.columns] / surrogate.model.hyperparameters.lengthscales
    factor = np.linalg.cholesky(matern52(scaled, scaled) + 1e-6 * np.eye(len(scaled)))
    normal = np.random.default_rng(0).standard_normal((len(scaled), DEVIATIONS))
    return np.asarray(surrogate(encoded) + SIZE * (factor @ normal).T, dtype=np.float64)


def _greedy(expected: FloatArray, size: int) -> list[int]:
    """The columns of which each lowers the mean over rows of the least value most; in order."""
    least, chosen = np.full(len(expected), np.inf), list[int]()
    while len(chosen) < min(size, expected.shape[1]):
        value = np.minimum(least[:, None], expected).mean(axis=0)
        value[chosen] = np.inf
        chosen.append(int(np.argmin(value)))
        least = np.minimum(least, expected[:, chosen[-1]])
    return chosen
