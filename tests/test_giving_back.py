"""A session that is interrupted waits for no worker that has not begun."""

from __future__ import annotations

from pathlib import Path

from raysweep.history import Status
from raysweep.trainables.runtime.job import Job
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.make_job import job
from raysweep.tune.sweep import Budget
from tests.sweeps import Keep, sweep


def test_trials_that_no_worker_has_begun_are_given_back(tmp_path: Path) -> None:
    keep = Keep()
    controller = SweepController(sweep(budget=Budget(5, 1)), keep)

    def make_job(trial: object) -> Job:
        return job(controller.sweep, tmp_path, trial)  # type: ignore[arg-type]

    coordinator = TrialCoordinator(controller, make_job, parallel=4)
    for worker in ("starts", "trains", "ends", "starts too"):
        assert coordinator.next_job(worker) is not None
    names = {worker: coordinator.trials_of(worker)[0].id for worker in ("trains", "ends")}
    for worker in names:
        coordinator.started(worker)
    report = {KEY: [{"epoch": 1, "metrics": {"loss": 0.5}, "seconds": 1.0}]}
    assert coordinator.heard("ends", report)  # it may do something after its last epoch
    assert controller.trial(names["ends"]).status is Status.COMPLETED
    assert coordinator.give_back() == []  # the sweep goes on

    controller.stop("SIGINT", interrupted=True)
    assert coordinator.give_back() == ["starts", "starts too"]
    assert coordinator.give_back() == []
    returned = [event for event in keep.events if event["event"] == "returned"]
    assert [event["reason"] for event in returned] == ["interrupted: SIGINT"] * 2
    done_before = controller.done  # one still trains
    assert not coordinator.heard("starts", report)
    assert coordinator.heard("trains", report)
    for worker in ("trains", "ends"):
        outcome = {"status": "completed", "reason": "", "notes": {}}
        coordinator.heard(worker, {KEY: [{"outcome": outcome}]})
    assert (done_before, controller.done) == (False, True)
    waiting = [trial for trial in controller.trials if trial.status is Status.WAITING]
    assert len(waiting) == 2  # which the next session trains
