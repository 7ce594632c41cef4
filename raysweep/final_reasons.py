"""Why the trials that are unfinished at the end of a sweep will not continue.

The ledger says of a trial that paused why it did so then: `it is the best of 2 so far`. Once the
sweep has ended, that reads as if the trial still had a chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from raysweep.history import History, Status, Trial
from raysweep.report_interval import ReportInterval
from raysweep.shown_status import PAUSED, shown_status

DONE = "done"
"""Why a sweep has ended that has trained all that its budget allows."""


def final_reasons(
    histories: Iterable[History], interval: ReportInterval, ending: str, promotes: bool
) -> dict[str, str]:
    """The reasons by the names of the trials, of a sweep that has ended and is not interrupted.

    The other trials keep the reasons that they have. ending: why the sweep has ended, or `done`.
    promotes: its scheduler promotes trials that it stopped.
    """
    trials = [(trial, history) for history in histories for trial in history]
    why = "" if ending == DONE else f": {ending}"
    found = {
        trial.id: f"did not continue before the sweep ended{why}"
        for trial, _ in trials
        if trial.status is Status.WAITING
    }
    for trial, history in trials if promotes else ():
        if shown_status(trial, may_promote=True) == PAUSED:
            found[trial.id] = _not_promoted(trial, history, interval)
    return found


def _not_promoted(trial: Trial, history: History, interval: ReportInterval) -> str:
    """Where a trial was not promoted, and how it stood there in the end."""
    rung = history.last_rung(trial)
    if rung is None or rung.outcomes:  # not known here, or an order that is the scheduler's own
        return f"not promoted; as it paused: {trial.reason}"
    loss, continued = rung.by_trial[trial.number], rung.n_promoted
    where = f"not promoted after {interval.at(trial.epoch)}"
    if not math.isfinite(loss):
        return f"{where}: its value was not finite"
    place = rung.rank(loss) + 1
    number = "the best" if place == 1 else f"number {place}"
    why = " (chosen before, or by forecast)" if place <= continued else ""
    return f"{where}: {number} of {len(rung)} there, of which {continued or 'none'} continued{why}"
