"""The kinds of parameter. Each is one map to and from the unit interval, and its grid.

Every value of a discrete parameter owns an equal share of the unit interval (or its weight), so a uniform draw in [0, 1] is a fair draw
of values, and a model that only sees the interval cannot propose what is not in the space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

Scalar = bool | int | float | str
Log = bool | Literal["reverse"]


def _slot(u: float, count: int) -> int:
    """The index of the share of [0, 1] that u falls into, of `count` equal ones."""
    return min(int(u * count), count - 1)


def _spread(count: int, points: int) -> list[int]:
    """At most `points` indices out of `count`, both ends among them, evenly spread."""
    if points >= count:
        return list(range(count))
    if points == 1:
        return [(count - 1) // 2]
    return sorted({round(i * (count - 1) / (points - 1)) for i in range(points)})


@dataclass(frozen=True)
class Float:
    """A real number in [low, high], both reachable. `log` spreads it evenly over orders of magnitude (`reverse`: close to `high`).

    `step` keeps low, low + step, ..., high. `points` sets the size of its grid.
    """

    low: float
    high: float
    log: Log = False
    step: float | None = None
    points: int | None = None

    @property
    def count(self) -> int | None:
        """How many values there are; None where they are uncountable."""
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def from_unit(self, u: float) -> float:
        if self.count is not None:
            return self._stepped(_slot(u, self.count))
        if u <= 0.0 or u >= 1.0:
            return float(self.low if u <= 0.0 else self.high)
        if self.log == "reverse":
            value = self.low + self.high - self._log(1.0 - u)
        else:
            value = self._log(u) if self.log else self.low + u * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def to_unit(self, value: float) -> float:
        if self.count is not None and self.step is not None:
            return (round((value - self.low) / self.step) + 0.5) / self.count
        if self.high == self.low:
            return 0.5
        if self.log == "reverse":
            return 1.0 - self._unlog(self.low + self.high - value)
        u = self._unlog(value) if self.log else (value - self.low) / (self.high - self.low)
        return min(max(u, 0.0), 1.0)

    def grid(self, points: int) -> list[float]:
        points = self.points or points
        if self.count is not None:
            return [self._stepped(i) for i in _spread(self.count, points)]
        if points == 1 or self.high == self.low:
            return [self.from_unit(0.5)]
        return [self.from_unit(i / (points - 1)) for i in range(points)]

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        steps = (value - self.low) / self.step
        return abs(steps - round(steps)) < 1e-6

    def _stepped(self, index: int) -> float:
        assert self.step is not None
        digits = max(0, 12 - math.floor(math.log10(self.step)))
        return min(round(self.low + index * self.step, digits), float(self.high))

    def _log(self, u: float) -> float:
        return math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low)))

    def _unlog(self, value: float) -> float:
        u = (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return min(max(u, 0.0), 1.0)


@dataclass(frozen=True)
class Int:
    """A whole number: low, low + step, ..., high, both reachable. `log` gives each value the share it has on a log axis."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    points: int | None = None

    @property
    def count(self) -> int:
        return (self.high - self.low) // self.step + 1

    def from_unit(self, u: float) -> int:
        if not self.log:
            return self.low + self.step * _slot(u, self.count)
        bottom, top = self._edges()
        value = math.exp(math.log(bottom) + u * (math.log(top) - math.log(bottom)))
        return self._snap(value)

    def to_unit(self, value: int) -> float:
        if not self.log:
            return ((value - self.low) // self.step + 0.5) / self.count
        bottom, top = (math.log(edge) for edge in self._edges())
        half = self.step / 2
        middle = (math.log(max(value - half, self._edges()[0])) + math.log(value + half)) / 2
        return (middle - bottom) / (top - bottom)

    def grid(self, points: int) -> list[int]:
        points = self.points or points
        if not self.log or points >= self.count or points == 1:
            return [self.low + self.step * i for i in _spread(self.count, points)]
        ratio = math.log(self.high / self.low)
        return sorted({self._snap(self.low * math.exp(ratio * i / (points - 1))) for i in range(points)})

    def __contains__(self, value: object) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0  # type: ignore[operator]

    def _edges(self) -> tuple[float, float]:
        """Where the first value's share begins and the last one's ends."""
        return self.low - min(self.step / 2, self.low / 2), self.high + self.step / 2

    def _snap(self, value: float) -> int:
        index = round((value - self.low) / self.step)
        return self.low + self.step * min(max(index, 0), self.count - 1)


@dataclass(frozen=True)
class Ordinal:
    """One of `values`, whose order means something: a model may reason that 64 lies between 32 and 128."""

    values: tuple[Scalar, ...]
    points: int | None = None

    @property
    def count(self) -> int:
        return len(self.values)

    def from_unit(self, u: float) -> Scalar:
        return self.values[_slot(u, len(self.values))]

    def to_unit(self, value: Scalar) -> float:
        return (_index(self.values, value) + 0.5) / len(self.values)

    def grid(self, points: int) -> list[Scalar]:
        """All of the values, unless `points` is written beside them."""
        return [self.values[i] for i in _spread(len(self.values), self.points or len(self.values))]

    def __contains__(self, value: object) -> bool:
        return any(_same(value, one) for one in self.values)


@dataclass(frozen=True)
class Choice:
    """One of `values`, between which there is no order. The grid takes each."""

    values: tuple[Scalar, ...]

    @property
    def count(self) -> int:
        return len(self.values)

    def from_unit(self, u: float) -> Scalar:
        return self.values[_slot(u, len(self.values))]

    def to_unit(self, value: Scalar) -> float:
        return (_index(self.values, value) + 0.5) / len(self.values)

    def grid(self, points: int) -> list[Scalar]:
        return list(self.values)

    def __contains__(self, value: object) -> bool:
        return any(_same(value, one) for one in self.values)


Param = Float | Int | Ordinal | Choice


def _same(a: object, b: object) -> bool:
    """Equal and of one type: True is not 1, and 1 is not 1.0."""
    return type(a) is type(b) and a == b


def _index(values: tuple[Scalar, ...], value: Any) -> int:
    return next(i for i, one in enumerate(values) if _same(one, value))
