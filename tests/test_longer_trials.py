"""Commands count in the unit of the sweep, and longer trials are compared as if planned so."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.history import Config, Event, History, Status, apply
from raysweep.report_interval import ReportInterval
from raysweep.results.storage.inbox import Command
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.schedulers import Asha, Median
from raysweep.schedulers.base import Scheduler
from raysweep.tune.cli.app import main
from raysweep.tune.commands import carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, SimulatedExecutor
from raysweep.tune.retries import WorkerFailure
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import Draw, Keep, StopAt, sweep, train_all

STEPS = ReportInterval("steps", 500)


def give(controller: SweepController, command: str, **arguments: Any) -> Event:
    return carry_out(Command(command, arguments), controller)


def in_steps(**changes: Any) -> SweepController:
    budget = Budget(4, 6, 20, interval=STEPS)  # trials of 3,000 steps, 10,000 in all
    return SweepController(sweep(budget=budget, **changes), Keep())


@pytest.mark.parametrize(
    ("interval", "where"),
    [
        (ReportInterval(), "in epoch 2"),
        (STEPS, "before step 1,000"),
        (ReportInterval("epochs", 5), "before epoch 10"),
    ],
)
def test_where_a_trial_was_killed_is_said_in_the_unit_of_the_sweep(
    interval: ReportInterval, where: str
) -> None:
    controller = SweepController(sweep(budget=Budget(1, 6, interval=interval)), Keep())
    for _ in range(3):
        trial = controller.next()
        assert trial is not None
        controller.started(trial)
        if trial.epoch == 0:
            controller.reported(trial, 1, {"loss": 0.5}, 1.0)
        controller.worker_failed(trial, WorkerFailure("its process was killed by SIGKILL"))
    assert trial is not None
    assert trial.reason == f"killed 3 times {where}: its process was killed by SIGKILL"


def test_different_lengths_are_said_where_trials_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [
        write_run(
            tmp_path / place,
            [Story(a, [0.1, 0.2, 0.3]), Story(b, [0.1, 0.2, 0.3, 0.4]), Story(b, [0.1])],
        )
        for place, a, b in (("run", "a", "b"), ("run/confirm", "a-0", "b-0"))
    ]
    extend = {"event": "command", "id": "x", "command": "extend", "arguments": {"epochs": 9}}
    for folder in folders:
        ledger = Ledger(folder)
        ledger.append({"event": "opened", "time": 2e9, "levels": [1, 3]})
        ledger.append({"event": "opened", "time": 2e9, "levels": [1, 3]})
        ledger.close()
    assert main(["compare", str(folders[0])]) == 0
    assert "different lengths" not in capsys.readouterr().out
    for folder in folders:
        ledger = Ledger(folder)
        ledger.append(extend | {"outcome": "refused", "reason": "", "time": 2e9, "epochs": 27})
        ledger.append(extend | {"outcome": "applied", "reason": "", "time": 2e9, "epochs": 9})
        ledger.close()
    assert main(["compare", str(folders[0])]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name in ("trial", "retraining"):
        assert (
            f"· {name}s have different lengths: at most 3 epochs at first, 9 epochs later; "
            f"1 of 3 {name}s trained more than 3 epochs"
        ) in said


@pytest.mark.parametrize(
    ("command", "arguments", "reason"),
    [
        ("continue", {"trial": "draw-0", "steps": 30_000}, "draw-0 trains to step 30,000"),
        ("extend", {"steps": 4500}, "the budget is now steps 4,500"),
        ("extend", {"steps": "+500"}, "the budget is now steps 3,500"),
        ("extend", {"total_steps": "+2000"}, "the budget is now total_steps 12,000"),
        (
            "continue",
            {"trial": "draw-0", "epochs": 30},
            "epochs: trials of this sweep are measured in steps; expected steps=N",
        ),
        (
            "continue",
            {"trial": "draw-0", "steps": 3100},
            "steps: 3,100 is no multiple of report_every, 500; 3,000 or 3,500 would do",
        ),
        (
            "continue",
            {"trial": "draw-0", "steps": 3000},
            "draw-0 has trained 3,000 steps; steps must be more",
        ),
        (
            "extend",
            {"total_epochs": 90},
            "total_epochs: trials of this sweep are measured in steps; expected total_steps=N",
        ),
        (
            "extend",
            {"steps": "+70"},
            "steps: 3,070 is no multiple of report_every, 500; 3,000 or 3,500 would do",
        ),
        ("extend", {"steps": 2000}, "steps: is 3,000; a budget can only grow"),
        ("extend", {}, "nothing to extend: expected trials, steps, total_steps, time"),
    ],
)
def test_commands_count_in_the_unit_of_the_sweep(
    command: str, arguments: dict[str, Any], reason: str
) -> None:
    controller = in_steps()
    train_all(controller)
    event = give(controller, command, **arguments)
    assert event["reason"] == reason
    assert (event["outcome"] == "refused") == ("expected" in reason or "3,000" in reason)


def test_what_was_said_in_steps_is_obeyed_in_reports() -> None:
    controller = in_steps()
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    assert give(controller, "stop", trial=trial.id)["reason"] == "draw-0 stops after step 500"
    give(controller, "extend", steps=4000, total_steps="+14000")
    assert (controller.sweep.budget.epochs, controller.sweep.budget.total_epochs) == (8, 48)
    give(controller, "continue", trial=trial.id, steps=5000)
    assert controller.epochs_of(trial) == 10


def final(scheduler: Scheduler, first: int, then: int) -> list[SweepController]:
    """A sweep that was extended while it ran, the next session of it, and one with a larger file.

    The first is extended after its end.
    """
    said = sweep({"a": Draw(), "b": Draw()}, scheduler=scheduler, budget=Budget(12, first))
    keep = Keep()
    extended = SweepController(said, keep)
    train_all(extended)
    event = give(extended, "extend", epochs=then)
    assert event["outcome"] == "applied"
    resumed = SweepController(said, Keep(), [dict(event) for event in keep.events])
    resumed.reopen(False)
    return [extended, resumed]


@pytest.mark.parametrize(
    ("first", "then", "levels"),
    [(9, 27, (1, 3, 9, 27)), (10, 27, (1, 3, 9, 27)), (4, 5, (1, 3, 5))],
)
def test_finished_trials_are_promoted_as_the_rungs_of_longer_trials_say(
    first: int, then: int, levels: tuple[int, ...]
) -> None:
    for controller in final(Asha(grace=1, eta=3), first, then):
        train_all(controller)
        for history in controller.histories.values():
            assert history.levels == levels
            ends = [trial.epoch for trial in history if trial.status is Status.COMPLETED]
            assert set(ends) == {then}
            # No more than a third of those at the rung below, but at least the best of them.
            rung = history.rungs[levels[-2]]
            assert len(ends) <= max(1, len(rung) // 3) + 1
            best = min(rung.by_trial, key=lambda number: rung.by_trial[number])
            assert history[best].epoch == then
        assert not any(trial.status is Status.WAITING for trial in controller.trials)


def test_trials_of_a_scheduler_that_stops_are_judged_at_their_last_epoch() -> None:
    for controller in final(Asha(type="stopping", grace=1, eta=3), 9, 27):
        judged = [trial for trial in controller.trials if trial.epoch == 9]
        waiting = [trial for trial in judged if trial.status is Status.WAITING]
        assert 0 < len(waiting) < len(judged)
        ended = [trial for trial in judged if trial not in waiting]
        assert all("is not among the best" in trial.reason for trial in ended)
        train_all(controller)
        assert {trial.epoch for trial in waiting} == {27}


def test_without_a_scheduler_every_trial_trains_on() -> None:
    for controller in final(StopAt(), 3, 5):
        train_all(controller)
        assert {trial.epoch for trial in controller.trials} == {5}


def test_a_trial_with_a_length_of_its_own_gets_the_longer_one() -> None:
    keep = Keep()
    said = sweep(budget=Budget(2, 3))
    controller = SweepController(said, keep)
    give(controller, "enqueue", configurations=[{"x": 0.5}])
    train_all(controller)
    give(controller, "continue", trial="draw-0", epochs=5)
    train_all(controller)
    give(controller, "extend", epochs=7)
    again = SweepController(said, Keep(), [dict(event) for event in keep.events])
    again.reopen(False)
    for each in (controller, again):
        assert each.epochs_of(each.trial("draw-0")) == 7
        give(each, "continue", trial="draw-1", epochs=4)
        train_all(each)
        assert [trial.epoch for trial in each.trials] == [7, 4]


def rungs(history: History) -> list[Any]:
    return [
        (rung.level, list(rung.by_trial.items()), rung.losses, rung.paused, rung.ended)
        for rung in history.rungs.values()
    ]


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in itertools.count(1):
        yield {"loss": config["x"] / epoch + (seed % 13) / 100}, 1.0 + config["x"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "scheduler", [Asha(grace=1, eta=2, audit=0.2), Asha(type="stopping", audit=0.2), Median()]
)
def test_rungs_that_change_are_those_of_a_replay(scheduler: Scheduler, seed: int) -> None:
    """A live session and one that reads the ledger must take the same decisions."""
    keep, executor = Keep(), SimulatedExecutor(curve, 3)
    said = sweep(scheduler=scheduler, budget=Budget(14, 6), seed=seed)
    controller = SweepController(said, keep, clock=executor.clock)
    rng = np.random.default_rng(seed)
    moment = int(rng.integers(5, 40))

    class Person:
        def on_event(self, event: Event, controller: SweepController) -> None: ...

        def on_tick(self, controller: SweepController) -> None:
            if len(keep.events) >= moment and not controller.steering.budget:
                give(controller, "extend", epochs=int(rng.integers(7, 20)))

        def close(self, controller: SweepController) -> None: ...

    executor.run(controller, [Person()])
    replayed = {"draw": History(controller.sweep.levels())}
    for event in keep.events:
        apply(event, replayed)
    assert rungs(replayed["draw"]) == rungs(controller.histories["draw"])
    assert replayed["draw"].epochs == controller.histories["draw"].epochs
    assert controller.done


def test_the_run_directory_has_the_new_rungs(tmp_path: Path) -> None:
    keep = Keep()
    controller = SweepController(sweep(scheduler=Asha(grace=1), budget=Budget(9, 3)), keep)
    train_all(controller)
    give(controller, "extend", epochs=9)
    (tmp_path / "run").mkdir()
    held = Ledger(tmp_path / "run")
    for event in [{"event": "opened", "time": 0.0, "levels": [1, 3]}, *keep.events]:
        held.append(event)
    held.close()
    (tmp_path / "run/sweep.yaml").write_text("metric: {name: loss, goal: minimize}\n")
    assert RunDirectory(tmp_path / "run").levels == (1, 3, 9)


def test_the_epochs_of_a_comparison_are_matched_again() -> None:
    for controller in final(Asha(grace=1, eta=3), 3, 9):
        train_all(controller)
        found = [sum(trial.epoch for trial in history) for history in controller.histories.values()]
        assert abs(found[0] - found[1]) <= 9
        assert controller.done


def test_status_speaks_in_the_unit_of_the_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = [
        Story("random", [0.5, 0.7], {"x": 0.1}),
        Story("random", [0.6], {"x": 0.2}, status="running"),
    ]
    budget = {"steps": 1500, "report_every": 500, "trials": 4}
    run = write_run(tmp_path / "run", stories, budget=budget, searcher="random")
    assert main(["status", str(run)]) == 0
    text = capsys.readouterr().out
    assert "1,500 steps" in text
    assert "best acc 0.7 at step 1,000 of random-0" in text
    assert "random-1 was interrupted after step 500" in text  # no session has the run
    assert main(["status", str(run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["unit"], found["trained"], found["epochs"]) == ("steps", 1500, 3)
    assert (found["best"]["at"], found["interrupted"][0]["at"]) == (1000, 500)
