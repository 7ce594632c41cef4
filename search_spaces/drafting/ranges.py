"""From an option of a program to an entry of the space, with the reason for its range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from raysweep.search_spaces.drafting.default_ranges import decades, listed, near_one, number, truth
from raysweep.search_spaces.drafting.families import FAMILIES, Family
from raysweep.search_spaces.drafting.interface import Option, plain_name
from raysweep.search_spaces.drafting.left_alone import LEFT_ALONE, SURROUNDINGS
from raysweep.search_spaces.file.error_messages import shown

MOST_ACTIVE = 8
"""Parameters that are tuned at first. Twenty trials tell little about more of them."""
MOST_CHOICES = 12
"""Choices that are written out. More of them are names of models, which are a decision."""
MOST_UNKNOWN = 12
"""Options of which nothing is known that are suggested. Of more, the booleans are left out."""
_UNKNOWN = len(FAMILIES)
_PHASES = ("test", "val", "valid", "validation", "eval", "predict")
"""Parts of the names of options that are about something else than the training."""


@dataclass(frozen=True)
class Suggestion:
    """An entry for an option. rank: smaller is more worth tuning. active: not only a comment."""

    option: Option
    entry: Any
    why: str
    rank: int
    active: bool


def suggestions(options: tuple[Option, ...]) -> list[Suggestion]:
    """An entry for each option that can be tuned, in the order of the options.

    At most MOST_ACTIVE are active; options that are left alone are missing.
    """
    found = [one for option in options if (one := suggest(option)) is not None]
    unknown = [one for one in found if one.rank == _UNKNOWN]
    if len(unknown) > MOST_UNKNOWN:
        found = [one for one in found if one not in unknown or one.option.kind != "bool"]
    ranked = sorted((one for one in found if one.active), key=lambda one: one.rank)
    active = {one.option.name for one in ranked[:MOST_ACTIVE]}
    return [
        Suggestion(one.option, one.entry, one.why, one.rank, one.option.name in active)
        for one in found
    ]


def suggest(option: Option) -> Suggestion | None:
    """An entry for an option; None if it is to be left alone, or cannot be told."""
    if not option.name or not option.writable or option.many or option.kind in ("list", "other"):
        return None
    rank, family = _family(option)
    entry = _entry(option, family)
    if entry is None or _only_value(entry):
        return None
    entry = with_default(option, entry)
    active = family is not None and _is_worth_it(option, family)
    return Suggestion(option, entry, _why(option, family), rank, active)


def with_default(option: Option, entry: Any) -> Any:
    """The entry, widened if it would leave out the program's own default."""
    value = number(option)
    for kind in ("float", "int"):
        if value is None or kind not in entry or (kind == "int" and not isinstance(value, int)):
            continue
        low, high = entry[kind]
        if kind == "float":
            value = float(value)
        if value in entry.get("or", ()) or (entry.get("log") is True and value <= 0):
            continue
        if entry.get("log") == "reverse" and not 0 <= value < 1:
            continue
        return {**entry, kind: [min(low, value), max(high, value)]}
    return entry


def _is_worth_it(option: Option, family: Family) -> bool:
    """True if an option is tuned from the start."""
    # An option that the program does not set by itself is off: to turn it on is a decision.
    is_off = option.optional or (option.default is None and not option.required)
    return family.active and not is_off and (number(option) or 0) <= family.largest


def _family(option: Option) -> tuple[int, Family | None]:
    last = plain_name(option.name).rpartition(".")[2]
    if option.kind == "bool" or _is_of_another_phase(last):
        return _UNKNOWN, None
    for rank, family in enumerate(FAMILIES):
        if family.names.fullmatch(last):
            return rank, family
    return _UNKNOWN, None


def _is_of_another_phase(last: str) -> bool:
    """True for the batch size of an evaluation and the like, which change no result."""
    return any(part in _PHASES for part in last.split("_"))


def _entry(option: Option, family: Family | None) -> Any:
    last = plain_name(option.name).rpartition(".")[2]
    first = plain_name(option.name).partition(".")[0]
    if first in SURROUNDINGS and first != last:
        return None
    if family is None and (LEFT_ALONE.fullmatch(last) or first == "trainer"):
        return None
    if option.kind == "bool":
        return truth(option)
    if option.choices:
        if len(option.choices) <= MOST_CHOICES:
            return listed(option)
        return None
    if option.kind == "text":
        return None
    if family is not None:
        entry = family.entry(option)
    else:
        entry = _unknown(option)
    if entry is None:
        return None
    return _fitted(option, entry)


def _unknown(option: Option) -> Any:
    """A range for a number of which nothing is known but its default."""
    value = number(option)
    if value is None or value <= 0:
        return None
    if option.kind == "int":
        return {"int": [max(1, int(value) // 2), int(value) * 2]}
    if 0.9 <= value < 1:
        return near_one(0.9, 0.9999)(option)
    if 0.05 <= value <= 1:
        return {"float": [0.0, 1.0]}
    return decades(option)


def _fitted(option: Option, entry: dict[str, Any]) -> dict[str, Any] | None:
    """The entry within the bounds that the program checks, and of whole numbers for an int."""
    if "ordinal" in entry:
        inside = [value for value in entry["ordinal"] if _allowed(option, value)]
        return {"ordinal": inside}
    kind = "float"
    if "int" in entry:
        kind = "int"
    low, high = entry[kind]
    if option.low is not None:
        low = max(low, option.low)
    if option.high is not None:
        high = min(high, option.high)
    if high <= low:
        return None
    is_rate = not option.is_typed and option.default in (0, 1)
    if kind == "float" and option.kind == "int" and not is_rate:
        # The option is called like a rate, and counts: `warmup`, `momentum` in steps.
        if high - low >= 2:
            return {"int": [math.ceil(low), math.floor(high)]}
        return None
    if entry.get("log") == "reverse" and high >= 1:
        return {"float": [low, high]}
    return entry | {kind: [low, high]}


def _allowed(option: Option, value: float) -> bool:
    above = option.low is None or value >= option.low
    return above and (option.high is None or value <= option.high)


def _only_value(entry: dict[str, Any]) -> bool:
    values = entry.get("choice") or entry.get("ordinal")
    return values is not None and len(values) < 2


def _why(option: Option, family: Family | None) -> str:
    default = "no default"
    if option.default is not None:
        default = f"default {shown(option.default)}"
    if family is not None:
        return f"{default}; {family.why}"
    if option.choices or option.kind == "bool":
        return default
    if option.kind == "int":
        return f"{default}; half to twice"
    value = number(option) or 0.0
    return f"{default}; {'in [0, 1]' if 0.05 <= value <= 1 else 'a decade to each side'}"
