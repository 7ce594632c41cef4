"""What a person sees while a sweep runs, rendered to text at the widths that terminals have."""

from __future__ import annotations

import io
import math
from typing import Literal

import pytest
from rich.console import Console

from raysweep.history import Event, Status, Trial
from raysweep.schedulers.asha import Asha
from raysweep.tune.callbacks.screen import MAX_ROWS, Lines, Screen, describe, render
from raysweep.tune.controller import DAMAGED, SweepController
from raysweep.tune.executors.ray.waiting import WAITING_SECONDS, WaitingNotice
from raysweep.tune.state import NoLog
from raysweep.tune.sweep import Budget, Sweep
from raysweep.tune.time_left import SteadyTime, time_left
from tests.sweeps import Draw, Few, sweep, train


def many(trials: int = 60) -> Sweep:
    return sweep({"random": Draw()}, budget=Budget(trials=trials, epochs=3))


def taken(controller: SweepController) -> Trial:
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    return trial


def screen(controller: SweepController, width: int, height: int = 60) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(render("first", controller, width, height))
    *lines, last = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert not last.strip()  # where a terminal echoes ^C without beginning a line
    return lines  # type: ignore[no-any-return]


@pytest.mark.parametrize("width", [80, 140])
def test_running_trials_come_first_and_the_hidden_ones_are_counted(width: int) -> None:
    controller = SweepController(many())
    for _ in range(30):
        trial = controller.next()
        assert trial is not None
        train(controller, trial)
    running = [taken(controller) for _ in range(3)]
    lines = screen(controller, width)
    rows = [line.split()[0] for line in lines if line.startswith("random-")]
    assert rows[:3] == [trial.id for trial in running]
    assert len(rows) == MAX_ROWS
    assert lines[-1] == "not shown: 13 completed"
    assert max(map(len, lines)) <= width


def test_many_running_trials_leave_half_of_the_screen_to_the_best() -> None:
    controller = SweepController(many())
    for _ in range(15):
        trial = controller.next()
        assert trial is not None
        train(controller, trial)
    for _ in range(40):
        taken(controller)
    rows = [line for line in screen(controller, 80) if line.startswith("random-")]
    assert sum("running" in row for row in rows) == MAX_ROWS // 2
    assert screen(controller, 80)[-1] == "not shown: 30 running, 5 completed"


def test_a_low_terminal_still_shows_what_is_hidden() -> None:
    controller = SweepController(many())
    for _ in range(40):
        taken(controller)
    lines = screen(controller, 80, height=20)
    assert len(lines) <= 20
    assert lines[-1].startswith("not shown: ")


def test_the_time_left_counts_from_the_first_epoch_and_not_from_rays_start() -> None:
    now = [0.0]
    controller = SweepController(many(4), clock=lambda: now[0])
    now[0] = 100.0  # so long Ray took to start
    for _ in range(2):
        trial = taken(controller)
        for epoch in (1, 2, 3):
            now[0] += 1.0
            controller.reported(trial, epoch, {"loss": 0.5}, float(epoch))
    assert trial.status is Status.COMPLETED
    assert time_left(controller) == pytest.approx(6.0)


def test_a_resumed_sweep_knows_when_its_training_began() -> None:
    proposed = {"study": "random", "number": 0, "config": {"x": 0.5}, "seed": 1}
    reported = {"epoch": 1, "loss": 0.5, "metrics": {"loss": 0.5}, "seconds": 2.0}
    past: list[Event] = [
        {"event": "opened", "time": 0.0},
        {"event": "proposed", "time": 50.0, **proposed},
        {"event": "started", "time": 50.0, "trial": "random-0"},
        {"event": "reported", "time": 53.0, "trial": "random-0", **reported},
    ]
    now = [1000.0]
    controller = SweepController(many(4), past=past, clock=lambda: now[0])
    assert controller.training_seconds == pytest.approx(2.0)


def test_off_a_terminal_it_is_said_that_a_trial_started_and_where() -> None:
    said = io.StringIO()
    lines = Lines(said)

    class Told(NoLog):
        def applied(self, event: dict[str, object], controller: SweepController) -> None:
            lines.on_event(event, controller)

    controller = SweepController(many(4), Told())
    controller.machine = "gpu-box"
    taken(controller)
    assert said.getvalue().splitlines()[1:] == ["random-0 started on gpu-box"]


def test_a_repeat_is_said_to_be_one() -> None:
    event = {"event": "proposed", "study": "random", "number": 3, "config": {"x": 0.5}}
    controller = SweepController(many(4))
    assert describe(event, controller) == "random-3 proposed: x=0.5"
    assert (
        describe({**event, "notes": {"repeats": 1}}, controller)
        == "random-3 repeats random-1 with another seed: x=0.5"
    )


def test_a_searcher_that_ends_before_its_budget_says_so() -> None:
    said: list[str] = []

    class Told(NoLog):
        def applied(self, event: dict[str, object], controller: SweepController) -> None:
            said.append(describe(event, controller))

    controller = SweepController(sweep({"few": Few(2)}), Told())
    train(controller, taken(controller))
    train(controller, taken(controller))
    assert controller.next() is None
    assert said[-1] == "few has nothing left to propose after 2 configurations"


def test_a_damaged_checkpoint_is_said_once() -> None:
    said: list[str] = []

    class Told(NoLog):
        def applied(self, event: dict[str, object], controller: SweepController) -> None:
            said.append(describe(event, controller))

    controller = SweepController(many(4), Told())
    trial = taken(controller)
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    for epoch in (1, 2):
        notes = {DAMAGED: "last.pt is damaged: cut off", "peak_memory": epoch}
        controller.reported(trial, epoch, {"loss": 0.5}, 1.0, notes)
    told = [line for line in said if "damaged" in line]
    assert told == ["random-0 restarts from its first epoch: last.pt is damaged: cut off"]
    assert [report.epoch for report in trial.reports] == [1, 2]
    assert trial.notes[DAMAGED] == "last.pt is damaged: cut off"


@pytest.mark.parametrize(("form", "word"), [("promotion", "paused"), ("stopping", "stopped")])
def test_a_trial_that_may_be_promoted_is_paused(
    form: Literal["promotion", "stopping"], word: str
) -> None:
    said: list[str] = []

    class Told(NoLog):
        def applied(self, event: dict[str, object], controller: SweepController) -> None:
            said.append(describe(event, controller))

    scheduler = Asha(type=form, grace=1)
    controller = SweepController(sweep(scheduler=scheduler, budget=Budget(8, 9)), Told())
    for loss in range(6):
        controller.reported(taken(controller), 1, {"loss": float(loss)}, 1.0)
    assert {line.split()[1] for line in said if "epoch 1: 5 " in line} == {f"{word}:"}


def test_a_sweep_that_waits_for_others_says_so_once() -> None:
    controller = SweepController(many(4))
    free = {"CPU": 0.0}
    waiting = WaitingNotice({"CPU": 2.0}, lambda: free)
    trial = controller.next()
    assert trial is not None
    assert waiting.look(controller, 0.0) == ""
    assert waiting.look(controller, WAITING_SECONDS - 0.1) == ""
    line = waiting.look(controller, WAITING_SECONDS)
    assert line == "waiting for 2 CPU: others use the cluster, 0 CPU free at present"
    assert waiting.look(controller, 2 * WAITING_SECONDS) == ""
    controller.started(trial)
    assert waiting.look(controller, 3 * WAITING_SECONDS) == ""
    free["CPU"] = 8.0
    controller.returned(trial, "its worker was lost")
    assert waiting.look(controller, 100.0) == ""
    assert "waiting for a worker to start" in waiting.look(controller, 200.0)


def test_a_worker_that_starts_slowly_is_said_after_ten_seconds() -> None:
    controller = SweepController(many(4))
    waiting = WaitingNotice({"CPU": 2.0}, lambda: {"CPU": 8.0})
    assert waiting.look(controller, 0.0) == ""
    line = waiting.look(controller, WAITING_SECONDS)
    assert line == "waiting for a worker to start: it imports torch and your code first"
    assert waiting.look(controller, 2 * WAITING_SECONDS) == ""


def test_what_is_waited_for_leaves_the_screen_once_a_trial_starts() -> None:
    out = io.StringIO()
    shown = Screen("first", Console(file=out, width=100, force_terminal=True))

    class Told(NoLog):
        def applied(self, event: dict[str, object], controller: SweepController) -> None:
            shown.on_event(event, controller)

    controller = SweepController(many(4), Told())
    trial = controller.next()
    assert trial is not None
    shown.on_tick(controller)
    shown.say("waiting for a worker to start: it imports torch and your code first")
    assert "waiting for" not in out.getvalue()
    shown._drawn = -math.inf
    shown.on_tick(controller)
    assert "waiting for a worker" in out.getvalue()
    shown._drawn = -math.inf
    out.seek(0)
    out.truncate()
    controller.started(trial)
    assert "random-0" in out.getvalue()
    assert "waiting for" not in out.getvalue()
    shown.close(controller)


def test_what_the_sweeps_own_workers_hold_is_not_said_of_others() -> None:
    controller = SweepController(many(4))
    waiting = WaitingNotice({"CPU": 2.0}, lambda: {"CPU": 0.0})
    assert waiting.look(controller, 0.0, placed=2) == ""
    assert "a worker to start" in waiting.look(controller, WAITING_SECONDS, placed=2)


def test_a_running_trial_counts_by_what_it_has_trained() -> None:
    now = [0.0]
    controller = SweepController(many(2), clock=lambda: now[0])
    lefts = []
    for _ in range(2):
        trial = taken(controller)
        for epoch in (1, 2, 3):
            now[0] += 1.0
            controller.reported(trial, epoch, {"loss": 0.5}, float(epoch))
            lefts.append(time_left(controller))
    assert lefts == [pytest.approx(value, abs=1e-9) for value in (5.0, 4.0, 3.0, 2.0, 1.0, 0.0)]


def test_the_time_that_is_shown_does_not_jump() -> None:
    steady = SteadyTime()
    assert steady.follow(None, 0.0) is None
    assert steady.follow(1000.0, 1.0) == 1000.0
    shown = [1000.0]
    for second in range(2, 200):  # the estimate falls by half at once, then runs down
        left = steady.follow(500.0 - second, float(second))
        assert left is not None
        assert shown[-1] - 30 < left < shown[-1]
        shown.append(left)
    assert shown[-1] == pytest.approx(301.0, abs=2.0)


@pytest.mark.parametrize("width", [20, 33, 47, 80, 160])
def test_what_is_said_is_broken_between_words_at_any_width(width: int) -> None:
    line = "stopping after the running epochs; once more to end at once; raysweep resume it"
    out = io.StringIO()
    Screen("first", Console(file=out, width=width)).say(line)
    assert out.getvalue().split() == line.split()
    assert max(map(len, out.getvalue().splitlines())) <= width
