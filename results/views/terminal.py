"""What `raysweep ls`, `show` and `best` print, and the end of a run: rich renderables, readable at 80 columns.

Text of the user's (names, values, reasons, tracebacks) is never read as markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raysweep.formatting import clean, duration, number, plural, size
from raysweep.history import History, Report, Status, Trial
from raysweep.results.storage.mirror import shown
from raysweep.results.storage.run_directory import Best, RunDirectory
from raysweep.results.storage.tables import CONFIG, Row, flatten, split_study

STYLES = {
    Status.WAITING: "dim",
    Status.RUNNING: "cyan",
    Status.COMPLETED: "green",
    Status.STOPPED: "yellow",
    Status.DIVERGED: "magenta",
    Status.FAILED: "red",
    Status.OOM: "red",
}
WIDE = 110
BARS = "▁▂▃▄▅▆▇█"


def summary(histories: Mapping[str, History], metric: str, seeds: int = 1) -> Table:
    """One row per searcher: its best value and where, trials, epochs spent and training seconds; the best searcher is marked."""
    searchers: dict[str, list[History]] = {}
    for name, history in histories.items():
        searchers.setdefault(split_study(name, seeds)[0], []).append(history)
    table = columns(
        "searcher",
        f">best {metric}",
        *([f">mean of {seeds}"] if seeds > 1 else []),
        "at",
        ">trials",
        ">epochs",
        ">training",
    )
    winner = min((_loss(studies) for studies in searchers.values()), default=math.inf)
    for searcher, studies in searchers.items():
        first = _loss(studies) == winner < math.inf
        table.add_row(
            *_summary_cells(searcher, studies, metric, seeds),
            style="bold" if first and len(searchers) > 1 else "",
        )
    return table


def trial_table(
    rows: Iterable[Row], metric: str, extra: tuple[str, ...] = ("reason",), cut: bool = True
) -> Table:
    """A line a trial, in the order given. `epoch` is the best one of those trained.

    `extra`: `configuration`, `reason`, or both; `cut`: to what the screen has room for.
    """
    table = columns("trial", f">best {metric}", ">epoch", ">time", "status")
    table.expand = bool(extra) and cut
    for name in extra:
        table.add_column(name, ratio=1 if cut else None, overflow="ellipsis", no_wrap=True)
    for row in rows:
        place = f"{row['best_epoch']} of {row['epochs']}" if row["best_epoch"] else "–"
        cells = [
            plain(row["trial"]),
            plain(number(row[f"best_{metric}"])),
            plain(place),
            plain(duration(row["seconds"])),
        ]
        last = {"configuration": _short(row), "reason": row["reason"].replace("\n", " ")}
        table.add_row(
            *cells, status_text(row["status"]), *(plain(last[name], "dim") for name in extra)
        )
    return table


def show(run: RunDirectory, trial_id: str) -> RenderableType:
    """`raysweep show`: one trial, all of it. RunError where there is none of this name."""
    trial = run.trial(trial_id)
    facts = _facts(
        {
            "status": status_text(str(trial.status)),
            "reason": trial.reason or "–",
            **{name: trial.notes[name] for name in ("afterwards",) if name in trial.notes},
            "best": _at(trial.best, run.metric),
            "training": f"{plural(trial.epoch, 'epoch')} in {duration(trial.reports[-1].seconds if trial.reports else 0.0)}",
            "ran on": f"{trial.notes.get('node', '–')}, {trial.notes.get('device', '–')}; {plural(trial.attempts, 'attempt')}",
            "peak memory": size(trial.notes.get("peak_memory")),
            "training seed": str(trial.seed),
            "files": str(run.path / "trials" / trial.id),
        }
    )
    parts: list[RenderableType] = [
        plain(trial.id, "bold"),
        facts,
        Text("configuration", style="bold"),
        configuration(trial.config, run.constants),
    ]
    if trial.reports:
        parts += [Text("by epoch", style="bold"), curve(trial, run.metric)]
    if trial.notes.get("traceback"):
        parts += [
            Text("traceback", style="bold"),
            Padding(plain(str(trial.notes["traceback"]), "red"), (0, 0, 0, 2)),
        ]
    return Group(*parts)


def best(run: RunDirectory) -> RenderableType:
    """`raysweep best`: the best epoch of all, its configuration and its checkpoint. RunError if nothing was reported."""
    found = run.best
    head = Text.assemble(
        (f"{run.metric} {number(found.value, 6)}", "bold green"),
        f" in epoch {found.epoch} of ",
        (clean(found.trial.id), "bold"),
    )
    head.append(f", the best of {plural(len(run.rows), 'trial')}", "dim")
    config = configuration(found.config, run.constants)
    return Group(head, config, plain(f"  checkpoint  {_checkpoint(found)}", "dim"))


def _checkpoint(found: Best) -> str:
    """Where the best epoch's checkpoint is, or why there is none to load."""
    if found.checkpoint is None:
        return "none was kept"
    if not found.has_state:
        return "none: the train function names no model in run.epochs(model=model, ...)"
    return shown(found.checkpoint)


def ended_badly(histories: Mapping[str, History]) -> str:
    """How many trials failed, diverged or ran out of memory, in a sentence with one of each by name; "" if none did."""
    bad: dict[Status, list[Trial]] = {Status.FAILED: [], Status.DIVERGED: [], Status.OOM: []}
    for trial in (trial for history in histories.values() for trial in history):
        if trial.status in bad:
            bad[trial.status].append(trial)
    words = {Status.FAILED: "failed", Status.DIVERGED: "diverged", Status.OOM: "ran out of memory"}
    return "; ".join(
        f"{plural(len(trials), 'trial')} {words[status]} ({trials[0].id}: {trials[0].reason})"
        for status, trials in bad.items()
        if trials
    )


def configuration(config: Mapping[str, Any], constants: Iterable[str] = ()) -> Table:
    """A configuration, a line a parameter; what is the same in every trial comes last."""
    flat = flatten(config)
    same = tuple(constants)
    fixed = [
        name for name in flat if any(name == one or name.startswith(f"{one}.") for one in same)
    ]
    order = [name for name in flat if name not in fixed] + fixed
    return _facts({name: flat[name] for name in order})


def curve(trial: Trial, metric: str) -> RenderableType:
    """What a trial reported, a line an epoch, under a picture of the objective."""
    names = list(dict.fromkeys(name for report in trial.reports for name in report.metrics))
    table = columns(">epoch", *(f">{name}" for name in names), ">time")
    for report in trial.reports:
        cells = [plain(number(report.metrics.get(name))) for name in names]
        table.add_row(
            str(report.epoch),
            *cells,
            duration(report.seconds),
            style="green" if report is trial.best else "",
        )
    picture = Text(
        f"  {clean(metric)} {spark([report.metrics.get(metric, math.nan) for report in trial.reports])}"
    )
    return Group(picture, table)


def spark(values: Iterable[float]) -> str:
    """Values as a row of bars; a gap where one is not finite."""
    values = list(values)
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        BARS[round((value - low) * scale)] if math.isfinite(value) else " " for value in values
    )


def status_text(status: str) -> Text:
    return Text(status, style=STYLES[Status(status)])


def _summary_cells(searcher: str, studies: list[History], metric: str, seeds: int) -> list[Text]:
    best = min(
        (history.best for history in studies if history.best),
        key=lambda one: one[1].loss,
        default=None,
    )
    trials = [trial for history in studies for trial in history]
    mean = (
        [
            plain(
                number(
                    _mean([history.best[1].metrics[metric] for history in studies if history.best])
                )
            )
        ]
        if seeds > 1
        else []
    )
    value = number(best[1].metrics[metric]) if best else "–"
    place = f"epoch {best[1].epoch} of {best[0].id}" if best else "–"
    seconds = sum(trial.reports[-1].seconds for trial in trials if trial.reports)
    epochs = sum(history.epochs for history in studies)
    return [
        plain(searcher),
        plain(value),
        *mean,
        plain(place),
        *map(plain, (f"{len(trials):,}", f"{epochs:,}", duration(seconds))),
    ]


def _loss(studies: list[History]) -> float:
    return min((history.best[1].loss for history in studies if history.best), default=math.inf)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _at(report: Report | None, metric: str) -> str:
    return (
        f"{metric} {number(report.metrics.get(metric), 6)} in epoch {report.epoch}"
        if report
        else "–"
    )


def _short(row: Row) -> str:
    """The configuration in a row, on one line."""
    return " ".join(
        f"{name.removeprefix(CONFIG)}={number(value, 3)}"
        for name, value in row.items()
        if name.startswith(CONFIG)
    )


def columns(*names: str) -> Table:
    """A plain table; a column that begins with `>` is flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(
            plain(name.removeprefix(">")),
            justify="right" if name.startswith(">") else "left",
            overflow="fold",
        )
    return table


def _facts(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(
            plain(f"  {name}"), value if isinstance(value, Text) else plain(number(value, 6))
        )
    return table


def plain(text: Any, style: str = "") -> Text:
    return Text(clean(str(text)), style=style)
