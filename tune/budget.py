"""The epoch budget of a comparison: how much each study may train.

Studies with equally many trials train different numbers of epochs if a scheduler stops some. With
`budget.trials` alone, the studies that trained less than the others get further trials, until all
have trained equally many epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysweep.formatting import plural
from raysweep.history import Event, History, Status
from raysweep.tune.sweep import Sweep

HOPELESS = 10
"""A study whose last ten trials all failed gets no further trials: it would never catch up."""


def matched_epoch_budget(sweep: Sweep, histories: Mapping[str, History]) -> int | None:
    """The epochs that the study which trained most has trained in its first `budget.trials` trials.

    None as long as some of these trials have not ended, and for a sweep that needs no such budget.
    """
    trials = sweep.budget.trials
    if trials is None or not describe_budget(sweep):
        return None
    firsts = [
        [trial for trial in history if trial.number < trials] for history in histories.values()
    ]
    if not all(trial.status.ended for study in firsts for trial in study):
        return None
    return max(sum(trial.epoch for trial in study) for study in firsts)


def allowed(past: Iterable[Event], sweep: Sweep) -> int | None:
    """The matched epoch budget that a former session with the same budget found, or None."""
    for event in past:
        if event["event"] == "allowance" and event["trials"] == sweep.budget.trials:
            return int(event["epochs"])
    return None


def describe_budget(sweep: Sweep) -> list[str]:
    """What the user is told of it before the start.

    [] if there is one study only, or if `total_epochs` makes the studies equal.
    """
    trials = sweep.budget.trials
    if trials is None or sweep.budget.total_epochs is not None or len(sweep.searchers) < 2:
        return []
    return [
        f"each searcher gets {plural(trials, 'trial')}, then further ones "
        "until all have trained equally many epochs"
    ]


def is_behind(history: History, epochs: int, most: int | None) -> bool:
    """True if a study that had all its trials gets another: its `epochs` are fewer than `most`."""
    if most is None or epochs >= most:
        return False
    last = [
        history[number].status for number in range(max(0, len(history) - HOPELESS), len(history))
    ]
    return not all(status in (Status.FAILED, Status.OOM) for status in last)
