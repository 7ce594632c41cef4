"""One method on one problem with one seed, on a simulated clock.

The result is the best loss so far over time, and what each suggestion cost. Our methods run through
`simulate`, as in a sweep. Those of others run through `Workers`, which is the same clock for
anything that can be asked what to train next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

import numpy as np

from benchmarks.search_problems import Problem, Training, epochs_of
from raysweep.arrays import FloatArray
from raysweep.history import Config, History
from raysweep.schedulers.base import Scheduler
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.sweep import (
    Budget,
    Metric,
    RankingSearcher,
    RememberingSearcher,
    Searcher,
    Sweep,
)

GRID = np.geomspace(0.02, 1.0, 200)
"""The times at which runs are compared, as parts of a problem's budget: 0.2 to 10 FE of 10."""


@dataclass(frozen=True)
class Outcome:
    """regret: at each time of GRID. cost: CPU milliseconds of each suggestion, in order."""

    regret: FloatArray
    cost: FloatArray


class TimedSearcher:
    """A searcher whose suggestions are timed, with what it was asked about trials' ends."""

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.cost: list[float] = []
        if isinstance(searcher, RankingSearcher):
            self._ranking = searcher
            self.rank = self._rank  # a scheduler asks whether there is a forecast at all
        if isinstance(searcher, RememberingSearcher):
            # Trials carry notes of what they owe to earlier runs, which `auto` reads.
            self.remembering = searcher.remembering
            self.origin, self.assessment = searcher.origin, searcher.assessment

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        before = time.process_time()
        config = self.searcher.suggest(space, history, seed)
        self.cost.append(1e3 * (time.process_time() - before))
        return config

    def _rank(self, space: Space, history: History) -> Mapping[int, float]:
        """Counts as part of the last suggestion's cost."""
        before = time.process_time()
        expected = self._ranking.rank(space, history)
        self.cost[-1] += 1e3 * (time.process_time() - before)
        return expected


@dataclass
class Clairvoyant:
    """A searcher that ranks trials by how they really end.

    It shows how good promotion could become with the searcher's proposals.
    """

    searcher: Searcher
    problem: Problem
    _ends: dict[int, float] = field(default_factory=dict)

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return self.searcher.suggest(space, history, seed)

    def rank(self, space: Space, history: History) -> Mapping[int, float]:
        for number in range(len(self._ends), len(history)):
            self._ends[number] = float(self.problem.curve(history[number].config)[0].min())
        return self._ends


def clairvoyant(searcher: Searcher, scheduler: Scheduler) -> Callable[[Problem, int, int], Outcome]:
    """The run of our searcher and scheduler, in which the best trial to promote is known."""
    return lambda problem, workers, seed: ours(Clairvoyant(searcher, problem), scheduler)(
        problem, workers, seed
    )


def ours(searcher: Searcher, scheduler: Scheduler) -> Callable[[Problem, int, int], Outcome]:
    """The run of one of our searchers with one of our schedulers."""

    def run(problem: Problem, workers: int, seed: int) -> Outcome:
        timed = TimedSearcher(searcher)
        budget = Budget(None, problem.epochs, seconds=problem.budget * problem.full)
        sweep = Sweep(
            "", Metric("loss", "minimize"), {"a": timed}, scheduler, budget, problem.space, seed
        )
        training = problem.trainings(seed)
        controller = simulate(sweep, lambda config, key: epochs_of(training, config, key), workers)
        points = [
            (report.time, report.loss, trial.config)
            for trial in controller.trials
            for report in trial.reports
        ]
        return Outcome(regret(problem, points), np.array(timed.cost))

    return run


def regret(problem: Problem, points: list[tuple[float, float, Config]]) -> FloatArray:
    """The regret at each time of GRID, (len(GRID),), of the configuration of least loss so far.

    `points`: when losses were seen, the losses, and their configurations.
    """
    points = sorted(points, key=lambda point: point[:2])
    times = np.array([when for when, _, _ in points]) / (problem.budget * problem.full)
    best, least = [np.inf], np.inf
    for _, loss, config in points:
        if loss < least:
            least = loss
            best.append(problem.judged(config, loss))
        else:
            best.append(best[-1])
    # 1e-9: a loss that was seen at a time of the grid counts there, whatever rounding did to it.
    seen = np.searchsorted(times, GRID + 1e-9, side="right")
    out: FloatArray = problem.regret(np.array(best)[seen])
    return out


@dataclass(frozen=True)
class Job:
    """Train `config` from the epoch after `start` to `end`. `key`: what the method knows it by."""

    key: Any
    config: Config
    start: int
    end: int


class Method(Protocol):
    """Another project's method."""

    def ask(self) -> Job | None:
        """What an idle worker trains; None: it waits until something was told."""

    def tell(self, job: Job, epoch: int, loss: float) -> bool:
        """Tell the loss after an epoch. True if the training continues."""

    def done(self, job: Job, loss: float) -> None:
        """Tell that a job has reached its end, or was stopped."""


@dataclass
class Workers:
    """Runs a method on `workers` simulated workers until the budget is spent.

    A training that was paused continues where it was, at no cost.
    """

    problem: Problem
    method: Method
    workers: int
    seed: int = 0

    def run(self) -> Outcome:
        points: list[tuple[float, float, Config]] = []
        self._training: Training = self.problem.trainings(self.seed)
        self._costs: list[float] = []
        self._ends: list[tuple[float, int, Job, int, Iterator[tuple[float, float]]]] = []
        # The count decides between jobs that end at the same time; jobs have no order of their own.
        self._order, self._now = count(), 0.0
        idle = self._start(self.workers)
        while self._ends:
            self._now, _, job, epoch, rest = heappop(self._ends)
            if self._now > self.problem.budget * self.problem.full:
                break
            loss = self._loss
            points.append((self._now, loss[job.key, epoch], job.config))
            if self._goes_on(job, epoch, loss[job.key, epoch]):
                self._train(job, epoch + 1, rest)
            else:
                idle += 1
            idle = self._start(idle)
        return Outcome(regret(self.problem, points), np.array(self._costs))

    def __post_init__(self) -> None:
        self._loss: dict[tuple[Any, int], float] = {}

    def _start(self, idle: int) -> int:
        """Give jobs to idle workers; how many stay idle."""
        while idle:
            before = time.process_time()
            job = self.method.ask()
            if job is None:
                return idle
            # A job that continues a training was no suggestion.
            if job.start == 0:
                self._costs.append(1e3 * (time.process_time() - before))
            losses, seconds = self._training(job.config, job.key)
            rest = iter(
                zip(
                    losses[job.start : job.end].tolist(),
                    seconds[job.start : job.end].tolist(),
                    strict=True,
                )
            )
            self._train(job, job.start + 1, rest)
            idle -= 1
        return 0

    def _train(self, job: Job, epoch: int, rest: Iterator[tuple[float, float]]) -> None:
        loss, seconds = next(rest)
        self._loss[job.key, epoch] = loss
        heappush(self._ends, (self._now + seconds, next(self._order), job, epoch, rest))

    def _goes_on(self, job: Job, epoch: int, loss: float) -> bool:
        """Tell the method; the time that it takes to learn counts as its next suggestion's."""
        before = time.process_time()
        goes_on = self.method.tell(job, epoch, loss) and epoch < job.end
        if not goes_on:
            self.method.done(job, loss)
        if self._costs:
            self._costs[-1] += 1e3 * (time.process_time() - before)
        return goes_on
