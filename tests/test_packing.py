"""How many processes share a GPU: what is decided from simulated throughputs.

No GPU takes part; `seconds(processes)` is what an epoch takes if so many share one. Workers are
played against a real controller, as an executor would start them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from raysweep.history import Event, Status
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.gpu_packing import GpuPacking
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.packing import Epoch, Neighbours, Packing
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.sweep import Budget, Resources
from tests.sweeps import Keep, sweep
from tests.test_fused_chaos import job_of

Seconds = Callable[[int], float]
TRIALS = 30


def settled(
    seconds: Seconds, most: int = 32, noise: float = 0.0, seed: int = 0, sizes: bool = False
) -> tuple[Packing, list[str]]:
    """Play until the number is settled. `sizes`: trials differ by up to ten times, and end."""
    packing, draw, lines = Packing(), random.Random(seed), list[str]()
    size = [draw.uniform(1, 10) if sizes else 1.0 for _ in range(1000)]
    ends = 0
    for _ in range(200):
        level = packing.level
        for slot in range(level):
            trial = ends + slot
            took = size[trial] * seconds(level) * draw.lognormvariate(0, noise)
            packing.add(Epoch(f"t-{trial}", "cuda:0", took, level, utilization=0.5))
        if sizes and draw.random() < 0.2:
            ends += 1
        if line := packing.decide(most):
            lines.append(line)
        if packing.settled:
            return packing, lines
    raise AssertionError("it never settles")


def overhead(part: float) -> Seconds:
    """The device computes for this part of an epoch alone, and one process after another."""
    return lambda processes: max(1.0, part * processes)


def thrashing(best: int) -> Seconds:
    """Rises to `best` processes, then falls: each more costs all of them."""
    return lambda processes: 1.0 if processes <= best else (processes / best) ** 2


def test_it_rises_while_the_throughput_does() -> None:
    packing, lines = settled(overhead(1 / 8))
    assert packing.level == 8
    assert lines == [
        "a process alone on a GPU was timed (busy 50% of the time with 1): 2 are tried",
        *(
            f"{2 * few} processes on a GPU train 2.00 times as much as {few} (busy 50% of the time "
            f"with {2 * few}): {4 * few} are tried"
            for few in (1, 2, 4)
        ),
        "16 processes on a GPU train 1.00 times as much as 8 (busy 50% of the time with 16): 12 "
        "are tried",
        "12 processes on a GPU train 1.00 times as much as 8 (busy 50% of the time with 12): 6 are "
        "tried",
        "6 processes on a GPU train 0.75 times as much as 8: from now on at most 8 share it (busy "
        "50% of the time with 8)",
    ]


@pytest.mark.parametrize(
    ("best", "level"), [(1, 1), (2, 2), (3, 3), (4, 4), (6, 6), (8, 8), (12, 12), (32, 32)]
)
def test_it_falls_back_to_the_best(best: int, level: int) -> None:
    """Of the numbers on its way: powers of two, and halfway between them."""
    assert settled(thrashing(best))[0].level == level


@pytest.mark.parametrize("most", [1, 2, 3, 5, 12])
def test_memory_limits_it(most: int) -> None:
    packing, lines = settled(overhead(0), most)
    assert packing.level == most
    assert f"its memory holds no more: from now on at most {most} share it" in lines[-1]


@pytest.mark.parametrize("sizes", [False, True])
def test_noise_costs_little(sizes: bool) -> None:
    """Over many noisy plays, what is settled trains nearly as much as the best number."""
    kept = []
    for seed in range(60):
        seconds = overhead(1 / 8)
        packing, _ = settled(seconds, noise=0.2, seed=seed, sizes=sizes)
        kept.append(packing.level / seconds(packing.level) / 8)
    assert sum(kept) / len(kept) > 0.9
    # Where no trial is timed with both numbers, one of a few large ones may decide otherwise.
    assert sum(part >= 0.5 for part in kept) >= 54


def test_trials_of_one_epoch_are_compared_by_their_first() -> None:
    packing = Packing()
    for number in range(3):
        packing.add(Epoch(f"a-{number}", "cuda:0", 1.0, 1, is_first=True))
    assert "2 are tried" in packing.decide(8)
    for number in range(2):
        packing.add(Epoch(f"b-{number}", "cuda:0", 1.5, 2, is_first=True))
        assert packing.decide(8) == ""
    packing.add(Epoch("b-2", "cuda:0", 1.5, 2, is_first=True))
    assert packing.decide(8).startswith("2 processes on a GPU train 1.33 times as much as 1")


def test_what_was_settled_before_stays() -> None:
    packing = Packing(6, settled=True)
    packing.add(Epoch("a-0", "cuda:0", 1.0, 6))
    assert (packing.decide(32), packing.level) == ("", 6)


def neighbours(
    after: float, processes: int = 4, place: str = "cuda:0"
) -> tuple[Neighbours, list[str]]:
    """Three trials, then a fourth begins and the epochs of the others take `after` seconds."""
    watch, lines = Neighbours(), list[str]()
    others = ["a-0", "a-1", "a-2"]
    for _ in range(3):
        for trial in others:
            lines.append(watch.add(Epoch(trial, "cuda:0", 1.0, 4)))
    watch.began("b-9", others)
    for _ in range(3):
        for trial in others:
            lines.append(watch.add(Epoch(trial, place, after, processes)))
    return watch, [line for line in lines if line]


def test_a_trial_that_slows_its_neighbours_is_said_once() -> None:
    assert neighbours(2.0)[1] == [
        "b-9 slows the 3 trials that share its GPU: since it began their epochs take 2.0 times as "
        "long"
    ]


@pytest.mark.parametrize(
    "changes",
    [{"after": 1.2}, {"after": 2.0, "processes": 5}, {"after": 2.0, "place": "cuda:1"}],
)
def test_what_others_explain_is_no_fault_of_a_trial(changes: dict[str, object]) -> None:
    assert neighbours(**changes)[1] == []  # type: ignore[arg-type]


def test_of_two_that_begin_neither_is_blamed_for_the_other() -> None:
    watch, others = Neighbours(), ["a-0", "a-1"]
    for _ in range(2):
        for trial in others:
            watch.add(Epoch(trial, "cuda:0", 1.0, 4))
    watch.began("b-1", others)
    watch.add(Epoch("a-0", "cuda:0", 1.0, 4))
    watch.began("b-2", others)
    lines = [watch.add(Epoch(trial, "cuda:0", 1.0, 4)) for trial in others * 3]
    assert not any(lines)
    watch.ended("b-1")
    watch.ended("b-2")
    assert not any(watch.add(Epoch(trial, "cuda:0", 9.0, 4)) for trial in others * 3)


class Device:
    """GPUs on which workers train: each holds fractions that add up to 1 at most, as Ray's do."""

    def __init__(
        self, seconds: Seconds, gpus: int = 1, fuse: int = 1, past: list[Event] | None = None
    ) -> None:
        self.seconds, self.gpus = seconds, gpus
        self.log = Keep()
        self.lines: list[str] = []
        self.log.say = self.lines.append  # type: ignore[method-assign, assignment]
        self.controller = SweepController(
            sweep(
                resources=Resources(auto_gpu=True, fuse=fuse),
                budget=Budget(trials=TRIALS, epochs=12),
            ),
            self.log,
            past or [],
            make_job=lambda trial: job_of(trial),
        )
        self.packing = GpuPacking(self.controller)
        self.coordinator = TrialCoordinator(self.controller, self.job, gpus, self.packing)
        self.free = [1.0] * gpus
        self.workers: dict[str, tuple[int, float, dict[str, tuple[int, float]]]] = {}
        """Of each: its GPU, its fraction, and the epoch and the seconds of its trials."""
        self.number, self.most_at_once = 0, 0

    def job(self, trial: Any) -> Job:
        return Job(**vars(job_of(trial)) | {"epochs": 12})

    def run(self, rounds: int = 400) -> Device:
        for _ in range(rounds):
            shares = self.packing.shares
            slots = int(self.gpus / shares.smallest + 1e-9) if shares.trials else 1
            self.coordinator.parallel = slots
            self._begin()
            if self.controller.done:
                return self
            for worker in list(self.workers):
                self._epoch(worker)
        raise AssertionError("the sweep does not end")

    def _begin(self) -> None:
        while max(self.free) > 1e-9:
            name = f"w{self.number}"
            job = self.coordinator.next_job(name)
            if job is None:
                return
            self.number += 1
            gpu = max(range(self.gpus), key=lambda index: self.free[index])
            if job.gpu > self.free[gpu] + 1e-9:  # Ray would let it wait
                self.coordinator.lost(name, self.no_room())
                return
            self.free[gpu] -= job.gpu
            self.workers[name] = (gpu, job.gpu, {})
            for one in (job, *map(read_job, job.others)):
                self._take(name, one)
            self.coordinator.started(name)
            self.most_at_once = max(self.most_at_once, len(self.workers))

    def no_room(self) -> Any:
        from raysweep.tune.retries import WorkerFailure

        return WorkerFailure("no room", machine_lost=True)

    def _take(self, worker: str, job: Job) -> None:
        trial = self.controller.trial(job.trial)
        spent = trial.reports[-1].seconds if trial.reports else 0.0
        self.workers[worker][2][job.trial] = (trial.epoch, spent)

    def _epoch(self, worker: str) -> None:
        gpu, share, trials = self.workers[worker]
        sharing = sum(held[0] == gpu for held in self.workers.values())
        took = self.seconds(sharing) / len(trials)
        parts = []
        for trial, (epoch, spent) in trials.items():
            trials[trial] = epoch + 1, spent + took
            notes = {
                "node": "a",
                "device": f"cuda:{gpu}",
                "peak_memory": 1,
                "device_memory": 10**12,
            }
            content = {
                "epoch": epoch + 1,
                "metrics": {"loss": 1.0, "gpu_utilization": 0.5},
                "seconds": spent + took,
                "notes": notes,
            }
            parts.append({"trial": trial, "report": content})
        continues = self.coordinator.heard(worker, {KEY: [{"group": parts, "said": []}]})
        answer = self.coordinator.answer(worker) or {"stop": [], "jobs": []}
        ended = [t for t in trials if self.controller.trial(t).status is Status.COMPLETED]
        for trial in ended:
            done = {"outcome": {"status": "completed", "reason": "", "trace": "", "notes": {}}}
            if trial in self.workers[worker][2]:
                continues = self.coordinator.heard(
                    worker, {KEY: [{"group": [{"trial": trial, **done}], "said": []}]}
                )
                more = self.coordinator.answer(worker) or {"jobs": []}
                answer["jobs"] = [*answer["jobs"], *more["jobs"]]
        for trial in {*ended, *answer["stop"]}:
            trials.pop(trial, None)
        if not continues:
            self.free[gpu] += share
            del self.workers[worker]
            return
        for fields in answer["jobs"]:
            self._take(worker, read_job(fields))

    def packed(self) -> list[tuple[int, bool]]:
        return [
            (event["processes"], event["settled"])
            for event in self.log.events
            if event["event"] == "packed"
        ]


@pytest.mark.parametrize("fuse", [1, 4])
@pytest.mark.parametrize("gpus", [1, 2])
def test_a_sweep_finds_its_number_and_trains_all(gpus: int, fuse: int) -> None:
    device = Device(overhead(1 / 4), gpus, fuse).run()
    assert [trial.status for trial in device.controller.trials] == [Status.COMPLETED] * TRIALS
    for trial in device.controller.trials:
        assert [report.epoch for report in trial.reports] == list(range(1, 13))
    levels = [processes for processes, _ in device.packed()]
    assert levels[:2] == [2, 4]
    assert device.most_at_once > 2 * gpus
    if fuse == 1:
        level, is_settled = device.packed()[-1]
        assert is_settled
        assert level / device.seconds(level) > 0.9 * 4  # what the best number trains
        assert any(f"from now on at most {level} share it" in line for line in device.lines)


def test_a_session_that_resumes_begins_with_what_was_found() -> None:
    first = Device(overhead(1 / 4)).run()
    second = Device(overhead(1 / 4), past=first.log.events)
    assert second.packing.shares.level == 4
    assert second.packed() == []


def test_a_worker_of_another_fraction_is_ended_after_its_epoch() -> None:
    device = Device(overhead(1 / 4)).run()
    returned = [event for event in device.log.events if event["event"] == "returned"]
    assert "up to 2 processes are to share a GPU" in {event["reason"] for event in returned}
    shares = {
        event["notes"]["share"]
        for event in device.log.events
        if event["event"] == "noted" and "share" in event.get("notes", {})
    }
    assert {1.0, 0.5, 0.25} <= shares
