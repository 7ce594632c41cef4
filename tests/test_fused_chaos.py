"""Workers with many trials each die, run out of memory and leave, at random: nothing gets lost.

Workers and their checkpoints are simulated; what they are given and told is decided as in a sweep.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from raysweep.history import Status, Trial
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import Objective
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.retries import WorkerFailure
from raysweep.tune.sweep import Budget, Resources
from tests.sweeps import Keep, StopAt, sweep

EPOCHS, TRIALS, WORKERS, FUSE = 5, 40, 3, 16
DEATH = 0.3
"""The probability that a worker dies in an epoch of its group."""


def job_of(trial: Trial) -> Job:
    return Job(
        trial=trial.id,
        trainable="tests.fused_trainables:train",
        config=trial.config,
        seed=trial.seed,
        epochs=EPOCHS,
        objective=Objective("loss", maximize=False),
        folder="",
        known_epoch=trial.epoch,
    )


class Machines:
    """Workers that train epochs of the trials that they have, and die when `dies` says so."""

    def __init__(self, seed: int, stop_at: int = 0) -> None:
        self.draw = random.Random(seed)
        self.controller = SweepController(
            sweep(
                resources=Resources(fuse=FUSE),
                budget=Budget(trials=TRIALS, epochs=EPOCHS),
                scheduler=StopAt(stop_at),
            ),
            Keep(),
            make_job=job_of,
        )
        self.coordinator = TrialCoordinator(self.controller, job_of, WORKERS)
        self.having: dict[str, dict[str, int]] = {}
        """Of each worker: its trials, and the epoch that each has in its checkpoint."""
        self.trained: Counter[tuple[str, int]] = Counter()
        self.deaths: Counter[str] = Counter()
        self.number = 0

    def run(self, dies: Callable[[dict[str, int]], WorkerFailure | None]) -> None:
        for _ in range(10_000):
            self._begin()
            if self.controller.done:
                return
            worker = self.draw.choice(sorted(self.having))
            self._train(worker)
            failure = dies(self.having[worker])
            if failure is None:
                self._report(worker)
            else:
                self.deaths.update(self.having.pop(worker).keys())
                self.coordinator.lost(worker, failure)
            held = [trial for trials in self.having.values() for trial in trials]
            assert len(held) == len(set(held)), "two workers have the same trial"
        raise AssertionError("the sweep does not end")

    def _begin(self) -> None:
        while (job := self.coordinator.next_job(f"w{self.number}")) is not None:
            self.having[f"w{self.number}"] = {}
            for one in (job, *map(read_job, job.others)):
                self._take(f"w{self.number}", one)
            self.coordinator.started(f"w{self.number}")
            self.number += 1

    def _take(self, worker: str, job: Job) -> None:
        assert job.known_epoch == self.controller.trial(job.trial).epoch
        self.having[worker][job.trial] = job.known_epoch

    def _train(self, worker: str) -> None:
        for trial, epoch in self.having[worker].items():
            self.trained[trial, epoch + 1] += 1

    def _report(self, worker: str) -> None:
        parts: list[dict[str, Any]] = []
        for trial in list(self.having[worker]):
            epoch = self.having[worker][trial] = self.having[worker][trial] + 1
            content = {"epoch": epoch, "metrics": {"loss": 1.0}, "seconds": 1.0, "notes": {}}
            parts.append({"trial": trial, "report": content})
            if epoch == EPOCHS:
                parts.append({"trial": trial, "outcome": asdict(Outcome("completed", "it ended"))})
        continues = self.coordinator.heard(worker, {KEY: [{"group": parts, "said": []}]})
        answer = self.coordinator.answer(worker)
        if not continues or answer is None:
            del self.having[worker]
            return
        for trial in {*answer["stop"], *(part["trial"] for part in parts if "outcome" in part)}:
            self.having[worker].pop(trial, None)
        for fields in answer["jobs"]:
            self._take(worker, read_job(fields))

    def check(self) -> None:
        """Each report counts once, and a death costs a trial an epoch at most."""
        for trial in self.controller.trials:
            again = sum(count - 1 for (name, _), count in self.trained.items() if name == trial.id)
            assert again <= self.deaths[trial.id], trial.id
            assert [report.epoch for report in trial.reports] == list(range(1, trial.epoch + 1))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("stop_at", [0, 3])
def test_workers_that_die_cost_each_trial_an_epoch(seed: int, stop_at: int) -> None:
    machines = Machines(seed, stop_at)
    lost = WorkerFailure("its machine was lost", machine_lost=True)
    machines.run(lambda trials: lost if machines.draw.random() < DEATH else None)
    machines.check()
    assert machines.deaths
    ended = Status.STOPPED if stop_at else Status.COMPLETED
    assert {trial.status for trial in machines.controller.trials} == {ended}
    assert len(list(machines.controller.trials)) == TRIALS


@pytest.mark.parametrize("seed", range(4))
def test_a_trial_that_kills_its_worker_ends_alone(seed: int) -> None:
    """Of two of them, each has many others with it when it first kills its worker."""
    machines = Machines(seed)
    culprits = {"draw-3": 1, "draw-7": 2}

    def dies(trials: dict[str, int]) -> WorkerFailure | None:
        if any(trials.get(trial) == epoch for trial, epoch in culprits.items()):
            return WorkerFailure("its process was killed")
        return None

    machines.run(dies)
    machines.check()
    failed = {trial.id for trial in machines.controller.trials if trial.status is Status.FAILED}
    assert failed == set(culprits)
    others = [trial for trial in machines.controller.trials if trial.id not in culprits]
    assert {trial.status for trial in others} == {Status.COMPLETED}
    # Afterwards the others are trained together again.
    assert machines.number < TRIALS


def test_after_a_death_the_group_grows_again_as_its_trials_pass_the_epoch() -> None:
    machines = Machines(0)
    deaths = iter([True])
    sizes: list[int] = []

    def dies(trials: dict[str, int]) -> WorkerFailure | None:
        if len(machines.having) == 1:
            sizes.append(len(trials))
        return WorkerFailure("its process was killed") if next(deaths, False) else None

    machines.coordinator.parallel = 1
    machines.run(dies)
    machines.check()
    # A quarter of those that were there when it died, then twice, and so on.
    assert sizes[:5] == [FUSE, FUSE // 4, 2 * FUSE // 4, 3 * FUSE // 4, FUSE]


def test_trials_whose_worker_died_twice_train_alone_for_an_epoch_each() -> None:
    """And then with the others again: none trains alone to its end, and none waits for theirs."""
    machines = Machines(0)
    deaths = iter([True, True])
    sizes: list[int] = []

    def dies(trials: dict[str, int]) -> WorkerFailure | None:
        sizes.append(len(trials))
        return WorkerFailure("its process was killed") if next(deaths, False) else None

    machines.coordinator.parallel = 1
    machines.run(dies)
    machines.check()
    quarter = FUSE // 4
    growing = [quarter, 2 * quarter, 3 * quarter]
    assert sizes[:6] == [FUSE, quarter, *growing, 1]
    assert sizes.count(1) == quarter
    assert sizes[5 + quarter] == FUSE
    # Each trains in the process that is there already.
    assert machines.number == 3
