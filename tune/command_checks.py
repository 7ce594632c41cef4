"""What checks of people's commands share: their answers, and how they read arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.history import Trial
from raysweep.text_limits import message
from raysweep.tune.controller import SweepController

Arguments = Mapping[str, Any]

MOST = 10**9
"""More trials at once, and more reports, than anything has."""


class Refused(Exception):
    """A command that cannot be followed. The message is the reason, a line for each mistake."""


@dataclass(frozen=True)
class Accepted:
    """What the ledger records of a command.

    reason: what it does, in words. notes: what changes in the notes of its trial. more: what else
    its event has.
    """

    arguments: Arguments
    reason: str
    notes: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def the_trial(controller: SweepController, arguments: Arguments) -> Trial:
    """The trial that the arguments name. Raises Refused."""
    name = str(arguments.get("trial"))
    for history in controller.histories.values():
        for trial in history:
            if trial.id == name:
                return trial
    known = did_you_mean(name, (trial.id for trial in controller.trials))
    raise Refused(f"there is no trial '{message(name)}'{known}")


def whole(arguments: Arguments, name: str) -> int:
    """An argument that is a whole number above zero. Raises Refused."""
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MOST:
        raise Refused(f"{name}: expected a whole number above zero, got {message(str(value))}")
    return value


def flag(arguments: Arguments, name: str) -> bool:
    """An argument that is true or false; false if it is not given. Raises Refused."""
    value = arguments.get(name, False)
    if not isinstance(value, bool):
        raise Refused(f"{name}: expected true or false, got {message(str(value))}")
    return value
