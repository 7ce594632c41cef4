"""The front of trials with several objectives: those that no other beats in all of them.

A trial counts with one report, its best (`Trial.best`): the one with the least first loss among
those that keep all limits, of which the checkpoint is kept. All values of a point are those of one
epoch, so that the exported model has them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from raysweep.formatting import number
from raysweep.fronts import Point, front, knee
from raysweep.history import Report, Trial
from raysweep.objectives import Objectives

Row = dict[str, Any]


def point(report: Report) -> Point:
    """The losses of a report, one for each objective."""
    return report.losses or (report.loss,)


def is_candidate(trial: Trial) -> bool:
    """True if the trial has a report that keeps all limits and is finite in all objectives."""
    best = trial.best
    return best is not None and best.feasible and all(map(math.isfinite, point(best)))


def front_of(trials: Iterable[Trial]) -> list[Trial]:
    """The trials on the front, sorted by the first loss; of equal points the first trial."""
    found = [trial for trial in trials if is_candidate(trial)]
    chosen = [found[i] for i in front([point(_best(trial)) for trial in found])]
    return sorted(chosen, key=lambda trial: point(_best(trial)))


def knee_of(front: Sequence[Trial]) -> Trial | None:
    """The trial of a front that is nearest to the best of all objectives; None without one."""
    return front[knee([point(_best(trial)) for trial in front])] if front else None


def in_words(front: Sequence[Trial], knee: Trial, objectives: Objectives) -> str:
    """A front in a line: `4 on the front; knee: val_loss 0.21, ms_per_image 3.1`."""
    metrics = _best(knee).metrics
    values = (f"{one.name} {number(metrics[one.name])}" for one in objectives.objectives)
    return f"{len(front)} on the front; knee: {', '.join(values)}"


def why_none(trials: Iterable[Trial], objectives: Objectives) -> str:
    """Why no trial is a candidate for the front, in words; of trials of which none is.

    A metric that never had a finite value is named before the limits: of the others nothing is
    known as long as it has none.
    """
    reports = [report for trial in trials for report in trial.reports]
    if not reports:
        return "no trial has reported anything yet"
    lacking = [
        name
        for place, name in enumerate(objectives.names)
        if not any(math.isfinite((*one.losses, *one.excesses)[place]) for one in reports)
    ]
    if lacking:
        return f"no trial has reported a finite {' or '.join(lacking)} yet"
    if any(report.is_finite for report in reports):
        return f"no trial has kept the limits yet: {', '.join(map(str, objectives.limits))}"
    names = " and ".join(one.name for one in objectives.objectives)
    return f"no trial has reported finite {names} at once yet"


def points_of(trials: Iterable[Trial]) -> list[Point]:
    """The points of all trials that keep the limits."""
    return [point(_best(trial)) for trial in trials if is_candidate(trial)]


def with_front(
    rows: Sequence[Row],
    trials: Sequence[Trial],
    objectives: Objectives,
    front: Iterable[Trial] | None = None,
) -> list[Row]:
    """Rows of trials with `feasible` and `front`, and `best_<metric>` of each further metric.

    These are the values of the epoch `best_epoch`. A trial that has reported nothing has none.
    front: if these are not all trials, the front of all.
    """
    on_front = {trial.id for trial in (front_of(trials) if front is None else front)}
    return [
        row | _columns(trial, trial.id in on_front, objectives)
        for row, trial in zip(rows, trials, strict=True)
    ]


def _columns(trial: Trial, on_front: bool, objectives: Objectives) -> Row:
    if trial.best is None:
        return {}
    values = trial.best.metrics
    best = {f"best_{name}": values[name] for name in objectives.names if name in values}
    return best | {"feasible": trial.best.feasible, "front": on_front}


def _best(trial: Trial) -> Report:
    assert trial.best is not None
    return trial.best
