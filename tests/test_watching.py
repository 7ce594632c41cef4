"""What a cluster does during a sweep.

Silent trials are retried, new resources are used, and the loss of a machine is not blamed on the
trial.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raysweep.history import Status
from raysweep.results.storage.ledger import read
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.policy import Assigned, TrialCoordinator
from raysweep.tune.executors.ray import cluster_resources
from raysweep.tune.executors.ray.cluster_resources import autoscaled
from raysweep.tune.executors.ray.elastic import DrainFollower, ParallelismFollower
from raysweep.tune.executors.ray.stall_detector import StallDetector
from raysweep.tune.executors.ray.worker_failure import explain
from raysweep.tune.retries import worker_failure
from raysweep.tune.sweep import Budget, Metric
from tests.sweeps import Draw, sweep
from tests.test_engine import made, trials

SCALED = """\
max_workers: 3
head_node_type: head
available_node_types:
  head: {resources: {CPU: 0}, max_workers: 0}
  gpu: {resources: {CPU: 4, GPU: 1}, max_workers: 8}
"""
DIED = (
    "The actor died because its node has died. Node Id: 0123\n"
    "\tthe actor's node was terminated unexpectedly"
)


class NodeDied(Exception):
    """As Ray words it."""


@pytest.mark.examples
@pytest.mark.ray
def test_the_trial_of_a_frozen_worker_is_taken_up_again_from_its_checkpoint(
    tmp_path: Path, ray_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raysweep.tune.executors.ray.stall_detector.SILENCE_SECONDS", 12.0)
    frozen = tmp_path / "frozen"
    (trial,) = trials(
        made("freezes_once", {"x": 0.5, "once": str(frozen)}, budget=Budget(1, 4)), tmp_path / "run"
    )
    assert frozen.exists()
    assert trial.status is Status.COMPLETED
    assert trial.attempts == 2
    assert [report.epoch for report in trial.reports] == [1, 2, 3, 4]
    returned = next(event for event in read(tmp_path / "run") if event["event"] == "returned")
    assert re.match(r"retrying: no sign of life from its worker for \d+ s", returned["reason"])


class Clock:
    """Time that passes when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module in ("elastic", "stall_detector"):
            monkeypatch.setattr(f"raysweep.tune.executors.ray.{module}.time", clock)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def listen(detector: StallDetector, clock: Clock, seconds: float) -> None:
    """Have the driver look ten times a second."""
    for _ in range(round(10 * seconds)):
        clock.now += 0.1
        detector.on_step_end(0, [])


def test_a_worker_without_a_sign_of_life_is_killed_once(clock: Clock) -> None:
    killed: list[float] = []
    detector = StallDetector(lambda trial, seconds: killed.append(seconds))
    detector.on_trial_start(0, [], SimpleNamespace(trial_id="a"))
    listen(detector, clock, 59)
    assert killed == []
    listen(detector, clock, 60)
    assert len(killed) == 1


def test_a_sign_of_life_is_enough_however_long_an_epoch_takes(clock: Clock) -> None:
    killed: list[float] = []
    detector = StallDetector(lambda trial, seconds: killed.append(seconds))
    trial = SimpleNamespace(trial_id="a")
    detector.on_trial_start(0, [], trial)
    for _ in range(100):
        listen(detector, clock, 30)
        detector.on_trial_result(0, [], trial, {"alive": True})
    assert killed == []


def test_a_driver_that_was_stopped_has_not_listened(clock: Clock) -> None:
    """What was sent meanwhile is heard before anybody is judged."""
    killed: list[float] = []
    detector = StallDetector(lambda trial, seconds: killed.append(seconds))
    detector.on_trial_start(0, [], SimpleNamespace(trial_id="a"))
    listen(detector, clock, 30)
    clock.now += 3600
    listen(detector, clock, 20)
    assert killed == []


def test_room_is_followed(clock: Clock) -> None:
    told: list[int] = []
    follow = ParallelismFollower(lambda: 7, told.append)
    for _ in range(100):
        clock.now += 0.1
        follow.on_step_end(0, [])
    assert told == [7] * 4


def test_workers_on_nodes_that_are_emptied_are_told_of(clock: Clock) -> None:
    told: list[frozenset[str]] = []
    draining: set[str] = set()
    trials = [
        SimpleNamespace(trial_id="a", status="RUNNING", node="one"),
        SimpleNamespace(trial_id="b", status="RUNNING", node="two"),
        SimpleNamespace(trial_id="c", status="PENDING", node="two"),
    ]
    follow = DrainFollower(lambda: draining, lambda trial: str(trial.node), told.append)
    for _ in range(2):
        clock.now += 3.0
        follow.on_step_end(0, trials)
        draining.add("two")
    assert told == [frozenset(), frozenset({"b"})]


def test_a_trial_leaves_a_node_that_is_emptied_after_its_epoch() -> None:
    controller = SweepController(sweep({"a": Draw()}, budget=Budget(1, 3), retries=0))
    make: Any = TrialCoordinator
    coordinator = make(controller, lambda trial: SimpleNamespace(epochs=3))
    assert coordinator.next_job("ray") is not None
    coordinator.started("ray")

    def report(epoch: int) -> dict[str, list[dict[str, Any]]]:
        return {KEY: [{"epoch": epoch, "metrics": {"loss": 1.0}, "seconds": 1.0}]}

    assert coordinator.heard("ray", report(1))
    coordinator.leaving = frozenset({"ray"})
    assert not coordinator.heard("ray", report(2))
    (trial,) = controller.trials
    assert (trial.status, trial.epoch) == (Status.WAITING, 2)
    assert trial.reason == "its machine is about to go"
    assert "losses" not in trial.notes


def test_those_that_stay_do_not_give_way_to_those_that_leave() -> None:
    """The room shrinks as soon as a node is emptied, while its trial still ends its epoch."""
    controller = SweepController(sweep({"a": Draw()}, budget=Budget(3, 3), retries=0))
    make: Any = TrialCoordinator
    coordinator = make(controller, lambda trial: SimpleNamespace(epochs=3), 2)
    for worker in ("stays", "leaves"):
        assert coordinator.next_job(worker) is not None
        coordinator.started(worker)
    coordinator.parallel, coordinator.leaving = 1, frozenset({"leaves"})
    report = {KEY: [{"epoch": 1, "metrics": {"loss": 1.0}, "seconds": 1.0}]}
    assert coordinator.heard("stays", report)
    assert coordinator.next_job("another") is None
    assert not coordinator.heard("leaves", report)
    assert [trial.reason for trial in controller.trials if trial.status is Status.WAITING] == [
        "its machine is about to go"
    ]


@pytest.mark.examples
@pytest.mark.ray
def test_room_that_comes_late_is_used_however_short_the_trials_are(
    tmp_path: Path, ray_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warm worker must not go to the trial for which a new worker is starting.

    Ray's own order would do that, throw the new worker away, and never end.
    """
    first = tmp_path / "first"
    monkeypatch.setattr(
        "raysweep.tune.executors.ray.executor.node_resources", lambda ray: [{"CPU": 1.0}]
    )
    monkeypatch.setattr(
        "raysweep.tune.executors.ray.elastic.node_resources",
        lambda ray: [{"CPU": 2.0 if first.exists() else 1.0}],
    )
    configs = [{"x": 0.001 * i, "first": str(first)} for i in range(1000)]
    budget, metric = Budget(1000, 3, seconds=120.0), Metric("loss", "minimize", target=0.0)
    said = made("newcomer", *configs, budget=budget, metric=metric, parallel=None)
    assert min(trial.loss for trial in trials(said, tmp_path / "run")) == 0.0


def test_machines_that_an_autoscaler_would_start_count(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SCALED)
    assert autoscaled(tmp_path / "config.yaml", alive=2) == [{"CPU": 4, "GPU": 1}] * 2
    assert autoscaled(tmp_path / "none.yaml", alive=2) == []


def test_the_loss_of_a_machine_uses_up_nothing() -> None:
    """However often: a spot instance may go each time."""
    controller = SweepController(sweep({"a": Draw()}, budget=Budget(1, 3), retries=0))
    make: Any = TrialCoordinator  # the function below is none that a session would pass
    coordinator = make(controller, lambda trial: None)
    for _ in range(10):
        trial = controller.next()
        assert trial is not None
        coordinator._assigned["ray"] = {trial.id: Assigned(trial, 3)}
        controller.started(trial)
        coordinator.lost("ray", explain(NodeDied(DIED)))
        assert trial.status is Status.WAITING
    assert next(iter(controller.trials)).reason == "its machine was lost"


def test_a_worker_that_dies_after_an_interruption_is_not_its_trials_fault() -> None:
    """A queue that ends a job ends the workers, too, over and over."""
    controller = SweepController(sweep({"a": Draw()}, budget=Budget(1, 3), retries=0))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.stop("SIGTERM", interrupted=True)
    controller.worker_failed(trial, worker_failure("killed by SIGTERM", otherwise="killed"))
    assert (trial.status, trial.reason) == (Status.WAITING, "interrupted: SIGTERM")
    assert "losses" not in trial.notes


def test_why_a_worker_was_lost() -> None:
    assert worker_failure(
        f"process 1 of 2 died: {explain(NodeDied(DIED)).reason}", otherwise=""
    ).machine_lost
    assert explain(NodeDied(DIED)).machine_lost
    assert explain(
        NodeDied("The actor 9bc9 is unavailable: The actor is temporarily unavailable: IOError")
    ).machine_lost
    assert not explain(
        NodeDied("The actor died unexpectedly before finishing this task.")
    ).machine_lost


def test_nodes_are_waited_for_and_the_sweep_begins_without_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    controller: Any = SimpleNamespace(interrupted=False, say=said.append)
    alive = [1, 2, 3]
    monkeypatch.setattr(cluster_resources, "_n_alive", lambda ray: alive.pop(0))
    monkeypatch.setattr(cluster_resources, "LOOK_SECONDS", 0.0)
    cluster_resources.wait_for_nodes(3, controller)
    assert (alive, said) == ([], [])
    monkeypatch.setattr(cluster_resources, "_n_alive", lambda ray: 2)
    monkeypatch.setattr(cluster_resources, "JOIN_SECONDS", -1.0)
    cluster_resources.wait_for_nodes(3, controller)
    assert said == ["2 of 3 nodes have joined; the sweep begins on these"]
