"""Noise of training apart from luck of search: the finalists trained again with fresh seeds, and how optimistic the selected scores were.

A retraining is an event of the ledger: `{"event": "confirmed", "trial", "seed", "epoch", "validation", "test"}`, where `trial` is the
finalist, `epoch` its best one on the validation split this time, and `test` the metric on the test split there (null without one).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from results import statistics
from results.folder import RunFolder
from results.history import History, Trial
from results.words import number, plural


@dataclass(frozen=True)
class Confirmation:
    """A finalist: the validation value it was selected for, and what its retrainings gave, a value a seed."""

    trial: str
    selected: float
    validation: tuple[float, ...]
    test: tuple[float, ...]


def finalists(histories: Mapping[str, History], top: int) -> list[Trial]:
    """The best `top` trials of all arms, each configuration once, best first."""
    trials = [trial for history in histories.values() for trial in history if trial.best and math.isfinite(trial.best.loss)]
    chosen: dict[str, Trial] = {}
    for trial in sorted(trials, key=lambda one: one.best.loss if one.best else math.inf):
        chosen.setdefault(repr(sorted(trial.config.items(), key=str)), trial)
    return list(chosen.values())[:top]


def confirmations(run: RunFolder) -> list[Confirmation]:
    """The finalists that were trained again, best selected score first."""
    events = [event for event in run.events if event["event"] == "confirmed"]
    found = []
    for name in dict.fromkeys(event["trial"] for event in events):
        trial = run.trial(name)
        mine = [event for event in events if event["trial"] == name]
        if trial.best is None:
            continue
        validation = tuple(float(event["validation"]) for event in mine)
        test = tuple(float(event["test"]) for event in mine if event.get("test") is not None)
        found.append((trial.best.loss, Confirmation(name, trial.best.metrics[run.metric], validation, test)))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


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
