"""What `raysweep show`, `raysweep best` and the end of a sweep print: rich renderables.

They are readable at 80 columns. Text of the user's (names, values, reasons, tracebacks) is never
read as markup.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from raysweep.formatting import DASH, clean, duration, number, plural, size
from raysweep.history import History, Report, Status, Trial
from raysweep.objectives import Objectives
from raysweep.references import is_script
from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.results.analysis.hypervolume import shared_box
from raysweep.results.analysis.repeated import repeat_findings
from raysweep.results.storage.front import front_of, knee_of, points_of
from raysweep.results.storage.mirror import display_path
from raysweep.results.storage.run_directory import BestEpoch, RunDirectory
from raysweep.results.storage.script_weights import of_script, script_file
from raysweep.results.storage.tables import CONFIG, Row, flatten, split_study, training_seconds
from raysweep.results.views.sparkline import spark
from raysweep.shown_status import PAUSED, shown_status

STYLES: Mapping[str, str] = {
    Status.WAITING: "dim",
    Status.RUNNING: "cyan",
    PAUSED: "yellow",
    Status.COMPLETED: "green",
    Status.STOPPED: "yellow",
    Status.DIVERGED: "magenta",
    Status.FAILED: "red",
    Status.OOM: "red",
}
WIDE = 110
"""From this many columns on, a table has room for a further column of text."""
FAILURES = {
    Status.FAILED: "failed",
    Status.DIVERGED: "diverged",
    Status.OOM: "ran out of memory",
}


def summary(
    histories: Mapping[str, History],
    metric: str,
    seeds: int = 1,
    interval: ReportInterval = EVERY_EPOCH,
    objectives: Objectives | None = None,
) -> Table:
    """The table of searchers: best value and its trial, trials, epochs and training time.

    With several objectives: how many trials are on the front of each searcher, and their knee with
    its values. The best searcher is bold, the one with most hypervolume. Epochs are shown in the
    unit of the budget.
    """
    searchers: dict[str, list[History]] = {}
    for study, history in histories.items():
        searchers.setdefault(split_study(study, seeds)[0], []).append(history)
    if objectives and objectives.has_front:
        return _front_summary(searchers, objectives, interval)
    headings = ["searcher", f">best {metric}", "at", ">trials", f">{interval.unit}", ">training"]
    if seeds > 1:
        headings.insert(2, f">mean of {seeds}")
    table = columns(*headings)
    best_loss = min((_loss(studies) for studies in searchers.values()), default=math.inf)
    for searcher, studies in searchers.items():
        is_best = _loss(studies) == best_loss < math.inf and len(searchers) > 1
        cells = _summary_cells(searcher, studies, metric, seeds, interval)
        table.add_row(*cells)
        if is_best:
            table.rows[-1].style = "bold"
    return table


def _front_summary(
    searchers: Mapping[str, Sequence[History]], objectives: Objectives, interval: ReportInterval
) -> Table:
    """The table of searchers of a sweep with several objectives."""
    names = [one.name for one in objectives.objectives]
    headings = ["searcher", ">front", "knee", *(f">{name}" for name in names), ">trials"]
    table = columns(*headings, f">{interval.unit}", ">training")
    box = shared_box(history for studies in searchers.values() for history in studies)
    volumes = []
    for searcher, studies in searchers.items():
        trials = [trial for history in studies for trial in history]
        volumes.append(box.fraction(points_of(trials)) if box and len(searchers) > 1 else 0.0)
        table.add_row(*_front_cells(searcher, trials, names), *_spent(studies, interval))
    for row, volume in zip(table.rows, volumes, strict=True):
        if 0 < volume == max(volumes):
            row.style = "bold"
    return table


def _front_cells(searcher: str, trials: Sequence[Trial], names: Sequence[str]) -> list[Text]:
    """The searcher, the size of its front, its knee and the knee's values."""
    front = front_of(trials)
    knee = knee_of(front)
    metrics = knee.best.metrics if knee and knee.best else {}
    values = [number(metrics.get(name)) for name in names]
    return [plain(cell) for cell in (searcher, len(front), knee.id if knee else DASH, *values)]


def trial_table(
    rows: Iterable[Row],
    metric: str,
    extra: tuple[str, ...] = ("reason",),
    cut: bool = True,
    interval: ReportInterval = EVERY_EPOCH,
    several: Sequence[str] = (),
    knee: str = "",
) -> Table:
    """The table of trials, in the order given. The column `epoch` has the best and the last epoch.

    extra: further columns, `configuration`, `reason` or both. cut: cut these to the width of the
    screen. several: the metrics of a sweep with several, which show the values of that best epoch
    and whether the trial is on the front. knee: the trial of the front to name.
    """
    others = [name for name in several if name != metric]
    headings = [f">best {metric}", *(f">{name}" for name in others), f">{interval.unit[:-1]}"]
    table = columns("trial", *headings, ">time", *(["front"] if several else []), "status")
    table.expand = bool(extra) and cut
    ratio: int | None = None
    if cut:  # columns with a ratio share what is left of the width
        ratio = 1
    for name in extra:
        table.add_column(name, ratio=ratio, overflow="ellipsis", no_wrap=True)
    for row in rows:
        epoch = DASH
        if row["best_epoch"]:
            best_epoch, epochs = int(row["best_epoch"]), int(row["epochs"])
            epoch = f"{interval.amount(best_epoch)} of {interval.amount(epochs)}"
        values = [number(row.get(f"best_{name}")) for name in (metric, *others)]
        cells = [row["trial"], *values, epoch, duration(row["seconds"])]
        if several:
            cells.append(_place(row, knee))
        # A reason may have several lines, which would tear the table apart.
        texts = {"configuration": _one_line(row), "reason": row["reason"].replace("\n", " ")}
        table.add_row(
            *map(plain, cells),
            status_text(row["status"]),
            *(plain(texts[name], "dim") for name in extra),
        )
    return table


def _place(row: Row, knee: str) -> str:
    """Where a trial is as to the front, in a word."""
    if row["trial"] == knee:
        return "knee"
    if row.get("front"):
        return "yes"
    return "over limit" if row.get("feasible") is False else ""


def show(run: RunDirectory, trial_id: str) -> RenderableType:
    """The output of `raysweep show`: everything about one trial.

    Raises RunError if there is no trial of this name.
    """
    trial = run.trial(trial_id)
    parts: list[RenderableType] = [
        plain(trial.id, "bold"),
        _trial_facts(run, trial),
        Text("configuration", style="bold"),
        configuration(trial.config, run.constants),
    ]
    if trial.reports:
        parts += [
            Text(f"by {run.interval.unit[:-1]}", style="bold"),
            curve(trial, run.metric, run.interval),
        ]
    if traceback := trial.notes.get("traceback"):
        indented = Padding(plain(traceback, "red"), (0, 0, 0, 2))
        parts += [Text("traceback", style="bold"), indented]
    return Group(*parts)


def best(
    run: RunDirectory, found: BestEpoch | None = None, among: str = "the best"
) -> RenderableType:
    """The output of `raysweep best`: the best epoch, its configuration and its checkpoint.

    found: another epoch than the best of the run, of which `among` says what it is. Raises RunError
    if nothing was reported.
    """
    is_best, found = found is None, found or run.best
    head = Text.assemble(
        (f"{run.metric} {number(found.value, 6)}", "bold green"),
        f" {run.interval.within(found.epoch)} of ",
        (clean(found.trial.id), "bold"),
    )
    for name in run.objectives.names if run.objectives else ():
        if name != run.metric:
            head.append(f", {clean(name)} {number(found.report.metrics.get(name))}")
    head.append(f", {clean(among)} of {plural(len(run.rows), 'trial')}", "dim")
    config = configuration(found.config, run.constants)
    seeds = [plain(f"· {line}") for line in repeat_findings(run)] if is_best else []
    return Group(head, config, plain(f"  checkpoint  {checkpoint(run, found)}", "dim"), *seeds)


def failures(histories: Mapping[str, History]) -> dict[str, int]:
    """How many trials failed, diverged and ran out of memory."""
    statuses = Counter(trial.status for history in histories.values() for trial in history)
    return {str(status): statuses[status] for status in FAILURES}


def ended_badly(histories: Mapping[str, History]) -> str:
    """How many trials failed, diverged or ran out of memory, with an example of each.

    "" if none did.
    """
    trials = [trial for history in histories.values() for trial in history]
    parts = []
    for status, verb in FAILURES.items():
        bad = [trial for trial in trials if trial.status is status]
        if bad:
            parts.append(f"{plural(len(bad), 'trial')} {verb} ({bad[0].id}: {bad[0].reason})")
    return "; ".join(parts)


def configuration(config: Mapping[str, Any], constants: Iterable[str] = ()) -> Table:
    """A configuration, a line for each parameter, followed by what is constant in the sweep."""
    flat = flatten(config)
    names = tuple(constants)
    fixed = [
        name
        for name in flat
        if any(name == constant or name.startswith(f"{constant}.") for constant in names)
    ]
    # What was tuned comes first, because that is what a reader looks for.
    order = [name for name in flat if name not in fixed] + fixed
    return _facts({name: flat[name] for name in order})


def curve(trial: Trial, metric: str, interval: ReportInterval = EVERY_EPOCH) -> RenderableType:
    """What a trial reported, a line for each report, below a sparkline of the metric."""
    names = list(dict.fromkeys(name for report in trial.reports for name in report.metrics))
    table = columns(f">{interval.unit[:-1]}", *(f">{name}" for name in names), ">time")
    for report in trial.reports:
        cells = [plain(number(report.metrics.get(name))) for name in names]
        table.add_row(interval.amount(report.epoch), *cells, duration(report.seconds))
        if report is trial.best:
            table.rows[-1].style = "green"
    bars = spark([report.metrics.get(metric, math.nan) for report in trial.reports])
    return Group(Text(f"  {clean(metric)} {bars}"), table)


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=STYLES[status])


def columns(*names: str) -> Table:
    """A plain table. A column whose name begins with `>` is flush right."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(plain(name.removeprefix(">")), overflow="fold")
        if name.startswith(">"):
            table.columns[-1].justify = "right"
    return table


def plain(text: Any, style: str = "") -> Text:
    """Text without markup, safe on a terminal."""
    return Text(clean(str(text)), style=style)


def _trial_facts(run: RunDirectory, trial: Trial) -> Table:
    notes = trial.notes
    seconds = training_seconds(trial)
    node, device = notes.get("node", DASH), notes.get("device", DASH)
    facts: dict[str, Any] = {
        "status": status_text(shown_status(trial, run.may_promote)),
        "reason": run.reason_of(trial) or DASH,
    }
    if "afterwards" in notes:
        facts["afterwards"] = notes["afterwards"]
    if "parent" in notes:
        at = run.interval.at(trial.start)
        facts["parent"] = f"{notes['parent']}, with whose checkpoint of {at} it began"
    facts |= {
        "best": _value_and_epoch(trial.best, run.metric, run.interval),
        **_script_weights(run, trial),
        "training": f"{run.interval.trained(trial.epoch)} in {duration(seconds)}",
        "ran on": f"{node}, {device}; {plural(trial.attempts, 'attempt')}",
        "peak memory": size(notes.get("peak_memory")),
        "training seed": str(trial.seed),
        "files": str(run.path / "trials" / trial.id),
    }
    return _facts(facts)


def _script_weights(run: RunDirectory, trial: Trial) -> dict[str, str]:
    """What a script left of its best epoch; {} of a train function, whose checkpoints are kept."""
    if trial.best is None or not is_script(str(run.sweep.get("trainable", ""))):
        return {}
    file = script_file(run, trial)
    return {"weights": of_script(run.best_epoch(trial, trial.best), run.interval, file)}


def checkpoint(run: RunDirectory, found: BestEpoch) -> str:
    """Where the best epoch's checkpoint is, or why there is none to load."""
    kept = run.with_checkpoint(found)
    if kept.trial is not found.trial:
        other = f"of {kept.trial.id}, the same with another seed: {run.metric} {number(kept.value)}"
        return f"{checkpoint(run, kept)} ({other})"
    if not found.has_state and is_script(str(run.sweep["trainable"])):
        return of_script(found, run.interval, script_file(run, found.trial))
    if found.checkpoint is None:
        return "none was kept"
    if not found.has_state:
        return "none: the train function names no model in run.epochs(model=model, ...)"
    return display_path(found.checkpoint)


def _summary_cells(
    searcher: str, studies: list[History], metric: str, seeds: int, interval: ReportInterval
) -> list[Text]:
    best = _best(studies)
    value, place = DASH, DASH
    if best:
        trial, report = best
        value, place = number(report.metrics[metric]), f"{interval.at(report.epoch)} of {trial.id}"
    cells = [searcher, value]
    if seeds > 1:
        values = [history.best[1].metrics[metric] for history in studies if history.best]
        cells.append(_mean(values))
    return [*map(plain, (*cells, place)), *_spent(studies, interval)]


def _spent(studies: Sequence[History], interval: ReportInterval) -> list[Text]:
    """How many trials there are, their epochs and their training time."""
    trials = [trial for history in studies for trial in history]
    epochs = sum(history.epochs for history in studies)
    seconds = sum(map(training_seconds, trials))
    return [
        plain(cell) for cell in (f"{len(trials):,}", interval.amount(epochs), duration(seconds))
    ]


def _mean(values: list[float]) -> str:
    if not values:
        return DASH
    return number(sum(values) / len(values))


def _best(studies: list[History]) -> tuple[Trial, Report] | None:
    """The best trial of a searcher's studies with its best report; of equal ones the earliest.

    None before the first finite loss.
    """
    found = [history.best for history in studies if history.best]
    return min(found, key=lambda best: best[1].loss, default=None)


def _loss(studies: list[History]) -> float:
    """The best loss of a searcher's studies; inf if it has none."""
    return min((history.best[1].loss for history in studies if history.best), default=math.inf)


def _value_and_epoch(report: Report | None, metric: str, interval: ReportInterval) -> str:
    if report is None:
        return DASH
    return f"{metric} {number(report.metrics.get(metric), 6)} {interval.within(report.epoch)}"


def _one_line(row: Row) -> str:
    """The configuration in a row, on one line."""
    return " ".join(
        f"{name.removeprefix(CONFIG)}={number(value, 3)}"
        for name, value in row.items()
        if name.startswith(CONFIG)
    )


def _facts(facts: Mapping[str, Any]) -> Table:
    """Names and values in two columns."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if not isinstance(value, Text):
            value = plain(number(value, 6))
        table.add_row(plain(f"  {name}"), value)
    return table
