"""The end of a session: what each searcher found, the best configuration, the exported model, and what to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from raysweep.names import elsewhere
from results.compare import compare
from results.export import Exported, export
from results.folder import RunError, RunFolder, load
from results.report import write
from results.tensorboard import show
from results.terminal import best, plain, summary
from results.verdict import trust, verdict
from results.words import clean
from results.working_copy import push, shown
from tune.session import GOOD, INTERRUPTED, NONE_SUCCEEDED


def finish(folder: Path, code: int, as_json: bool, resume: str) -> None:
    """Print the end of a run, exporting its best model where the sweep has ended."""
    try:
        run = load(folder)
    except RunError:
        if code != INTERRUPTED:
            raise
        print(
            clean(f"interrupted; to go on when {folder} is there again:  {resume}")
        )  # the storage went away
        return
    exported, complaint = _export(run) if code == GOOD else (None, "")
    if exported:
        show(folder, exported.trial)
    page = _page(run)
    push(folder)
    if as_json:
        print(json.dumps(_facts(run, code, exported, complaint) | {"report": page}), flush=True)
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    console.print(summary(run.histories, run.metric, run.seeds))
    if any(history.best for history in run.histories.values()):
        console.print()
        console.print(best(run))
    for line in _verdict(run, code):
        console.print(plain(line))
    console.print()
    console.print(plain(f"report       {page}"))
    for line in _lines(run, code, exported, complaint, resume):
        console.print(plain(line))


def _export(run: RunFolder) -> tuple[Exported | None, str]:
    try:
        return export(run, draw=True), ""
    except RunError as error:
        return None, str(error)


def _page(run: RunFolder) -> str:
    """Where the page about the run is; or, beginning with `not written`, why it is not."""
    try:
        return shown(write(run))
    except OSError as error:
        return f"not written: {error.strerror or error}"


def _verdict(run: RunFolder, code: int) -> list[str]:
    """What the comparison of several searchers shows, and what the finalists gave when they were trained again."""
    if code != GOOD:
        return []
    lines = [f"· {line}" for line in verdict(compare([run]))] if len(run.searchers) > 1 else []
    lines += trust(run)
    return ["", *lines] if lines else []


def _lines(
    run: RunFolder, code: int, exported: Exported | None, complaint: str, resume: str
) -> list[str]:
    if code == INTERRUPTED:
        return [f"interrupted; to go on:  {resume}"]
    if code == NONE_SUCCEEDED:
        return ["no trial succeeded", *_last_failure(run)]
    model = (
        f"model        {shown(exported.folder)}: {exported.message}"
        if exported
        else f"no model was exported: {complaint}"
    )
    return [
        model,
        f"TensorBoard  tensorboard --logdir {shown(run.path / 'tensorboard')}",
        f'data frame   {_python()} -c "from results import load; print(load({shown(run.path)!r}).trials)"',
    ]


def _python() -> str:
    """The command that starts Python so that it finds our `results`, though the current folder may hold another module of the name."""
    return "python" if elsewhere("results", [Path.cwd()]) is None else "python -P"


def _last_failure(run: RunFolder) -> list[str]:
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


def _facts(run: RunFolder, code: int, exported: Exported | None, complaint: str) -> dict[str, Any]:
    """The same for another program."""
    found = run.best if any(history.best for history in run.histories.values()) else None
    return {
        "event": "summary",
        "run": shown(run.path),
        "exit_code": code,
        "metric": run.metric,
        "best": found
        and {
            "trial": found.trial.id,
            "value": found.value,
            "epoch": found.epoch,
            "config": found.config,
        },
        "exported": exported
        and {
            "folder": shown(exported.folder),
            "difference": exported.difference,
            "message": exported.message,
        },
        "complaint": complaint,
        "searchers": {
            name: {
                "best": history.best and history.best[1].metrics[run.metric],
                "trials": len(history),
                "epochs": history.epochs,
            }
            for name, history in run.histories.items()
        },
    }
