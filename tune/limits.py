"""What ends a sweep before its budget does: its target, its plateau, failures that are alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from raysweep.history import History, Status, Trial
from raysweep.tune.sweep import Sweep

SAME_FAILURE = "the first trials all failed in the same way"
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


def failed_alike(trials: Iterable[Trial]) -> bool:
    """True if no trial has succeeded and the first ones all failed with the same words."""
    ended = [trial for trial in trials if trial.status.ended]
    return (
        len(ended) >= SAME_FAILURE_TRIALS
        and all(trial.status is Status.FAILED for trial in ended)
        and len({trial.reason for trial in ended}) == 1
    )


def _is_stale(history: History, trials: int) -> bool:
    """True if the last `trials` trials that ended are all later than the best one."""
    ended = len(history) - len(history.running)
    if history.best is None:
        return ended >= trials
    return ended - 1 - history.best[0].number >= trials
