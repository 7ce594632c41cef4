"""What the list of sweeps shows of a run: its state, its progress, its best value, its failures."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.history import History, Status
from raysweep.results.analysis.hypervolume import volumes_so_far
from raysweep.results.analysis.repeated import seeds_of_best
from raysweep.results.analysis.retraining import retraining_results
from raysweep.results.storage.inbox import Command
from raysweep.results.storage.run_directory import best_of, why_interrupted
from raysweep.results.views.html.page_data import Data
from raysweep.results.views.html.winner_data import confirmed_winner
from raysweep.tune.command_words import in_words
from raysweep.tune.serve.live_run import LiveRun
from raysweep.tune.steered import steered
from raysweep.tune.sweep import Sweep
from raysweep.tune.time_left import time_left

SPARK_POINTS = 40
"""Points of the sparkline: about one for every three pixels."""
SILENT_SECONDS = 600.0
"""Seconds without an event after which a running sweep may be called silent."""
SILENT_GAPS = 4.0
"""It is silent if it has also said nothing for so many times its longest gap so far."""
BAD = (Status.FAILED, Status.DIVERGED, Status.OOM)


@dataclass(frozen=True)
class Facts:
    """What the files beside the ledger say of a run.

    locked: a session works on it. waiting: the commands that it has not carried out yet.
    """

    locked: bool = False
    damage: str = ""
    waiting: Sequence[Command] = ()


@dataclass(frozen=True)
class RunningSweep:
    """The progress of a run on which a session works, as the estimate of the time left reads it."""

    sweep: Sweep
    histories: Mapping[str, History]
    seconds: float
    training_seconds: float


def summary(name: str, live: LiveRun, facts: Facts) -> Data:
    """The row of a run in the list of sweeps."""
    state, reason = state_of(live, facts)
    ended, failures = 0, Counter[str]()
    for trial in live.trials:
        ended += trial.status.ended
        if trial.status in BAD:
            failures[trial.reason] += 1
    epochs = sum(history.epochs for history in live.histories.values())
    return {
        "name": name,
        "state": state,
        "reason": reason,
        "metric": live.metric,
        "maximize": live.maximize,
        "ended": ended,
        "of": total_trials(live),
        "trials": dict(live.statuses()),
        "epochs": epochs,
        "unit": live.interval.unit,
        "trained": live.interval.position(epochs),
        "seconds": seconds_spent(live, facts),
        "seconds_left": seconds_left(live, facts),
        "best": best(live),
        "limits_kept": live.directory().limits_kept,
        "winner": winner(live) if state == "finished" else None,
        "failures": dict(failures.most_common()),
        "parallel": live.steering.parallel_of(live.sweep),
        "tags": live.steering.tags.get("", []),
        "notes": [note.text for note in live.steering.notes if not note.trial],
        "waiting": [
            {
                "id": command.id,
                "command": command.command,
                "arguments": dict(command.arguments),
                "text": in_words(command),
            }
            for command in facts.waiting
        ],
        "began": live.events[0]["time"] if live.events else None,
        "updated": live.last["time"] if live.last else None,
        **live.front.get(lambda: front(live), fresh=not facts.locked),
    }


def placeholder(name: str, state: str, reason: str | None = None) -> Data:
    """The row of a run of which nothing is known, because it is damaged or still being read."""
    return {
        "name": name,
        "state": state,
        "reason": reason,
        "metric": None,
        "maximize": False,
        "ended": 0,
        "of": None,
        "trials": {},
        "epochs": 0,
        "unit": "epochs",
        "trained": 0,
        "seconds": 0.0,
        "seconds_left": None,
        "best": None,
        "limits_kept": None,
        "front": None,
        "winner": None,
        "failures": {},
        "parallel": "auto",
        "tags": [],
        "notes": [],
        "waiting": [],
        "began": None,
        "updated": None,
        "spark": [],
        "spark_of": "",
    }


def state_of(live: LiveRun, facts: Facts) -> tuple[str, str | None]:
    """The state of a run, and why it is in it if that is known."""
    if facts.damage:
        return "damaged", facts.damage
    if facts.locked:
        if live.steering.paused:
            return "paused", None
        if live.last and time.time() - live.last["time"] > silence(live):
            return "silent", None
        return "running", None
    sessions = [event for event in live.events if event["event"] in ("opened", "closed")]
    if not sessions or sessions[-1]["event"] == "opened" or sessions[-1].get("interrupted"):
        return "interrupted", why_interrupted(live.events)
    return "finished", str(sessions[-1].get("reason"))


def silence(live: LiveRun) -> float:
    """Seconds without an event after which the run counts as silent."""
    return max(SILENT_SECONDS, SILENT_GAPS * live.longest_gap)


def total_trials(live: LiveRun) -> int | None:
    """How many trials the budget allows to all studies; None if it does not limit them."""
    trials = (live.sweep.get("budget") or {}).get("trials")
    if not isinstance(trials, int):
        return None
    searchers = live.sweep.get("searcher")
    studies = len(searchers) if isinstance(searchers, list) else 1
    seeds = int(live.sweep.get("seeds") or 1)
    allowed = max(trials, int(live.steering.budget.get("trials", 0))) * studies * seeds
    # Studies of a comparison, and people by commands, may have trained more than that.
    return max(allowed, len(live.trials))


def best(live: LiveRun) -> Data | None:
    found = best_of(live.histories)
    if found is None:
        return None
    trial, report = found
    value = report.metrics.get(live.metric)
    return {
        "trial": trial.id,
        "epoch": report.epoch,
        "at": live.interval.position(report.epoch),
        "value": value,
        "config": trial.config,
        **seeds_of_best(live.directory()),
    }


def winner(live: LiveRun) -> Data | None:
    """The finalist that won after the best trials were trained again; None without that."""
    run = live.directory()
    return confirmed_winner(run, retraining_results(run))


def front(live: LiveRun) -> Data:
    """The front of several objectives with its hypervolume so far; else the best value so far."""
    run = live.directory()
    if not run.has_front:
        return {"front": None, "spark": spark(live), "spark_of": f"best {live.metric} so far"}
    found: Data = {"front": None, "spark": volumes_so_far(live.points, _even(live))}
    if run.knee is not None and run.knee.best is not None:
        values = {name: run.knee.best.metrics[name] for name in run.objective_names}
        found["front"] = {"size": len(run.front), "knee": run.knee.id, "values": values}
    return found | {"spark_of": "hypervolume so far"}


def spark(live: LiveRun) -> list[float]:
    """The best value so far at evenly spaced numbers of reports."""
    counts = [count for count, _ in live.improvements]
    known = [bisect_right(counts, count) for count in _even(live)]
    return [live.improvements[count - 1][1] for count in known if count]


def _even(live: LiveRun) -> list[int]:
    """The numbers of reports at which the sparkline has its points."""
    points = min(SPARK_POINTS, live.n_reports)
    return [i * live.n_reports // points for i in range(1, points + 1)]


def seconds_spent(live: LiveRun, facts: Facts) -> float:
    """Seconds that sessions have run, up to now if one runs."""
    seconds = live.seconds
    if facts.locked and live.last is not None:
        seconds += max(0.0, time.time() - float(live.last["time"]))
    return seconds


def seconds_left(live: LiveRun, facts: Facts) -> float | None:
    """Seconds that the rest takes, as the screen of the sweep shows it; None if not known."""
    if not facts.locked or facts.damage:
        return None
    sweep = live.planned
    if sweep is None:
        return None
    seconds, training = seconds_spent(live, facts), 0.0
    if live.training_began is not None:
        training = seconds - live.training_began
    histories = dict(live.histories)
    # Studies that have not proposed anything yet count too. Nobody asks for their names.
    for study in sweep.studies()[len(histories) :]:
        histories[f"({study.name})"] = History()
    return time_left(RunningSweep(steered(sweep, live.steering), histories, seconds, training))
