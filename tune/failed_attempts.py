"""What is said of a trial whose last attempt failed, and that is tried again."""

from __future__ import annotations

from raysweep.history import Trial
from raysweep.tune.retries import FAILED_ATTEMPT


def failed_attempt(trial: Trial) -> str:
    """Why the last attempt of an unfinished trial failed; "" if it has reported or ended since."""
    attempt = trial.notes.get(FAILED_ATTEMPT)
    if trial.status.ended or not attempt or attempt["epoch"] != trial.epoch:
        return ""
    return str(attempt["reason"])


def sentence(trial: str, reason: str, place: str = "") -> str:
    """That an attempt failed, why, and where its log is. place: the run directory."""
    file = f"logs/{trial}.log"
    log = f"{place.rstrip('/')}/{file}" if place else f"{file} of the run directory"
    return f"{trial} failed and is tried again: {reason} (its log: {log})"
