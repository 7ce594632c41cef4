"""Noise of training apart from luck of search: the finalists trained again with fresh seeds, and how optimistic the selected scores were.

The retrainings lie in `confirm/` of the run folder, a run folder of its own (`tune/retrain.py`): a study is called as the finalist is, and
its trials hold in their notes what the best epoch gave on the test split (`test`), or why nothing is known of it (`untested`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysweep.formatting import number, plural
from raysweep.history import History, Status, Trial
from raysweep.results.analysis import statistics
from raysweep.results.storage import ledger
from raysweep.results.storage.run_directory import RunDirectory

FOLDER = "confirm"


@dataclass(frozen=True)
class Confirmation:
    """A finalist: the validation value it was selected for, and what its retrainings gave, a value a seed.

    `lost`: retrainings that diverged or failed. `untested`: why there is nothing of the test split.
    """

    trial: str
    selected: float
    validation: tuple[float, ...]
    test: tuple[float, ...]
    lost: int = 0
    untested: str = ""


def finalists(histories: Mapping[str, History], top: int) -> list[Trial]:
    """The best `top` trials of all studies, each configuration once, best first."""
    trials = [
        trial
        for history in histories.values()
        for trial in history
        if trial.best and math.isfinite(trial.best.loss)
    ]
    chosen: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda one: one.best.loss if one.best else math.inf):
        chosen.setdefault(repr(sorted(trial.config.items(), key=str)), trial)
    return list(chosen.values())[:top]


def confirmations(run: RunDirectory) -> list[Confirmation]:
    """The finalists that were trained again, best selected score first."""
    if not (run.path / FOLDER / ledger.NAME).is_file():
        return []
    found = []
    for name, history in RunDirectory(run.path / FOLDER).histories.items():
        best = run.trial(name).best
        one = _confirmation(name, history, run.metric, best.metrics[run.metric]) if best else None
        if best and one and one.validation:
            found.append((best.loss, one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _confirmation(name: str, history: History, metric: str, selected: float) -> Confirmation:
    done = [trial for trial in history if trial.status is Status.COMPLETED and trial.best]
    validation = tuple(trial.best.metrics[metric] for trial in done if trial.best)
    tests = [trial.notes["test"] for trial in done if "test" in trial.notes]
    there = name_on_test(metric, tests[0]) if tests else None
    test = tuple(float(metrics[there]) for metrics in tests) if there else ()
    lost = sum(trial.status.ended and trial.status is not Status.COMPLETED for trial in history)
    return Confirmation(name, selected, validation, test, lost, _untested(done, metric, there))


def name_on_test(metric: str, metrics: Mapping[str, float]) -> str | None:
    """What the metric is called on the test split: as it is, or `test_accuracy` where it is `val_accuracy` (or `accuracy`)."""
    bare = metric.removeprefix("validation_").removeprefix("valid_").removeprefix("val_")
    return next((name for name in (metric, f"test_{bare}", bare) if name in metrics), None)


def _untested(done: list[Trial], metric: str, there: str | None) -> str:
    """Why there is no value of the test split; "" where there is one."""
    if there or not done:
        return ""
    tests = [trial.notes["test"] for trial in done if "test" in trial.notes]
    if tests:
        return f"evaluate(..., split='test') gives {', '.join(tests[0])}, which is not {metric}"
    return next((str(trial.notes["untested"]) for trial in done if "untested" in trial.notes), "")


def optimism(found: list[Confirmation], maximize: bool) -> list[dict[str, Any]]:
    """A row a finalist: selected score, means over seeds, the interval of the test mean, and by how much the selected score flattered."""
    return [_row(one, maximize) for one in found]


def sentences(found: list[Confirmation], maximize: bool, metric: str) -> list[str]:
    """What the retrainings say."""
    lines = []
    for one, row in zip(found, optimism(found, maximize), strict=True):
        split, ends = row["split"], f"{number(row['low'])} … {number(row['high'])}"
        kind = "95 % interval" if row["seeds"] >= statistics.FEWEST else "range"
        lines.append(
            f"{one.trial}: {metric} {number(row['mean'])} on the {split} split over {plural(row['seeds'], 'fresh seed')} ({kind} {ends}); "
            f"the score it was selected for, {number(one.selected)}, was {_flattery(row['optimism'])}"
            + (f"; {plural(one.lost, 'retraining')} diverged or failed" if one.lost else "")
            + (f"; no test: {one.untested}" if one.untested else "")
        )
    return lines


def _row(one: Confirmation, maximize: bool) -> dict[str, Any]:
    values = np.array(one.test or one.validation)
    low, high = statistics.interval(values)
    again = float(np.mean(one.validation))
    return {
        "trial": one.trial,
        "selected": one.selected,
        "validation": again,
        "split": "test" if one.test else "validation",
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "seeds": len(values),
        "optimism": (one.selected - again) * (1 if maximize else -1),
    }


def _flattery(optimism: float) -> str:
    if optimism <= 0:
        return f"not optimistic ({number(-optimism, 2)} below what it gives again)"
    return f"optimistic by {number(optimism, 2)}"
