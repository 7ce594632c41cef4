"""Other ranges and values of a space's parameters, for what is proposed from now on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from raysweep.formatting import number
from raysweep.search_spaces.language.params import (
    Choice,
    Float,
    Int,
    Ordinal,
    Param,
    RangeOrValues,
    is_number,
    of_one_type,
    place_of,
    same,
)
from raysweep.search_spaces.language.space import EmptySpace, Space

Change = Mapping[str, Any]
"""`{"low": 0.1, "high": 1.0}` or `{"values": [...]}`."""
KNOWN_SHOWN = 3
"""How many of the file's values a message names."""
TEXT, WHOLE, NUMBER = "a text", "a whole number", "a number with decimals"
"""Kinds of values."""
ROUNDING = 1e-6
"""The part of a step by which a number may be beside it."""


class ChangeError(ValueError):
    """A range that a parameter cannot have, in one line."""


def changed(space: Space, changes: Mapping[str, Change]) -> Space:
    """The space with other ranges of some parameters. Raises ChangeError."""
    params = dict(space.params)
    for name, change in changes.items():
        params[name] = _changed(name, params[name], change)
    return replace(space, params=params)


def check_not_empty(space: Space) -> None:
    """Raise ChangeError if the constraints leave next to nothing of a space."""
    try:
        space.sample(np.random.default_rng(0), patience=1)
    except EmptySpace as error:
        raise ChangeError(str(error)) from None


def read_change(name: str, param: Param, given: Any) -> Change:
    """The change that `1e-4..1e-2`, `relu,gelu` or a list of values means. Raises ChangeError."""
    text = isinstance(given, str) and given
    if isinstance(param, Choice | Ordinal):
        if given is None or given == "":
            raise ChangeError(f"{name}: expected at least one value")
        values = list(given) if isinstance(given, list | tuple) else None
        if values is None:
            values = [_value(param, part) for part in str(given).split(",")]
        for value in values:
            _check_kind(name, param, value)
        return {"values": values}
    ends = list(given) if isinstance(given, list | tuple) else str(text).split("..")
    if len(ends) != 2:
        raise ChangeError(f"{name}: expected a range such as 0.001..0.1, got {given}")
    low, high = (_number(name, end, given) for end in ends)
    return {"low": low, "high": high}


def _value(param: Choice | Ordinal, text: str) -> Any:
    """A value of the parameter that is written so, or a new one: a number if it is written so."""
    for value in param.values:
        if str(value).lower() == text.strip().lower():
            return value
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _check_kind(name: str, param: Choice | Ordinal, value: Any) -> None:
    """Raise ChangeError for a new value that is of no kind that the file's values have.

    A program that reads words, or whole numbers, would fail with anything else in each trial.
    """
    kinds = {_kind(known) for known in param.values}
    if value in param or _kind(value) in kinds:
        return
    if _kind(value) == WHOLE and NUMBER in kinds:
        return
    known = ", ".join(str(known) for known in param.values[:KNOWN_SHOWN])
    raise ChangeError(f"{name}: '{value}' is {_kind(value)}, unlike {known}")


def _kind(value: Any) -> str:
    """What kind of value this is, in words."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return TEXT if value else "an empty text"
    if isinstance(value, int):
        return WHOLE
    if isinstance(value, float):
        return NUMBER
    return "nothing" if value is None else "a list or a mapping"


def _number(name: str, end: Any, given: Any) -> int | float:
    try:
        number = float(end)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ChangeError(f"{name}: expected a range such as 0.001..0.1, got {given}")
    return end if is_number(end) else number


def _changed(name: str, param: Param, change: Change) -> Param:
    if isinstance(param, RangeOrValues):
        span = _changed(name, param.range, change)
        assert isinstance(span, Float | Int)
        return replace(param, range=span)
    if isinstance(param, Choice | Ordinal):
        return _with_values(name, param, list(change["values"]))
    return _with_ends(name, param, change["low"], change["high"])


def _with_values(name: str, param: Choice | Ordinal, values: list[Any]) -> Param:
    """The parameter with other values. Their weights stay if all of them have one."""
    if not values:
        raise ChangeError(f"{name}: expected at least one value")
    if any(same(a, b) for index, a in enumerate(values) for b in values[:index]):
        raise ChangeError(f"{name}: a value stands twice")
    values = [param.values[place_of(param.values, one)] if one in param else one for one in values]
    values = of_one_type(values)
    weights = None
    if param.weights is not None and all(value in param for value in values):
        weights = tuple(_weight(param, value) for value in values)
    if weights is not None and not any(weights):
        raise ChangeError(f"{name}: none of these values is ever drawn")
    if isinstance(param, Ordinal):
        centre = param.around if any(same(param.around, value) for value in values) else None
        return replace(param, values=tuple(values), weights=weights, around=centre)
    return replace(param, values=tuple(values), weights=weights)


def _weight(param: Choice | Ordinal, value: Any) -> float:
    assert param.weights is not None
    pairs = zip(param.values, param.weights, strict=True)
    return next(weight for other, weight in pairs if same(other, value))


def _with_ends(name: str, param: Float | Int, low: float, high: float) -> Float | Int:
    """The parameter with another range, without a centre (`around`) that is outside of it."""
    if not low < high:
        raise ChangeError(f"{name}: the range {number(low)}..{number(high)} is empty")
    if param.log and low <= 0:
        raise ChangeError(f"{name}: a logarithmic scale begins above 0, got {number(low)}")
    if param.step is not None:
        for end in (low, high):
            steps = (end - param.low) / param.step
            if abs(steps - round(steps)) > ROUNDING:
                raise ChangeError(
                    f"{name}: {number(end)} is none of {number(param.low)}, "
                    f"{number(param.low + param.step)}, ..."
                )
    around = param.around
    if around is not None and not low <= around <= high:
        around = None
    if isinstance(param, Float):
        return replace(param, low=float(low), high=float(high), around=around)
    whole = None if around is None else int(around)
    return replace(param, low=int(low), high=int(high), around=whole)
