"""How far each study had come when: its best loss so far against what it had spent, as arrays that can be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from raysweep.history import History
from raysweep.results.storage.tables import split_study

Array = np.ndarray[Any, np.dtype[np.float64]]
Unit = Literal["epochs", "seconds", "GPU-seconds"]
POINTS = 200


@dataclass(frozen=True)
class Trace:
    """One study. `spent` (ascending) and `loss` (best so far, inf before the first finite one) have a value for each report.

    `exhausted`: it had nothing more to try (a grid at its end), and would have stayed where it is.
    """

    label: str
    seed: int
    spent: Array
    loss: Array
    exhausted: bool = False

    @property
    def total(self) -> float:
        return float(self.spent[-1]) if len(self.spent) else 0.0

    def at(self, places: Array) -> Array:
        """The best loss when so much had been spent; inf before the first report."""
        index = np.searchsorted(self.spent, places * (1 + 1e-12), side="right")
        return np.concatenate([[math.inf], self.loss])[index]


def trace(
    label: str, seed: int, history: History, unit: Unit = "epochs", gpu: float = 0.0
) -> Trace:
    """The trace of one study, its reports in the order of their times. Seconds are those of training, added over the trials."""
    steps = []
    for trial in history:
        epoch, seconds = 0, 0.0
        for report in trial.reports:
            cost = (
                report.epoch - epoch
                if unit == "epochs"
                else (report.seconds - seconds) * (gpu if unit == "GPU-seconds" else 1.0)
            )
            steps.append((report.time, trial.number, report.epoch, max(cost, 0.0), report.loss))
            epoch, seconds = report.epoch, report.seconds
    steps.sort(key=lambda step: step[:3])
    spent = np.cumsum([step[3] for step in steps]) if steps else np.empty(0)
    loss = np.minimum.accumulate([step[4] for step in steps]) if steps else np.empty(0)
    return Trace(
        label, seed, np.asarray(spent, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    )


def traces(
    histories: Mapping[str, History],
    seeds: int,
    seed: int = 0,
    unit: Unit = "epochs",
    gpu: float = 0.0,
) -> list[Trace]:
    """One for each study, labelled by its searcher."""
    made = []
    for name, history in histories.items():
        label, index = split_study(name, seeds)
        made.append(trace(label, seed + index, history, unit, gpu))
    return made


def horizon(studies: list[Trace]) -> float:
    """How far all studies can be compared: what the one that spent least has spent, but for those that were exhausted."""
    totals = [study.total for study in studies if not study.exhausted]
    return min(totals) if totals else max((study.total for study in studies), default=0.0)


def ceiling(studies: list[Trace]) -> float:
    """The loss above which nothing counts as worse: the median over the studies of their first finite report. 0 where there is none."""
    first = [
        study.loss[np.isfinite(study.loss)][0] for study in studies if np.isfinite(study.loss).any()
    ]
    return float(np.median(first)) if first else 0.0


def places(end: float, points: int = POINTS) -> Array:
    """Where curves are read, from the first hundredth (or epoch) to the end."""
    return np.linspace(end / points, end, points)
