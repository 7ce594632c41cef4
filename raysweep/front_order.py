"""The order of points of several losses: by fronts, and within a front by how they spread.

Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021, section 3: non-dominated
sorting, with an epsilon-net as the tie-break, so that any number of first points covers the front.
Points that break a limit come after all others (constrained domination: Deb et al. 2002, section
VI), the least excess first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from raysweep.arrays import BoolArray, FloatArray, IntArray

Ranked = tuple[tuple[float, ...], tuple[float, ...]]
"""The losses of a report, and its excesses over the limits."""


@lru_cache(64)
def positions(reports: tuple[Ranked, ...]) -> tuple[float, ...]:
    """The place of each report in the order, from 0; inf for one that is not finite.

    Of equal reports the first comes first. It is cached because a scheduler asks about each rung
    several times between two reports.
    """
    places = [math.inf] * len(reports)
    for place, index in enumerate(_order(reports)):
        places[index] = float(place)
    return tuple(places)


def _order(reports: Sequence[Ranked]) -> list[int]:
    finite = [i for i, (losses, _) in enumerate(reports) if all(map(math.isfinite, losses))]
    kept = [i for i in finite if all(excess <= 0 for excess in reports[i][1])]
    broken = sorted(set(finite) - set(kept))
    order: list[int] = []
    if kept:
        points = np.array([reports[i][0] for i in kept])
        for layer in fronts(points):
            order += [kept[i] for i in layer[epsilon_net(points[layer])].tolist()]
    excess = _excess([reports[i][1] for i in broken])
    return order + [i for _, i in sorted(zip(excess, broken, strict=True))]


def _excess(excesses: Sequence[tuple[float, ...]]) -> list[float]:
    """How far each report is beyond the limits: the sum, each as a part of the largest excess."""
    if not excesses:
        return []
    beyond = np.maximum(np.array(excesses), 0.0)
    finite = np.where(np.isfinite(beyond), beyond, 0.0)
    scaled = beyond / np.where(finite.max(axis=0) > 0, finite.max(axis=0), 1.0)
    return [float(total) for total in scaled.sum(axis=1)]


def fronts(points: FloatArray) -> list[IntArray]:
    """The indices of points (n, losses), front by front: each is the front of what is left."""
    no_worse: BoolArray = np.all(points[:, None, :] <= points[None, :, :], axis=2)
    dominates = no_worse & ~no_worse.T
    n_better = dominates.sum(axis=0)
    left: BoolArray = np.ones(len(points), np.bool_)
    layers: list[IntArray] = []
    while left.any():
        layer = np.flatnonzero(left & (n_better == 0))
        layers.append(layer)
        left[layer] = False
        n_better = n_better - dominates[layer].sum(axis=0)
    return layers


def epsilon_net(points: FloatArray) -> IntArray:
    """The order in which points (n, losses) of a front are taken, as indices.

    The first has the least first loss; then always the one that is farthest from all taken so far,
    with each loss scaled to the extent of the front.
    """
    extent = points.max(axis=0) - points.min(axis=0)
    scaled = points / np.where(extent > 0, extent, 1.0)
    order = [int(np.argmin(scaled[:, 0]))]
    nearest = np.square(scaled - scaled[order[0]]).sum(axis=1)
    nearest[order[0]] = -1.0
    while len(order) < len(points):
        following = int(np.argmax(nearest))
        order.append(following)
        nearest = np.minimum(nearest, np.square(scaled - scaled[following]).sum(axis=1))
        nearest[order] = -1.0
    return np.array(order)
