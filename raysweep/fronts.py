"""Points of several losses, without numpy: which are best, and how much of the space they beat.

A point is a tuple of losses, less being better in each. One point dominates another if it is no
worse in any loss and better in at least one. The front of a set is its points that none dominates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, ...]

MARGIN = 0.1
"""How far behind the worst of a front its reference point lies, as a fraction of the front's
extent (the rule of BoTorch's `infer_reference_point`)."""


def dominates(a: Point, b: Point) -> bool:
    """True if `a` is no worse than `b` in any loss, and better in one."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def front(points: Sequence[Point]) -> list[int]:
    """The indices of the points that no other dominates, ascending; of equal points the first.

    A point that is not finite is never among them.
    """
    kept: list[int] = []
    finite = (i for i, point in enumerate(points) if all(map(math.isfinite, point)))
    # In lexicographic order a point is dominated only by one before it.
    for i in sorted(finite, key=lambda i: (points[i], i)):
        # With two losses the last one that was kept has the least second loss of all.
        rivals = kept[-1:] if len(points[i]) == 2 else kept
        if not any(all(x <= y for x, y in zip(points[k], points[i], strict=True)) for k in rivals):
            kept.append(i)
    return sorted(kept)


def reference(points: Sequence[Point]) -> Point:
    """The point from which the hypervolume of a set is measured: a little behind its front.

    In each loss it is the worst of the front and a tenth of the front's extent. If the front has
    no extent in a loss, that of all points counts, then 1. Raises ValueError without a point.
    """
    best = [points[i] for i in front(points)]
    if not best:
        raise ValueError("no point is finite")
    finite = [point for point in points if all(map(math.isfinite, point))]
    found = []
    for losses, everything in zip(zip(*best, strict=True), zip(*finite, strict=True), strict=True):
        extent = max(losses) - min(losses) or max(everything) - min(everything) or 1.0
        found.append(max(losses) + MARGIN * extent)
    return tuple(found)


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The volume that the points dominate and that dominates the reference point.

    Exact, by slicing along the last loss (While et al. 2006, HSO); meant for up to four losses and
    fronts of a few hundred points. Points that do not beat the reference in every loss add nothing.
    """
    inside = [
        point for point in points if all(x < r for x, r in zip(point, reference, strict=True))
    ]
    kept = [inside[i] for i in front(inside)]
    if not kept:
        return 0.0
    if len(reference) == 1:
        return reference[0] - min(point[0] for point in kept)
    if len(reference) == 2:
        return _area(kept, reference)
    return _sliced(kept, reference)


def _area(points: list[Point], reference: Point) -> float:
    """The hypervolume of a front of two losses."""
    area, ceiling = 0.0, reference[1]
    for x, y in sorted(points):
        area += (reference[0] - x) * (ceiling - y)
        ceiling = y
    return area


def _sliced(points: list[Point], reference: Point) -> float:
    """The hypervolume of a front, slice by slice along its last loss."""
    ordered = sorted(points, key=lambda point: point[-1])
    ends = [point[-1] for point in ordered[1:]] + [reference[-1]]
    volume = 0.0
    for count, (point, end) in enumerate(zip(ordered, ends, strict=True), 1):
        if end > point[-1]:
            below = [other[:-1] for other in ordered[:count]]
            volume += (end - point[-1]) * hypervolume(below, reference[:-1])
    return volume


def knee(points: Sequence[Point]) -> int:
    """The index of the point of a front that is nearest to the best of all losses at once.

    Distances are Euclidean, with each loss scaled to the front's extent (compromise programming,
    Zeleny 1973). Of equally near points it is the first. Raises ValueError without a point.
    """
    if not points:
        raise ValueError("the front has no point")
    lows = [min(losses) for losses in zip(*points, strict=True)]
    extents = [max(losses) - min(losses) or 1.0 for losses in zip(*points, strict=True)]

    def distance(i: int) -> float:
        scaled = ((x - low) / e for x, low, e in zip(points[i], lows, extents, strict=True))
        return math.hypot(*scaled)

    return min(range(len(points)), key=distance)
