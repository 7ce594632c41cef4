"""What an opened trial shows beyond the table, for a page that has no server to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysweep.history import Trial
from raysweep.results.analysis.decisions import decisions, pauses
from raysweep.results.analysis.incumbent_bands import plain
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.text_limits import message

MAX_NUMBERS = 400_000
"""The most values of other metrics in a page, about three megabytes; beyond, they are left out."""


def trial_data(run: RunDirectory, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """For each trial, in the order of the table, what the page shows when it is opened.

    metrics: the values by epoch of all metrics but the one that is optimized, whose curve the page
    has; left out if all trials together have too many. Empty parts are left out.
    """
    decided = decisions(run.events, pauses(run.sweep), run.interval)
    notes: dict[str, list[str]] = {}
    for note in run.steering.notes:
        notes.setdefault(note.trial, []).append(note.text)
    numbers = sum(len(report.metrics) for trial in trials for report in trial.reports)
    rows = []
    for trial in trials:
        row = {
            "decisions": decided.get(trial.id, []),
            "notes": notes.get(trial.id, []),
            "error": _last_line(trial.notes.get("traceback")),
            "device": trial.notes.get("device"),
            "parent": trial.notes.get("parent"),
            "memory": trial.notes.get("memory"),
            "seed": trial.seed,
        }
        if numbers <= MAX_NUMBERS:
            row["metrics"] = _metrics(trial, run.metric)
        rows.append({name: value for name, value in row.items() if value})
    return rows


def _metrics(trial: Trial, metric: str) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for report in trial.reports for name in report.metrics)
    return {
        name: [plain(report.metrics.get(name)) for report in trial.reports]
        for name in names
        if name != metric
    }


def _last_line(traceback: Any) -> str:
    """The last line of a traceback, which has the exception and its message; "" without one."""
    lines = str(traceback or "").strip().splitlines()
    return message("".join(lines[-1:]))
