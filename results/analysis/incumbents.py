"""The incumbent of each study over the budget: its best loss so far against what it had spent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.history import History
from raysweep.repeats import REPEATS
from raysweep.results.analysis.hypervolume import Box, Growing, has_several, shared_box
from raysweep.results.storage.tables import split_study

Unit = Literal["epochs", "seconds", "GPU-seconds"]
"""In what the budget of a study is counted."""
N_BUDGETS = 200
"""Points of a budget grid: about one for every two pixels of a plot on a small screen."""
ROUNDING = 1e-12
"""Relative error of a sum of costs, within which a budget counts as spent."""


@dataclass(frozen=True)
class IncumbentCurve:
    """The incumbent's loss of one study, with a value for each of its n reports.

    spent: (n,), ascending, the budget spent up to each report. loss: (n,), the best loss so far,
    inf before the first finite one. exhausted: the study's searcher had no further configuration
    to propose (a grid at its end), so a larger budget would not have changed the curve.
    is_infeasible: no trial has kept the limits, so it counts with the worst loss throughout.
    remembers: earlier runs had a part in its proposals.
    """

    label: str
    seed: int
    spent: FloatArray
    loss: FloatArray
    exhausted: bool = False
    is_infeasible: bool = False
    remembers: bool = False

    @property
    def total(self) -> float:
        """The budget that the study has spent."""
        return float(self.spent.max(initial=0.0))

    def loss_at(self, budgets: FloatArray) -> FloatArray:
        """The incumbent's loss when each budget was spent; inf before the first report."""
        index = np.searchsorted(self.spent, budgets * (1 + ROUNDING), side="right")
        return np.concatenate([[math.inf], self.loss])[index]


def incumbent_curve(
    label: str,
    seed: int,
    history: History,
    unit: Unit = "epochs",
    gpus: float = 0.0,
    box: Box | None = None,
) -> IncumbentCurve:
    """Make the curve of one study, with its reports in the order of their times.

    Seconds are those of training, added over the trials; GPU-seconds are these times `gpus`, the
    GPUs of each trial. A report that breaks a limit counts as inf, and so does one of a repeat with
    another seed (`raysweep/repeats.py`), which costs but finds nothing new. box: of a study with
    several objectives; the loss is then the negative hypervolume in that box.
    """
    steps = []
    for trial in history:
        epoch, seconds = 0, 0.0
        for report in trial.reports:
            cost: float = report.epoch - epoch
            if unit != "epochs":
                cost = report.seconds - seconds
            if unit == "GPU-seconds":
                cost *= gpus
            key = (report.time, trial.number, report.epoch)
            steps.append((key, max(cost, 0.0), trial, report))
            epoch, seconds = report.epoch, report.seconds
    # Many reports have the same time on a simulated clock; trial and epoch then give the order.
    steps.sort(key=lambda step: step[0])
    spent = np.cumsum(np.array([cost for _, cost, _, _ in steps], dtype=np.float64))
    if box is None:
        losses = [
            report.loss if report.feasible and REPEATS not in trial.notes else math.inf
            for *_, trial, report in steps
        ]
    else:
        growing = Growing(box)
        losses = [-growing.add(trial, report) for *_, trial, report in steps]
    loss = np.minimum.accumulate(np.array(losses, dtype=np.float64))
    return IncumbentCurve(label, seed, spent, loss)


def incumbent_curves(
    histories: Mapping[str, History],
    seeds: int,
    seed: int = 0,
    unit: Unit = "epochs",
    gpus: float = 0.0,
    box: Box | None = None,
) -> list[IncumbentCurve]:
    """Make the curve of each study, labelled with its searcher.

    With several objectives they are measured in `box`, by default that of these studies.
    """
    curves = []
    box = shared_box(histories.values()) if box is None and has_several(histories) else box
    for name, history in histories.items():
        label, index = split_study(name, seeds)
        curves.append(incumbent_curve(label, seed + index, history, unit, gpus, box))
    return curves


def common_budget(curves: list[IncumbentCurve]) -> float:
    """The budget up to which all studies can be compared.

    It is what the study that spent least has spent. An exhausted study does not count.
    """
    totals = [curve.total for curve in curves if not curve.exhausted]
    if totals:
        return min(totals)
    return max((curve.total for curve in curves), default=0.0)


def loss_ceiling(curves: list[IncumbentCurve]) -> float:
    """The loss above which every loss counts as equally bad; 0 if no loss is finite.

    It is the median, over the studies, of the first finite loss, so that a few very bad first
    guesses do not decide a comparison.
    """
    finite = [curve.loss[np.isfinite(curve.loss)] for curve in curves]
    first = [losses[0] for losses in finite if len(losses)]
    return float(np.median(first or [0.0]))


def budget_grid(end: float, points: int = N_BUDGETS) -> FloatArray:
    """Evenly spaced budgets, (points,), from `end / points` to `end`."""
    return np.linspace(end / points, end, points)
