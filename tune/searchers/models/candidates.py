"""Points of the unit cube that a model compares."""

from __future__ import annotations

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.search_spaces.language.params import Choice, has_prior
from raysweep.search_spaces.language.space import Space

MOVED = 8
"""A point beside another one differs in about so many of its coordinates, if it has more."""
STEPS = (-3.0, -0.5)
"""The range of the decimal logarithm of the distance by which a number moves."""


def drawn(space: Space, count: int, rng: np.random.Generator) -> FloatArray:
    """Points drawn as the first trials are, (count, dimensions)."""
    points = rng.random((count, len(space)))
    for i, param in enumerate(space.params.values()):
        if has_prior(param):
            points[:, i] = [param.draw(value) for value in points[:, i].tolist()]
    return points


def beside(space: Space, centres: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Points that differ from random ones of the centres in some coordinates, (count, dimensions).

    A number moves by a normal step, whose size differs from point to point; a choice takes any of
    its values. `centres`: (k, dimensions), NaN where inactive, which becomes a random coordinate.
    """
    dimensions = len(space)
    fresh = drawn(space, count, rng)
    points = centres[rng.integers(len(centres), size=count)]
    points = np.where(np.isnan(points), fresh, points)
    moved = rng.random(points.shape) < MOVED / dimensions
    moved[np.arange(count), rng.integers(dimensions, size=count)] = True
    size = 10 ** rng.uniform(*STEPS, (count, 1))
    near = np.clip(points + size * rng.standard_normal(points.shape), 0.0, 1.0)
    is_choice = [isinstance(param, Choice) for param in space.params.values()]
    return np.where(moved, np.where(is_choice, fresh, near), points)
