"""Sweeps whose trials train as one: each trial reports, stops, fails and resumes as if alone."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.history import Status, Trial
from raysweep.results.storage import ledger
from raysweep.trainables.fused.configuration import Known
from raysweep.trainables.runtime.failure import outcome_of
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import ConfigurationError, Objective
from raysweep.trainables.runtime.train_job import train_job
from raysweep.trainables.runtime.worker import Worker
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.placement import plan
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.retries import WorkerFailure
from raysweep.tune.sweep import Budget, Resources
from raysweep.tune.train_function import train_function
from tests import fused_trainables, trainables
from tests.sweeps import Keep, StopAt, sweep

SPACE = {"lr": rs.Float(0.001, 0.1, log=True), "optimizer": "sgd", "batch_size": 16}


def made(**changes: Any) -> rs.Sweep:
    keys: dict[str, Any] = {
        "trainable": "tests.fused_trainables:train",
        "space": SPACE,
        "metric": {"name": "loss", "goal": "minimize"},
        "budget": {"trials": 7, "epochs": 3},
        "scheduler": "none",
        "searcher": "random",
        "resources": {"fuse": 4},
    }
    return rs.Sweep(**keys | changes)


def by_trial(run: Any) -> dict[str, list[float]]:
    return {str(trial): list(part["loss"]) for trial, part in run.curves.groupby("trial")}


def check_curves(run: Any, other: Any) -> None:
    first, second = by_trial(run), by_trial(other)
    assert first.keys() == second.keys()
    for trial, losses in first.items():
        assert losses == pytest.approx(second[trial], rel=1e-5)


def events(run: Any, kind: str) -> list[str]:
    return [event["trial"] for event in ledger.read(run.path) if event["event"] == kind]


def test_each_trial_has_the_curve_the_events_and_the_model_that_it_has_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fused = made().run(name="fused", storage=tmp_path, executor="debug")
    assert "4 trials of one shape train" in capsys.readouterr().out
    alone = made(resources={}).run(name="alone", storage=tmp_path, executor="debug", quiet=True)
    check_curves(fused, alone)
    assert sorted(events(fused, "started")) == sorted(events(alone, "started"))
    assert sorted(events(fused, "ended")) == sorted(events(alone, "ended"))
    assert set(fused.trials["status"]) == {"completed"}
    assert fused.best.load_state_dict().keys() == alone.best.load_state_dict().keys()
    assert fused.best.trial == alone.best.trial


def test_a_recipe_of_a_module_is_found_by_its_name(tmp_path: Path) -> None:
    """And one of a function travels by value, as a train function does."""
    assert train_function(fused_trainables.train).reference == "tests.fused_trainables:train"
    held = dataclasses.replace(fused_trainables.train)
    by_value = made(trainable=held, resources={"fuse": "auto"})
    run = by_value.run(name="a", storage=tmp_path, executor="debug", quiet=True)
    alone = made(resources={}).run(name="b", storage=tmp_path, executor="debug", quiet=True)
    check_curves(run, alone)


def test_trials_stop_pause_and_are_promoted(tmp_path: Path) -> None:
    budget = {"trials": 12, "epochs": 9}
    keys: dict[str, Any] = {"scheduler": {"name": "asha", "eta": 3}, "budget": budget}
    fused = made(**keys).run(name="fused", storage=tmp_path, executor="debug", quiet=True)
    assert set(fused.trials["status"]) == {"completed", "stopped"}
    promoted = events(fused, "promoted")
    assert promoted
    # A promoted trial continues from its checkpoint: no epoch is reported twice.
    for trial, part in fused.curves.groupby("trial"):
        assert list(part["epoch"]) == list(range(1, len(part) + 1)), trial
    alone = made(**keys | {"scheduler": "none", "resources": {}})
    whole = by_trial(alone.run(name="alone", storage=tmp_path, executor="debug", quiet=True))
    for trial, losses in by_trial(fused).items():
        assert losses == pytest.approx(whole[trial][: len(losses)], rel=1e-5)


@pytest.mark.parametrize("resumed", ["4", "1"])
def test_an_interrupted_sweep_continues_each_trial_as_one_or_alone(
    resumed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = SPACE | {"once": str(tmp_path / "once"), "fails": "interrupted"}
    first = made(space=space)
    first.run(name="a", storage=tmp_path, executor="debug", quiet=True)
    assert rs.load(tmp_path / "a").state == "interrupted"
    words = ["run", "--resume", str(tmp_path / "a"), "--debug", "--set"]
    assert main([*words, f"resources.fuse={resumed}"]) == 0
    (tmp_path / "once").touch()
    alone = made(space=space, resources={})
    check_curves(
        rs.load(tmp_path / "a"), alone.run(name="b", storage=tmp_path, executor="debug", quiet=True)
    )


def test_a_session_that_is_killed_in_an_epoch_trains_that_epoch_again(tmp_path: Path) -> None:
    """Some trials of the group have saved the epoch, and none of them has reported it."""
    space = SPACE | {"once": str(tmp_path / "once"), "fails": "killed"}
    text = (
        "import sys, tests.test_fused_sweeps as here\n"
        "here.made(space=here.SPACE | {'once': sys.argv[2], 'fails': 'killed'}).run(\n"
        "    name='a', storage=sys.argv[1], executor='debug', quiet=True)\n"
    )
    words = [sys.executable, "-c", text, str(tmp_path), str(tmp_path / "once")]
    assert subprocess.run(words, capture_output=True).returncode == -signal.SIGKILL
    assert main(["run", "--resume", str(tmp_path / "a"), "--debug"]) == 0
    alone = made(space=space, resources={})
    resumed = rs.load(tmp_path / "a")
    assert all(part["epoch"].is_unique for _, part in resumed.curves.groupby("trial"))
    check_curves(resumed, alone.run(name="b", storage=tmp_path, executor="debug", quiet=True))


def test_under_the_debugger_the_first_trial_that_fails_raises(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="of one trial"):
        made(space=SPACE | {"fails": "evaluate"}).run(
            name="a", storage=tmp_path, executor="debug", quiet=True
        )
    with pytest.raises(ValueError, match="no such model"):
        made(space=SPACE | {"fails": "build"}).run(
            name="b", storage=tmp_path, executor="debug", quiet=True
        )


def test_a_key_that_only_training_can_miss_ends_a_sweep_as_a_mistake() -> None:
    """Of a recipe whose source says nothing, or a key behind a condition: no trial is to blame."""
    with pytest.raises(ConfigurationError) as raised:
        Known({"lr": 1.0})["batch_size"]
    ended = outcome_of(raised.value, "mine.py:train", {})
    assert (ended.status, ended.reason) == ("mistake", str(raised.value))
    with pytest.raises(rs.UserError, match="reads config\\['batch_size'\\]"):
        made(space={"lr": 0.1, "optimizer": "sgd"}).run(executor="debug")


def test_what_is_no_recipe_trains_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(trainable=trainables.bowl, space={"x": rs.Float(0, 1)}).run(
        name="a", storage=tmp_path, executor="debug"
    )
    assert list(run.trials["status"]) == ["completed"] * 7
    said = capsys.readouterr().out
    assert "fuse: the trials train one by one from now on: bowl is a train function" in said


def test_trials_without_a_common_shape_train_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made(
        space=SPACE | {"width": rs.Int(1, 10**4)},
        budget={"trials": 10, "epochs": 1},
        resources={"fuse": 8},
    ).run(name="a", storage=tmp_path, executor="debug")
    assert list(run.trials["status"]) == ["completed"] * 10
    said = capsys.readouterr().out
    assert "no two of 8 trials have the same shape; they differ in 0.weight" in said


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"fuse": 4, "workers": 2}, "several processes train"),
        ({"fuse": 2, "gpu": 2}, "trials are fused on one GPU, got 2"),
        ({"fuse": 0}, "fuse"),
    ],
)
def test_resources_that_exclude_it_are_named(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(rs.UserError, match=message):
        made(resources=resources)


def test_the_plan_counts_groups() -> None:
    placement = plan(Resources(fuse=8), None, [{"CPU": 2.0}])
    assert placement.lines == ("2 groups of up to 8 trials at once, each with 1 CPU",)


# What the coordinator does, with workers that a test plays.

SOON = Budget(trials=6, epochs=3)


class Played:
    """A controller and its coordinator; messages are those of a worker with several trials."""

    def __init__(self, fuse: int = 4, parallel: int = 1, **changes: Any) -> None:
        self.lines: list[str] = []
        log = Keep()
        log.say = self.lines.append  # type: ignore[method-assign, assignment]
        resources = Resources(fuse=fuse)
        self.controller = SweepController(
            sweep(resources=resources, budget=SOON, **changes), log, make_job=job_of
        )
        self.coordinator = TrialCoordinator(self.controller, job_of, parallel)

    def begin(self, worker: str) -> list[str]:
        job = self.coordinator.next_job(worker)
        assert job is not None
        self.coordinator.started(worker)
        return [job.trial, *(fields["trial"] for fields in job.others)]

    def hear(self, worker: str, *parts: dict[str, Any], **more: Any) -> tuple[bool, Any]:
        message = {"group": list(parts), **more}
        continues = self.coordinator.heard(worker, {KEY: [message]})
        return continues, self.coordinator.answer(worker)

    def end(self, worker: str, status: str) -> bool:
        outcome = asdict(Outcome(status, "a reason"))
        return self.coordinator.heard(worker, {KEY: [{"outcome": outcome}]})

    def status(self, trial: str) -> Status:
        return self.controller.trial(trial).status


def job_of(trial: Trial) -> Job:
    return Job(
        trial=trial.id,
        trainable="tests.fused_trainables:train",
        config=trial.config,
        seed=trial.seed,
        epochs=3,
        objective=Objective("loss", maximize=False),
        folder="",
        known_epoch=trial.epoch,
    )


def report(trial: str, epoch: int, loss: float = 1.0) -> dict[str, Any]:
    content = {"epoch": epoch, "metrics": {"loss": loss}, "seconds": 1.0, "notes": {}}
    return {"trial": trial, "report": content}


def outcome(trial: str, status: str) -> dict[str, Any]:
    return {"trial": trial, "outcome": asdict(Outcome(status, "its own reason"))}


def test_a_worker_gets_its_part_of_the_trials_and_new_ones_for_those_that_end() -> None:
    played = Played(fuse=4, parallel=2, scheduler=StopAt(2))
    first, second = played.begin("a"), played.begin("b")
    assert (len(first), len(second)) == (3, 3)
    assert played.coordinator.next_job("c") is None
    assert played.hear("a", *(report(trial, 1) for trial in first)) == (
        True,
        {"stop": [], "jobs": []},
    )
    continues, answer = played.hear("a", *(report(trial, 2) for trial in first))
    assert not continues
    assert set(answer["stop"]) == set(first)
    assert all(played.status(trial) is Status.STOPPED for trial in first)
    assert all(played.status(trial) is Status.RUNNING for trial in second)


def test_trials_that_may_be_promoted_count_when_workers_share_what_is_left() -> None:
    class Promotes(StopAt):
        promotes = True

    for scheduler, lanes in ((StopAt(1), 1), (Promotes(1), 4)):
        played = Played(fuse=4, scheduler=scheduler)
        _, answer = played.hear("a", *(report(trial, 1) for trial in played.begin("a")))
        played.hear("a", *(report(job["trial"], 1) for job in answer["jobs"]))
        assert played.coordinator.fusing.lanes(1) == lanes


def test_new_trials_begin_when_they_are_given_to_a_worker() -> None:
    played = Played(fuse=2)
    trials = played.begin("a")
    continues, answer = played.hear("a", report(trials[0], 1, float("nan")), report(trials[1], 1))
    assert continues
    assert answer["stop"] == [trials[0]]
    [new] = map(read_job, answer["jobs"])
    assert played.status(trials[0]) is Status.DIVERGED
    assert played.status(new.trial) is Status.RUNNING
    assert played.hear("a", report(trials[0], 2))[0]  # of a trial that it no longer has
    assert played.controller.trial(trials[0]).epoch == 1


def test_a_trial_that_fails_leaves_the_others() -> None:
    played = Played(fuse=3)
    trials = played.begin("a")
    unusable = {"trial": trials[2], "report": {"epoch": "one"}}
    continues, answer = played.hear(
        "a", outcome(trials[0], "failed"), report(trials[1], 1), unusable
    )
    assert continues
    assert {trials[0], trials[2]} == set(answer["stop"])
    assert len(answer["jobs"]) == 2  # they are retried, and come first
    assert played.controller.trial(trials[1]).epoch == 1


def test_the_death_of_a_worker_returns_each_of_its_trials() -> None:
    played = Played(fuse=8)
    trials = played.begin("a")
    played.hear("a", *(report(trial, 1) for trial in trials))
    played.coordinator.lost("a", WorkerFailure("its node is gone", machine_lost=True))
    assert all(played.status(trial) is Status.WAITING for trial in trials)
    assert played.begin("b") == trials
    played.coordinator.lost("b", WorkerFailure("its process was killed"))
    # One of them may have killed it. The next groups are smaller, and then there are none.
    assert played.begin("c") == trials[:2]
    played.coordinator.lost("c", WorkerFailure("its process was killed"))
    assert played.begin("d") == trials[2:4]
    played.coordinator.lost("d", WorkerFailure("its process was killed"))
    assert played.begin("e") == trials[4:]
    _, answer = played.hear("e", *(report(trial, 2) for trial in trials[4:]))
    # They make way for those whose next death would be the last, which train one by one.
    assert answer["stop"] == trials[4:]
    assert [job["trial"] for job in answer["jobs"]] == trials[:1]
    played.coordinator.lost("e", WorkerFailure("its node is gone", machine_lost=True))
    assert played.begin("f") == trials[1:2]
    assert [played.controller.trial(trial).epoch for trial in trials] == [1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("status", "next_group", "line"),
    [
        ("oom", 2, "fuse: at most 2 from now on: 4 trials as one did not fit into memory"),
        ("killed_for_memory", 2, "fuse: at most 2 from now on"),
        ("failed", 1, "fuse: the trials train one by one from now on: a reason"),
        ("alone", 1, "fuse: the trials train one by one from now on: a reason"),
        ("killed", 1, ""),
    ],
)
def test_what_happens_to_all_is_no_fault_of_one(status: str, next_group: int, line: str) -> None:
    played = Played(fuse=4)
    trials = played.begin("a")
    assert not played.end("a", status)
    assert all(played.status(trial) is Status.WAITING for trial in trials)
    assert line in "".join(played.lines)
    assert bool(line) == bool(played.lines)
    assert len(played.begin("a")) == next_group


def test_what_happens_to_the_last_trial_of_a_worker_is_its_own() -> None:
    played = Played(fuse=2, retries=0)
    first, second = played.begin("a")
    played.hear("a", report(first, 1, float("nan")))
    played.controller.stop("enough")
    played.hear("a", report(second, 1))  # it is queued, because the sweep stops
    assert played.status(second) is Status.WAITING


def test_the_first_line_of_each_kind_is_shown_and_none_ends_it() -> None:
    played = Played(fuse=4)
    trials = played.begin("a")
    said = [{"kind": "together", "line": "one"}, {"kind": "together", "line": "two"}]
    played.hear("a", report(trials[0], 1), said=said)
    assert played.lines == ["fuse: one"]
    played.hear("a", report(trials[0], 2), said=[{"kind": "none", "line": "three"}])
    assert played.lines[1:] == ["fuse: the trials train one by one from now on: three"]
    assert played.coordinator.fusing.most == 1


def test_fewer_workers_return_whole_groups() -> None:
    played = Played(fuse=2, parallel=2)
    trials = played.begin("a")
    played.begin("b")
    played.coordinator.parallel = 1
    continues, answer = played.hear("a", *(report(trial, 1) for trial in trials))
    assert not continues
    assert (set(answer["stop"]), answer["jobs"]) == (set(trials), [])
    assert all(played.status(trial) is Status.WAITING for trial in trials)


@pytest.mark.parametrize("message", [{"group": 3}, {"group": [3]}, {"group": [{"trial": 1}]}])
def test_a_message_of_a_group_that_cannot_be_used_ends_the_worker(message: object) -> None:
    played = Played(fuse=2)
    trials = played.begin("a")
    assert not played.coordinator.heard("a", {KEY: [message]})
    assert all(played.status(trial) is Status.WAITING for trial in trials)


# In a process of its own.


def group_job(folder: Path, count: int, **config: Any) -> Job:
    jobs = [
        Job(
            trial=f"t-{i}",
            trainable="tests.fused_trainables:train",
            config={"lr": 0.02 * (i + 1), "optimizer": "sgd", "batch_size": 16} | config,
            seed=i,
            epochs=3,
            objective=Objective("loss", maximize=False),
            folder=str(folder / f"t-{i}"),
            log=str(folder / "logs" / f"t-{i}"),
        )
        for i in range(count)
    ]
    return replace(jobs[0], fuse=count, others=[asdict(job) for job in jobs[1:]])


def test_a_forked_process_trains_a_group_and_takes_in_others(tmp_path: Path) -> None:
    worker, heard = Worker(), []
    job = group_job(tmp_path, 3)
    late = job.others.pop()

    def exchange(message: dict[str, Any]) -> dict[str, Any]:
        heard.append(message)
        first = len(heard) == 1
        return {"stop": ["t-0"] if first else [], "jobs": [late] if first else []}

    try:
        ended = worker.train(job, exchange, lambda: None)
    finally:
        worker.close()
    assert ended.status == "completed"
    reported = [
        (part["trial"], part["report"]["epoch"])
        for message in heard
        for part in message["group"]
        if "report" in part
    ]
    assert sorted(reported) == [
        ("t-0", 1),
        *(("t-1", i) for i in (1, 2, 3)),
        *(("t-2", i) for i in (1, 2, 3)),
    ]
    assert all(part["report"]["notes"]["worker"] for part in heard[0]["group"])
    ends = [part for message in heard for part in message["group"] if "outcome" in part]
    assert {part["trial"]: part["outcome"]["status"] for part in ends} == {
        "t-1": "completed",
        "t-2": "completed",
    }


def test_each_trial_of_a_process_prints_to_its_own_log(tmp_path: Path) -> None:
    """And one that prints nothing has none. What a crash writes is found by the worker."""
    job = group_job(tmp_path, 3, prints=0.03)
    logs, worker = tmp_path / "logs", Worker()
    try:
        worker.train(job, lambda message: {"stop": [], "jobs": []}, lambda: None)
        assert sorted(path.name for path in logs.iterdir()) == ["t-1", "t-2"]
        assert (logs / "t-1").read_text() == "evaluated with 0.04\n" * 3
        assert (logs / "t-2").read_text() == "evaluated with 0.06\n" * 3
        again = group_job(tmp_path / "again", 3, once=str(tmp_path / "once"), fails="crashes")
        ended = worker.train(again, lambda message: {"stop": [], "jobs": []}, lambda: None)
    finally:
        worker.close()
    assert "SIGSEGV" in ended.reason
    assert "fused_trainables.py" in ended.trace


def test_the_traceback_of_a_trial_has_no_frames_of_what_calls_it(tmp_path: Path) -> None:
    parts: list[dict[str, Any]] = []

    def exchange(message: dict[str, Any]) -> dict[str, Any]:
        parts.extend(message["group"])
        return {"stop": [], "jobs": []}

    train_job(group_job(tmp_path, 3, fails="evaluate"), exchange)
    [failed] = [part for part in parts if part.get("outcome", {}).get("status") == "failed"]
    assert failed["trial"] == "t-2"
    trace = failed["outcome"]["trace"]
    assert "in evaluate" in trace
    assert "raysweep/trainables/" not in trace


def test_a_process_that_is_killed_leaves_a_checkpoint_of_the_epoch_before(tmp_path: Path) -> None:
    """The trials that had reported when it died lose nothing, the others an epoch."""
    job = group_job(tmp_path, 3, once=str(tmp_path / "once"), fails="killed")
    worker = Worker()
    try:
        ended = worker.train(job, lambda message: {"stop": [], "jobs": []}, lambda: None)
        assert ended.status == "killed"
        heard: list[dict[str, Any]] = []

        def exchange(message: dict[str, Any]) -> dict[str, Any]:
            heard.extend(message["group"])
            return {"stop": [], "jobs": []}

        assert worker.train(job, exchange, lambda: None).status == "completed"
    finally:
        worker.close()
    epochs = [
        part["report"]["epoch"]
        for part in heard
        if part.get("report", {}) and part["trial"] == "t-0"
    ]
    assert epochs == [1, 2, 3]
    fused = [
        part["report"]["metrics"]["loss"]
        for part in heard
        if "report" in part and part["trial"] == "t-2"
    ]
    run = rs.Run(3, lambda message: None, seed=2)
    from raysweep.trainables.runtime.process_setup import seed_generators

    seed_generators(2)
    fused_trainables.train(job.others[1]["config"], run)
    assert fused == pytest.approx([report["metrics"]["loss"] for report in run.reports], rel=1e-5)


@pytest.mark.ray
def test_on_ray_each_trial_has_the_curve_that_it_has_alone(tmp_path: Path, ray_here: Any) -> None:
    keys: dict[str, Any] = {"parallel": 1, "budget": {"trials": 6, "epochs": 3}}
    fused = made(**keys).run(name="fused", storage=tmp_path, quiet=True)
    alone = made(**keys | {"resources": {}}).run(
        name="alone", storage=tmp_path, executor="debug", quiet=True
    )
    check_curves(fused, alone)
    assert set(fused.trials["status"]) == {"completed"}
    notes = [event.get("notes", {}) for event in ledger.read(fused.path)]
    assert len({part["pid"] for part in notes if "pid" in part}) == 1


@pytest.mark.ray
@pytest.mark.parametrize(
    ("fails", "reason"),
    [("killed", "its process was killed by SIGKILL"), ("crashes", "4 trials as one: its process")],
)
def test_on_ray_the_trials_of_a_process_that_dies_continue(
    fails: str, reason: str, tmp_path: Path, ray_here: Any
) -> None:
    space = SPACE | {"lr": rs.Float(0.06, 0.1), "once": str(tmp_path / "once"), "fails": fails}
    run = made(space=space, budget={"trials": 4, "epochs": 2}, parallel=1).run(
        name="a", storage=tmp_path, quiet=True
    )
    assert list(run.trials["status"]) == ["completed"] * 4
    reasons = [event["reason"] for event in ledger.read(run.path) if event["event"] == "returned"]
    assert len(reasons) == 4
    assert all(reason in found for found in reasons)
