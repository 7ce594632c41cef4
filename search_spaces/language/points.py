"""Configurations that a person names, checked against the space and completed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.formatting import number
from raysweep.search_spaces.language.params import (
    Choice,
    Float,
    Int,
    Ordinal,
    Param,
    RangeOrValues,
    is_number,
    place_of,
    same,
)
from raysweep.search_spaces.language.space import Config, Space, flatten

MAX_VALUES = 12
"""Values of a parameter that a message lists."""


class PointError(ValueError):
    """A configuration that the space does not hold, with a line for each mistake."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def complete_point(space: Space, given: Mapping[str, Any]) -> Config:
    """The configuration of the space with the given values of its active parameters.

    Constants and derived values are filled in, and so is a parameter that is not given but has a
    centre (`around`) in the file. Nothing is drawn: a parameter without a value is a mistake. A
    whole number may stand for a float. Raises PointError.
    """
    point = _Point(space, given)
    config = space.assemble(point.pick)
    if not point.mistakes:
        point.mistakes = _contradictions(space, point.given, config)
    if not point.mistakes and not space.allows(config):
        point.mistakes = ["it does not satisfy the constraints of the space"]
    if point.mistakes:
        raise PointError(point.mistakes)
    return config


def changed_point(space: Space, config: Config, changes: Mapping[str, Any]) -> Config:
    """A configuration of the space with other values of some parameters.

    What follows from them is decided anew, and a parameter that is active no longer has no value.
    Raises PointError.
    """
    changes = space.flat(changes)
    values = {name: value for name, value in space.flat(config).items() if name in space.params}
    point = _Point(space, values | changes)
    active = space.flat(space.assemble(point.pick))
    return complete_point(
        space,
        {
            name: value
            for name, value in point.given.items()
            if name in changes or name in active or name not in values
        },
    )


class _Point:
    """The values that were given, and what is wrong with them."""

    def __init__(self, space: Space, given: Mapping[str, Any]) -> None:
        self._space = space
        self.given = space.flat(given)
        known = (*space.constants, *space.decided)
        self.mistakes = [
            f"{name}: there is no such parameter{did_you_mean(name, known)}"
            for name in self.given
            if name not in known
        ]

    def pick(self, name: str) -> Any:
        """The value of an active parameter; any value of its range if there is a mistake."""
        param = self._space.params[name]
        if name in self.given:
            value = _converted(param, self.given[name])
            if value in param:
                return value
            shown = number(self.given[name], 6)
            self.mistakes.append(f"{name}: expected {describe(param)}, got {shown}")
        elif (centre := _centre(param)) is not None:
            return centre
        else:
            self.mistakes.append(f"{name}: missing; expected {describe(param)}")
        return param.from_unit(0.5)


def _contradictions(space: Space, given: Mapping[str, Any], config: Config) -> list[str]:
    """What was given for names whose values follow from the others."""
    decided = space.flat(config)
    mistakes = []
    for name, value in given.items():
        if name in space.params and name not in decided:
            mistakes.append(f"{name}: is not active in this configuration, so it has no value")
        elif name not in space.params and name not in decided:
            mistakes.append(f"{name}: has no value in this configuration")
        elif name not in space.params and not _equal(value, decided[name]):
            shown = number(decided[name], 6)
            mistakes.append(f"{name}: is {shown} in this configuration, got {number(value, 6)}")
    return mistakes


def _equal(value: Any, other: Any) -> bool:
    if is_number(value) and is_number(other):
        return bool(value == other)
    return same(value, other)


def _converted(param: Param, value: Any) -> Any:
    """The value as the parameter has it: 1 is 1.0 for a float, and 64.0 is 64 for an int."""
    if isinstance(param, Choice | Ordinal) and value in param:
        return param.values[place_of(param.values, value)]
    if isinstance(param, RangeOrValues) and not any(same(value, own) for own in param.values):
        return _converted(param.range, value)
    if isinstance(param, Float) and isinstance(value, int) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):  # of more than 308 digits, it is in no range
            return float(value)
    if isinstance(param, Int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _centre(param: Param) -> Any:
    if isinstance(param, RangeOrValues):
        return param.range.around
    return getattr(param, "around", None)


def describe(param: Param) -> str:
    """The values of a parameter in words."""
    if isinstance(param, Choice | Ordinal):
        values = ", ".join(number(value, 6) for value in param.values[:MAX_VALUES])
        more = ", ..." if len(param.values) > MAX_VALUES else ""
        return f"one of {values}{more}"
    if isinstance(param, RangeOrValues):
        values = ", ".join(number(value, 6) for value in param.values)
        return f"{values} or {describe(param.range)}"
    kind = "a whole number" if isinstance(param, Int) else "a number"
    text = f"{kind} from {number(param.low, 6)} to {number(param.high, 6)}"
    if param.step not in (None, 1):
        text += f" in steps of {number(param.step, 6)}"
    return text


def typed(space: Space, config: Config) -> Config:
    """A configuration with values of the types that the space has.

    Earlier versions recorded 0 for the 0.0 of `{float: [1e-6, 1e-2], or: [0]}`.
    """
    flat = space.flat(config)
    values = {
        name: _converted(param, flat[name]) for name, param in space.params.items() if name in flat
    }
    if all(same(value, flat[name]) for name, value in values.items()):
        return config
    return space.assemble(values.__getitem__)


def key_of(config: Config) -> str:
    """A text that two configurations share only if they are equal, at every depth."""
    return repr(sorted(flatten(config).items()))
