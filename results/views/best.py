"""What `raysweep best` prints: the best epoch of a run, or its front with several objectives."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from raysweep.formatting import clean, number, plural
from raysweep.history import Trial
from raysweep.results.analysis.hypervolume import front_volume
from raysweep.results.analysis.retrained_front import front_findings
from raysweep.results.analysis.retraining import winner, winner_finding
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.results.views import terminal
from raysweep.results.views.terminal import checkpoint, columns, configuration, plain

MAX_SHOWN = 20
"""Trials of a front that are printed."""


def best(run: RunDirectory) -> RenderableType:
    """The best epoch; of a run with several objectives its front.

    Raises RunError if nothing was reported, or if no trial keeps the limits.
    """
    if not run.has_front:
        return terminal.best(run)
    return _front(run)


def confirmed(run: RunDirectory) -> list[RenderableType]:
    """What is exported once the best trials were trained again; [] without retrainings."""
    lines: list[RenderableType] = [plain(f"· {line}") for line in winner_finding(run)]
    if not lines:
        return []
    found = winner(run)
    if found.trial not in (run.best.trial, run.knee):  # whose configuration is above
        lines.append(configuration(found.config, run.constants))
    at = f"{run.interval.at(found.epoch)}, trained with seed {found.trial.seed}"
    lines.append(plain(f"  exported    {found.trial.id}, {at}: {checkpoint(run, found)}", "dim"))
    return lines


def _front(run: RunDirectory) -> RenderableType:
    """The table of the front, with its knee marked, and the knee's configuration.

    Raises RunError if no trial keeps the limits.
    """
    found = run.best  # raises why there is none
    knee = run.knee or found.trial
    head = Text(f"front: {len(run.front)}", style="bold green")
    head.append(f" of {plural(len(run.rows), 'trial')}", "dim")
    if run.objectives and run.objectives.limits:
        limits = ", ".join(map(str, run.objectives.limits))
        n_kept = sum(row.get("feasible", False) for row in run.rows)
        head.append(f"; {plural(n_kept, 'trial')} with {clean(limits)}", "dim")
    if len(run.front) > 1:
        text = f"; hypervolume {number(front_volume(run.all_trials()), 3)}"
        head.append(text, "dim")
    parts: list[RenderableType] = [head, _table(run, knee)]
    if (hidden := len(run.front) - MAX_SHOWN) > 0:
        parts.append(Text(f"  {plural(hidden, 'more trial')}; --json lists all", "dim"))
    retrained = [plain(f"· {line}") for line in front_findings(run)]
    return Group(*parts, *_knee(run, knee), *retrained)


def _table(run: RunDirectory, knee: Trial) -> Table:
    names = run.objectives.names if run.objectives else (run.metric,)
    table = columns("  trial", f">{run.interval.unit[:-1]}", *(f">{name}" for name in names), "")
    for trial in run.front[:MAX_SHOWN]:
        assert trial.best is not None
        values = [number(trial.best.metrics.get(name)) for name in names]
        mark = "knee" if trial is knee else ""
        at = run.interval.amount(trial.best.epoch)
        table.add_row(*map(plain, (f"  {trial.id}", at, *values, mark)))
        if mark:
            table.rows[-1].style = "green"
    return table


def _knee(run: RunDirectory, knee: Trial) -> list[RenderableType]:
    """The configuration of the knee, which is a sensible choice if nobody has another wish."""
    assert knee.best is not None
    return [
        plain(f"{knee.id}, the knee:", "bold"),
        configuration(knee.config, run.constants),
        plain(f"  checkpoint  {checkpoint(run, run.best_epoch(knee, knee.best))}", "dim"),
    ]
