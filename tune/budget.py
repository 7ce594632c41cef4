"""How much a study of a comparison may spend. Searchers with equally many trials train unequally many epochs where a scheduler stops some.

With `trials` alone, the studies that trained fewer epochs than the one that trained most get
further trials, until all have trained as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysweep.formatting import plural
from raysweep.history import Event, History, Status
from raysweep.tune.sweep import Sweep

HOPELESS = 10
"""A study whose last so many trials failed gets no further ones: it would never catch up."""


def matched_epoch_budget(sweep: Sweep, histories: Mapping[str, History]) -> int | None:
    """The most epochs that the trials of one study came to, without further ones; None while it is not known, or where none is needed.

    It is known when each study's first `budget.trials` trials have ended for good; the controller keeps it then.
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
    """The allowance that a former session of the same budget found; None where there is none."""
    found = (
        event
        for event in past
        if event["event"] == "allowance" and event["trials"] == sweep.budget.trials
    )
    return next((int(event["epochs"]) for event in found), None)


def describe_budget(sweep: Sweep) -> list[str]:
    """What a person should know of it before the start; [] where studies need not agree, or do so by `total_epochs`."""
    trials = sweep.budget.trials
    if trials is None or sweep.budget.total_epochs is not None or len(sweep.searchers) < 2:
        return []
    return [
        f"each searcher gets {plural(trials, 'trial')}, then further ones until all have trained equally many epochs"
    ]


def is_behind(history: History, epochs: int, most: int | None) -> bool:
    """Whether a study that had all its trials is to get another one, because its `epochs` are fewer than its allowance, `most`."""
    if most is None or epochs >= most:
        return False
    last = [
        history[number].status for number in range(max(0, len(history) - HOPELESS), len(history))
    ]
    return not all(status in (Status.FAILED, Status.OOM) for status in last)
