"""The kinds of parameter. Each is one map to and from the unit interval, its grid, and its prior.

Every value of a discrete parameter owns an equal share of the unit interval (its share of the log axis where it is `log`), so a uniform
draw in [0, 1] is a fair draw of values, and a model that only sees the interval cannot propose what is not in the space. A prior
(`around`, `weights`) changes nothing of that: it says which points of the interval are drawn first, in `draw`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from statistics import NormalDist
from typing import Any, Literal

from raysweep.search_spaces.language.scale import Axis, Log, slot, spread

Scalar = bool | int | float | str
Value = Any
"""What a configuration may hold: a scalar, null, or a list or mapping of such."""
Ends = Literal["full", "half"]
"""Whether the outermost of stepped values are drawn as often as the others, or, as rounding does, half as often."""

PRIOR_WIDTH = 0.15
"""The standard deviation of a prior, in the unit interval."""
PRIOR_SHARE = 0.8
"""How much of a draw with a prior comes from it; the rest is uniform, so that a wrong prior hides nothing."""


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], both reachable.

    `log` spreads it evenly over orders of magnitude, `reverse` over those of its distance to 1. `step` keeps low, low + step, ..., high.
    `points` sets the size of its grid. `around`: where good values are believed to lie.
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
        """How many values there are; None where they are uncountable."""
        return None if self.step is None else self._axis.count

    @cached_property
    def _axis(self) -> Axis:
        return Axis(self.low, self.high, self.log, self.step, self.ends == "half")

    def from_unit(self, u: float) -> float:
        return self._axis.value(u) if self.step is None else self._stepped(self._axis.index(u))

    def to_unit(self, value: float) -> float:
        return (
            self._axis.place(value)
            if self.step is None
            else self._axis.middle(round((value - self.low) / self.step))
        )

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
    """A whole number: low, low + step, ..., high, both reachable. `log` gives each value the share it has on a log axis."""

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
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0  # type: ignore[operator]


@dataclass(frozen=True)
class Ordinal:
    """One of `values`, whose order means something: a model may reason that 64 lies between 32 and 128. `weights`: as of a `Choice`."""

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
        return (_index(self.values, value) + 0.5) / len(self.values)

    def grid(self, points: int) -> list[Value]:
        """All of the values, unless `points` is written beside them."""
        return [self.values[i] for i in spread(len(self.values), self.points or len(self.values))]

    def draw(self, v: float) -> float:
        if self.weights is not None:
            return _weighted(v, self.weights)
        return v if self.around is None else _near(v, self.to_unit(self.around))

    def __contains__(self, value: object) -> bool:
        return any(same(value, one) for one in self.values)


@dataclass(frozen=True)
class Choice:
    """One of `values`, between which there is no order. The grid takes each. `weights`: how often each is drawn, 0 or more."""

    values: tuple[Value, ...]
    weights: tuple[float, ...] | None = None

    @property
    def count(self) -> int:
        return len(self.values)

    def from_unit(self, u: float) -> Value:
        return self.values[slot(u, len(self.values))]

    def to_unit(self, value: Value) -> float:
        return (_index(self.values, value) + 0.5) / len(self.values)

    def grid(self, points: int) -> list[Value]:
        return list(self.values)

    def draw(self, v: float) -> float:
        return v if self.weights is None else _weighted(v, self.weights)

    def __contains__(self, value: object) -> bool:
        return any(same(value, one) for one in self.values)


@dataclass(frozen=True)
class RangeOrValues:
    """One of a few `values`, or a value of a range: "zero, or log-uniform".

    The values below the range own the bottom of the unit interval, the others its top. Each counts as much as one of the values of a small
    range, and as a fourth of a large one.
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
            value for value in self.values if not any(same(value, one) for one in self._below)
        )

    @cached_property
    def _share(self) -> float:
        """What one of the values owns of the unit interval."""
        return 1.0 / (len(self.values) + min(self.range.count or 4, 4))

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Where the range begins and ends in the unit interval."""
        return len(self._below) * self._share, 1.0 - len(self._above) * self._share

    def from_unit(self, u: float) -> Value:
        bottom, top = self._ends
        if u < bottom:
            return self._below[slot(u / bottom, len(self._below))]
        if u > top or (u == 1.0 and self._above):
            return self._above[slot((u - top) / (1.0 - top), len(self._above))]
        return self.range.from_unit((u - bottom) / (top - bottom))

    def to_unit(self, value: Value) -> float:
        bottom, top = self._ends
        if any(same(value, one) for one in self._below):
            return (_index(self._below, value) + 0.5) * self._share
        if any(same(value, one) for one in self._above):
            return top + (_index(self._above, value) + 0.5) * self._share
        return bottom + self.range.to_unit(value) * (top - bottom)

    def grid(self, points: int) -> list[Value]:
        return [*self._below, *self.range.grid(points), *self._above]

    def draw(self, v: float) -> float:
        bottom, top = self._ends
        return (
            bottom + self.range.draw((v - bottom) / (top - bottom)) * (top - bottom)
            if bottom <= v <= top
            else v
        )

    def __contains__(self, value: object) -> bool:
        return any(same(value, one) for one in self.values) or value in self.range


Param = Float | Int | Ordinal | Choice | RangeOrValues


def has_prior(param: Param) -> bool:
    """Whether its values are not drawn evenly."""
    if isinstance(param, RangeOrValues):
        return has_prior(param.range)
    return getattr(param, "weights", None) is not None or getattr(param, "around", None) is not None


def is_number(value: object) -> bool:
    """Whether a value is an int or a float; true and false are neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(a: object, b: object) -> bool:
    """Equal and of one type, at every depth: True is not 1, and [1] is not [1.0]."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


def _index(values: tuple[Value, ...], value: Any) -> int:
    return next(i for i, one in enumerate(values) if same(one, value))


def _weighted(v: float, weights: tuple[float, ...]) -> float:
    """The middle of the share of the value that a uniform v falls to, by weight."""
    bounds = list(accumulate(weights))
    last = max(i for i, weight in enumerate(weights) if weight > 0)
    return (min(bisect_right(bounds, v * bounds[-1]), last) + 0.5) / len(weights)


def _near(v: float, centre: float) -> float:
    """The point of [0, 1] that a uniform v becomes under a normal prior at `centre`, cut to the interval and mixed with a uniform one."""
    if v >= PRIOR_SHARE:
        return (v - PRIOR_SHARE) / (1.0 - PRIOR_SHARE)
    normal = NormalDist(centre, PRIOR_WIDTH)
    bottom, top = normal.cdf(0.0), normal.cdf(1.0)
    return min(max(normal.inv_cdf(bottom + v / PRIOR_SHARE * (top - bottom)), 0.0), 1.0)
