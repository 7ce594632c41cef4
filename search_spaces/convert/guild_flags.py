"""Values of Guild's flags: `[1, 2]`, `uniform[0:1]`, `loguniform[1e-4:1e-1]`, `range[1:9:2]`.

Both ends of a range are included. A third number of `uniform` and `loguniform` is where a search
begins. `logspace` takes exponents.
"""

from __future__ import annotations

import re
from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

MOST_VALUES = 1000
"""The most values of a sequence that are written out."""
_FUNCTION = re.compile(r"([A-Za-z][\w.-]*)?\[([^\[\],]*:[^\[\],]*)\]")
DRAWN = ("uniform", "loguniform")


def is_range(value: Any) -> bool:
    """Whether a value stands for several: a list, or a text that is a function."""
    return isinstance(value, list) or _function(value) is not None


def is_drawn(value: Any) -> bool:
    """Whether a value is a range of numbers, not a list of them."""
    found = _function(value)
    return found is not None and (found.group(1) or "uniform") in DRAWN


def _function(value: Any) -> re.Match[str] | None:
    return _FUNCTION.fullmatch(value.strip()) if isinstance(value, str) else None


def entry(draft: Draft, path: Path, value: Any) -> Any:
    """An entry of our space, or a constant."""
    if isinstance(value, list):
        return ranges.listed(draft.items(path, value))
    found = _function(value)
    if found is None:
        return ranges.constant(value)
    name = found.group(1) or "uniform"
    if name not in KINDS:
        raise draft.error(path, f"'{name}' has no equal here; expected one of {', '.join(KINDS)}")
    texts = found.group(2).split(":")
    numbers = [draft.number(path, text.strip(), strings=True) for text in texts]
    least, most, make = KINDS[name]
    if not least <= len(numbers) <= most:
        raise draft.error(path, f"{name} takes {least} to {most} numbers, got {len(numbers)}")
    return make(draft, path, numbers)


def _begin(draft: Draft, path: Path, numbers: list[int | float]) -> None:
    if len(numbers) > 2:
        draft.note(path, f"the search begins at {numbers[2]:g} there")


def _uniform(draft: Draft, path: Path, numbers: list[int | float]) -> Any:
    _begin(draft, path, numbers)
    low, high = numbers[:2]
    if isinstance(low, int) and isinstance(high, int):
        return ranges.integers(draft, path, low, high)
    return ranges.continuous(draft, path, low, high)


def _loguniform(draft: Draft, path: Path, numbers: list[int | float]) -> Any:
    _begin(draft, path, numbers)
    return ranges.continuous(draft, path, numbers[0], numbers[1], log=True)


def _range(draft: Draft, path: Path, numbers: list[int | float]) -> Any:
    start, end, step = (*numbers, 1)[:3]
    if step > 0 and (end - start) / step > ranges.MOST_STEPS:
        raise draft.error(path, f"a range from {start:g} to {end:g} by {step:g} is too long")
    return ranges.stepped(draft, path, start, end, step, all(isinstance(n, int) for n in numbers))


def _linspace(draft: Draft, path: Path, numbers: list[int | float]) -> Any:
    start, end, count = (*numbers, 5)[:3]
    return _spaced(draft, path, start, end, count, None)


def _logspace(draft: Draft, path: Path, numbers: list[int | float]) -> Any:
    start, end = numbers[:2]
    count = numbers[2] if len(numbers) > 2 else 5
    base = float(numbers[3]) if len(numbers) > 3 else 10.0
    return _spaced(draft, path, start, end, count, base)


def _spaced(
    draft: Draft, path: Path, start: float, end: float, count: float, base: float | None
) -> Any:
    """Values at even distances; with a base, these are its exponents."""
    number = draft.whole(path, count)
    if not 0 < number <= MOST_VALUES:
        raise draft.error(path, f"expected 1 to {MOST_VALUES} values, got {number}")
    parts = [i / (number - 1) if number > 1 else 0.0 for i in range(number)]
    values = [start + (end - start) * part for part in parts]
    if base is not None:
        ranges.exponents(draft, path, start, end, base)
        values = [base**value for value in values]
    return ranges.listed(
        [round(value, 8) if value > 1e-8 else value for value in values], kind="ordinal"
    )


KINDS: dict[str, Any] = {
    "uniform": (2, 3, _uniform),
    "loguniform": (2, 3, _loguniform),
    "range": (2, 3, _range),
    "linspace": (2, 3, _linspace),
    "logspace": (2, 4, _logspace),
}
"""How many numbers each function takes, and what makes its entry."""
