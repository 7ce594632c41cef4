"""What is printed at the end of a session.

What each searcher found, the best configuration, the exported model, and what to do next.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from raysweep.finder import users_raysweep
from raysweep.formatting import clean, plural, wrapped
from raysweep.references import is_script
from raysweep.repeats import with_model
from raysweep.results.analysis.compare import compare
from raysweep.results.analysis.findings import findings, reliability
from raysweep.results.analysis.more_time import more_time_finding
from raysweep.results.analysis.next_steps import longer
from raysweep.results.analysis.repeated import seeds_of_best
from raysweep.results.analysis.retraining import (
    chosen_finalist,
    retraining_results,
    winner,
    winner_finding,
)
from raysweep.results.export import FOLDER as EXPORT
from raysweep.results.export import ExportResult, export
from raysweep.results.storage import ledger
from raysweep.results.storage.inbox import Inbox
from raysweep.results.storage.mirror import display_path, is_locked, upload
from raysweep.results.storage.run_directory import (
    BestEpoch,
    RunDirectory,
    RunError,
    best_of,
    load,
)
from raysweep.results.storage.script_weights import script_file
from raysweep.results.views.best import best
from raysweep.results.views.html.report import NAME as PAGE
from raysweep.results.views.html.report import write
from raysweep.results.views.tensorboard import show
from raysweep.results.views.terminal import ended_badly, failures, plain, summary
from raysweep.schedulers.base import FinishingScheduler
from raysweep.shown_status import shown_status
from raysweep.steering import STOPPED_BY_HAND
from raysweep.tune.cli.arguments import show as show_table
from raysweep.tune.controller import SweepController
from raysweep.tune.retrain import is_unfinished
from raysweep.tune.session import GOOD, INTERRUPTED, NONE_SUCCEEDED

LABELS = ("report  ", "model  ")
"""How lines with a label begin."""
INDENT = 13
"""The column at which the text after a label begins."""
UNBROKEN = ("TensorBoard  ", "data frame  ", "interrupted; to", "stopped by", "to extend it:", "  ")


def finish(folder: Path, code: int, as_json: bool, resume: str) -> None:
    """Print the end of a run; if the sweep has ended, export its best model first."""
    try:
        run = load(folder)
    except RunError:
        if code != INTERRUPTED:
            raise
        # The storage went away.
        print(clean(f"interrupted; to continue when {folder} is there again:  {resume}"))
        return
    if code == INTERRUPTED and not run.histories and not as_json:
        print(clean(f"interrupted before the first trial; to begin again:  {resume}"))
        return
    exported, complaint = None, ""
    if not as_json:
        _print(Console(highlight=False, soft_wrap=True), _what_follows(run, code))
    if code == GOOD:
        exported, complaint = _export(run)
    if exported:
        show(folder, exported.trial)
    page = _page(run)
    upload(folder)
    if as_json:
        print(json.dumps(_facts(run, code, exported, complaint) | {"report": page}), flush=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    show_table(summary(run.histories, run.metric, run.seeds, run.interval, run.objectives))
    if bad := ended_badly(run.histories):
        _print(console, f"{bad}; raysweep ls {display_path(run.path)} --all shows all of them")
    if any(history.best for history in run.histories.values()):
        console.print()
        show_table(best(run))
    for line in _verdict(run, code):
        _print(console, line)
    console.print()
    _print(console, f"report       {page}")
    for line in _lines(run, code, exported, complaint, resume):
        _print(console, line)


def _what_follows(run: RunDirectory, code: int) -> str:
    """What is done between the last trial and the summary, which takes up to half a minute."""
    found = best_of(run.histories)
    if code != GOOD or found is None or is_script(str(run.sweep["trainable"])):
        return "no trial runs any more; writing the page ..."
    chosen = chosen_finalist(run)
    first = found[0] if chosen is None else run.trial(chosen.trial)
    # Not `winner`, which would first download the checkpoint of a run in object storage.
    files = {
        trial.id: run.path / "trials" / trial.id / "best.pt"
        for trial in with_model(run.histories[first.study], first)
    }
    name = next((name for name, file in files.items() if file.exists()), first.id)
    checkpoint = files[name]
    if not BestEpoch(*found, value=0.0, checkpoint=checkpoint).has_state:
        return "no trial runs any more; writing the page ..."
    return (
        f"no trial runs any more; exporting the model of {name}, checking it in a fresh process, "
        "and writing the page ..."
    )


def _print(console: Console, line: str) -> None:
    """Print a line. On a terminal, prose is broken between words.

    A command or an indented line stays whole, so that it can be copied.
    """
    text = clean(line)
    if console.is_terminal and not line.startswith(UNBROKEN):
        indent = INDENT if line.startswith(LABELS) else 2
        text = wrapped(text, console.width, indent)
    console.print(plain(text))


def finished(folder: Path, controller: SweepController) -> bool:
    """True if a run has nothing left to do, its export and its page included.

    A command that waits is something to do.
    """
    if is_locked(folder) or Inbox(folder).names() or controller.paused:
        return False
    if not controller.done or is_unfinished(controller, folder):
        return False
    run = load(folder)
    last = run.events[-1]
    closed = last["event"] == "closed" and not last["interrupted"]
    return closed and (_is_exported(run) or _has_last_page(run))


def _is_exported(run: RunDirectory) -> bool:
    """True if the exported model is that of the best epoch of the run."""
    try:
        about = json.loads((run.path / EXPORT / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return any(history.best for history in run.histories.values()) and (
        (about.get("trial"), about.get("epoch")) == (winner(run).trial.id, winner(run).epoch)
    )


def _has_last_page(run: RunDirectory) -> bool:
    """True if the page was written after the last event.

    It is written last, even if no model could be exported.
    """
    try:
        page = (run.path / PAGE).stat().st_mtime
    except OSError:
        return False
    return page >= (run.path / ledger.NAME).stat().st_mtime


def show_finished(
    folder: Path, controller: SweepController, code: int, as_json: bool, command: Callable[..., str]
) -> None:
    """Say that a run is finished, and how to extend it.

    `command` makes the command that extends it, from further words.
    """
    run = load(folder)
    more = _extension(controller)
    extend = command(*more) if more else ""
    if as_json:
        facts = _facts(run, code, None, "") | {"finished": True, "extend": extend or None}
        print(json.dumps(facts), flush=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    reason = str(run.events[-1]["reason"])
    why = "" if reason == "done" else f" ({reason})"
    reports = sum(history.epochs for history in run.histories.values())
    trained = controller.sweep.budget.interval.trained(reports)
    trials = plural(len(run.rows), "trial")
    console.print(f"{folder.name} is finished: {trials}, {trained}{why}", markup=False)
    if any(history.best for history in run.histories.values()):
        show_table(best(run))
    for line in winner_finding(run):
        _print(console, f"· {line}")
    if bad := ended_badly(run.histories):
        _print(console, bad)
    if extend:
        _print(console, f"to extend it:  {extend}")
    elif not controller.stopping:
        console.print("its searchers have nothing left to try")


def _extension(controller: SweepController) -> list[str]:
    """The settings that give a finished sweep twice its budget; [] if no budget ended it."""
    budget = controller.sweep.budget
    out_of_time = budget.seconds is not None and controller.seconds >= budget.seconds
    if controller.stopping and not out_of_time:
        return []
    if controller.exhausted and not (budget.trials is None and _any_paused(controller)):
        return []
    if budget.seconds is not None and out_of_time:
        return ["--set", f"budget.time={2 * budget.seconds:g}"]
    words = []
    if budget.trials is not None:
        words += ["--set", f"budget.trials={2 * budget.trials}"]
    if budget.total_epochs is not None:
        total = 2 * budget.interval.position(budget.total_epochs)
        words += ["--set", f"budget.total_{budget.interval.unit}={total:.15g}"]
    return words


def _any_paused(controller: SweepController) -> bool:
    """True if a longer sweep would train on paused trials, though nothing is left to propose."""
    if not isinstance(controller.sweep.scheduler, FinishingScheduler):
        return False
    rungs = (rung for history in controller.histories.values() for rung in history.rungs.values())
    return controller.sweep.scheduler.promotes and any(rung.paused for rung in rungs)


def _export(run: RunDirectory) -> tuple[ExportResult | None, str]:
    try:
        return export(run, draw=True), ""
    except RunError as error:
        return None, str(error)


def _page(run: RunDirectory) -> str:
    """The path of the page about the run; `not written: ` and the reason if that fails."""
    try:
        return display_path(write(run))
    except OSError as error:
        return f"not written: {error.strerror or error}"


def _verdict(run: RunDirectory, code: int) -> list[str]:
    """What the comparison of several searchers shows, and what the retrained finalists gave."""
    if code != GOOD:
        return []
    lines = []
    if len(run.searchers) > 1 and not run.is_infeasible:
        lines += [f"· {line}" for line in findings(compare([run]))]
    lines += [f"· {step['why']} {step['command']}" for step in longer(run)]
    lines += [f"· {line}" for line in more_time_finding(run)]
    lines += reliability(run)
    return ["", *lines] if lines else []


def _lines(
    run: RunDirectory, code: int, exported: ExportResult | None, complaint: str, resume: str
) -> list[str]:
    if code == INTERRUPTED:
        by_hand = run.interrupted_by == STOPPED_BY_HAND
        return [f"{STOPPED_BY_HAND if by_hand else 'interrupted'}; to continue:  {resume}"]
    if code == NONE_SUCCEEDED:
        return ["no trial succeeded", *_last_failure(run)]
    code_line = f"import raysweep; print(raysweep.load({display_path(run.path)!r}).trials)"
    return [
        *_model_line(run, exported, complaint),
        f"TensorBoard  tensorboard --logdir {display_path(run.path / 'tensorboard')}",
        f'data frame   {_python()} -c "{code_line}"',
    ]


def _model_line(run: RunDirectory, exported: ExportResult | None, complaint: str) -> list[str]:
    """Where the exported model is, or why there is none if the best trial's lines do not say it."""
    if exported:
        # The best trial is named above; after retrainings another one may be exported.
        source = "" if exported.trial == run.best.trial.id else f"{exported.source}; "
        return [f"model        {display_path(exported.folder)}: {source}{exported.message}"]
    if any(history.best for history in run.histories.values()):
        found = winner(run)
        has_file = is_script(str(run.sweep["trainable"])) and script_file(run, found.trial)
        if found.checkpoint is not None and not found.has_state and not has_file:
            return []
    return [f"no model was exported: {complaint}"]


def _python() -> str:
    """The command that starts Python so that it finds this `raysweep`.

    The current folder may have a module of the same name, which `-P` leaves out.
    """
    return "python" if users_raysweep([Path.cwd()]) is None else "python -P"


def _last_failure(run: RunDirectory) -> list[str]:
    """The traceback of the last trial that failed, and its name."""
    failed = [
        trial
        for history in run.histories.values()
        for trial in history
        if trial.notes.get("traceback")
    ]
    if not failed:
        return []
    trial = failed[-1]
    return [
        f"{trial.id} {trial.status}: {trial.reason}",
        *(f"  {line}" for line in str(trial.notes["traceback"]).splitlines()),
    ]


def _facts(
    run: RunDirectory, code: int, exported: ExportResult | None, complaint: str
) -> dict[str, Any]:
    """The summary for another program, as JSON."""
    found = run.best if any(history.best for history in run.histories.values()) else None
    return {
        "event": "summary",
        "run": display_path(run.path),
        "exit_code": code,
        "metric": run.metric,
        "best": found
        and {
            "trial": found.trial.id,
            "value": found.value,
            **seeds_of_best(run),
            "epoch": found.epoch,
            "config": found.config,
        },
        "front": [trial.id for trial in run.front] if run.has_front else None,
        "knee": run.knee.id if run.has_front and run.knee else None,
        "exported": exported
        and {
            "folder": display_path(exported.folder),
            "trial": exported.trial,
            "difference": exported.difference,
            "message": exported.message,
        },
        "complaint": complaint,
        "failures": failures(run.histories),
        "finalists": [asdict(result) for result in retraining_results(run)],
        "searchers": {
            name: {
                "best": history.best and history.best[1].metrics[run.metric],
                "trials": len(history),
                "epochs": history.epochs,
                "statuses": dict(
                    Counter(shown_status(trial, run.may_promote) for trial in history)
                ),
            }
            for name, history in run.histories.items()
        },
    }
