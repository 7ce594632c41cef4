"""The state of a run in numbers and words, for `raysweep status` and for other programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from raysweep.formatting import duration, number, plural
from raysweep.history import Status, Trial, seconds_spent
from raysweep.results.storage.inbox import Inbox
from raysweep.results.storage.mirror import display_path
from raysweep.results.storage.run_directory import RunDirectory, best_of
from raysweep.tune.callbacks.screen import time_left
from raysweep.tune.steer import next_session

FAILURES_SHOWN = 5
"""Causes of failures that are listed, the most frequent first."""


def status(run: RunDirectory) -> dict[str, Any]:
    """The state of a run as plain data.

    state: running, paused, finished or interrupted. trials: their number by status. seconds_left:
    an estimate, None if there is none. best: None before the first finite value. failures: number
    of trials by cause. waiting: the commands that no session has carried out yet.
    """
    trials = list(run.all_trials())
    found = best_of(run.histories)
    controller = next_session(run)
    budget = controller.sweep.budget if controller else None
    studies = max(1, len(controller.studies)) if controller else 1
    total = budget.trials * studies if budget and budget.trials else None
    return {
        "run": display_path(run.path),
        "state": "paused" if run.state == "running" and run.steering.paused else run.state,
        "reason": run.end_reason,
        "metric": run.metric,
        "trials": dict(Counter(str(trial.status) for trial in trials)),
        "ended": sum(trial.status.ended for trial in trials),
        "of": total,
        "epochs": sum(history.epochs for history in run.histories.values()),
        "seconds": seconds_spent(run.events),
        "seconds_left": time_left(controller) if controller and run.state == "running" else None,
        "best": found
        and {
            "trial": found[0].id,
            "epoch": found[1].epoch,
            "value": found[1].metrics[run.metric],
            "config": found[0].config,
        },
        "running": [_running(trial, run) for trial in trials if trial.status is Status.RUNNING],
        "failures": dict(Counter(trial.reason for trial in trials if _failed(trial)).most_common()),
        "tags": run.steering.tags.get("", []),
        "notes": [note.text for note in run.steering.notes if not note.trial],
        "waiting": [
            {"id": command.id, "command": command.command, "arguments": dict(command.arguments)}
            for command in Inbox(run.path).waiting()
        ],
    }


def _failed(trial: Trial) -> bool:
    return trial.status in (Status.FAILED, Status.DIVERGED, Status.OOM)


def _running(trial: Trial, run: RunDirectory) -> dict[str, Any]:
    last = trial.reports[-1].metrics.get(run.metric) if trial.reports else None
    return {"trial": trial.id, "epoch": trial.epoch, "value": last}


def lines(found: dict[str, Any]) -> list[str]:
    """The state for a person."""
    of = f" of {found['of']:,}" if found["of"] else ""
    clock = duration(found["seconds"])
    if found["seconds_left"] is not None:
        clock += f", about {duration(found['seconds_left'])} left"
    why = f" ({found['reason']})" if found["reason"] not in (None, "done") else ""
    text = [
        f"{found['run']} is {found['state']}{why}",
        f"  {found['ended']:,}{of} trials have ended, {plural(found['epochs'], 'epoch')}, {clock}",
    ]
    if best := found["best"]:
        value = number(best["value"], 6)
        text.append(f"  best {found['metric']} {value} in epoch {best['epoch']} of {best['trial']}")
    for trial in found["running"]:
        value = f", {found['metric']} {number(trial['value'])}" if trial["epoch"] else ""
        text.append(f"  {trial['trial']} runs: epoch {trial['epoch']}{value}")
    for cause, count in list(found["failures"].items())[:FAILURES_SHOWN]:
        text.append(f"  {plural(count, 'trial')}: {cause.splitlines()[0] if cause else 'failed'}")
    text += [f"  {command['command']} waits" for command in found["waiting"]]
    if found["tags"]:
        text.append(f"  tags: {', '.join(found['tags'])}")
    return text + [f"  note: {note}" for note in found["notes"]]
