"""Commands of people: each is checked, recorded, carried out once, and found in the ledger."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.history import Config, Event, Status, Trial
from raysweep.results.analysis.decisions import decisions
from raysweep.results.storage import ledger
from raysweep.results.storage.inbox import Command, Inbox
from raysweep.results.storage.ledger import Ledger
from raysweep.schedulers import Asha
from raysweep.search_spaces.language.params import Choice, Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.tune.callbacks.inbox import CommandInbox
from raysweep.tune.commands import KINDS, carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Epoch, SimulatedExecutor
from raysweep.tune.run_folders import RunFolder
from raysweep.tune.searchers.random_grid import Grid
from raysweep.tune.session import search
from raysweep.tune.sweep import Budget, Metric, Sweep
from tests.sweeps import Draw, Keep, sweep, train, train_all

SPACE = Space(
    {"x": Float(0.0, 1.0), "width": Int(8, 64, around=16), "kind": Choice(("flat", "deep"))},
    constants={"data": "none"},
    conditions={"width": lambda flat: flat["kind"] == "deep"},
    derived={"size": lambda flat: 2 * flat["x"]},
    order=("x", "kind", "width", "size"),
)


def give(controller: SweepController, command: str, **arguments: Any) -> Event:
    return carry_out(Command(command, arguments), controller)


def resumed(said: Sweep, keep: Keep) -> SweepController:
    """What the next session finds."""
    controller = SweepController(said, Keep(), [dict(event) for event in keep.events])
    controller.reopen(False)
    return controller


def outline(controller: SweepController) -> list[tuple[Any, ...]]:
    """All that two sweeps must agree on."""
    return sorted(
        (t.id, repr(t.config), t.seed, [r.loss for r in t.reports], str(t.status), t.reason)
        for t in controller.trials
    )


def test_what_is_enqueued_is_trained_next_and_takes_the_place_of_a_proposal() -> None:
    said, keep = sweep(), Keep()
    controller = SweepController(said, keep)
    event = give(controller, "enqueue", configurations=[{"x": 1}, {"x": 0.25}])
    assert (event["outcome"], event["reason"]) == (
        "applied",
        "2 configurations will be trained next",
    )
    again = resumed(said, keep)
    for each in (controller, again):
        train_all(each)
        assert [trial.config["x"] for trial in each.trials][:2] == [1.0, 0.25]
        assert len(list(each.trials)) == 4
    assert outline(controller) == outline(again)


def test_what_is_enqueued_after_the_end_is_trained_beyond_the_budget() -> None:
    said, keep = sweep(), Keep()
    controller = SweepController(said, keep)
    train_all(controller)
    ended = controller.done
    event = give(controller, "enqueue", configurations=[{"x": 0.5}])
    assert event["reason"].endswith(", beyond the 4 trials of the budget, which have all begun")
    assert (ended, controller.done) == (True, False)
    train_all(resumed(said, keep))
    train_all(controller)
    assert len(list(controller.trials)) == 5


def test_a_sweep_that_reached_its_target_trains_only_what_was_asked_for() -> None:
    said, keep = sweep(metric=Metric("loss", "minimize", target=0.9)), Keep()
    controller = SweepController(said, keep)
    first = controller.next()
    assert first is not None
    train(controller, first)
    assert "reached loss" in controller.stopping
    give(controller, "enqueue", configurations=[{"x": 0.5}])
    give(controller, "continue", trial="draw-0", epochs=5)
    again = resumed(said, keep)
    train_all(again)
    assert [trial.epoch for trial in again.trials] == [5, 3]
    assert again.done
    assert "reached loss" in again.ended_before


def test_mistakes_are_all_named_a_line_each_and_change_nothing() -> None:
    controller = SweepController(sweep(space=SPACE), Keep())
    given = [
        {"x": 3, "kind": "deep", "widht": 9},
        {"kind": "flat", "x": 0.5, "width": 9},
        {"x": 0.5, "kind": "flat", "data": "other", "size": 1.0},
        "flat",
    ]
    event = give(controller, "enqueue", configurations=given)
    assert event["outcome"] == "refused"
    assert event["reason"].splitlines() == [
        "configuration 1: widht: there is no such parameter; did you mean 'width'?",
        "configuration 1: x: expected a number from 0 to 1, got 3",
        "configuration 2: width: is not active in this configuration, so it has no value",
        "configuration 3: data: is none in this configuration, got other",
        "configuration 4: expected parameters with their values",
    ]
    assert not controller.steering.queue


def test_constants_centres_and_derived_values_are_filled_in_but_nothing_is_drawn() -> None:
    controller = SweepController(sweep(space=SPACE), Keep())
    give(controller, "enqueue", configurations=[{"x": 1, "kind": "deep"}])
    (queued,) = controller.steering.queue.values()
    assert queued.config == {"data": "none", "x": 1.0, "kind": "deep", "width": 16, "size": 2.0}
    event = give(controller, "enqueue", configurations=[{"kind": "deep"}])
    assert event["reason"] == "x: missing; expected a number from 0 to 1"


def test_a_duplicate_is_said() -> None:
    controller = SweepController(sweep(), Keep())
    give(controller, "enqueue", configurations=[{"x": 0.5}])
    assert (
        "the same waits already"
        in give(controller, "enqueue", configurations=[{"x": 0.5}])["reason"]
    )
    train_all(controller)
    event = give(controller, "enqueue", configurations=[{"x": 0.5}])
    assert "the same was trained as draw-" in event["reason"]


def test_ten_thousand_enqueued_configurations_are_not_all_looked_at_each_time() -> None:
    class Counted(OrderedDict[str, Any]):
        looked_at = 0

        def items(self) -> Any:
            for pair in super().items():
                Counted.looked_at += 1
                yield pair

    controller = SweepController(sweep(), Keep())
    give(controller, "enqueue", configurations=[{"x": 0.5}] * 10_000)
    controller.steering.queue = Counted(controller.steering.queue)
    for number in range(10):
        trial = controller.next()
        assert trial is not None
        assert trial.notes["enqueued"].endswith(f".{number}")
        assert not controller.done
        train(controller, trial)
    assert Counted.looked_at < 100


def test_the_grid_loses_no_cell_to_what_is_enqueued() -> None:
    space = Space({"x": Choice((0.1, 0.2, 0.3))})
    controller = SweepController(sweep({"grid": Grid()}, space=space, budget=Budget(9, 1)))
    give(controller, "enqueue", configurations=[{"x": 0.2}])
    train_all(controller)
    assert sorted(trial.config["x"] for trial in controller.trials) == [0.1, 0.2, 0.2, 0.3]


def test_the_file_enqueues_for_each_study_within_its_budget() -> None:
    said = sweep(
        {"a": Draw(), "b": Draw()}, enqueue=({"x": 0.1}, {"x": 0.2}), budget=Budget(3, 1, 12)
    )
    keep = Keep()
    controller = SweepController(said, keep)
    for _ in range(3):
        trial = controller.next()
        assert trial is not None
        train(controller, trial)
    for each in (controller, resumed(said, keep)):
        train_all(each)
        for history in each.histories.values():
            assert [trial.config["x"] for trial in history][:2] == [0.1, 0.2]
            assert len(history) == 3
    few = SweepController(replace(said, budget=Budget(1, 1, 12)))
    train_all(few)
    assert [trial.config["x"] for trial in few.trials] == [0.1, 0.1]


def test_what_is_enqueued_comes_before_a_trial_that_would_be_promoted_at_once() -> None:
    said = sweep(scheduler=Asha(grace=1, eta=2), budget=Budget(1, 4))
    for command in ("enqueue", "pause"):
        controller = SweepController(said, Keep())
        trial = controller.next()
        assert trial is not None
        given = {"configurations": [{"x": 0.5}]} if command == "enqueue" else {}
        controller.started(trial)
        give(controller, command, **given)
        assert controller.reported(trial, 1, {"loss": 0.5}, 1.0).stop
        assert trial.status is Status.STOPPED
        following = controller.next()
        assert (following is None) == (command == "pause")
        assert following is not trial


def test_a_stopped_trial_ends_after_its_epoch_and_is_not_promoted() -> None:
    said = sweep(scheduler=Asha(grace=1, eta=2), budget=Budget(4, 4))
    keep = Keep()
    controller = SweepController(said, keep)
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    give(controller, "stop", trial=trial.id)
    assert not controller.stop_by_hand(trial)
    assert controller.reported(trial, 1, {"loss": 0.0}, 1.0).stop
    for each in (controller, resumed(said, keep)):
        train_all(each)
        stopped = each.trial(trial.id)
        assert (stopped.status, stopped.epoch, stopped.reason) == ("stopped", 1, "stopped by hand")
        assert any(other.epoch == 4 for other in each.trials)


def test_a_paused_trial_that_is_stopped_is_not_promoted() -> None:
    controller = SweepController(sweep(scheduler=Asha(grace=1, eta=2), budget=Budget(4, 4)), Keep())
    for loss in (0.5, 0.1, 0.2):
        trial = controller.next()
        assert trial is not None
        controller.started(trial)
        controller.reported(trial, 1, {"loss": loss}, 1.0)
    paused = [trial for trial in controller.trials if trial.status is Status.STOPPED]
    for trial in paused:
        assert give(controller, "stop", trial=trial.id)["outcome"] == "applied"
    again = give(controller, "stop", trial=paused[0].id)
    assert again["reason"] == f"{paused[0].id} was stopped by hand already"
    train_all(controller)
    assert all(trial.epoch == 1 for trial in paused)


@pytest.mark.parametrize("killed", [False, True])
def test_a_waiting_trial_is_stopped_at_once_even_if_the_session_dies(killed: bool) -> None:
    said, keep = sweep(), Keep()
    controller = SweepController(said, keep)
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.returned(trial, "its machine was lost")
    give(controller, "stop", trial=trial.id)
    assert trial.status is Status.STOPPED
    if killed:
        assert keep.events.pop()["event"] == "ended"
    again = resumed(said, keep)
    train_all(again)
    assert again.trial(trial.id).status is Status.STOPPED
    assert again.trial(trial.id).epoch == 0


def test_continue_trains_longer_whatever_the_scheduler_says() -> None:
    said = sweep(scheduler=Asha(type="stopping", grace=1, eta=2), budget=Budget(3, 4))
    keep = Keep()
    controller = SweepController(said, keep)
    train_all(controller)
    worst = max(controller.trials, key=lambda trial: trial.config["x"])
    assert worst.epoch < 4
    give(controller, "continue", trial=worst.id, epochs=6)
    for each in (resumed(said, keep), controller):
        train_all(each)
        trial = each.trial(worst.id)
        assert (trial.status, trial.epoch, trial.reason) == ("completed", 6, "trained all 6 epochs")
        assert each.done


@pytest.mark.parametrize(
    ("command", "arguments", "reason"),
    [
        ("stop", {"trial": "draw-9"}, "there is no trial 'draw-9'; did you mean 'draw-3'?"),
        ("stop", {"trail": "draw-0"}, "stop has no argument 'trail'; did you mean 'trial'?"),
        ("stop", {"trial": "draw-0"}, "draw-0 has ended: completed"),
        ("stop", {"now": 1}, "now: expected true or false, got 1"),
        ("retry", {"trial": "draw-0"}, "draw-0 is completed; only what failed can be retried"),
        ("resume", {}, "the sweep is not paused"),
        ("continue", {"trial": "draw-0", "epochs": 3}, "draw-0 has trained 3 epochs"),
        ("continue", {"trial": "draw-0", "epochs": True}, "epochs: expected a whole number"),
        ("extend", {}, "nothing to extend"),
        ("extend", {"trials": "3"}, "trials: is 4; a budget can only grow"),
        ("extend", {"trials": "+1.5"}, "trials: expected a whole number, got +1.5"),
        ("extend", {"trials": "many"}, "trials: expected a limit, as 80 or +50, got many"),
        ("extend", {"time": "+1h"}, "time: the budget of this sweep does not limit it"),
        ("extend", {"epochs": 3}, "epochs: is 3; a budget can only grow"),
        ("extend", {"steps": 9}, "steps: trials of this sweep are measured in epochs"),
        ("extend", {"trials": "nan"}, "trials: expected a limit, as 80 or +50, got nan"),
        ("continue", {"trial": "draw-0", "steps": 9}, "steps: trials of this sweep are measured"),
        ("continue", {"trial": "draw-0"}, "expected epochs=N, how far the trial is to be"),
        ("set", {"parallel": 0}, "parallel: expected a whole number above zero, got 0"),
        ("enqueue", {"configurations": []}, "expected 1 to 10,000 configurations"),
        ("enqueue", {"configurations": [{"x": 0}], "study": "b"}, "there is no study 'b': draw"),
        ("enqueue", {"configurations": [{"x": 0}], "study": ["draw"]}, "there is no study"),
        ("enqueue", {"configurations": [{"x": 10**400}]}, "x: expected a number from 0 to 1"),
        ("set", {"space": {"x": "0..inf"}}, "space.x: expected a range such as 0.001..0.1"),
        ("set", {"space": {"x": "-inf..inf"}}, "space.x: expected a range such as 0.001..0.1"),
        ("set", {"space": {"x": [0, 10**400]}}, "space.x: expected a range such as 0.001..0.1"),
        ("extend", {"trials": 1e308}, "trials: expected a limit, as 80 or +50, got 1e+308"),
        ("note", {"text": "  "}, "expected a text"),
        ("tag", {"tags": ["two words"]}, "expected tags"),
        ("halt", {}, "there is no command 'halt'"),
    ],
)
def test_what_cannot_be_followed_is_refused_and_recorded(
    command: str, arguments: dict[str, Any], reason: str
) -> None:
    keep = Keep()
    controller = SweepController(sweep(), keep)
    train_all(controller)
    before = outline(controller)
    event = give(controller, command, **arguments)
    assert event["outcome"] == "refused"
    assert event["reason"].startswith(reason)
    assert keep.events[-1]["id"] == event["id"]
    assert outline(controller) == before == outline(resumed(sweep(), keep))


def test_a_command_that_breaks_its_check_ends_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(controller: SweepController, arguments: Any) -> Any:
        raise KeyError("oh")

    monkeypatch.setitem(KINDS, "note", replace(KINDS["note"], check=breaks))
    event = give(SweepController(sweep(), Keep()), "note", text="a")
    assert event["outcome"] == "refused"
    assert event["reason"] == "it cannot be checked, which is a bug: KeyError: 'oh'"


def test_a_refused_command_whose_trial_is_no_name_is_no_decision() -> None:
    keep = Keep()
    give(SweepController(sweep(), keep), "tag", tags=["a"], trial=["draw-0"])
    assert decisions(keep.events) == {}


def test_a_retried_trial_has_its_retries_again() -> None:
    said, keep = sweep(budget=Budget(1, 3), retries=0), Keep()
    controller = SweepController(said, keep)
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.failed(trial, "ValueError", {})
    assert trial.status is Status.FAILED
    assert give(controller, "retry", trial=trial.id)["outcome"] == "applied"
    for each in (resumed(said, keep), controller):
        assert each.trial(trial.id).notes["failures"] == 0
        train_all(each)
        assert each.trial(trial.id).status is Status.COMPLETED


def test_an_extended_budget_is_there_after_a_resume_and_a_larger_file_counts() -> None:
    said, keep = sweep(), Keep()
    controller = SweepController(said, keep)
    train_all(controller)
    assert give(controller, "extend", trials="+2")["arguments"] == {"trials": 6}
    assert not controller.done
    assert resumed(said, keep).sweep.budget.trials == 6
    assert resumed(replace(said, budget=Budget(9, 3)), keep).sweep.budget.trials == 9
    train_all(controller)
    assert len(list(controller.trials)) == 6
    assert outline(controller) == outline(_trained(resumed(said, keep)))


def _trained(controller: SweepController) -> SweepController:
    train_all(controller)
    return controller


def test_more_time_lets_a_sweep_continue_that_had_run_out_of_it() -> None:
    clock = itertools.count()
    said = sweep(budget=Budget(50, 1, seconds=20.0))
    controller = SweepController(said, Keep(), clock=lambda: float(next(clock)))
    train_all(controller)
    assert controller.stopping == "the 20 seconds of the budget are spent"
    give(controller, "extend", time="+1m")
    assert controller.stopping == ""
    before = len(list(controller.trials))
    train_all(controller)
    assert len(list(controller.trials)) > before


def test_trials_that_the_epochs_limited_continue_when_these_are_extended() -> None:
    controller = SweepController(sweep(budget=Budget(None, 3, 4)), Keep())
    train_all(controller)
    assert [trial.epoch for trial in controller.trials] == [3, 1]
    give(controller, "extend", total_epochs=6)
    train_all(controller)
    assert [trial.epoch for trial in controller.trials] == [3, 3]


def test_notes_and_tags_are_kept_as_they_were_written() -> None:
    said, keep = sweep(), Keep()
    controller = SweepController(said, keep)
    train_all(controller)
    give(controller, "note", text="[bold]<b>new</b>\x1b[31m data")
    give(controller, "note", text="odd", trial="draw-1")
    give(controller, "tag", tags=["a", "b", "a"])
    give(controller, "tag", tags=["c"], trial="draw-1")
    give(controller, "tag", tags=["b"], remove=True)
    for each in (controller, resumed(said, keep)):
        notes = [(note.trial, note.text) for note in each.steering.notes]
        assert notes == [("", "[bold]<b>new</b>\\x1b[31m data"), ("draw-1", "odd")]
        assert each.steering.tags == {"": ["a"], "draw-1": ["c"]}


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    """The loss of an epoch depends on the configuration and the seed; each takes a second."""
    for epoch in itertools.count(1):
        yield {"loss": config["x"] / epoch + (seed % 7) / 1000}, 1.0


class Killed(BaseException):
    """Ends a session as SIGKILL does: nothing of it runs any more."""


class KilledLedger(Ledger):
    """A ledger whose process is killed before or after it writes a certain event."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.left = -1
        self.after = False

    def append(self, event: Event) -> None:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        super().append(event)
        if self.left == 0:
            raise Killed


class Person:
    """Gives commands at moments of the sweep: when a trial has reported an epoch.

    Each is given once, however often the session is killed.
    """

    def __init__(self, folder: Path, script: dict[tuple[str, int], list[Command]]) -> None:
        self._inbox = Inbox(folder)
        self._script = dict(script)
        self.given: list[str] = []

    def on_event(self, event: Event, controller: SweepController) -> None:
        self.on_tick(controller)

    def on_tick(self, controller: SweepController) -> None:
        for moment in list(self._script):
            trial_id, epoch = moment
            trials = {trial.id: trial for trial in controller.trials}
            if trial_id in trials and trials[trial_id].epoch >= epoch:
                for command in self._script.pop(moment):
                    self._inbox.put(command)
                    self.given.append(command.id)

    def close(self, controller: SweepController) -> None: ...


class Eager(CommandInbox):
    """Looks into the inbox at each tick, so that no test depends on the clock."""

    def on_tick(self, controller: SweepController) -> None:
        self._looked = 0.0
        super().on_tick(controller)


class Session:
    """Sessions of one run directory on the simulated executor with one worker."""

    def __init__(self, folder: Path, said: Sweep) -> None:
        self.folder = folder
        self.said = said
        folder.mkdir()

    def run(
        self, person: Person, kill: Callable[[], tuple[int, bool]] | None = None
    ) -> SweepController | None:
        """The controller at the end of a session; None if it was killed."""
        held = RunFolder(self.folder, KilledLedger(self.folder))
        assert isinstance(held.ledger, KilledLedger)
        if kill:
            held.ledger.left, held.ledger.after = kill()
        past = held.ledger.past
        try:
            return self._run(held, person, past)
        except Killed:
            return None
        finally:
            held.close()

    def _run(self, held: RunFolder, person: Person, past: list[Event]) -> SweepController:
        held.opened(self.said)
        executor = SimulatedExecutor(curve, 1)
        log = Written(held.ledger.append)
        controller = SweepController(self.said, log, past, clock=executor.clock)
        inbox = Eager(held, controller)
        person.on_tick(controller)
        inbox.open()
        controller.reopen(False)
        search(controller, executor, [person, inbox])
        return controller


class Written(Keep):
    """Writes the events to a ledger."""

    def __init__(self, append: Callable[[Event], None]) -> None:
        super().__init__()
        self._append = append

    def write(self, event: Event) -> None:
        self._append(event)


Moments = dict[tuple[str, int], list[Command]]
"""Commands by the trial and the epoch that is reported when they are given."""


def script(count: int, trials: int, rng: np.random.Generator) -> Moments:
    """So many commands of all kinds that a run of simulated trials can be given."""
    moments: Moments = {}
    kinds = sorted(KINDS.keys() - {"pause", "resume", "withdraw"})
    for index in range(count):
        moment = f"draw-{rng.integers(trials)}", int(rng.integers(1, 4))
        trial = f"draw-{rng.integers(trials)}"
        command = kinds[rng.integers(len(kinds))]
        by_kind: dict[str, dict[str, Any]] = {
            "stop": {"trial": trial},
            "retry": {"trial": trial},
            "continue": {"trial": trial, "epochs": int(rng.integers(4, 8))},
            "enqueue": {"configurations": [{"x": round(float(rng.random()), 3)}]},
            "extend": {"trials": "+1"},
            "set": {"parallel": int(rng.integers(1, 3))},
            "note": {"text": f"note {index}"},
            "tag": {"tags": [f"tag{index}"], "trial": moment[0]},
        }
        moments.setdefault(moment, []).append(
            Command(command, by_kind[command], id=f"c{index:03d}", time=float(index))
        )
    return moments


@pytest.mark.parametrize("seed", range(4))
def test_a_hundred_commands_under_kills_count_once_each_as_if_undisturbed(
    tmp_path: Path, seed: int
) -> None:
    said = sweep(budget=Budget(trials=20, epochs=3))
    moments = script(100, 20, np.random.default_rng(seed))
    undisturbed = Session(tmp_path / "calm", said)
    calm = undisturbed.run(Person(undisturbed.folder, moments))
    assert calm is not None
    disturbed, rng = Session(tmp_path / "killed", said), np.random.default_rng(seed + 100)
    person, kills, found = Person(disturbed.folder, moments), 0, None
    while found is None:
        found = disturbed.run(person, lambda: (int(rng.integers(2, 40)), bool(rng.integers(2))))
        kills += found is None
    assert kills >= 10
    events = [event for event in ledger.read(disturbed.folder) if event["event"] == "command"]
    assert sorted(event["id"] for event in events) == sorted(person.given)
    assert len(person.given) >= 90  # a moment never comes if its trial was stopped before
    assert not Inbox(disturbed.folder).names()
    assert outline(found) == outline(calm)
    assert found.steering.tags == calm.steering.tags
    assert sorted(note.text for note in found.steering.notes) == sorted(
        note.text for note in calm.steering.notes
    )
    assert found.sweep.budget == calm.sweep.budget


def test_a_pause_ends_the_executor_and_survives_a_kill(tmp_path: Path) -> None:
    session = Session(tmp_path / "run", sweep())
    person = Person(session.folder, {("draw-1", 1): [Command("pause", id="p", time=1.0)]})
    kill = iter([12])
    # The session is killed by the first event after the pause, which is the trial's return.
    assert session.run(person, lambda: (next(kill), True)) is None
    events = ledger.read(session.folder)
    controller = SweepController(sweep(), Keep(), events)
    paused = controller.steering.paused
    assert paused == ("pause" in [event.get("command") for event in events])
    Inbox(session.folder).put(Command("resume", id="r", time=2.0))
    ended = session.run(person)
    assert ended is not None
    assert all(trial.status is Status.COMPLETED for trial in ended.trials)


def test_a_paused_sweep_starts_nothing_and_keeps_what_was_trained() -> None:
    controller = SweepController(sweep(), Keep())
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    give(controller, "pause")
    assert give(controller, "pause")["outcome"] == "refused"
    runs_on = not controller.done
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    assert controller.hold(trial)
    assert (runs_on, controller.done, controller.paused) == (True, True, True)
    assert controller.next() is None
    give(controller, "resume")
    assert not controller.paused
    assert controller.next() is trial


def test_fewer_at_once_finish_their_epoch_and_lose_nothing() -> None:
    class Few(Person):
        def __init__(self) -> None:
            self.most: list[int] = []

        def on_tick(self, controller: SweepController) -> None:
            epochs = sum(history.epochs for history in controller.histories.values())
            if epochs == 4:
                give(controller, "set", parallel=1)
            if epochs == 10:
                give(controller, "set", parallel="auto")
            running = [t for t in controller.trials if t.status is Status.RUNNING]
            self.most.append(len(running))

    few, executor = Few(), SimulatedExecutor(curve, 4)
    said = sweep(budget=Budget(8, 3))
    controller = SweepController(said, Keep(), clock=executor.clock)
    executor.run(controller, [few])
    assert few.most[0] == 4
    assert 1 in few.most[3:9]
    assert max(few.most[11:]) == 4
    assert [[r.epoch for r in trial.reports] for trial in controller.trials] == [[1, 2, 3]] * 8


def test_a_file_that_is_no_command_is_set_aside_and_said(tmp_path: Path) -> None:
    session = Session(tmp_path / "run", sweep())
    folder = session.folder / "commands"
    folder.mkdir()
    texts = ["", "[]", "{}", '{"command": "stop", "id": "../../x", "time": 1}', "[" * 100_000]
    for index, text in enumerate(texts):
        (folder / f"{index}.json").write_text(text)
    (folder / ".half.json-1").write_text("{")
    ended = session.run(Person(session.folder, {}))
    assert ended is not None
    assert ended.done
    assert sorted(path.suffix for path in folder.iterdir()) == [".json-1", *[".unreadable"] * 5]


def test_a_stop_that_came_too_late_does_not_stop_the_next_session(tmp_path: Path) -> None:
    session = Session(tmp_path / "run", sweep())
    Inbox(session.folder).put(Command("stop"))
    ended = session.run(Person(session.folder, {}))
    assert ended is not None
    assert not ended.interrupted
    (event,) = [event for event in ledger.read(session.folder) if event["event"] == "command"]
    assert (event["outcome"], event["reason"]) == (
        "refused",
        "the session that it was for has ended",
    )


def test_a_worker_that_was_given_fewer_epochs_is_asked_for_the_rest(tmp_path: Path) -> None:
    from raysweep.tune.executors.messages import KEY
    from raysweep.tune.executors.policy import TrialCoordinator
    from raysweep.tune.make_job import job

    def make_job(trial: Trial) -> Any:
        return job(controller.sweep, tmp_path, trial)

    controller = SweepController(sweep(budget=Budget(1, 2)), Keep(), make_job=make_job)
    coordinator = TrialCoordinator(controller, make_job)
    first = coordinator.next_job("w")
    assert first is not None
    assert first.epochs == 2
    coordinator.started("w")
    give(controller, "continue", trial="draw-0", epochs=3)
    for epoch in (1, 2):
        message = {"epoch": epoch, "metrics": {"loss": 0.5}, "seconds": 1.0}
        assert coordinator.heard("w", {KEY: [message]})
    outcome = {"status": "completed", "reason": "it returned after epoch 2"}
    assert not coordinator.heard("w", {KEY: [{"outcome": outcome}]})
    again = coordinator.next_job("w")
    assert again is not None
    assert (again.epochs, again.known_epoch) == (3, 2)
    give(controller, "stop", trial="draw-0", now=True)
    assert not coordinator.heard("w", {KEY: [{"alive": True}]})
    assert controller.trial("draw-0").status is Status.STOPPED
