"""Entries of our `space:` section from what other formats say about a range."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path, SpecificationError
from raysweep.search_spaces.language.params import same

MOST_LISTED = 64
"""How many values are written out where the bounds are no multiples of the step."""

MOST_STEPS = 1_000_000

LARGEST = 700.0
"""The largest natural exponent that is a number."""


def tidy(value: float) -> float:
    """The number without the noise of arithmetic in its last digits."""
    return float(f"{value:.12g}")


def continuous(draft: Draft, path: Path, low: float, high: float, log: bool = False) -> Any:
    """A float; the constant where both bounds are the same."""
    low, high = check_order(draft, path, low, high, log)
    if low == high:
        return float(low)
    return {"float": [float(low), float(high)]} | ({"log": True} if log else {})


def integers(draft: Draft, path: Path, low: int, high: int, log: bool = False) -> Any:
    """An int, both bounds included; the constant where they are the same."""
    check_order(draft, path, low, high, log)
    if low == high:
        return low
    return {"int": [low, high]} | ({"log": True} if log else {})


def stepped(draft: Draft, path: Path, low: float, high: float, step: float, whole: bool) -> Any:
    """A range in steps, which ends with the last one that is not beyond its upper bound."""
    bottom, top, stride = (Decimal(str(one)) for one in (low, high, step))
    if stride <= 0 or bottom > top:
        text = f"a range needs an end above its start, and a step above 0, got {step:g}"
        raise draft.error(path, text)
    last = bottom + (top - bottom) // stride * stride
    if last != top:
        draft.note(path, f"{high:g} is no step of the range, which ends with {last}")
    number: Callable[[Decimal], Any] = int if whole else float
    if last == bottom:
        return number(bottom)
    entry: dict[str, Any] = {"int" if whole else "float": [number(bottom), number(last)]}
    return entry if whole and stride == 1 else entry | {"step": number(stride)}


def exponents(
    draft: Draft, path: Path, low: float, high: float, base: float = math.e
) -> tuple[float, float]:
    """Bounds that a file gives as exponents of `base`, as values."""
    if base <= 1 or any(abs(one) * math.log(base) > LARGEST for one in (low, high)):
        raise draft.error(
            path,
            f"{base:g} to the power of {low:g} and of {high:g} are no bounds; "
            "are these values, not exponents?",
        )
    return tidy(base**low), tidy(base**high)


def constant(value: Any) -> Any:
    """A constant: a scalar plainly, anything else as `{value: ...}`."""
    return value if isinstance(value, bool | int | float | str) else {"value": value}


def listed(values: list[Any], weights: list[float] | None = None, kind: str = "choice") -> Any:
    """One of several values, each as often as the list has it.

    A duplicate value is kept once, with both weights.
    """
    kept: list[Any] = []
    totals: list[float] = []
    for value, weight in zip(values, weights or [1] * len(values), strict=True):
        place = next((i for i, one in enumerate(kept) if same(value, one)), None)
        if place is None:
            kept.append(value)
            totals.append(weight)
        else:
            totals[place] += weight
    uneven = weights is not None or len(kept) < len(values)
    return {kind: kept} | ({"weights": totals} if uneven else {})


def check_order(
    draft: Draft, path: Path, low: float, high: float, log: bool = False
) -> tuple[float, float]:
    if low > high:
        raise draft.error(path, f"the bounds [{low:g}, {high:g}] are in the wrong order")
    if log and low <= 0:
        raise draft.error(path, f"a log range must lie above zero, got the lower bound {low:g}")
    return low, high


def quantized(
    draft: Draft,
    path: Path,
    bounds: tuple[float, float],
    step: float,
    log: bool = False,
    clip: bool = False,
) -> Any:
    """Multiples of `step` to which a (log-)uniform draw is rounded, each as often as by rounding.

    `clip`: what is rounded beyond a bound becomes the bound. The values are whole numbers if the
    step is an int.
    """
    low, high = check_order(draft, path, *bounds, log)
    if step <= 0:
        raise draft.error(path, f"q must be above zero, got {step:g}")
    if (high - low) / step > MOST_STEPS:
        raise draft.error(path, f"q {step:g} is too small for the range [{low:g}, {high:g}]")
    whole = isinstance(step, int)
    if high > low and all(abs(one / step - round(one / step)) < 1e-9 for one in bounds):
        kind, number = ("int", int) if whole else ("float", float)
        return (
            {kind: [number(low), number(high)]}
            | ({"log": True} if log else {})
            | {"step": number(step), "ends": "half"}
        )
    return _listed(draft, path, _shares((low, high), step, math.log if log else float, clip), whole)


def _shares(
    bounds: tuple[float, float], step: float, axis: Callable[[float], float], clip: bool
) -> dict[float, float]:
    """The values, and the width of the part of the axis that is rounded to each."""
    low, high = bounds
    if low == high:
        return {low if clip else tidy(round(low / step) * step): 1.0}
    shares: dict[float, float] = {}
    for k in range(math.floor(low / step), math.ceil(high / step) + 1):
        bottom, top = max((k - 0.5) * step, low), min((k + 0.5) * step, high)
        if top > bottom:
            value = min(max(tidy(k * step), low), high) if clip else tidy(k * step)
            shares[value] = shares.get(value, 0.0) + axis(top) - axis(bottom)
    return shares


def _listed(draft: Draft, path: Path, shares: dict[float, float], whole: bool) -> Any:
    """The values one by one, with their weights: the bounds are no multiples of the step."""
    if len(shares) > MOST_LISTED:
        raise draft.error(
            path,
            f"the bounds are no multiples of q, and {len(shares)} values are too many to list; "
            "move the bounds",
        )
    values = [round(value) if whole else float(value) for value in shares]
    if len(values) == 1:
        return values[0]
    smallest = min(shares.values())
    weights = [tidy(share / smallest) for share in shares.values()]
    return {
        "ordinal": values,
        "weights": [round(one) if abs(one - round(one)) < 1e-9 else one for one in weights],
    }


def floored(
    draft: Draft, path: Path, bounds: tuple[float, float], step: float, log: bool = False
) -> Any:
    """Multiples of `step` to which a (log-)uniform draw is rounded down."""
    low, high = check_order(draft, path, *bounds, log)
    if step <= 0 or (high - low) / step > MOST_STEPS:
        raise draft.error(path, f"q {step:g} does not fit the range [{low:g}, {high:g}]")
    axis = math.log if log else float
    first, last = math.floor(tidy(low / step)), math.ceil(tidy(high / step)) - 1
    parts = [(max(k * step, low), min((k + 1) * step, high)) for k in range(first, last + 1)]
    shares = {
        tidy(k * step): axis(top) - axis(bottom)
        for k, (bottom, top) in zip(range(first, last + 1), parts, strict=True)
        if top > bottom
    }
    whole = isinstance(step, int)
    if not shares:
        return tidy(first * step)
    if len(shares) > 1 and max(shares.values()) - min(shares.values()) < 1e-9 * step:
        return stepped(draft, path, min(shares), max(shares), step, whole)
    return _listed(draft, path, shares, whole)


def every_value(draft: Draft, continuous: str) -> None:
    """A grid elsewhere takes every value of a stepped range.

    `continuous`: what is wrong with a range without steps, "" if nothing is.
    """
    for name, entry in draft.data.get("space", {}).items():
        if not isinstance(entry, dict) or "points" in entry:
            continue
        if "int" in entry or "step" in entry:
            entry["points"] = _count(entry)
        elif "float" in entry and continuous:
            place = draft.place(("space", name))
            raise SpecificationError(f"{place}: {name}: {continuous}")


def every_cell(draft: Draft) -> None:
    """A grid elsewhere ends when each cell was tried."""
    sizes = [
        _size(entry) for entry in draft.data.get("space", {}).values() if isinstance(entry, dict)
    ]
    draft.put(("budget", "trials"), math.prod(sizes), ())


def _size(entry: dict[str, Any]) -> int:
    values = entry.get("choice") or entry.get("ordinal")
    if values:
        return len(values)
    return 1 if "value" in entry else min(entry.get("points", 1), _count(entry))


def _count(entry: dict[str, Any]) -> int:
    """The number of values of a range; without a step, that of its grid."""
    low, high = entry.get("int") or entry["float"]
    step = entry.get("step", 1 if "int" in entry else None)
    return int(entry.get("points", 1)) if step is None else round((high - low) / step) + 1
