"""The best trial within limits that are named afterwards: `raysweep best RUN --within ms=20`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from raysweep.errors import did_you_mean
from raysweep.formatting import number
from raysweep.history import Trial
from raysweep.objectives import Limit
from raysweep.results.storage.run_directory import RunDirectory, RunError


def read_limit(text: str, run: RunDirectory) -> Limit:
    """The limit that a text states: `ms<=20`, `recall>=0.9`, or `ms=20` for a metric of the sweep.

    With `=`, a metric that is minimized is at most so large, and one that is maximized at least.
    Raises RunError, with the nearest name for a metric that no trial has reported.
    """
    for sign in ("<=", ">=", "="):
        name, found, value = text.partition(sign)
        if found:
            break
    try:
        bound = float(value)
    except ValueError:
        bound = math.nan
    name = name.strip()
    if not found or not name or not math.isfinite(bound):
        raise RunError(f"--within {text}: expected a metric and a number, as in peak_mb=500")
    _check_reported(run, name)
    if sign == "=":
        return Limit(name, bound, _maximizes(name, run))
    return Limit(name, bound, sign == ">=")


def _maximizes(name: str, run: RunDirectory) -> bool:
    ways = {run.metric: run.maximize}
    if run.objectives:
        ways |= {one.name: one.maximize for one in run.objectives.objectives}
        ways |= {limit.name: limit.at_least for limit in run.objectives.limits}
    if name in ways:
        return ways[name]
    raise RunError(
        f"--within {name}=...: the sweep does not say which way of {name} is better; "
        f"write {name}<=... or {name}>=..."
    )


def trial_within(run: RunDirectory, limits: Sequence[Limit]) -> Trial:
    """The trial with the best first metric, at its best epoch, that keeps these limits.

    They come before the sweep's own limits on the same metrics, whose others hold too. Raises
    RunError, with the nearest value, if no trial keeps them.
    """
    named = {limit.name for limit in limits}
    own = run.objectives.limits if run.objectives else ()
    limits = [*limits, *(limit for limit in own if limit.name not in named)]
    trials = [trial for trial in run.all_trials() if trial.best and math.isfinite(trial.best.loss)]
    kept = [trial for trial in trials if trial.best and _keeps(trial, limits)]
    if not kept:
        raise RunError(f"{run.path}: {_nearest(trials, limits)}")
    return min(kept, key=lambda trial: (trial.best.loss if trial.best else math.inf, trial.number))


def _keeps(trial: Trial, limits: Iterable[Limit]) -> bool:
    return trial.best is not None and all(limit.excess(trial.best.metrics) <= 0 for limit in limits)


def _check_reported(run: RunDirectory, name: str) -> None:
    names = {name for trial in run.all_trials() if trial.best for name in trial.best.metrics}
    if not names:
        raise RunError(f"{run.path}: no trial has reported anything yet")
    if name not in names:
        near = did_you_mean(name, sorted(names))
        known = ", ".join(sorted(names))
        raise RunError(f"{run.path}: no trial reported {name}; reported: {known}{near}")


def _nearest(trials: Sequence[Trial], limits: Sequence[Limit]) -> str:
    """How near the trials come to the limits that they do not keep together."""
    text = f"no trial has {' and '.join(map(str, limits))} in its best epoch"
    for limit in limits:
        found = [(limit.excess(trial.best.metrics), trial) for trial in trials if trial.best]
        excess, trial = min(found, key=lambda one: one[0], default=(0.0, None))
        if trial and trial.best and 0 < excess < math.inf:
            value = number(trial.best.metrics[limit.name])
            return f"{text}; the nearest {limit.name} is {value}, of {trial.id}"
    return text
