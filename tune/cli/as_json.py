"""What the verbs print with `--json`: one JSON object, or a list of them, for other programs."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.history import Report, Trial
    from raysweep.results.analysis.compare import Comparison
    from raysweep.results.storage.run_directory import DamagedRun, RunDirectory

Data = dict[str, Any]


def add_option(verb: argparse.ArgumentParser) -> None:
    """Add `--json` to a verb."""
    verb.add_argument("--json", action="store_true", help="print it as JSON, for other programs")


def print_json(data: Any) -> None:
    """Print data as JSON. A number that JSON does not have (NaN, infinity) is null."""
    print(json.dumps(_plain(data), allow_nan=False))


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(name): _plain(value) for name, value in data.items()}
    if isinstance(data, list | tuple | set | frozenset):
        return [_plain(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if data is None or isinstance(data, bool | int | float | str):
        return data
    if isinstance(data, Path):
        return str(data)
    if hasattr(data, "item"):  # a number of numpy's
        return _plain(data.item())
    return str(data)


def run_data(run: RunDirectory) -> Data:
    """A run in a list of runs."""
    from raysweep.results.storage.mirror import display_path

    histories = run.histories.values()
    return {
        "run": run.path.name,
        "path": display_path(run.path),
        "state": run.state,
        "began": run.began,
        "metric": run.metric,
        "trials": sum(map(len, histories)),
        "epochs": (reports := sum(history.epochs for history in histories)),
        "trained": run.interval.position(reports),
        "unit": run.interval.unit,
        "searchers": list(run.searchers),
        "best": best_data(run),
    }


def run_or_damage(found: Data | DamagedRun) -> Data:
    """A run in a list of runs, or what is wrong with one that cannot be read."""
    if isinstance(found, dict):
        return found
    return {
        "run": found.name,
        "path": found.place,
        "state": "damaged",
        "problem": found.problem,
    }


def best_data(run: RunDirectory) -> Data | None:
    """The epoch that stands for a run, and its front; None before the first finite value.

    chosen: which one it is: the `best`, or the `knee` of several objectives, as the text shows it.
    The best in the first objective is then the first of `front`.
    """
    from raysweep.results.analysis.repeated import seeds_of_best

    found = run.chosen
    if found is None:
        return None
    data: Data = {"chosen": "knee" if run.has_front else "best", **_epoch_data(*found, run)}
    data |= seeds_of_best(run)
    if confirmed := confirmed_data(run):
        data["confirmed"] = confirmed
    if run.objectives:
        knee = run.knee
        data["front"] = [_epoch_data(trial, trial.best, run) for trial in run.front if trial.best]
        data["knee"] = knee and knee.id
    return data


def confirmed_data(run: RunDirectory) -> Data | None:
    """The finalist that is exported once the best were trained again; None without retrainings."""
    from raysweep.results.analysis.retraining import chosen_finalist

    chosen = chosen_finalist(run)
    if chosen is None:
        return None
    trial = run.trial(chosen.trial)
    values = chosen.validation
    return {
        "trial": trial.id,
        "seed": trial.seed,
        "epoch": trial.best and trial.best.epoch,
        "mean": sum(values) / len(values),
        "retrainings": len(values),
        "config": trial.config,
    }


def _epoch_data(trial: Trial, report: Report, run: RunDirectory) -> Data:
    """An epoch of a trial, with what it reported and its configuration."""
    return {
        "trial": trial.id,
        "epoch": report.epoch,
        "at": run.interval.position(report.epoch),
        "unit": run.interval.unit,
        "value": report.metrics.get(run.metric),
        "metrics": report.metrics,
        "config": trial.config,
    }


def within_data(trial: Trial, run: RunDirectory) -> Data | None:
    """The best epoch of a chosen trial."""
    return None if trial.best is None else _epoch_data(trial, trial.best, run)


def trial_data(trial: Trial, run: RunDirectory) -> Data:
    """A trial with its configuration, its notes and all that it reported."""
    from raysweep.shown_status import shown_status

    return {
        "trial": trial.id,
        "status": shown_status(trial, run.may_promote),
        "reason": run.reason_of(trial),
        "seed": trial.seed,
        "attempts": trial.attempts,
        "config": trial.config,
        "unit": run.interval.unit,
        "reports": [
            {
                "epoch": report.epoch,
                "at": run.interval.position(report.epoch),
                "seconds": report.seconds,
                "time": report.time,
                "metrics": report.metrics,
            }
            for report in trial.reports
        ],
        "notes": trial.notes,
    }


def comparison_data(comparison: Comparison) -> Data:
    """A comparison of searchers: what it found in words, the ranking, and the pairs."""
    from dataclasses import asdict

    from raysweep.results.analysis.findings import findings, ranking

    return {
        "metric": comparison.metric,
        "unit": comparison.unit,
        "findings": findings(comparison),
        "ranking": ranking(comparison),
        "pairs": [asdict(pair) for pair in comparison.pairs],
    }
