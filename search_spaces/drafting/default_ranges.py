"""Entries of the space around the default of an option."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from raysweep.search_spaces.drafting.interface import Option

LARGEST = 1e15
"""Of a default that a range is made from. Larger ones stand for "without a limit"."""
Entry = Any
"""An entry of the space as plain data, such as `{"float": [0.0, 0.5]}`."""


def number(option: Option) -> float | None:
    """The default as a number; None if it is none."""
    value = option.default
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if abs(value) <= LARGEST:
        return value
    return None


def decades(option: Option, fallback: tuple[float, float] = (1e-5, 1e-1)) -> Entry:
    """A log scale from a decade below the default to a decade above, at powers of ten.

    A default of zero stays among the values, beside the range of `fallback`.
    """
    value = number(option)
    if value is None or value < 0:
        return {"float": list(fallback), "log": True}
    if value == 0:
        return {"float": list(fallback), "log": True, "or": [0]}
    low, high = math.floor(math.log10(value)) - 1, math.ceil(math.log10(value)) + 1
    return {"float": [float(f"1e{low}"), float(f"1e{high}")], "log": True}


def rate(option: Option) -> Entry:
    """A learning rate: decades, and at most ten, or five times the default if that is larger."""
    entry = decades(option)
    most = max(10.0, 5 * (number(option) or 0.0))
    entry["float"][1] = min(entry["float"][1], most)
    return entry


def tiny(option: Option) -> Entry:
    """A constant that keeps a division from failing."""
    return decades(option, (1e-9, 1e-6))


def decay(option: Option) -> Entry:
    """A weight decay: decades, or none at all."""
    return decades(option, (1e-6, 1e-2)) | {"or": [0]}


def near_one(low: float, high: float) -> Callable[[Option], Entry]:
    """A number just below 1, on a log scale of the distance to 1. A default of 0 stays."""

    def entry(option: Option) -> Entry:
        value = number(option)
        ends = [low, high]
        if value is not None and 0 < value < 1:
            ends = [min(low, value), max(high, value)]
        found: dict[str, Any] = {"float": ends, "log": "reverse"}
        if value == 0:
            found["or"] = [0]
        return found

    return entry


def share(high: float) -> Callable[[Option], Entry]:
    """A number from 0 to `high`, or to the default if that is larger."""

    def entry(option: Option) -> Entry:
        value = number(option) or 0.0
        if value <= high:
            return {"float": [0.0, high]}
        return {"float": [0.0, min(1.0, round((1 + value) / 2, 2))]}

    return entry


def factor(option: Option) -> Entry:
    """A discount near 1; what is further from 1 is the factor of a schedule."""
    value = number(option)
    if value is not None and value < 0.9:
        return {"float": [0.1, 1.0]}
    return near_one(0.9, 0.999)(option)


def between(low: float, high: float, log: bool = False) -> Callable[[Option], Entry]:
    """A fixed range, which is widened to hold the default."""

    def entry(option: Option) -> Entry:
        value = number(option)
        ends = [low, high]
        if value is not None and not (log and value <= 0):
            ends = [min(low, value), max(high, value)]
        if log:
            return {"float": ends, "log": True}
        return {"float": ends}

    return entry


def doublings(below: int, above: int) -> Callable[[Option], Entry]:
    """The default halved and doubled so many times; powers of two if there is no default."""

    def entry(option: Option) -> Entry:
        value = number(option)
        if value == 0:
            return None  # the program computes it
        middle = 64
        if value is not None and value >= 1:
            middle = int(value)
        values = {middle * 2**step for step in range(above + 1)}
        values |= {max(1, middle // 2**step) for step in range(below + 1)}
        return {"ordinal": sorted(values)}

    return entry


def small_rate(option: Option) -> Entry:
    """The momentum of a running average as torch has it, 0.1: the weight of the new value."""
    value = number(option)
    if value is not None and value > 0.5:
        return near_one(0.5, 0.99)(option)
    return between(0.01, 0.5, log=True)(option)


def around(option: Option) -> Entry:
    """Whole numbers from half of the default to twice of it."""
    value = number(option)
    if value is None or value < 1:
        if value is not None:
            return None
        return {"int": [1, 4]}
    return {"int": [max(1, int(value) // 2), max(2 * int(value), 3)]}


def up_to(times: int) -> Callable[[Option], Entry]:
    """Whole numbers from 0 to several times the default."""

    def entry(option: Option) -> Entry:
        value = int(number(option) or 0)
        if value <= 0:
            return {"int": [0, 1000]}
        return {"int": [0, value * times]}

    return entry


def listed(option: Option) -> Entry | None:
    """The choices that the program itself gives; None without them."""
    values = [value for value in option.choices if value is not None]
    if len(values) > 1:
        return {"choice": values}
    return None


def truth(option: Option) -> Entry:
    return {"choice": [True, False]}
