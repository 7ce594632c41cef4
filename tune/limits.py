"""What ends a sweep before its budget: its target, plateau or worth, or failures that are alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysweep.forecast import Pace
from raysweep.formatting import number
from raysweep.history import History, Status, Trial
from raysweep.tune.sweep import Sweep

SAME_FAILURE = "the first trials all failed in the same way"
MIN_TRIALS = 20
"""So many trials must have reported before it can be said that a sweep is not worth it."""
HOPELESS_TRIALS = 100
"""So many trials in vain end a sweep: all failed, or were no better where no pace is known."""
PERIODS = (("a minute", 60.0), ("an hour", 3600.0), ("a day", 86400.0))
MANY = 30
"""A sweep that has trained so many minutes is measured by the hour, and so on."""
SAME_FAILURE_TRIALS = 3
"""Trials that must have failed with the same words before the sweep ends."""


def target_reached(sweep: Sweep, trial: Trial, loss: float) -> str:
    """Why a loss of a trial ends the sweep; "" if it does not."""
    metric = sweep.metric
    if metric.target is not None and loss <= metric.loss(metric.target):
        return f"{trial.id} reached {metric.name} {metric.value(loss):.6g}"
    return ""


def plateau_reached(sweep: Sweep, histories: Mapping[str, History]) -> str:
    """Why the lack of better trials ends the sweep; "" if it does not."""
    plateau = sweep.plateau
    if plateau is not None and all(_is_stale(history, plateau) for history in histories.values()):
        return f"no better {sweep.metric.name} in the last {plateau} trials"
    return ""


def worth_reached(sweep: Sweep, pace: Pace | None, histories: Mapping[str, History]) -> str:
    """Why the pace of the best value ends the sweep; "" if it does not.

    The expected improvement falls with time, so it is worth nothing later either. But what a few
    trials have in common says little, so there must be `MIN_TRIALS` of them. Where so few have
    reported a value, or all the same one, the sweep ends after `HOPELESS_TRIALS` in vain.
    """
    worth = sweep.budget.worth
    if worth is None:
        return ""
    if pace is None or pace.trials < MIN_TRIALS:
        in_vain = all(_is_stale(history, HOPELESS_TRIALS) for history in histories.values())
        told = f"no better {sweep.metric.name} in the last {HOPELESS_TRIALS} trials"
        return f"{told}, so none is expected (budget.worth)" if in_vain else ""
    if pace.now >= worth:
        return ""
    short = [(name, length) for name, length in PERIODS if pace.seconds < MANY * length]
    period, seconds = min(short, default=PERIODS[-1], key=lambda pair: pair[1])
    return (
        f"the best {sweep.metric.name} is expected to improve by "
        f"{number(seconds * pace.now, 2)} {period}, and budget.worth is "
        f"{number(seconds * worth, 2)}"
    )


def failed_alike(trials: Iterable[Trial]) -> bool:
    """True if no trial has succeeded and the first ones all failed with the same words."""
    ended = [trial for trial in trials if trial.status.ended]
    return (
        len(ended) >= SAME_FAILURE_TRIALS
        and all(trial.status is Status.FAILED for trial in ended)
        and len({trial.reason for trial in ended}) == 1
    )


def hopeless(sweep: Sweep, histories: Mapping[str, History]) -> str:
    """Why failures that differ end the sweep; "" if they do not.

    A trial that fails before its first report spends no epochs, so a budget of epochs alone would
    never end. A budget of trials ends for each searcher by itself.
    """
    vain = {name: last for name, one in histories.items() if (last := _last_in_vain(one))}
    ends = len(vain) == len(histories) or (vain and sweep.budget.trials is None)
    if not ends:
        return ""
    name, last = next(iter(vain.items()))
    of = f" of {name}" if len(histories) > 1 else ""
    return (
        f"the last {HOPELESS_TRIALS} trials{of} all failed before their first report, "
        f"{last.id} with: {last.reason}"
    )


def _last_in_vain(history: History) -> Trial | None:
    """The last trial of a study if so many in a row failed before their first report."""
    ended: list[Trial] = []
    for place in range(len(history) - 1, -1, -1):
        trial = history[place]
        if not trial.status.ended:
            continue
        if trial.reports or trial.status not in (Status.FAILED, Status.OOM):
            return None
        ended.append(trial)
        if len(ended) == HOPELESS_TRIALS:
            return ended[0]
    return None


def _is_stale(history: History, trials: int) -> bool:
    """True if the last `trials` trials that ended are all later than the best one."""
    repeats = {number for numbers in history.repeats.values() for number in numbers}
    ended = history.n_configurations - len(history.running - repeats)
    if history.best is None:
        return ended >= trials
    best = history.best[0].number
    return ended - 1 - (best - sum(number < best for number in repeats)) >= trials
