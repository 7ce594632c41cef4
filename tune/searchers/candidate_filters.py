"""Which of a model's candidates are proposed: not those beside earlier trials, nor those that fail.

Configurations beside the best one train alike and tell nothing new. Measured on those problems of
TaskSet that are for development: without the distance, one curve is trained again and again, and
the final regret is several times as large, with the Gaussian process as with BOHB's densities
(`benchmarks/search.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import Config
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.gaussian_process import squared_distances

BATCH = 8
"""So many candidates are compared in one array operation; the first few mostly suffice."""
NEIGHBOURS = 3
"""The number of nearest trials that tell whether a candidate is likely to fail."""


def first_distant(dataset: Dataset, candidates: FloatArray, part: float = 1.0) -> Config | None:
    """The first candidate that the constraints allow and that keeps its distance from all trials.

    The distance is this part of the spacing of a grid of as many points as there are trials,
    pending ones included. If no candidate keeps it, the first one that is new; None if none is.
    `candidates`: (k, dimensions) points of the unit cube, the best first.
    """
    encode, earlier = dataset.cache.encoding, dataset.encoded
    squared_gap = part**2 * len(earlier) ** (-2.0 / len(dataset.space))
    distant = _distant(encode(candidates), earlier, squared_gap)
    found = _first_allowed(dataset, candidates, distant, squared_gap)
    if found is None:
        found = _first_allowed(dataset, candidates, range(len(candidates)), 0.0)
    return found


def _first_allowed(
    dataset: Dataset, candidates: FloatArray, indices: Iterable[int], squared_gap: float
) -> Config | None:
    """The first of these candidates that is allowed and farther from all trials than the gap."""
    space, encode = dataset.space, dataset.cache.encoding
    for i in indices:
        config = space.from_unit(candidates[i])
        if not space.allows(config):
            continue
        # Values on steps lie in the middle of their steps, so the distance is measured again.
        point = encode(np.asarray(space.to_unit(config))[None])
        if np.square(dataset.encoded - point).sum(axis=1).min() > squared_gap:
            return config
    return None


def _distant(points: FloatArray, earlier: FloatArray, squared_gap: float) -> Iterator[int]:
    """The indices of the points that are farther from all earlier ones than the gap."""
    for start in range(0, len(points), BATCH):
        nearest = squared_distances(points[start : start + BATCH], earlier).min(axis=1)
        yield from (start + np.flatnonzero(nearest > squared_gap)).tolist()


def is_likely_to_fail(dataset: Dataset, point: FloatArray) -> bool:
    """Whether most of the NEIGHBOURS nearest trials with an outcome failed.

    `point`: (dimensions,), NaN where inactive. A parameter that only one of two configurations has
    counts as the largest distance, 1.
    """
    observed = dataset.observed
    if int((dataset.failed & observed).sum()) <= NEIGHBOURS // 2:
        return False
    distance = np.abs(dataset.units[observed] - point)
    distance[np.isnan(distance)] = 1.0
    distance[np.isnan(dataset.units[observed]) & np.isnan(point)] = 0.0
    nearest = np.argsort((distance**2).sum(axis=1), kind="stable")[:NEIGHBOURS]
    return bool(dataset.failed[observed][nearest].sum() > NEIGHBOURS // 2)
