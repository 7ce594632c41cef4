"""The commands about limits: `extend` the budget, and how long a trial is in the sweep's unit."""

from __future__ import annotations

import math
from typing import Any

from raysweep.errors import naming_component
from raysweep.formatting import duration
from raysweep.report_interval import UNITS, amount
from raysweep.search_spaces.file.budget_spec import ROUNDING, seconds
from raysweep.text_limits import message
from raysweep.tune.command_checks import MOST, Accepted, Arguments, Refused
from raysweep.tune.controller import SweepController
from raysweep.tune.script_length import check_longer
from raysweep.tune.steered import limit_of, limits

LARGEST = 10**15
"""More than any budget is. A budget can only grow, so that a typing mistake would stay for ever."""
NAMES = ("trials", *UNITS, *(f"total_{unit}" for unit in UNITS), "time")
"""All limits that a budget may have. A sweep has those of its own unit."""


def extend(controller: SweepController, arguments: Arguments) -> Accepted:
    """Check `extend`. A longer trial has other rungs, which the event records."""
    budget = controller.sweep.budget
    known = limits(budget)
    if not arguments:
        raise Refused(f"nothing to extend: expected {', '.join(known)}")
    for name in arguments:
        check_unit(controller, name)
    new = {name: _limit(controller, name, value) for name, value in arguments.items()}
    shown = ", ".join(f"{name} {_in_words(name, limit)}" for name, limit in new.items())
    unit = budget.interval.unit
    more, warning = {}, ""
    if unit in new:
        warning = check_longer(controller.sweep)
        more = _longer_trials(controller, budget.interval.report(new[unit]))
    return Accepted(new, f"the budget is now {shown}{warning}", more=more)


def length_in_reports(controller: SweepController, name: str, value: Any) -> int:
    """The number of reports of a trial that is `value` of the unit `name` long. Raises Refused."""
    check_unit(controller, name)
    interval = controller.sweep.budget.interval
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST:
        kind = "whole number" if interval.is_epoch else "number"
        raise Refused(f"{name}: expected a {kind} above zero, got {message(str(value))}")
    reports = value / interval.every
    if abs(reports - round(reports)) <= ROUNDING * max(1.0, reports):
        return round(reports)
    if interval.is_epoch:
        raise Refused(f"{name}: expected a whole number above zero, got {amount(value)}")
    below, above = (interval.amount(int(reports) + more) for more in (0, 1))
    would_do = f"{below} or {above}" if int(reports) else above
    raise Refused(
        f"{name}: {amount(value)} is no multiple of report_every, {amount(interval.every)}; "
        f"{would_do} would do"
    )


def check_unit(controller: SweepController, name: str) -> None:
    """Raise Refused if a limit is in another unit than the trials of the sweep."""
    unit = controller.sweep.budget.interval.unit
    if name in UNITS and name != unit:
        raise Refused(f"{name}: trials of this sweep are measured in {unit}; expected {unit}=N")
    if name.removeprefix("total_") in UNITS and name not in (unit, f"total_{unit}"):
        raise Refused(
            f"{name}: trials of this sweep are measured in {unit}; expected total_{unit}=N"
        )


def _longer_trials(controller: SweepController, reports: int) -> dict[str, Any]:
    """What the event of longer trials has: their length in reports, and the rungs they get."""
    scheduler = controller.sweep.scheduler
    with naming_component(f"the scheduler {type(scheduler).__name__}", "making longer rungs"):
        levels = scheduler.levels(reports)
    return {"epochs": reports, "levels": list(levels)}


def _limit(controller: SweepController, name: str, value: Any) -> int | float:
    """The new limit that `80` or `+50` means, in the unit of its name."""
    budget = controller.sweep.budget
    before, text = limit_of(budget, name), str(value).strip()
    if before is None:
        raise Refused(f"{name}: the budget of this sweep does not limit it")
    given = _amount(name, text.removeprefix("+"), text)
    limit = before + given if text.startswith("+") else given
    if name == budget.interval.unit:
        length_in_reports(controller, name, limit)
    elif name != "time" and not name.endswith("seconds") and limit != int(limit):
        raise Refused(f"{name}: expected a whole number, got {message(text)}")
    if limit <= before:
        raise Refused(f"{name}: is {_in_words(name, before)}; a budget can only grow")
    return int(limit) if float(limit).is_integer() and name != "time" else limit


def _amount(name: str, number: str, text: str) -> float:
    """The number of a limit; that of a time may be a duration, as 2h30m."""
    try:
        given = seconds(_plain(number) if name == "time" else float(number))
    except ValueError:
        given = math.nan
    if not abs(given) <= LARGEST:  # true for NaN, too
        raise Refused(f"{name}: expected a limit, as 80 or +50, got {message(text)}")
    return given


def _plain(text: str) -> float | str:
    """A number, or the text itself if it is none, as `2h30m`."""
    try:
        return float(text)
    except ValueError:
        return text


def _in_words(name: str, limit: float) -> str:
    return duration(limit) if name == "time" else amount(limit)
