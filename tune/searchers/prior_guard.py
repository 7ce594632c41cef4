"""Whether a user's priors (`around`) hold, which the sweep's own trials decide, one by one.

A prior is wrong if the process of `auto`, which knows of none, is sure of a better place outside of
it in the parameter's range, on average over the other parameters. Its parameter is then drawn from
its whole range alike. It is asked again as trials come in, so that a prior which was dropped too
soon comes back. PriorBand (Mallik et al., "PriorBand: Practical hyperparameter
optimization in the age of deep learning", 2023, section 4) weighs a prior by its trials, too.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.search_spaces.language.params import PRIOR_WIDTH, Choice, Param, RangeOrValues
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.encoding import Encoding
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Observations,
)

CHANCE = 0.05
"""The probability, for the process, that any of the priors is dropped although it holds."""
LEAST = 10
"""So many observations decide at least."""
LEAST_GAIN = 0.2
"""A place is better by so many standard deviations of the trials, or it does not matter."""
PLACES, MOVED = 11, 40
"""So many places of a range are compared, by so many of the trials that are moved there."""


def centres(space: Space) -> FloatArray:
    """The centres that the user gave, as a point of the unit cube, NaN where there is none."""
    found = []
    for param in space.params.values():
        around = getattr(_inner(param), "around", None)
        found.append(np.nan if around is None else param.to_unit(around))
    return np.array(found, np.float64)


def drop_contradicted(
    dataset: Dataset,
    hyperparameters: Hyperparameters,
    observations: Observations,
    y: FloatArray,
) -> None:
    """Draw candidates without the priors that the observations contradict; see `contradicted`."""
    if np.isnan(centres(dataset.space)).all():
        return
    names = contradicted(dataset.space, hyperparameters, observations, y)
    dataset.cache.drawn_space = without_priors(dataset.space, names)


def without_priors(space: Space, names: Collection[str]) -> Space:
    """The space with no centre for these parameters."""
    kept = {
        name: _without_centre(param) if name in names else param
        for name, param in space.params.items()
    }
    return replace(space, params=kept)


def dropped(space: Space, other: Space) -> tuple[str, ...]:
    """The parameters that have a centre in a space and none in the other."""
    lacking = ~np.isnan(centres(space)) & np.isnan(centres(other))
    return tuple(name for name, lacks in zip(space.params, lacking.tolist(), strict=True) if lacks)


def contradicted(
    space: Space,
    hyperparameters: Hyperparameters,
    observations: Observations,
    y: FloatArray,
) -> tuple[str, ...]:
    """The parameters whose priors n observations contradict.

    hyperparameters: of the process. y: (n,), standardised, less is better.
    """
    given = centres(space)
    asked = np.flatnonzero(~np.isnan(given))
    if len(y) < LEAST or not len(asked):
        return ()
    process = GaussianProcess.condition(hyperparameters, observations, y)
    limit = NormalDist().inv_cdf(1 - CHANCE / len(asked))
    columns = Encoding.of(space).numbers.tolist()
    names = list(space.params)
    return tuple(
        names[dimension]
        for dimension in asked.tolist()
        if _is_better_outside(process, columns.index(dimension), given[dimension], limit)
    )


def _is_better_outside(process: GaussianProcess, column: int, centre: float, limit: float) -> bool:
    """True if the best place outside of a prior is surely better than the best one within.

    What is expected of a place is the average over trials that are moved there along one column.
    """
    near = np.clip([centre - PRIOR_WIDTH, centre, centre + PRIOR_WIDTH], 0.0, 1.0)
    places = np.linspace(0.0, 1.0, PLACES)
    far = places[np.abs(places - centre) > PRIOR_WIDTH]
    trials = process.observations.x
    spread = np.linspace(0, len(trials) - 1, min(len(trials), MOVED)).astype(np.int64)
    groups = np.tile(trials[spread], (len(near) + len(far), 1, 1))
    groups[:, :, column] = np.concatenate([near, far])[:, None]
    mean, covariance = process.predict_averages(groups)
    within = int(np.argmin(mean[: len(near)]))
    outside = len(near) + int(np.argmin(mean[len(near) :]))
    gain = mean[within] - mean[outside]
    pair = covariance[np.ix_([within, outside], [within, outside])]
    deviation = np.sqrt(max(float(pair[0, 0] + pair[1, 1] - 2 * pair[0, 1]), 1e-12))
    return bool(gain > max(limit * deviation, LEAST_GAIN))


def _inner(param: Param) -> Param:
    return param.range if isinstance(param, RangeOrValues) else param


def _without_centre(param: Param) -> Param:
    if isinstance(param, RangeOrValues):
        return replace(param, range=replace(param.range, around=None))
    return param if isinstance(param, Choice) else replace(param, around=None)
