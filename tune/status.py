"""The state of a run in numbers and words, for `raysweep status` and for other programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from raysweep.forecast import Forecast
from raysweep.formatting import duration, number, plural
from raysweep.history import Status, Trial, seconds_spent
from raysweep.report_interval import ReportInterval
from raysweep.results.analysis.hypervolume import front_volume
from raysweep.results.analysis.more_time import more_time
from raysweep.results.analysis.repeated import seeds_of_best
from raysweep.results.storage.inbox import Command, Inbox
from raysweep.results.storage.mirror import display_path
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.shown_status import ORDER, PAUSED, shown_status
from raysweep.text_limits import shorten
from raysweep.tune.command_words import in_words
from raysweep.tune.failed_attempts import failed_attempt, sentence
from raysweep.tune.steer import SHOWN, next_session
from raysweep.tune.time_left import time_left

FAILURES_SHOWN = 5
"""Causes of failures that are listed, the most frequent first."""
NOTES_SHOWN = 5
"""Notes on trials that are listed, the newest; the others are counted."""
NOTE_CHARACTERS = 200
"""The longest note on a trial that is listed whole: about two lines of a terminal."""


def status(run: RunDirectory) -> dict[str, Any]:
    """The state of a run as plain data.

    state: running, paused, finished or interrupted. trials: their number by status; `paused` are
    those that may be promoted, which count as ended. parallel: the most trials at once, or `auto`
    for as many as fit. epochs: the
    number of reports, as an `epoch` is the number of a report. unit: what trials are measured in;
    `trained`, `length` (of a trial, None if not known) and each `at` are in it. seconds_left: an
    estimate, None if there is none. best: None before the first finite value, and `why_no_best`
    says why; of several objectives the knee, with the names of the trials on the `front` and its
    hypervolume. limits_kept: None if that is not known. forecast: by how much the best value is
    `expected` to improve in so many further `seconds`, and the `high` end of the 90 % interval,
    which begins at 0; None if too little is known. failures: number of trials by cause.
    interrupted: trials that the end of a session cut off. failed_attempts: of trials that will be
    tried again. notes: on the sweep; trial_notes: on trials. waiting: the commands that no session
    has carried out yet, each also as it would be typed (`text`).
    """
    interval = run.interval
    trials = list(run.all_trials())
    epochs = sum(history.epochs for history in run.histories.values())
    controller = next_session(run)
    budget = controller.sweep.budget if controller else None
    studies = max(1, len(controller.studies)) if controller else 1
    in_epoch = [_running(trial, run) for trial in trials if trial.status is Status.RUNNING]
    total = None
    if budget and budget.trials:
        # Studies of a comparison, and people by commands, may have trained more than that.
        total = max(budget.trials * studies, len(trials))
    return {
        "run": display_path(run.path),
        "state": "paused" if run.state == "running" and run.steering.paused else run.state,
        "reason": run.interrupted_by if run.state == "interrupted" else run.end_reason,
        "metric": run.metric,
        "metrics": run.objectives.names if run.objectives else (run.metric,),
        "trials": dict(Counter(shown_status(trial, run.may_promote) for trial in trials)),
        "ended": sum(trial.status.ended for trial in trials),
        "of": total,
        "parallel": run.steering.parallel_of(run.sweep),
        "epochs": epochs,
        "unit": interval.unit,
        "trained": interval.position(epochs),
        "length": interval.position(budget.epochs) if budget else None,
        "seconds": seconds_spent(run.events),
        "seconds_left": time_left(controller) if controller and run.state == "running" else None,
        "best": _best(run),
        "why_no_best": None if run.chosen else run.why_no_best,
        **_front(run),
        "forecast": (forecast := more_time(run)) and asdict(forecast),
        "running": in_epoch if run.state == "running" else [],
        "interrupted": in_epoch if run.state != "running" else [],
        "failed_attempts": [
            {"trial": trial.id, "reason": reason}
            for trial in trials
            if (reason := failed_attempt(trial))
        ],
        "failures": dict(Counter(trial.reason for trial in trials if _failed(trial)).most_common()),
        "tags": run.steering.tags.get("", []),
        "notes": [note.text for note in run.steering.notes if not note.trial],
        "trial_notes": [
            {"trial": note.trial, "text": note.text, "author": note.author, "time": note.time}
            for note in run.steering.notes
            if note.trial
        ],
        "waiting": [_waiting(command) for command in Inbox(run.path).waiting()],
    }


def _best(run: RunDirectory) -> dict[str, Any] | None:
    """The epoch that stands for the run; None before the first finite value."""
    if run.chosen is None:
        return None
    trial, report = run.chosen
    return {
        "trial": trial.id,
        "epoch": report.epoch,
        "at": run.interval.position(report.epoch),
        "value": report.metrics[run.metric],
        "config": trial.config,
        **seeds_of_best(run),
        **({"metrics": dict(report.metrics)} if run.objectives else {}),
    }


def _front(run: RunDirectory) -> dict[str, Any]:
    """What a run with several metrics has besides; {} of a single one."""
    if run.objectives is None:
        return {}
    found: dict[str, Any] = {"limits_kept": run.limits_kept}
    if run.has_front:
        found["front"] = [trial.id for trial in run.front]
        found["hypervolume"] = front_volume(run.all_trials())
    return found


def _waiting(command: Command) -> dict[str, Any]:
    return {
        "id": command.id,
        "command": command.command,
        "arguments": dict(command.arguments),
        "text": in_words(command),
    }


def _failed(trial: Trial) -> bool:
    return trial.status in (Status.FAILED, Status.DIVERGED, Status.OOM)


def _running(trial: Trial, run: RunDirectory) -> dict[str, Any]:
    last = trial.reports[-1].metrics.get(run.metric) if trial.reports else None
    at = run.interval.position(trial.epoch)
    return {"trial": trial.id, "epoch": trial.epoch, "at": at, "value": last}


def lines(found: dict[str, Any]) -> list[str]:
    """The state for a person."""
    interval = ReportInterval(found["unit"])
    clock = duration(found["seconds"])
    if found["seconds_left"] is not None:
        clock += f", about {duration(found['seconds_left'])} left"
    why = f" ({found['reason']})" if found["reason"] not in (None, "done") else ""
    trained = interval.trained(found["trained"])
    text = [
        f"{found['run']} is {found['state']}{why}",
        f"  {_ended(found)}{_by_status(found['trials'])}, {trained}, {clock}",
    ]
    if found["state"] != "finished":
        text.append(f"  {_at_once(found['parallel'])}")
    text += _best_line(found, interval)
    if found["forecast"]:
        text.append(f"  {Forecast(**found['forecast']).sentence(found['metric'])}")
    for trial in found["running"]:
        value = f", {found['metric']} {number(trial['value'])}" if trial["epoch"] else ""
        at = interval.at(trial["at"]) if trial["epoch"] else "no report yet"
        text.append(f"  {trial['trial']} runs: {at}{value}")
    for trial in found["interrupted"]:
        when = f"after {interval.at(trial['at'])}" if trial["epoch"] else "before its first report"
        text.append(f"  {trial['trial']} was interrupted {when}")
    for failed in found["failed_attempts"]:
        text.append(f"  {sentence(failed['trial'], failed['reason'], found['run'])}")
    for cause, count in list(found["failures"].items())[:FAILURES_SHOWN]:
        text.append(f"  {plural(count, 'trial')}: {cause.splitlines()[0] if cause else 'failed'}")
    text += [f"  {one['text']} waits (id {one['id'][:SHOWN]})" for one in found["waiting"]]
    if found["tags"]:
        text.append(f"  tags: {', '.join(found['tags'])}")
    return [*text, *(f"  note: {note}" for note in found["notes"]), *_trial_notes(found)]


def _ended(found: dict[str, Any]) -> str:
    """How many trials have ended, of how many if that is known."""
    if found["of"]:
        return f"{found['ended']:,} of {found['of']:,} trials have ended"
    return f"{plural(found['ended'], 'trial')} {'has' if found['ended'] == 1 else 'have'} ended"


def _best_line(found: dict[str, Any], interval: ReportInterval) -> list[str]:
    """The best value; of several objectives the front, and what its knee has."""
    best = found["best"]
    if best is None:
        return [f"  {found['why_no_best']}"] if found["trained"] else []
    known = best.get("metrics", {found["metric"]: best["value"]})
    values = ", ".join(f"{name} {number(known.get(name), 6)}" for name in found["metrics"])
    where = f"{interval.within(best['at'])} of {best['trial']}"
    if "front" not in found:
        return [f"  best {values} {where}{_on_seeds(best)}"]
    size = f"  front of {plural(len(found['front']), 'trial')}, "
    return [f"{size}hypervolume {number(found['hypervolume'], 3)}; its knee: {values} {where}"]


def _on_seeds(best: dict[str, Any]) -> str:
    """On how many seeds the best rests, of a sweep that repeats configurations."""
    if "seeds" not in best:
        return ""
    if best["seeds"] == 1:
        return "; it rests on one seed"
    return f"; its mean over {best['seeds']} seeds is {number(best['mean'])}"


def _by_status(counts: dict[str, int]) -> str:
    """How many trials have which status, if not all that have ended were completed."""
    ended = [status for status in ORDER if counts.get(status)]
    ended = [status for status in ended if status not in (Status.WAITING, Status.RUNNING)]
    if set(ended) <= {Status.COMPLETED}:
        return ""
    or_paused = " or are paused" if PAUSED in ended else ""
    return f"{or_paused} ({', '.join(f'{counts[status]:,} {status}' for status in ended)})"


def _at_once(parallel: int | str) -> str:
    if parallel == "auto":
        return "as many trials at once as fit"
    return f"at most {plural(int(parallel), 'trial')} at once"


def _one_line(text: str) -> str:
    return shorten(" ".join(text.split()), NOTE_CHARACTERS)


def _trial_notes(found: dict[str, Any]) -> list[str]:
    """The newest notes on trials, and how many there are besides."""
    notes = found["trial_notes"]
    shown = notes[-NOTES_SHOWN:]
    text = [f"  note on {note['trial']}: {_one_line(note['text'])}" for note in shown]
    if len(notes) > NOTES_SHOWN:
        text.append(f"  and {plural(len(notes) - NOTES_SHOWN, 'earlier note')} on trials")
    return text
