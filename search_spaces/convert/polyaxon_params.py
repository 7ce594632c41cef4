"""The parameters of Polyaxon's searches: `{kind: uniform, value: [0, 1]}`, or `uniform: 0:1`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft, taken
from raysweep.search_spaces.file.document import Path

Numbers = list[int | float]
MOST_VALUES = 1000
"""The most values that are written out."""


def take(draft: Draft, path: Path, value: Any, rounds: bool) -> None:
    """Take `params` of a matrix. rounds: whether quantized values are rounded, as by hyperopt."""
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        rule = draft.mapping(place, inner)
        draft.each(place, rule, {"kind": taken, "value": taken})
        kind = draft.word((*place, "kind"), rule.get("kind"), KINDS)
        entry = _entry(draft, (*place, "value"), kind, rule.get("value"), rounds)
        draft.param(name, entry, place)


def take_old(draft: Draft, path: Path, value: Any) -> None:
    """Take the `matrix` of a group of experiments: each parameter with its kind as the only key."""
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        rule = draft.mapping(place, inner)
        if len(rule) != 1:
            raise draft.error(place, f"expected one kind of values, got {len(rule)}")
        (kind, given), *_ = rule.items()
        kind = {"values": "choice", "pvalues": "pchoice"}.get(kind, kind)
        draft.word((*place, kind), kind, KINDS)
        draft.param(name, _entry(draft, (*place, kind), kind, given, False), place)


def _entry(draft: Draft, path: Path, kind: str, value: Any, rounds: bool) -> Any:
    if kind == "choice":
        return ranges.listed(draft.items(path, value))
    if kind == "pchoice":
        return _weighted(draft, path, value)
    required, optional, make = KINDS[kind]
    numbers = _numbers(draft, path, value, required, optional)
    if kind in ("quniform", "qloguniform"):
        return _quantized(draft, path, kind, numbers, rounds)
    return make(draft, path, numbers)


def _weighted(draft: Draft, path: Path, value: Any) -> Any:
    pairs = draft.items(path, value)
    for i, one in enumerate(pairs):
        if not isinstance(one, list) or len(one) != 2:
            raise draft.error((*path, i), "expected a value and its probability")
    weights = [draft.number((*path, i, 1), one[1]) for i, one in enumerate(pairs)]
    # As numpy draws: what is missing to 1 is the last one's.
    weights[-1] = max(weights[-1], ranges.tidy(1 - sum(weights[:-1])))
    drawn = [(one[0], weight) for one, weight in zip(pairs, weights, strict=True) if weight != 0]
    return ranges.listed([one for one, _ in drawn], [weight for _, weight in drawn])


def _numbers(
    draft: Draft, path: Path, value: Any, required: tuple[str, ...], optional: tuple[str, ...]
) -> Numbers:
    """The numbers of a kind: as a mapping, a list, or a text with colons between them."""
    names = (*required, *optional)
    if isinstance(value, dict):
        draft.each(path, value, dict.fromkeys(names, taken))
        given = [value.get(name) for name in names if value.get(name) is not None]
        if any(value.get(name) is None for name in required):
            raise draft.error(path, f"expected {', '.join(required)}")
    elif isinstance(value, str):
        given = list(value.split(":"))
    else:
        given = draft.items(path, value)
    if not len(required) <= len(given) <= len(names):
        raise draft.error(path, f"expected {', '.join(required)}, got {len(given)} numbers")
    return [draft.number(path, one, strings=True) for one in given]


def _uniform(draft: Draft, path: Path, numbers: Numbers) -> Any:
    low, high = numbers
    return ranges.continuous(draft, path, low, high)


def _loguniform(draft: Draft, path: Path, numbers: Numbers) -> Any:
    low, high = numbers
    bottom, top = ranges.exponents(draft, path, low, high)
    draft.note(path, f"loguniform takes exponents of e, so the range is [{bottom:g}, {top:g}]")
    return ranges.continuous(draft, path, bottom, top, log=True)


def _quantized(draft: Draft, path: Path, kind: str, numbers: Numbers, rounds: bool) -> Any:
    low, high, step = numbers
    log = kind == "qloguniform"
    if log:
        low, high = ranges.exponents(draft, path, low, high)
        draft.note(path, f"qloguniform takes exponents of e, so the range is [{low:g}, {high:g}]")
    step = int(step) if step == int(step) else step
    make = ranges.quantized if rounds else ranges.floored
    return make(draft, path, (low, high), step, log)


def _range(draft: Draft, path: Path, numbers: Numbers) -> Any:
    start, stop, step = numbers
    if step <= 0 or not start < stop or (stop - start) / step > ranges.MOST_STEPS:
        raise draft.error(path, f"a range from {start:g} to {stop:g} in steps of {step:g} is none")
    whole = all(one == int(one) for one in numbers)
    count = -int(-ranges.tidy((stop - start) / step) // 1)
    last = ranges.tidy(start + (count - 1) * step)
    numbers_are = "; its numbers are written without a point here" if whole else ""
    draft.note(path, f"a range leaves out its end, {stop:g}{numbers_are}")
    return ranges.stepped(draft, path, start, last, step, whole)


def _spaced(place: Callable[[Numbers], list[float]]) -> Callable[[Draft, Path, Numbers], Any]:
    """Values at even distances on some axis, with both ends."""

    def take(draft: Draft, path: Path, numbers: Numbers) -> Any:
        count = draft.whole(path, numbers[2])
        if not 0 < count <= MOST_VALUES:
            raise draft.error(path, f"expected 1 to {MOST_VALUES} values, got {count}")
        try:
            values = [ranges.tidy(one) for one in place(numbers)]
        except (OverflowError, ZeroDivisionError, ValueError):
            raise draft.error(path, "these numbers have no such values between them") from None
        return ranges.listed(values, kind="ordinal")

    return take


def _parts(numbers: Numbers) -> list[float]:
    count = int(numbers[2])
    return [i / (count - 1) if count > 1 else 0.0 for i in range(count)]


def _linspace(numbers: Numbers) -> list[float]:
    start, stop = numbers[:2]
    return [start + (stop - start) * part for part in _parts(numbers)]


def _logspace(numbers: Numbers) -> list[float]:
    base = float(numbers[3]) if len(numbers) > 3 else 10.0
    return [base**exponent for exponent in _linspace(numbers)]


def _geomspace(numbers: Numbers) -> list[float]:
    start, stop = numbers[:2]
    return [start * (stop / start) ** part for part in _parts(numbers)]


def _unbounded(draft: Draft, path: Path, numbers: Numbers) -> Any:
    raise draft.error(path, "a distribution without bounds has no equal here")


_BOUNDS = ("low", "high")
_SPACE = ("start", "stop", "num")
_BELL = ("loc", "scale")
KINDS: dict[str, Any] = {
    "choice": (),
    "pchoice": (),
    "range": (("start", "stop", "step"), (), _range),
    "linspace": (_SPACE, (), _spaced(_linspace)),
    "logspace": (_SPACE, ("base",), _spaced(_logspace)),
    "geomspace": (_SPACE, (), _spaced(_geomspace)),
    "uniform": (_BOUNDS, (), _uniform),
    "quniform": ((*_BOUNDS, "q"), (), None),
    "loguniform": (_BOUNDS, (), _loguniform),
    "qloguniform": ((*_BOUNDS, "q"), (), None),
    "normal": (_BELL, (), _unbounded),
    "qnormal": ((*_BELL, "q"), (), _unbounded),
    "lognormal": (_BELL, (), _unbounded),
    "qlognormal": ((*_BELL, "q"), (), _unbounded),
}
"""The names of the numbers of each kind, those that may be missing, and what makes the entry."""
