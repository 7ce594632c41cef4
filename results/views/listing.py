"""What `raysweep ls` prints: the runs in a folder, or the trials of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from raysweep.formatting import DASH, number, plural
from raysweep.results.storage.run_directory import DamagedRun, RunDirectory, read_each
from raysweep.results.storage.tables import CONFIG, Row, best_loss
from raysweep.results.views.terminal import WIDE, columns, plain, trial_table


def runs(places: Sequence[Path | str], width: int = 80) -> RenderableType:
    """The table of runs, the newest last. A wide screen shows their searchers too.

    places: paths, or URLs. Those that cannot be read come last, each with what is wrong.
    """
    found = read_each(places, lambda run: (run.began or 0.0, _run_cells(run)))
    good = [one for one in found if not isinstance(one, DamagedRun)]
    rows = [cells for _, cells in sorted(good, key=lambda one: one[0])]
    rows += [_damaged_cells(one) for one in found if isinstance(one, DamagedRun)]
    headings = ["run", "began", ">trials", ">trained", "best", "searchers"]
    if width < WIDE:
        headings.remove("searchers")
    table = columns(*headings)
    for cells in rows:
        table.add_row(*map(plain, cells[: len(headings)]))
    return table


def _run_cells(run: RunDirectory) -> list[str]:
    """A run's row in the table of runs, in the order of its headings."""
    histories = run.histories.values()
    began = DASH
    if run.began is not None:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.began))
    return [
        run.path.name,
        began,
        f"{sum(map(len, histories)):,}",
        run.interval.trained(sum(history.epochs for history in histories)),
        _best(run),
        ", ".join(run.searchers),
    ]


def _damaged_cells(run: DamagedRun) -> list[str]:
    """The row of a run that cannot be read."""
    return [run.name, DASH, DASH, DASH, f"damaged: {run.problem}", DASH]


def _best(run: RunDirectory) -> str:
    """The best value of a run; of several objectives the front's size and the knee's values."""
    if run.front_line:
        return run.front_line
    if run.chosen is None:
        return "none within the limits" if run.is_infeasible else DASH
    return f"{run.metric} {number(run.chosen[1].metrics[run.metric])}"


def trials(
    run: RunDirectory, limit: int | None = None, width: int = 80, cut: bool = True
) -> RenderableType:
    """The table of a run's trials with their configurations, the best first.

    A wide screen shows why they ended too. limit: how many trials to show. cut: cut the
    configurations to the width of the screen.
    """
    everything = best_first(run)
    rows = everything[:limit]
    statuses = Counter(row["status"] for row in everything)
    counts = ", ".join(f"{plural(count, 'trial')} {status}" for status, count in statuses.items())
    footer = counts or "no trials yet"
    if hidden := len(everything) - len(rows):
        footer += f"; {hidden:,} more (--all)"
    extra: tuple[str, ...] = ("configuration",)
    if width >= WIDE:
        extra = ("configuration", "reason")
    return Group(
        trial_table(
            _without_constants(rows, everything),
            run.metric,
            extra,
            cut,
            run.interval,
            run.objectives.names if run.objectives else (),
            run.knee.id if run.knee else "",
        ),
        Text(footer, style="dim"),
    )


def best_first(run: RunDirectory) -> list[Row]:
    """The rows of a run's trials, the best first.

    With several metrics the front comes first, and trials that break a limit last.
    """
    losses = {trial.id: best_loss(trial) for trial in run.all_trials()}

    def place(row: Row) -> tuple[bool, bool, float]:
        return not row.get("front", False), not row.get("feasible", True), losses[row["trial"]]

    return sorted(run.rows, key=place)


def _without_constants(rows: Sequence[Row], everything: Sequence[Row]) -> list[Row]:
    """The rows without the parameters that have the same value in every trial of the run."""
    if len(everything) < 2:  # of a single trial every value is the same in all
        return list(rows)
    names = {name for row in everything for name in row if name.startswith(CONFIG)}
    # By `repr`, because a value may be a list, which a set cannot hold.
    constant = {name for name in names if len({repr(row.get(name)) for row in everything}) == 1}
    return [{name: row[name] for name in row if name not in constant} for row in rows]
