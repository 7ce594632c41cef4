"""The axis on which a range is uniform, and its map to the unit interval.

The axis is the value itself, its logarithm, or the negative logarithm of its distance to 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Log = bool | Literal["reverse"]


@dataclass(frozen=True)
class Axis:
    """The range [low, high]: continuous without a step, else low, low + step, ..., high.

    On a log axis the part of a stepped value extends half a step to either side, so that 1, 2 and 3
    are as likely as the real numbers that round to them. The outermost parts do not reach zero (or
    one, with "reverse"). half: the outermost parts end at the bounds, as if a real number in the
    range were rounded.
    """

    low: float
    high: float
    log: Log = False
    step: float | None = None
    half: bool = False

    @cached_property
    def count(self) -> int:
        """The number of values of a stepped range."""
        assert self.step is not None
        return round((self.high - self.low) / self.step) + 1

    def value(self, u: float) -> float:
        """The number at u in [0, 1] of a continuous range."""
        if u <= 0.0 or u >= 1.0:
            return float(self.low if u <= 0.0 else self.high)
        bottom, top = self._ends
        return min(
            max(self._backward(bottom + u * (top - bottom)), float(self.low)), float(self.high)
        )

    def place(self, value: float) -> float:
        """The position in [0, 1] of a number of a continuous range."""
        bottom, top = self._ends
        if top <= bottom:
            return 0.5
        return min(max((self._forward(value) - bottom) / (top - bottom), 0.0), 1.0)

    def index(self, u: float) -> int:
        """The index of the value of a stepped range whose part of [0, 1] holds u."""
        if not self.log and not self.half:
            return slot(u, self.count)
        bottom, top = self._ends
        return self._nearest(self._backward(bottom + u * (top - bottom)))

    def middle(self, index: int) -> float:
        """The middle of the part of [0, 1] that a value of a stepped range occupies."""
        if not self.log and not self.half:
            return (index + 0.5) / self.count
        assert self.step is not None
        bottom, top = self._ends
        value = self.low + index * self.step
        first = bottom if index == 0 else self._forward(value - self.step / 2)
        last = top if index == self.count - 1 else self._forward(value + self.step / 2)
        return ((first + last) / 2 - bottom) / (top - bottom)

    def spread(self, points: int) -> list[int]:
        """At most `points` indices of a stepped range, evenly spread on the axis, both ends too."""
        if not self.log or points >= self.count or points == 1:
            return spread(self.count, points)
        bottom, top = self._forward(self.low), self._forward(self.high)
        return sorted(
            {
                self._nearest(self._backward(bottom + i / (points - 1) * (top - bottom)))
                for i in range(points)
            }
        )

    @cached_property
    def _ends(self) -> tuple[float, float]:
        half = 0.0 if self.half else (self.step or 0.0) / 2
        if self.log == "reverse":
            return self._forward(self.low - half), self._forward(
                self.high + min(half, (1.0 - self.high) / 2)
            )
        if self.log:
            return self._forward(self.low - min(half, self.low / 2)), self._forward(
                self.high + half
            )
        return self._forward(self.low), self._forward(self.high)

    def _forward(self, value: float) -> float:
        if self.log == "reverse":
            return -math.log1p(-value)
        return math.log(value) if self.log else value

    def _backward(self, place: float) -> float:
        if self.log == "reverse":
            return -math.expm1(-place)
        return math.exp(place) if self.log else place

    def _nearest(self, value: float) -> int:
        assert self.step is not None
        return min(max(round((value - self.low) / self.step), 0), self.count - 1)


def slot(u: float, count: int) -> int:
    """The index of the part of [0, 1] that holds u, of `count` equal parts."""
    return min(int(u * count), count - 1)


def spread(count: int, points: int) -> list[int]:
    """At most `points` of `count` indices, evenly spread, with both ends."""
    if points >= count:
        return list(range(count))
    if points == 1:
        return [(count - 1) // 2]
    return sorted({round(i * (count - 1) / (points - 1)) for i in range(points)})
