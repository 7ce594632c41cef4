"""What `raysweep ls` prints: the runs in a folder, or the trials of a run."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from raysweep.formatting import DASH, number, plural
from raysweep.results.storage.run_directory import RunDirectory, best_of
from raysweep.results.storage.tables import CONFIG, Row
from raysweep.results.views.terminal import WIDE, columns, plain, trial_table


def runs(directories: Sequence[RunDirectory], width: int = 80) -> RenderableType:
    """The table of runs, the newest last. A wide screen shows their searchers too."""
    is_wide = width >= WIDE
    extra = ["searchers"] if is_wide else []
    table = columns("run", "began", ">trials", ">epochs", ">best", *extra)
    for run in sorted(directories, key=_began):
        histories, found = run.histories.values(), best_of(run.histories)
        cells = [
            run.path.name,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(_began(run))),
            f"{sum(map(len, histories)):,}",
            f"{sum(history.epochs for history in histories):,}",
            f"{run.metric} {number(found[1].metrics[run.metric])}" if found else DASH,
        ]
        if is_wide:
            cells.append(", ".join(run.searchers))
        table.add_row(*map(plain, cells))
    return table


def trials(
    run: RunDirectory, limit: int | None = None, width: int = 80, cut: bool = True
) -> RenderableType:
    """The table of a run's trials with their configurations, the best first.

    A wide screen shows why they ended too. limit: how many trials to show. cut: cut the
    configurations to the width of the screen.
    """
    everything = _best_first(run)
    rows = everything[:limit]
    statuses = Counter(row["status"] for row in everything)
    counts = ", ".join(f"{plural(count, 'trial')} {status}" for status, count in statuses.items())
    hidden = len(everything) - len(rows)
    more = f"; {hidden:,} more (--all)" if hidden else ""
    extra = ("configuration", "reason") if width >= WIDE else ("configuration",)
    return Group(
        trial_table(_without_constants(rows, everything), run.metric, extra, cut),
        Text(f"{counts or 'no trials yet'}{more}", style="dim"),
    )


def _began(run: RunDirectory) -> float:
    return float(run.events[0]["time"]) if run.events else 0.0


def _best_first(run: RunDirectory) -> list[Row]:
    losses = {trial.id: trial.best.loss if trial.best else math.inf for trial in run.all_trials()}
    return sorted(run.rows, key=lambda row: losses[row["trial"]])


def _without_constants(rows: Sequence[Row], everything: Sequence[Row]) -> list[Row]:
    """The rows without the parameters that have the same value in every trial of the run."""
    if len(everything) < 2:
        return list(rows)
    names = {name for row in everything for name in row if name.startswith(CONFIG)}
    constant = {name for name in names if len({repr(row.get(name)) for row in everything}) == 1}
    return [{name: row[name] for name in row if name not in constant} for row in rows]
