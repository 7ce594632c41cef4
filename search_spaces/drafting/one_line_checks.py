"""Checks of a sweep that is described by options, against what its program shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.errors import UserError, did_you_mean
from raysweep.search_spaces.drafting import sections
from raysweep.search_spaces.drafting.interface import Interface, Option
from raysweep.search_spaces.drafting.metric_guess import Guess
from raysweep.search_spaces.drafting.param_words import ParamError, name_of
from raysweep.search_spaces.file.python_form import goal_of

GOALS = {"max": "maximize", "maximize": "maximize", "min": "minimize", "minimize": "minimize"}


class OneLineError(UserError):
    """An option of `raysweep run` that does not say enough, or the wrong thing, in one line."""


def check_known(
    typed: str, name: str, option: Option | None, interface: Interface, program: str
) -> None:
    """Raise ParamError if the program cannot be told a parameter of that name."""
    if option is None and interface.options and not _may_exist(interface, name):
        known = [one.name for one in interface.options if one.name]
        raise ParamError(
            f"--param '{typed}': {program} has no option '{name}'"
            f"{did_you_mean(name, known) or f'; it has {_some(known)}'}"
        )
    if option is not None and not option.writable:
        raise ParamError(
            f"--param '{typed}': {option.label} of {program} cannot be given a value as "
            f"--name=value{option.trap and f': {option.trap}'}"
        )
    if option is not None and option.name in interface.given:
        raise ParamError(
            f"--param '{typed}': {option.label} is among the words behind --, too; expected it once"
        )


def _may_exist(interface: Interface, name: str) -> bool:
    """True for a name that a program may know although it is no option.

    That is a group of a Hydra configuration, what is added to one, and a key of a file.
    """
    return name in interface.config or name[:1] in "+~" or interface.style == "none"


def _some(names: Sequence[str]) -> str:
    more = ""
    if len(names) > 8:
        more = ", ..."
    return f"{', '.join(names[:8])}{more}"


def check_values(typed: str, option: Option, entry: Any) -> None:
    """Raise ParamError for values that the program would refuse."""
    values = _values(entry)
    if option.choices:
        for value in values:
            if value not in option.choices and str(value) not in map(str, option.choices):
                known = ", ".join(str(choice) for choice in option.choices)
                raise ParamError(
                    f"--param '{typed}': {option.label} takes {known}, not '{value}'"
                    f"{did_you_mean(value, map(str, option.choices))}"
                )
    if option.form != "value":
        for value in values:
            if not isinstance(value, bool):
                raise ParamError(
                    f"--param '{typed}': {option.label} takes no value; expected "
                    f"{name_of(typed)}=true,false"
                )


def _values(entry: Any) -> list[Any]:
    """The values of an entry that are written out."""
    if not isinstance(entry, Mapping):
        return [entry]
    for key in ("choice", "ordinal", "or"):
        if key in entry:
            return list(entry[key])
    return []


def metric_of(typed: str | None, guess: Guess | None) -> tuple[str, str]:
    """The name and the goal of `--metric NAME:GOAL`. Raises OneLineError."""
    if typed is None:
        raise OneLineError("--metric is missing: what is optimized, as in --metric val_acc:max")
    name, colon, word = typed.rpartition(":")
    if not colon or word not in GOALS:
        if did_you_mean(word, GOALS) and name:
            raise OneLineError(
                f"--metric '{typed}': '{word}' is no goal; expected {name}:max or {name}:min"
            )
        name, word = typed, ""
    if not name:
        raise OneLineError(f"--metric '{typed}': expected NAME:max or NAME:min, as in val_acc:max")
    goal = GOALS.get(word) or (guess.goal if guess is not None else goal_of(name))
    if goal is None:
        raise OneLineError(
            f"--metric '{typed}': the name does not say which way is better; expected {name}:max "
            f"or {name}:min"
        )
    return (sections.metric_name(guess) if guess is not None else name), goal
