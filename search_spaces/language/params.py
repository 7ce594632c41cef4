"""The kinds of parameter, each with its map to and from the unit interval, its grid and its prior.

Every value of a discrete parameter occupies an equal part of the unit interval (or of the log axis,
with `log`). So a uniform draw in [0, 1] gives each value with equal probability, and a model that
sees only the interval cannot propose a value that is not in the space. A prior (`around` or
`weights`) does not change the map: `draw` moves a uniform number to another place in the interval.

All kinds have the same methods: `from_unit(u)` is the value at u in [0, 1], `to_unit(value)` is the
middle of a value's part, `grid(points)` lists the values of a grid, `draw(v)` turns a uniform v in
[0, 1] into a draw from the prior, and `count` is the number of values, or None if they are real
numbers.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Literal

from raysweep.search_spaces.language.scale import Axis, Log, slot, spread

Scalar = bool | int | float | str
Value = Any
"""A scalar, None, or a list or mapping of these."""
Ends = Literal["full", "half"]
"""Whether the first and the last of stepped values are drawn as often as the others, or half as
often, as when a continuous draw is rounded."""

EXACT = 2**53
"""Whole numbers up to this are floats without rounding."""
PRIOR_WIDTH = 0.15
"""The standard deviation of a prior, in the unit interval."""
PRIOR_WEIGHT = 0.8
"""The weight of the prior in the mixture that is drawn from. The rest is uniform, so that a wrong
prior hides no part of the space."""


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], both included.

    log: uniform in the logarithm, or with "reverse" in that of its distance to 1. step: only low,
    low + step, ..., high. points: the size of its grid. around: the centre of the prior.
    """

    low: float
    high: float
    log: Log = False
    step: float | None = None
    points: int | None = None
    around: float | None = None
    ends: Ends = "full"

    @cached_property
    def count(self) -> int | None:
        """The number of values; None without a step."""
        return None if self.step is None else self._axis.count

    @cached_property
    def _axis(self) -> Axis:
        return Axis(self.low, self.high, self.log, self.step, self.ends == "half")

    def from_unit(self, u: float) -> float:
        return self._axis.value(u) if self.step is None else self._stepped(self._axis.index(u))

    def to_unit(self, value: float) -> float:
        if self.step is None:
            return self._axis.place(value)
        return self._axis.middle(round((value - self.low) / self.step))

    def grid(self, points: int) -> list[float]:
        points = self.points or points
        if self.step is not None:
            return [self._stepped(i) for i in self._axis.spread(points)]
        if points == 1 or self.high == self.low:
            return [self.from_unit(0.5)]
        return [self.from_unit(i / (points - 1)) for i in range(points)]

    def draw(self, v: float) -> float:
        return v if self.around is None else _near(v, self.to_unit(self.around))

    def __contains__(self, value: object) -> bool:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not self.low <= value <= self.high
        ):
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-6

    def _stepped(self, index: int) -> float:
        assert self.step is not None
        digits = max(0, 12 - math.floor(math.log10(self.step)))
        return min(
            max(round(self.low + index * self.step, digits), float(self.low)), float(self.high)
        )


@dataclass(frozen=True)
class Int:
    """A whole number of low, low + step, ..., high.

    log: each value occupies the part that it has on a log axis. The others are as of `Float`.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    points: int | None = None
    around: int | None = None
    ends: Ends = "full"

    @cached_property
    def count(self) -> int:
        return self._axis.count

    @cached_property
    def _axis(self) -> Axis:
        return Axis(self.low, self.high, self.log, self.step, self.ends == "half")

    def from_unit(self, u: float) -> int:
        return self.low + self.step * self._axis.index(u)

    def to_unit(self, value: int) -> float:
        return self._axis.middle((value - self.low) // self.step)

    def grid(self, points: int) -> list[int]:
        return [self.low + self.step * i for i in self._axis.spread(self.points or points)]

    def draw(self, v: float) -> float:
        return v if self.around is None else _near(v, self.to_unit(self.around))

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True)
class Ordinal:
    """One of several values whose order means something: 64 lies between 32 and 128.

    points: the size of its grid, all values by default. around: the centre of the prior.
    weights: as of a `Choice`.
    """

    values: tuple[Value, ...]
    points: int | None = None
    around: Scalar | None = None
    weights: tuple[float, ...] | None = None

    @property
    def count(self) -> int:
        return len(self.values)

    def from_unit(self, u: float) -> Value:
        return self.values[slot(u, len(self.values))]

    def to_unit(self, value: Value) -> float:
        return (place_of(self.values, value) + 0.5) / len(self.values)

    def grid(self, points: int) -> list[Value]:
        """All values, or as many as the parameter's own `points`."""
        return [self.values[i] for i in spread(len(self.values), self.points or len(self.values))]

    def draw(self, v: float) -> float:
        if self.weights is not None:
            return _weighted(v, self.weights)
        return v if self.around is None else _near(v, self.to_unit(self.around))

    def __contains__(self, value: object) -> bool:
        return holds(self.values, value)


@dataclass(frozen=True)
class Choice:
    """One of several values without an order. The grid takes all of them.

    weights: how often each value is drawn, relative to the others; 0 or more.
    """

    values: tuple[Value, ...]
    weights: tuple[float, ...] | None = None

    @property
    def count(self) -> int:
        return len(self.values)

    def from_unit(self, u: float) -> Value:
        return self.values[slot(u, len(self.values))]

    def to_unit(self, value: Value) -> float:
        return (place_of(self.values, value) + 0.5) / len(self.values)

    def grid(self, points: int) -> list[Value]:
        return list(self.values)

    def draw(self, v: float) -> float:
        return v if self.weights is None else _weighted(v, self.weights)

    def __contains__(self, value: object) -> bool:
        return holds(self.values, value)


@dataclass(frozen=True)
class RangeOrValues:
    """One of a few values, or a value of a range, such as "zero, or log-uniform".

    Values below the range occupy the bottom of the unit interval, the others its top. Each occupies
    as much as a value of a small range, or as a quarter of a range with more than four values.
    """

    values: tuple[Value, ...]
    range: Float | Int

    count = None

    @cached_property
    def _below(self) -> tuple[Value, ...]:
        return tuple(value for value in self.values if is_number(value) and value < self.range.low)

    @cached_property
    def _above(self) -> tuple[Value, ...]:
        return tuple(
            value for value in self.values if not any(same(value, other) for other in self._below)
        )

    @cached_property
    def _width(self) -> float:
        """The part of the unit interval that each of the values occupies."""
        return 1.0 / (len(self.values) + min(self.range.count or 4, 4))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """The part of the unit interval that the range occupies."""
        return len(self._below) * self._width, 1.0 - len(self._above) * self._width

    def from_unit(self, u: float) -> Value:
        bottom, top = self._ends
        if u < bottom:
            return self._below[slot(u / bottom, len(self._below))]
        if u > top or (u == 1.0 and self._above):
            return self._above[slot((u - top) / (1.0 - top), len(self._above))]
        return self.range.from_unit((u - bottom) / (top - bottom))

    def to_unit(self, value: Value) -> float:
        bottom, top = self._ends
        if holds(self._below, value):
            return (place_of(self._below, value) + 0.5) * self._width
        if holds(self._above, value):
            return top + (place_of(self._above, value) + 0.5) * self._width
        return bottom + self.range.to_unit(value) * (top - bottom)

    def grid(self, points: int) -> list[Value]:
        return [*self._below, *self.range.grid(points), *self._above]

    def draw(self, v: float) -> float:
        bottom, top = self._ends
        if not bottom <= v <= top:
            return v
        return bottom + self.range.draw((v - bottom) / (top - bottom)) * (top - bottom)

    def __contains__(self, value: object) -> bool:
        return holds(self.values, value) or value in self.range


Param = Float | Int | Ordinal | Choice | RangeOrValues


def has_prior(param: Param) -> bool:
    """True if a parameter has a prior."""
    if isinstance(param, RangeOrValues):
        return has_prior(param.range)
    return getattr(param, "weights", None) is not None or getattr(param, "around", None) is not None


def n_drawn(param: Param) -> int | None:
    """The number of values that may be drawn; None if they are real numbers."""
    if isinstance(param, Choice | Ordinal):
        return len(drawn_values(param))
    if isinstance(param, RangeOrValues):
        inner = n_drawn(param.range)
        return None if inner is None else len(param.values) + inner
    return 1 if param.low == param.high else param.count


def drawn_values(param: Param) -> list[Value]:
    """All values that may be drawn. The parameter has no real values."""
    if isinstance(param, Choice | Ordinal):
        weights = param.weights or (1.0,) * param.count
        return [value for value, weight in zip(param.values, weights, strict=True) if weight > 0]
    if isinstance(param, RangeOrValues):
        return [*param.values, *drawn_values(param.range)]
    return list(replace(param, points=None).grid(param.count or 1))


def is_number(value: object) -> bool:
    """True if a value is an int or a float; True and False are neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(a: object, b: object) -> bool:
    """True if two values are equal and of the same type at every depth: [1] is not [1.0]."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def as_floats(values: Sequence[Value]) -> list[Value]:
    """The values with floats for whole numbers, so that each number is given as the same type.

    A value that is no number stays, and so does one whose float is among the values already.
    """
    return [
        float(value)
        if type(value) is int
        and abs(value) <= EXACT
        and not any(same(float(value), other) for other in values)
        else value
        for value in values
    ]


def of_one_type(values: Sequence[Value]) -> list[Value]:
    """The values, as floats if all of them are numbers and one has decimals: [0.0, 0.5]."""
    if all(map(is_number, values)) and any(isinstance(value, float) for value in values):
        return as_floats(values)
    return list(values)


def place_of(values: Sequence[Value], value: object) -> int:
    """The index of a value. Raises ValueError if it is none of the values.

    0 is found as 0.0: that is how earlier versions recorded it, and how people write it.
    """
    for i, other in enumerate(values):
        if same(other, value):
            return i
    for i, other in enumerate(values):
        if type(value) is int and type(other) is float and other == value:
            return i
    raise ValueError(f"{value!r} is none of the values")


def holds(values: Sequence[Value], value: object) -> bool:
    """True if a value is one of several, as `place_of` finds it."""
    try:
        place_of(values, value)
    except ValueError:
        return False
    return True


def _weighted(v: float, weights: tuple[float, ...]) -> float:
    """The middle of the part of the value that a uniform v selects by weight."""
    bounds = list(accumulate(weights))
    last = max(i for i, weight in enumerate(weights) if weight > 0)
    return (min(bisect_right(bounds, v * bounds[-1]), last) + 0.5) / len(weights)


def _near(v: float, centre: float) -> float:
    """Turn a uniform v into a draw of the prior: a mixture of a normal distribution, truncated to
    [0, 1], and of a uniform one."""
    if v >= PRIOR_WEIGHT:
        return (v - PRIOR_WEIGHT) / (1.0 - PRIOR_WEIGHT)
    normal = NormalDist(centre, PRIOR_WIDTH)
    bottom, top = normal.cdf(0.0), normal.cdf(1.0)
    return min(max(normal.inv_cdf(bottom + v / PRIOR_WEIGHT * (top - bottom)), 0.0), 1.0)
