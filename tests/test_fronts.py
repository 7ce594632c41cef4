"""Fronts and hypervolumes, against what brute force gives."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from raysweep.fronts import dominates, front, hypervolume, knee, reference
from raysweep.results.analysis.hypervolume import Box, volumes_so_far

GRID = 8


def _cells(points: list[tuple[int, ...]], size: int) -> int:
    """The cells of a grid that some point dominates, counted one by one."""
    return sum(
        any(all(x <= c for x, c in zip(point, cell, strict=True)) for point in points)
        for cell in product(range(GRID), repeat=size)
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_the_hypervolume_counts_the_cells_that_are_beaten(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(20):
        drawn = rng.integers(0, GRID + 2, (6, size)).tolist()
        points = [tuple(map(int, point)) for point in drawn]
        inside = [point for point in points if max(point) < GRID]
        assert hypervolume(points, (float(GRID),) * size) == _cells(inside, size)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_front_is_what_nothing_dominates(size: int) -> None:
    rng = np.random.default_rng(size)
    points = [tuple(map(float, point)) for point in rng.integers(0, 5, (40, size))]
    best = {p for p in points if not any(dominates(q, p) for q in points)}
    found = front(points)
    assert {points[i] for i in found} == best
    assert len(found) == len(best)  # of equal points the first alone
    assert all(points.index(points[i]) == i for i in found)


def test_points_that_are_not_finite_are_on_no_front() -> None:
    assert front([(math.inf, 0.0), (math.nan, 0.0), (1.0, 1.0)]) == [2]
    assert front([(math.inf, 0.0)]) == []
    assert hypervolume([(math.inf, 0.0)], (1.0, 1.0)) == 0.0


def test_the_reference_lies_a_tenth_behind_the_front() -> None:
    assert reference([(0.0, 10.0), (1.0, 0.0), (5.0, 50.0)]) == pytest.approx((1.1, 11.0))
    assert reference([(2.0, 3.0)]) == pytest.approx((2.1, 3.1))
    with pytest.raises(ValueError, match="no point"):
        reference([(math.inf, 1.0)])


def test_the_knee_is_nearest_to_the_best_of_all() -> None:
    assert knee([(0.0, 100.0), (0.2, 15.0), (1.0, 0.0)]) == 1
    assert knee([(3.0, 3.0)]) == 0


def test_the_volume_so_far_grows_to_that_of_all_points() -> None:
    points = [(2, (3.0, 1.0)), (3, (1.0, 3.0)), (3, (4.0, 4.0)), (7, (2.0, 2.0))]
    box = Box.of(one for _, one in points)
    assert box is not None
    found = volumes_so_far(points, [1, 2, 4, 6, 8])
    first, second = box.fraction([(3.0, 1.0)]), box.fraction([(3.0, 1.0), (1.0, 3.0)])
    assert found == [first, second, second, box.fraction([one for _, one in points])]
    assert first < second < found[-1]
    assert volumes_so_far([], [1, 2]) == []
