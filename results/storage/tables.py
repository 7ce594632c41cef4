"""Tables of trials and of reports: rows as plain dictionaries, CSV files and data frames.

The rows come first, so that the screen or `raysweep ls` never waits for pandas. Columns keep the
order in which they first appear. A cell is absent (a missing key, an empty cell, NaN) if a trial
has no such value: a parameter that is inactive, or a report that never came.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.files import atomic_write
from raysweep.history import History, Report, Trial
from raysweep.objectives import Objectives
from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.results.storage.front import with_front
from raysweep.shown_status import shown_status
from raysweep.text_limits import encodable, visible

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
CONFIG = "config/"
"""Begins the names of the columns that hold a configuration."""
METRIC = "metric/"
"""Begins the name of a metric's column if another column has the metric's own name."""
COUNTED = ("steps", "samples")
"""Units of a budget that have columns of their own. What is called an epoch counts reports."""
FLOAT_BITS = sys.float_info.max_exp
"""pandas 2 raises an error for an integer of more bits."""
OPTIONAL_NOTES = (
    "repeats",
    "accumulation",
    "share",
    "memory",
    "memory_growth",
    "afterwards",
    "traceback",
)
"""Notes of a trial that become columns if any trial has them: the number of the trial that it
repeats with another seed, micro-batches per batch, its fraction of a GPU, what it owes to earlier
runs, bytes leaked in each epoch, what failed after the last epoch, its traceback."""


def split_study(name: str, seeds: int) -> tuple[str, int]:
    """Split a study's name into its searcher and the index of its search seed.

    `("bohb.1", 5)` gives `("bohb", 1)`. With a single seed the study is named as its searcher.
    """
    searcher, dot, index = name.rpartition(".")
    if seeds > 1 and dot and index.isdigit():
        return searcher, int(index)
    return name, 0


def trial_row(
    trial: Trial,
    metric: str,
    seed: int = 0,
    seeds: int = 1,
    may_promote: bool = False,
    interval: ReportInterval = EVERY_EPOCH,
) -> Row:
    """Make a trial's row. Sizes are in bytes, durations in seconds, times in Unix seconds.

    seed: the first search seed of the sweep. seeds: how many it has. may_promote: the scheduler
    may still promote a trial that it stopped, so that this is called paused. interval: of reports.
    """
    searcher, index = split_study(trial.study, seeds)
    notes = trial.notes
    last = trial.reports[-1] if trial.reports else None
    best_epoch = trial.best.epoch if trial.best else None
    return {
        "trial": trial.id,
        "searcher": searcher,
        "seed": seed + index,
        "status": shown_status(trial, may_promote),
        "reason": trial.reason,
        f"best_{metric}": _metric(trial.best, metric),
        "best_epoch": best_epoch,
        f"last_{metric}": _metric(last, metric),
        "epochs": trial.epoch,
        **_positions(interval, best_epoch, trial.epoch),
        "seconds": training_seconds(trial),
        "node": notes.get("node"),
        "device": notes.get("device"),
        "attempts": trial.attempts,
        "peak_memory": notes.get("peak_memory"),
        "started": notes.get("started"),
        "ended": notes.get("ended"),
        "train_seed": trial.seed,
        **{name: notes[name] for name in OPTIONAL_NOTES if name in notes},
        **{CONFIG + name: value for name, value in flatten(trial.config).items()},
    }


def _positions(interval: ReportInterval, best_epoch: int | None, epochs: int) -> Row:
    """How many steps or samples the numbers of reports are; {} where these are epochs."""
    if interval.unit not in COUNTED:
        return {}
    best = interval.position(best_epoch) if best_epoch is not None else None
    return {f"best_{interval.unit[:-1]}": best, interval.unit: interval.position(epochs)}


def best_loss(trial: Trial) -> float:
    """A trial's best loss; inf if it has no finite one."""
    if trial.best is None:
        return math.inf
    return trial.best.loss


def training_seconds(trial: Trial) -> float:
    """The seconds that a trial has trained up to its last report; 0 before the first."""
    return sum(report.seconds for report in trial.reports[-1:])


def trial_rows(
    histories: Mapping[str, History],
    metric: str,
    seed: int = 0,
    seeds: int = 1,
    may_promote: bool = False,
    objectives: Objectives | None = None,
    reasons: Mapping[str, str] | None = None,
    interval: ReportInterval = EVERY_EPOCH,
) -> list[Row]:
    """Make the table of trials: study by study, trials in the order of their proposal.

    reasons: why trials have their status, if it is not what was recorded, by their names.
    """
    trials = [trial for history in histories.values() for trial in history]
    said = reasons or {}
    rows = [
        trial_row(trial, metric, seed, seeds, may_promote, interval)
        | {"reason": said.get(trial.id, trial.reason)}
        for trial in trials
    ]
    return with_front(rows, trials, objectives) if objectives else rows


def curve_rows(
    histories: Mapping[str, History], seeds: int = 1, interval: ReportInterval = EVERY_EPOCH
) -> Iterator[Row]:
    """Make the table of reports, in long form: a row for each epoch, a column for each metric.

    seconds: the trial's training time so far. time: when it was reported, in Unix seconds. step: in
    a sweep by steps, where the report was due; `sample` in one by samples.
    """
    unit = interval.unit[:-1]
    for history in histories.values():
        for trial in history:
            searcher, _ = split_study(trial.study, seeds)
            for report in trial.reports:
                row: Row = {"trial": trial.id, "searcher": searcher, "epoch": report.epoch}
                if interval.unit in COUNTED:
                    row[unit] = interval.position(report.epoch)
                times = {"seconds": report.seconds, "time": report.time}
                yield row | times | _metric_columns(report.metrics, {*row, *times})


def frame(rows: Iterable[Row]) -> pd.DataFrame:
    """Make a data frame of rows.

    A column that holds both text and numbers, or truth values and gaps, has the type object.
    Surrogates, which pandas refuses, become escapes, and integers that no float holds, text.
    """
    import pandas as pd

    rows = [{encodable(name): _for_pandas(value) for name, value in row.items()} for row in rows]
    return pd.DataFrame(rows, columns=columns(rows))


def columns(rows: Iterable[Row]) -> list[str]:
    """All keys of the rows, the parameters (`config/...`) last."""
    # `sorted` is stable, so within each half the order of the first appearance stays.
    names = dict.fromkeys(name for row in rows for name in row)
    return sorted(names, key=lambda name: name.startswith(CONFIG))


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as a CSV file, whole or not at all.

    Infinity is `inf`, NaN is `nan`, an absent value is empty. Control characters become escapes,
    because some programs take them for the ends of lines.
    """
    rows = [{visible(name): _for_csv(value) for name, value in row.items()} for row in rows]
    text = io.StringIO(newline="")  # or line ends would be translated twice
    writer = csv.DictWriter(text, columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, text.getvalue())


def write_tables(
    folder: Path,
    histories: Mapping[str, History],
    metric: str,
    seed: int = 0,
    seeds: int = 1,
    may_promote: bool = False,
    objectives: Objectives | None = None,
    reasons: Mapping[str, str] | None = None,
    interval: ReportInterval = EVERY_EPOCH,
) -> None:
    """Write the `trials.csv` and `curves.csv` of a run; the arguments are as of `trial_rows`."""
    rows = trial_rows(histories, metric, seed, seeds, may_promote, objectives, reasons, interval)
    write_csv(folder / "trials.csv", rows)
    write_csv(folder / "curves.csv", curve_rows(histories, seeds, interval))


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested configuration: `{"model": {"width": 8}}` becomes `{"model.width": 8}`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _for_pandas(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int) and value.bit_length() > FLOAT_BITS:
        return str(value)
    return value


def _for_csv(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return visible(str(value))


def _metric(report: Report | None, metric: str) -> float | None:
    if report is None:
        return None
    return report.metrics.get(metric, math.nan)


def _metric_columns(metrics: Mapping[str, float], taken: set[str]) -> Row:
    """Metrics by their columns."""
    return {_metric_column(name, taken): value for name, value in metrics.items()}


def _metric_column(name: str, taken: set[str]) -> str:
    """The column of a metric: its name, or `metric/<name>` if another column has that name."""
    # A metric that already begins with "metric/" is renamed as well, or it could collide with a
    # metric that was renamed.
    if name in taken or name.startswith(METRIC):
        return METRIC + name
    return name
