"""Play a problem with a searcher and a scheduler, and write down what was decided.

This is the only module of the recordings that knows how the code is organised: the names of the
searchers and schedulers in a YAML file, the simulated clock and the events. When these are renamed,
change this module and not the recordings.

A sequence is a list of steps in plain words. A trial is called by its number, or by its name in a
sweep with several searchers:

    propose 3 {...}     trial 3 is proposed with this configuration
    start 3             a worker starts it
    3@2                 it reports epoch 2 and continues
    3@3 stopped         it reports epoch 3 and ends so; or: ended so without another report
    3@3 observed        it would be stopped, but continues to measure what stopping costs
    promote 3@3         it continues after it was stopped in epoch 3
    retry 3@2           it is started again from epoch 2, after an error or with smaller batches
    exhausted           the searcher has nothing left to propose
    limit 50            each searcher may train 50 epochs in all
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.history import Event, Status, Trial
from raysweep.schedulers import SCHEDULERS
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, SimulatedExecutor
from raysweep.tune.load import load_sweep, options_of
from raysweep.tune.sweep import Sweep
from tests.golden.problems import CodeError, Problem
from tests.sweeps import Keep

SEARCHER_NAMES = {name: name for name in ("grid", "random", "tpe", "bohb", "auto")}
SCHEDULER_NAMES = {
    "promotion": {"name": "asha", "type": "promotion"},
    "asha": {"name": "asha", "type": "stopping"},
    "median": {"name": "median"},
    "none": {"name": "none"},
}
"""What they are called in the recordings, and what a YAML file calls them now."""
COMPARISON = "random and tpe"
PAIRS = [(searcher, scheduler) for searcher in SEARCHER_NAMES for scheduler in SCHEDULER_NAMES]
COMPARED_PAIRS = [(COMPARISON, "promotion"), (COMPARISON, "asha")]

STATUS_WORDS = {
    Status.COMPLETED: "completed",
    Status.STOPPED: "stopped",
    Status.DIVERGED: "diverged",
    Status.FAILED: "failed",
    Status.OOM: "out of memory",
    Status.WAITING: "waiting",
    Status.RUNNING: "running",
}


@dataclass(frozen=True)
class Played:
    """What happened, step by step, and how it ended.

    `best`: trial, epoch and loss; `seconds`: of the simulated clock; `seeds`: of each training.
    """

    steps: list[str]
    best: tuple[str, int, float] | None
    seconds: float
    seeds: dict[str, int]


def pairs(problem: Problem) -> list[tuple[str, str]]:
    """The searchers and schedulers that a problem is recorded with."""
    return PAIRS + (COMPARED_PAIRS if problem.comparison else [])


def play(problem: Problem, searcher: str, scheduler: str) -> Played:
    """Run a sweep on the simulated clock."""
    keep = Keep()
    sweep = sweep_of(problem, searcher, scheduler)
    executor = FailingExecutor(problem.curves(), problem.workers)
    controller = SweepController(sweep, keep, clock=executor.clock)
    executor.run(controller)
    found = [history.best for history in controller.histories.values() if history.best]
    best = min(found, key=lambda pair: pair[1].loss) if found else None
    return Played(
        list(steps(keep.events)),
        (short(best[0].id), best[1].epoch, best[1].loss) if best else None,
        executor.clock(),
        {short(trial.id): trial.seed for trial in controller.trials},
    )


def sweep_of(problem: Problem, searcher: str, scheduler: str) -> Sweep:
    """The sweep as a file says it."""
    if searcher == COMPARISON:
        searchers = ["searcher=[random, tpe]", "seeds=2", "budget.trials=10"]
    else:
        searchers = [f"searcher={SEARCHER_NAMES[searcher]}"]
    named = SCHEDULER_NAMES[scheduler]
    known = options_of(SCHEDULERS[named["name"]])
    options = {key: value for key, value in problem.scheduler_options.items() if key in known}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.yaml"
        path.write_text(f"trainable: tests.golden.problems:train\n{problem.yaml}")
        return load_sweep(str(path), [*searchers, f"scheduler={json.dumps(named | options)}"])


class FailingExecutor(SimulatedExecutor):
    """A simulation in which a train function may raise, as one on Ray may."""

    def _train(self, controller: SweepController, trial: Trial, epochs: Iterator[Epoch]) -> None:
        try:
            super()._train(controller, trial, epochs)
        except CodeError as error:
            controller.failed(trial, str(error), {})


def steps(events: Iterable[Event]) -> Iterator[str]:
    """The events as steps. A report and what ends the trial right after it are one step."""
    epochs: dict[str, int] = {}
    reported = ""
    for event in events:
        kind, trial = event["event"], event.get("trial", "")
        now = f"{short(trial)}@{epochs.get(trial, 0)}" if trial else ""
        if reported and not (kind in ("ended", "noted") and now == reported):
            yield reported
        reported = ""
        if kind == "proposed":
            trial = f"{event['study']}-{event['number']}"
            yield f"propose {short(trial)} {config_text(event['config'])}"
        elif kind == "started":
            yield f"start {short(trial)}"
        elif kind == "reported":
            epochs[trial] = event["epoch"]
            reported = f"{short(trial)}@{event['epoch']}"
        elif kind == "ended":
            yield f"{now} {STATUS_WORDS[Status(event['status'])]}"
        elif kind == "noted" and "audited" in event["notes"]:
            yield f"{now} observed"
        elif kind == "promoted":
            yield f"promote {now}"
        elif kind == "returned":
            yield f"retry {now}"
        elif kind == "exhausted":
            yield "exhausted"
        elif kind == "allowance":
            yield f"limit {event['epochs']}"
        else:
            raise ValueError(f"an event that the recordings have no word for: {event}")
    if reported:
        yield reported


def config_text(config: Mapping[str, Any]) -> str:
    """A configuration as JSON, which tells `1`, `1.0` and `true` apart. Names are sorted."""
    return json.dumps(config, sort_keys=True)


def short(trial: str) -> str:
    """A trial's number; in a sweep with several searchers, whose names hold a dot, its name."""
    return trial if "." in trial else trial.rpartition("-")[2]
