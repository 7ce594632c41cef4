"""Tables: a row a trial, and in the long form a row a report. Plain dicts first, so that a screen or `raysweep ls` never waits for pandas.

Columns keep the order in which they first appear. A cell is absent (a missing key, an empty cell, NaN) where a trial has no such value: a
parameter that is inactive, or a report that never came.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.history import History, Report, Trial
from raysweep.text_limits import encodable, visible

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
CONFIG = "config/"
METRIC = "metric/"
SOMETIMES = ("accumulation", "share", "memory_growth", "afterwards", "traceback")
"""Columns that are there only where some trial has them: micro-batches per batch, share of a GPU,
bytes that leaked with each epoch, what went wrong after the last epoch, and its traceback."""


def split_study(name: str, seeds: int) -> tuple[str, int]:
    """A study's searcher and the number of its search seed: `("bohb.1", 5)` is `("bohb", 1)`. With one seed both names are the same."""
    searcher, dot, index = name.rpartition(".")
    return (searcher, int(index)) if seeds > 1 and dot and index.isdigit() else (name, 0)


def trial_row(trial: Trial, metric: str, seed: int = 0, seeds: int = 1) -> Row:
    """One row of the table of trials, in bytes and (Unix) seconds. `seed` is the sweep's; `seeds`: how many search seeds it has."""
    searcher, index = split_study(trial.study, seeds)
    notes = trial.notes
    return {
        "trial": trial.id,
        "searcher": searcher,
        "seed": seed + index,
        "status": str(trial.status),
        "reason": trial.reason,
        f"best_{metric}": _metric(trial.best, metric),
        "best_epoch": trial.best.epoch if trial.best else None,
        f"last_{metric}": _metric(trial.reports[-1] if trial.reports else None, metric),
        "epochs": trial.epoch,
        "seconds": trial.reports[-1].seconds if trial.reports else 0.0,
        "node": notes.get("node"),
        "device": notes.get("device"),
        "attempts": trial.attempts,
        "peak_memory": notes.get("peak_memory"),
        "started": notes.get("started"),
        "ended": notes.get("ended"),
        "train_seed": trial.seed,
        **{name: notes[name] for name in SOMETIMES if name in notes},
        **{CONFIG + name: value for name, value in flatten(trial.config).items()},
    }


def trial_rows(
    histories: Mapping[str, History], metric: str, seed: int = 0, seeds: int = 1
) -> list[Row]:
    """The table of trials: studies in their order, trials in the order in which they were proposed."""
    return [
        trial_row(trial, metric, seed, seeds) for history in histories.values() for trial in history
    ]


def curve_rows(histories: Mapping[str, History], seeds: int = 1) -> Iterator[Row]:
    """The long form: a row a report, with every metric. `seconds`: training time of the trial so far; `time`: Unix seconds."""
    for history in histories.values():
        for trial in history:
            searcher, _ = split_study(trial.study, seeds)
            for report in trial.reports:
                place: Row = {"trial": trial.id, "searcher": searcher, "epoch": report.epoch}
                yield (
                    place
                    | {"seconds": report.seconds, "time": report.time}
                    | _apart(report.metrics, place)
                )


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a data frame. A column that holds text and numbers, or truth values with gaps, stays
    a column of objects. Surrogates, which pandas refuses, are escapes."""
    import pandas as pd

    rows = [{encodable(name): _framed(value) for name, value in row.items()} for row in rows]
    return pd.DataFrame(rows, columns=columns(rows))


def columns(rows: Iterable[Row]) -> list[str]:
    """All keys of the rows, `config/...` last."""
    names = dict.fromkeys(name for row in rows for name in row)
    return sorted(names, key=lambda name: name.startswith(CONFIG))


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as a CSV file, whole or not at all. Inf is `inf`, NaN is `nan`, what is absent is
    empty; control characters in text are escapes, since readers take some for the ends of rows."""
    rows = [{visible(name): _cell(value) for name, value in row.items()} for row in rows]
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    with open(unfinished, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns(rows), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(unfinished, path)


def write_tables(
    folder: Path, histories: Mapping[str, History], metric: str, seed: int = 0, seeds: int = 1
) -> None:
    """Write `trials.csv` and `curves.csv` of a run."""
    write_csv(folder / "trials.csv", trial_rows(histories, metric, seed, seeds))
    write_csv(folder / "curves.csv", curve_rows(histories, seeds))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"model": {"width": 8}}` as `{"model.width": 8}`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= (
            flatten(value, f"{prefix}{name}.")
            if isinstance(value, Mapping)
            else {prefix + name: value}
        )
    return flat


def _framed(value: Any) -> Any:
    return encodable(value) if isinstance(value, str) else value


def _cell(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float) else visible(str(value))


def _metric(report: Report | None, metric: str) -> float | None:
    return report.metrics.get(metric, math.nan) if report else None


def _apart(metrics: Mapping[str, float], taken: Mapping[str, Any]) -> Row:
    """Metrics as columns. One that is called as another column (`seconds`, `time`, ...), or as if
    it were renamed for that, becomes `metric/<name>`."""
    reserved = {*taken, "seconds", "time"}
    return {
        f"{METRIC}{name}" if name in reserved or name.startswith(METRIC) else name: value
        for name, value in metrics.items()
    }
