"""What `raysweep ls` prints: the runs of a folder, or the trials of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from raysweep.formatting import number, plural
from raysweep.results.storage.run_directory import RunDirectory, best_of
from raysweep.results.storage.tables import CONFIG, Row
from raysweep.results.views.terminal import WIDE, columns, plain, trial_table


def runs(folders: Sequence[RunDirectory], width: int = 80) -> RenderableType:
    """A line a run, the newest last; where the screen is wide, with its searchers."""
    wide = width >= WIDE
    rows = columns("run", "began", ">trials", ">epochs", ">best", *(["searchers"] if wide else []))
    for run in sorted(folders, key=_began):
        histories, found = run.histories.values(), best_of(run.histories)
        counts = [
            f"{sum(map(len, histories)):,}",
            f"{sum(history.epochs for history in histories):,}",
        ]
        best = f"{run.metric} {number(found[1].metrics[run.metric])}" if found else "–"
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(_began(run)))
        rows.add_row(
            *map(
                plain,
                [
                    run.path.name,
                    began,
                    *counts,
                    best,
                    *([", ".join(run.searchers)] if wide else []),
                ],
            )
        )
    return rows


def _began(run: RunDirectory) -> float:
    return float(run.events[0]["time"]) if run.events else 0.0


def trials(
    run: RunDirectory, limit: int | None = None, width: int = 80, cut: bool = True
) -> RenderableType:
    """`raysweep ls`: trials, best first, with their configurations; on a wide screen, with the reasons for their ends too.

    `cut`: to the width of the screen.
    """
    order = _best_first(run)
    rows = order if limit is None else order[:limit]
    rest = len(order) - len(rows)
    counts = (
        ", ".join(f"{plural(count, 'trial')} {status}" for status, count in _counts(order).items())
        or "no trials yet"
    )
    more = f"; {rest:,} more (--all)" if rest else ""
    extra = ("configuration", "reason") if width >= WIDE else ("configuration",)
    return Group(
        trial_table(_without_constants(rows, order), run.metric, extra, cut),
        Text(f"{counts}{more}", style="dim"),
    )


def _best_first(run: RunDirectory) -> list[Row]:
    losses = {
        trial.id: trial.best.loss if trial.best else math.inf
        for history in run.histories.values()
        for trial in history
    }
    return sorted(run.rows, key=lambda row: losses[row["trial"]])


def _counts(rows: list[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    return counts


def _without_constants(rows: list[Row], everything: list[Row]) -> list[Row]:
    """Rows without the parameters that are the same in every trial."""
    names = {name for row in everything for name in row if name.startswith(CONFIG)}
    same = {
        name
        for name in names
        if len({repr(row.get(name)) for row in everything}) == 1 and len(everything) > 1
    }
    return [{name: value for name, value in row.items() if name not in same} for row in rows]
