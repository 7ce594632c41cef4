"""The status of a trial as people read it: `paused` as long as it can still be promoted.

The ledger says `stopped` of a trial that pauses at a rung, too, because it may never be promoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysweep.history import Status, Trial

PAUSED = "paused"
"""A trial that waits at a rung. At the end of the sweep such a trial is `stopped`."""
ORDER = (
    Status.WAITING,
    Status.RUNNING,
    PAUSED,
    Status.COMPLETED,
    Status.STOPPED,
    Status.DIVERGED,
    Status.FAILED,
    Status.OOM,
)
"""All that a trial may be, in the order in which counts are listed."""


def pauses(sweep: Mapping[str, Any]) -> bool:
    """True if the scheduler of a resolved sweep may promote what it stops."""
    scheduler = sweep.get("scheduler")
    return isinstance(scheduler, Mapping) and scheduler.get("type") == "promotion"


def shown_status(trial: Trial, may_promote: bool) -> str:
    """The status of a trial in words. may_promote: the scheduler may still promote what it stops.

    It does not promote what a person has stopped, or what ended with the budget.
    """
    return status_in_words(trial.status, trial.notes, may_promote)


def status_in_words(status: str, notes: Mapping[str, Any], may_promote: bool) -> str:
    """The same for the status and the notes of a trial, or of the event that ended it."""
    is_final = notes.get("limited") or notes.get("by_hand")
    if may_promote and status == Status.STOPPED and not is_final:
        return PAUSED
    return str(status)
