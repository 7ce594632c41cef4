"""The parameters of a sweep as the page draws them, and asks for them in its forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.history import Trial
from raysweep.results.storage.tables import flatten

Data = dict[str, Any]


def parameters(
    space: Mapping[str, Any],
    trials: Sequence[Trial],
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Data]:
    """The parameters that differ between trials.

    name, numeric: whether it is a number rather than a category. log: whether its axis is
    logarithmic. categories: the values of a category in order. domain: what it may be, as `domain`
    has it. changes: other ranges that commands have set, as in `Steering.space`.
    """
    flats = [flatten(trial.config) for trial in trials]
    found = []
    for name in dict.fromkeys(name for flat in flats for name in flat):
        values = [flat[name] for flat in flats if name in flat]
        # A parameter with one value that only some trials have does differ: it is conditional.
        is_constant = len({repr(value) for value in values}) < 2 and len(values) == len(trials)
        if not is_constant:
            declared = _declared(space.get(name))
            allowed = domain(declared, (changes or {}).get(name, {}))
            found.append({**_parameter(name, declared, values), "domain": allowed})
    return found


def domain(declared: Mapping[str, Any], change: Mapping[str, Any]) -> Data:
    """What a parameter may be: `values`, or `low` and `high`; {} if that is not known.

    declared: its entry in the file's `space`. change: another range or other values that a command
    has set. or: values outside of the range. whole: whether it is a whole number.
    """
    values = change.get("values") or declared.get("choice") or declared.get("ordinal")
    if isinstance(values, list):
        return {"values": values}
    for kind in ("float", "int"):
        bounds = declared.get(kind)
        if isinstance(bounds, list | tuple) and len(bounds) == 2:
            low, high = change.get("low", bounds[0]), change.get("high", bounds[1])
            others = declared.get("or") or []
            return {"low": low, "high": high, "whole": kind == "int", "or": others}
    return {}


def _declared(entry: Any) -> Mapping[str, Any]:
    """A parameter's entry in the file's `space`; {} for a constant, or if there is none."""
    if isinstance(entry, Mapping):
        return entry
    return {}


def _parameter(name: str, declared: Mapping[str, Any], values: Sequence[Any]) -> Data:
    """A parameter of the page, without its domain."""
    is_numeric = "choice" not in declared and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )
    is_log = is_numeric and bool(declared.get("log")) and min(values) > 0
    categories: list[str] = []
    if not is_numeric:
        categories = _categories(declared, values)
    return {"name": name, "numeric": is_numeric, "log": is_log, "categories": categories}


def _categories(declared: Mapping[str, Any], values: Sequence[Any]) -> list[str]:
    """The values of a category as text: first in the order of the file, then any others."""
    present = sorted({str(value) for value in values})
    listed = [str(value) for value in declared.get("choice") or declared.get("ordinal") or []]
    return [name for name in dict.fromkeys([*listed, *present]) if name in present]
