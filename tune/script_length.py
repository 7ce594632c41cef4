"""Whether a script learns that it is to train longer than its sweep's file said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from raysweep.placeholders import placeholders
from raysweep.search_spaces.convert.command import LENGTHS
from raysweep.search_spaces.drafting.length import STEPS, is_called
from raysweep.search_spaces.language.space import flatten
from raysweep.tune.command_checks import Refused
from raysweep.tune.sweep import Sweep

ASKS = "RAYSWEEP_"
"""What a script has that reads the variables that a sweep sets, such as RAYSWEEP_EPOCHS."""


def check_longer(sweep: Sweep) -> str:
    """A warning for trials that are to train longer than before, which begins with `; `.

    "" if the script is told so. Raises Refused if its command fixes the length.
    """
    how, unit = sweep.command_line, sweep.budget.interval.unit
    if how is None or unit == "seconds" or is_told(asdict(how), unit):
        return ""
    names = {"epochs": LENGTHS, "steps": STEPS}.get(unit, set())
    fixed = _fixing([*how.arguments, *how.after], names)
    if fixed:
        raise Refused(
            f"{unit}: {' '.join(fixed)} in script.arguments ends the script there, and nothing "
            f"tells it another length: begin a new run that has {_placed(fixed, unit)} there"
        )
    if constant := _constant(sweep, names):
        raise Refused(
            f"{unit}: {constant} in space ends the script there, and nothing tells it another "
            "length: begin a new run that has another number there and in budget"
        )
    if _asks(sweep.trainable):
        return ""
    return (
        f"; script.arguments has no {{{unit}}}, so the script is not told: a trial trains longer "
        "only if the script does so by itself"
    )


def is_told(value: Any, name: str) -> bool:
    """True if a text of the `script` section has the placeholder of that name, such as a length."""
    if isinstance(value, str):
        return any(found == name for found, _ in placeholders(value))
    if isinstance(value, dict):
        return any(is_told(part, name) for part in value.values())
    return isinstance(value, list | tuple) and any(is_told(part, name) for part in value)


def _fixing(words: Sequence[str], names: set[str]) -> list[str]:
    """The words that give a length: `--epochs=3`, or `--epochs` and `3`; [] if none does."""
    for word, following in pairwise([*words, ""]):
        name, equals, value = word.partition("=")
        if not is_called(name.lstrip("-"), names):
            continue
        if equals and value:
            return [word]
        if not equals and word.startswith("-") and following.replace(".", "", 1).isdigit():
            return [word, following]
    return []


def _constant(sweep: Sweep, names: set[str]) -> str:
    """The constant of the space that gives a length, as `train.epochs: 6`; "" without one."""
    for name, value in flatten(sweep.space.constants).items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and is_called(name, names):
            return f"{name}: {value:g}"
    return ""


def _placed(fixed: Sequence[str], unit: str) -> str:
    """The same words with the placeholder of that name, such as a length."""
    name, equals, _ = fixed[0].partition("=")
    return f"{name}{equals}{{{unit}}}" if equals else f"{name} {{{unit}}}"


def _asks(script: str) -> bool:
    """True if the script reads the length from its environment, or cannot be read."""
    path = Path(script)
    try:
        return path.suffix != ".py" or ASKS in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True
