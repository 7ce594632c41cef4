"""What the functions of Hydra's command line mean: `choice`, `range`, `interval`, `tag`, casts.

A value becomes `Choices`, `Steps` or `Interval`, or an element if it is no sweep. Which of them a
sweeper takes, and whether the end of a range is one of its values, is the sweeper's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from raysweep.search_spaces.convert.hydra_grammar import (
    Call,
    Element,
    GrammarError,
    Listed,
    Quoted,
    parse,
    written,
)

MOST_VALUES = 100_000
"""The most values of a range that are counted one by one."""
Number = int | float


@dataclass(frozen=True)
class Choices:
    """Some values, in their order. `simple`: with mere commas between them, as in `a,b`."""

    values: list[Element]
    tags: frozenset[str] = frozenset()
    simple: bool = False


@dataclass(frozen=True)
class Steps:
    """Numbers from `start` towards `stop`. `shuffled`: in any order, and never `stop` itself."""

    start: Number
    stop: Number
    step: Number = 1
    tags: frozenset[str] = frozenset()
    shuffled: bool = False

    @property
    def whole(self) -> bool:
        return all(isinstance(one, int) for one in (self.start, self.stop, self.step))

    def values(self) -> list[Number]:
        """The numbers without `stop`, as Hydra counts them. Raises GrammarError for too many."""
        start, stop, step = (Decimal(str(one)) for one in (self.start, self.stop, self.step))
        if not all(one.is_finite() for one in (start, stop, step)) or step == 0:
            raise GrammarError("a range needs finite numbers and a step")
        full, rest = divmod(stop - start, step)
        count = max(0, int(full) + int(rest != 0 and full >= 0 and (stop > start) == (step > 0)))
        if count > MOST_VALUES:
            raise GrammarError(f"a range of more than {MOST_VALUES:,} numbers")
        numbers = [start + step * i for i in range(count)]
        return [int(one) if self.whole else float(one) for one in numbers]


@dataclass(frozen=True)
class Interval:
    """Real numbers between two; whole ones where both bounds are ints."""

    low: Number
    high: Number
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Globbed:
    """The options of the group that is swept, by the patterns of their names."""

    include: list[str]
    exclude: list[str]


Drawn = Choices | Steps | Interval
Sweep = Drawn | Globbed


def sweep(text: str) -> Element | Sweep:
    """What a value of the command line says. Raises GrammarError."""
    return evaluated(parse(text))


def evaluated(value: Element | Listed) -> Element | Sweep:
    """A value with its functions carried out."""
    if isinstance(value, Listed):
        return Choices([_element(one) for one in value.values], simple=True)
    if isinstance(value, Call):
        return _called(value)
    if isinstance(value, list):
        return [_element(one) for one in value]
    if isinstance(value, dict):
        return {key: _element(one) for key, one in value.items()}
    return value


def _element(value: Element) -> Element:
    found = evaluated(value)
    if isinstance(found, Sweep):
        raise GrammarError("a sweep inside of another value")
    return found


def _called(call: Call) -> Element | Sweep:
    function = FUNCTIONS.get(call.name)
    if function is None:
        known = ", ".join(FUNCTIONS)
        raise GrammarError(f"unknown function '{call.name}'; expected one of {known}")
    # A function gets words without their quotes, so that `choice('1')` is 1 in the end.
    arguments = [_unquoted(evaluated(one)) for one in call.arguments]
    named = {name: _unquoted(evaluated(one)) for name, one in call.named.items()}
    try:
        return function(*arguments, **named)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, GrammarError):
            raise
        raise GrammarError(f"{call.name} does not take these arguments") from None


def _unquoted(value: Element | Sweep) -> Element | Sweep:
    return value.text if isinstance(value, Quoted) else value


def _choice(*values: Any) -> Choices:
    if not values or any(one is None for one in values):
        raise GrammarError("choice takes neither nothing nor null")
    if len(values) == 1 and isinstance(values[0], Choices) and values[0].simple:
        return replace(values[0], simple=False)
    if any(isinstance(one, Sweep) for one in values):
        raise GrammarError("a sweep inside of another value")
    return Choices(list(values))


def _range(start: Any, stop: Any = None, step: Any = 1) -> Steps:
    if stop is None:
        start, stop = 0, start
    return Steps(_number(start), _number(stop), _number(step))


def _interval(start: Any, end: Any) -> Interval:
    return Interval(float(_number(start)), float(_number(end)))


def _number(value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise GrammarError(f"expected a number, got '{written(value)}'")
    return value


def _tag(*values: Any, sweep: Any = None) -> Sweep:
    *tags, tagged = (*values, sweep) if sweep is not None else values
    if not isinstance(tagged, Choices | Steps | Interval):
        raise GrammarError("tag needs a sweep as the last of its arguments")
    if not all(isinstance(one, str) for one in tags):
        raise GrammarError("a tag must be a word")
    return replace(tagged, tags=frozenset(tags))


def _shuffle(*values: Any, sweep: Any = None) -> Sweep:
    several = (*values, sweep) if sweep is not None else values
    if len(several) == 1 and isinstance(several[0], Steps):
        return replace(several[0], shuffled=True)
    if len(several) == 1 and isinstance(several[0], Choices):
        return several[0]
    if len(several) == 1:
        raise GrammarError("shuffle of one value, which differs in each run")
    return _choice(*several)


def _sort(*values: Any, sweep: Any = None, reverse: Any = False) -> Element | Sweep:
    several = (*values, sweep) if sweep is not None else values
    chosen = several[0] if len(several) == 1 else _choice(*several)
    if isinstance(chosen, Choices):
        return replace(chosen, values=sorted(chosen.values, reverse=bool(reverse)))
    if isinstance(chosen, Sweep | list | dict):
        raise GrammarError("sort takes a choice or values")
    return chosen


def _glob(include: Any, exclude: Any = ()) -> Globbed:
    patterns = [_words(one) for one in (include, exclude)]
    return Globbed(*patterns)


def _words(value: Any) -> list[str]:
    several = list(value) if isinstance(value, list | tuple) else [value]
    return [str(_unquoted(one)) for one in several]


def _cast(name: str, function: Callable[[Any], Any]) -> Callable[..., Element | Sweep]:
    """The function that casts an element, or each value of a sweep, to a type."""

    def cast(value: Any) -> Any:
        if isinstance(value, Choices):
            return replace(value, values=[cast(one) for one in value.values])
        if isinstance(value, Steps) and name in ("int", "float"):
            numbers = {key: function(getattr(value, key)) for key in ("start", "stop", "step")}
            return Steps(**numbers)
        if isinstance(value, Interval) and name in ("int", "float"):
            return replace(value, low=function(value.low), high=function(value.high))
        if isinstance(value, list):
            return [cast(one) for one in value]
        if isinstance(value, Sweep | dict) or value is None:
            raise GrammarError(f"{name} does not take these arguments")
        return function(_unquoted(value))

    def called(*values: Any, value: Any = None) -> Any:
        several = (*values, value) if value is not None else values
        if len(several) == 1:
            return cast(several[0])
        return cast(Choices([_element(one) for one in several], simple=True))

    return called


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        if value.lower() not in ("true", "false"):
            raise GrammarError(f"'{value}' is neither true nor false")
        return value.lower() == "true"
    return bool(value)


def _str(value: Any) -> str:
    """The text of a value. Written on a command line, one that looks like a number is one again."""
    return written(value) if isinstance(value, bool) else str(value)


FUNCTIONS: dict[str, Callable[..., Element | Sweep]] = {
    "choice": _choice,
    "range": _range,
    "interval": _interval,
    "tag": _tag,
    "shuffle": _shuffle,
    "sort": _sort,
    "glob": _glob,
    "int": _cast("int", int),
    "float": _cast("float", float),
    "str": _cast("str", _str),
    "bool": _cast("bool", _bool),
}
