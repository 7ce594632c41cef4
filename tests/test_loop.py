"""The loop: turns, budgets, retries, limits, and going on from what a ledger says."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from raysweep.clock import now
from raysweep.history import Config, Event, History, Status, Trial, seconds_spent
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.base import Decision, Ranking
from raysweep.search_spaces.language.space import Space
from raysweep.tune.budget import HOPELESS
from raysweep.tune.controller import SweepController
from raysweep.tune.limits import HOPELESS_TRIALS, SAME_FAILURE
from raysweep.tune.sweep import Budget, Metric, Sweep
from raysweep.tune.time_left import time_left
from raysweep.tune.upcoming import Upcoming
from tests.sweeps import Draw, Few, Keep, StopAt, sweep, train, train_all


def outline(controller: SweepController) -> list[tuple[Any, ...]]:
    return [
        (t.id, t.config, t.seed, [r.loss for r in t.reports], t.status, t.reason)
        for t in controller.trials
    ]


def test_arms_take_turns_and_each_gets_its_trials() -> None:
    keep = Keep()
    controller = SweepController(sweep({"a": Draw(), "b": Draw()}), keep)
    train_all(controller)
    assert [event["study"] for event in keep.events if event["event"] == "proposed"] == [
        "a",
        "b",
    ] * 4
    assert controller.done
    assert all(trial.status is Status.COMPLETED for trial in controller.trials)


def test_an_arm_proposes_the_same_alone_and_beside_another() -> None:
    alone, beside = (
        SweepController(sweep({"a": Draw()})),
        SweepController(sweep({"b": Few(2), "a": Draw()})),
    )
    train_all(alone)
    train_all(beside)
    assert outline(alone) == [row for row in outline(beside) if row[0].startswith("a-")]


def test_a_searcher_with_nothing_left_ends_its_arm() -> None:
    controller = SweepController(sweep({"few": Few(2)}))
    train_all(controller)
    assert len(controller.histories["few"]) == 2
    assert controller.done


def test_seeds_make_arms_that_differ() -> None:
    controller = SweepController(sweep(seeds=2))
    train_all(controller)
    assert list(controller.histories) == ["draw.0", "draw.1"]
    assert [t.config for t in controller.histories["draw.0"]] != [
        t.config for t in controller.histories["draw.1"]
    ]


def test_total_epochs_are_spent_exactly_with_one_worker() -> None:
    controller = SweepController(
        sweep({"a": Draw(), "b": Draw()}, budget=Budget(trials=None, epochs=3, total_epochs=7))
    )
    train_all(controller)
    assert [history.epochs for history in controller.histories.values()] == [7, 7]


@pytest.mark.parametrize("kept", range(20))
def test_half_a_ledger_goes_on_to_the_same_history(kept: int) -> None:
    said = sweep({"a": Draw(), "b": Few(3)}, scheduler=StopAt(2))
    whole, keep = SweepController(said, Keep()), Keep()
    whole._log = keep
    train_all(whole)
    rest = SweepController(said, past=[dict(event) for event in keep.events[:kept]])
    train_all(rest)
    assert sorted(outline(rest)) == sorted(outline(whole))


@dataclass(frozen=True)
class Listed:
    """Proposes these values of x, the last one again and again."""

    xs: tuple[float, ...]

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return {"x": self.xs[min(len(history), len(self.xs) - 1)]}


@dataclass(frozen=True)
class StopHigh:
    """Stops a trial with a high x in its first epoch."""

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (epochs,)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None) -> Decision:
        return Decision(trial.config["x"] > 0.5, "high")

    def promote(
        self, history: History, ranking: Ranking | None, *, budget_exhausted: bool
    ) -> int | None:
        return None


def uneven() -> Sweep:
    """Four trials train 12 epochs for one searcher, and 4 for the other."""
    return sweep({"kept": Listed((0.2,)), "cut": Listed((0.8,))}, scheduler=StopHigh())


def test_an_arm_that_trained_less_goes_on_until_all_have_trained_as_much() -> None:
    controller = SweepController(uneven())
    train_all(controller)
    assert {
        name: (len(history), history.epochs) for name, history in controller.histories.items()
    } == {
        "kept": (4, 12),
        "cut": (12, 12),
    }
    assert controller.done


def test_the_last_of_the_further_trials_ends_with_the_allowance() -> None:
    controller = SweepController(
        sweep(
            {"kept": Listed((0.2,)), "late": Listed((0.8, 0.8, 0.8, 0.2))},
            scheduler=StopHigh(),
            budget=Budget(3, 5),
        )
    )
    train_all(controller)
    assert [trial.epoch for trial in controller.histories["late"]] == [1, 1, 1, 5, 5, 2]
    assert controller.histories["late"][5].reason == "epoch 2: the 15 epochs of late are spent"


def test_an_arm_with_nothing_left_is_left_behind() -> None:
    controller = SweepController(sweep({"kept": Listed((0.2,)), "few": Few(2)}))
    train_all(controller)
    assert {name: history.epochs for name, history in controller.histories.items()} == {
        "kept": 12,
        "few": 6,
    }
    assert controller.done


@pytest.mark.parametrize("kept", range(0, 60, 7))
def test_an_interrupted_comparison_goes_on_to_the_same_end(kept: int) -> None:
    keep = Keep()
    whole = SweepController(uneven(), keep)
    train_all(whole)
    rest = SweepController(uneven(), past=[dict(event) for event in keep.events[:kept]])
    rest.reopen(failed=False)
    train_all(rest)
    assert sorted(map(str, outline(rest))) == sorted(map(str, outline(whole)))


def test_a_finished_comparison_stays_finished_when_resumed() -> None:
    keep = Keep()
    train_all(SweepController(uneven(), keep))
    again = SweepController(uneven(), past=keep.events)
    again.reopen(failed=False)
    assert again.next() is None
    assert again.done


def test_an_arm_that_only_fails_is_not_made_to_catch_up() -> None:
    controller = SweepController(sweep({"kept": Listed((0.2,)), "cut": Listed((0.8,))}, retries=0))
    while (trial := controller.next()) is not None:
        if trial.study == "kept":
            train(controller, trial)
        else:
            controller.started(trial)
            controller.failed(trial, f"ValueError: {trial.number}", {})
    assert len(controller.histories["cut"]) <= 4 + HOPELESS
    assert controller.done


def test_that_a_searcher_has_nothing_left_is_kept() -> None:
    keep = Keep()
    train_all(SweepController(sweep({"few": Few(2)}), keep))
    assert [event["study"] for event in keep.events if event["event"] == "exhausted"] == ["few"]
    assert SweepController(sweep({"few": Few(9)}), past=keep.events).next() is None


def test_an_epoch_reported_twice_counts_once() -> None:
    controller = SweepController(sweep())
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    assert not controller.reported(trial, 1, {"loss": 0.1}, 1.0).stop
    assert [report.loss for report in trial.reports] == [0.5]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_loss_that_is_not_finite_ends_the_trial_and_never_wins(value: float, goal: Any) -> None:
    value = -value if goal == "maximize" else value
    controller = SweepController(sweep(metric=Metric("loss", goal)))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    assert controller.reported(trial, 1, {"loss": value}, 1.0).stop
    assert trial.status is Status.DIVERGED
    assert controller.histories["draw"].best is None


def test_a_failure_is_retried_once_then_given_up() -> None:
    controller = SweepController(sweep())
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.failed(trial, "ValueError: no", {"traceback": "..."})
    assert trial.status is Status.WAITING
    assert controller.next() is trial
    controller.started(trial)
    controller.failed(trial, "ValueError: no", {"traceback": "..."})
    assert (trial.status, trial.reason) == (Status.FAILED, "ValueError: no")


def test_three_trials_failing_alike_end_the_sweep() -> None:
    controller = SweepController(sweep(retries=0, budget=Budget(trials=100, epochs=3)))
    while (trial := controller.next()) is not None:
        controller.started(trial)
        controller.failed(trial, "ValueError: no", {})
    assert controller.stopping == SAME_FAILURE
    assert len(list(controller.trials)) == 3


def test_failures_that_differ_do_not_end_the_sweep() -> None:
    controller = SweepController(sweep(retries=0))
    while (trial := controller.next()) is not None:
        controller.started(trial)
        controller.failed(trial, f"ValueError: {trial.number}", {})
    assert len(list(controller.trials)) == 4


@pytest.mark.parametrize("good", [0, 3])
def test_a_budget_of_epochs_ends_though_no_trial_spends_any(good: int) -> None:
    """As where a disk is full after the first trials, and each later one says it otherwise."""
    controller = SweepController(sweep(retries=0, budget=Budget(None, 3, total_epochs=100)))
    for _ in range(1000):
        if (trial := controller.next()) is None:
            break
        if trial.number < good:
            train(controller, trial)
        else:
            controller.started(trial)
            controller.failed(trial, f"OSError: no room for {trial.number}", {})
    last = good + HOPELESS_TRIALS - 1
    assert controller.stopping == (
        f"the last 100 trials all failed before their first report, draw-{last} with: "
        f"OSError: no room for {last}"
    )
    assert controller.done


def test_one_searcher_that_only_fails_does_not_end_a_budget_of_trials() -> None:
    said = sweep({"a": Draw(), "b": Draw()}, retries=0, budget=Budget(trials=110, epochs=1))
    controller = SweepController(said)
    while (trial := controller.next()) is not None:
        if trial.study == "b":
            train(controller, trial)
        else:
            controller.started(trial)
            controller.failed(trial, f"ValueError: {trial.number}", {})
    assert controller.stopping == ""
    assert [len(history) for history in controller.histories.values()] == [110, 110]


def test_of_two_searchers_the_one_that_only_fails_is_named() -> None:
    said = sweep({"a": Draw(), "b": Few(2)}, retries=0, budget=Budget(None, 1, total_epochs=20))
    controller = SweepController(said)
    for _ in range(1000):
        if (trial := controller.next()) is None:
            break
        controller.started(trial)
        controller.failed(trial, f"ValueError: {trial.number}", {})
    assert controller.stopping.startswith("the last 100 trials of a all failed before their ")


def test_out_of_memory_halves_the_micro_batch_and_then_gives_up() -> None:
    controller = SweepController(sweep(budget=Budget(trials=1, epochs=3)))
    halvings = []
    while (trial := controller.next()) is not None:
        halvings.append(trial.notes.get("accumulation", 1))
        controller.started(trial)
        controller.out_of_memory(
            trial, "CUDA out of memory", {"peak_memory": 1, "accumulation_read": True}
        )
    assert halvings == [1, 2, 4, 8, 16, 32, 64]
    assert next(iter(controller.trials)).status is Status.OOM


def test_a_function_that_never_looks_at_the_micro_batches_is_not_retried_with_smaller_ones() -> (
    None
):
    controller = SweepController(sweep(budget=Budget(trials=1, epochs=3)))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.out_of_memory(trial, "CUDA out of memory", {"accumulation_read": False})
    assert (trial.status, trial.attempts) == (Status.OOM, 1)
    assert trial.reason.startswith("CUDA out of memory (not retried in micro-batches: ")


def test_out_of_memory_is_the_end_where_the_file_says_skip() -> None:
    controller = SweepController(sweep(on_oom=("skip",), budget=Budget(trials=1, epochs=3)))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.out_of_memory(trial, "CUDA out of memory", {"peak_memory": 7})
    assert (trial.status, trial.notes["peak_memory"]) == (Status.OOM, 7)


def test_the_target_ends_the_sweep() -> None:
    controller = SweepController(sweep(metric=Metric("loss", "minimize", target=0.9)))
    train_all(controller)
    assert "reached loss" in controller.stopping
    assert len(list(controller.trials)) == 1
    assert not controller.interrupted


def test_a_plateau_ends_the_sweep() -> None:
    controller = SweepController(
        sweep({"few": Few(50)}, budget=Budget(trials=50, epochs=3), plateau=5)
    )
    train_all(controller)
    assert len(list(controller.trials)) == 6
    assert "no better loss" in controller.stopping


def test_time_is_counted_over_sessions() -> None:
    past: list[Event] = [{"event": "opened", "time": 100.0}, {"event": "closed", "time": 160.0}]
    now = [1000.0]
    controller = SweepController(
        sweep(budget=Budget(trials=4, epochs=3, seconds=90.0)), past=past, clock=lambda: now[0]
    )
    assert controller.next() is not None
    now[0] += 31.0
    assert controller.next() is None
    assert "90 seconds" in controller.stopping


def test_a_clock_that_was_set_back_makes_no_time_unspent() -> None:
    times = [("opened", 1000.0), ("started", 1040.0), ("reported", 400.0), ("closed", 450.0)]
    past: list[Event] = [{"event": kind, "time": time} for kind, time in times[:1]]
    assert seconds_spent(past) == 0.0
    events: list[Event] = [{"event": kind, "time": time} for kind, time in times]
    assert seconds_spent(events) == 90.0
    assert seconds_spent([*events, {"event": "opened", "time": 10.0}]) == 90.0
    controller = SweepController(
        sweep(budget=Budget(4, 3, seconds=95.0)), past=events[:1] + events[3:]
    )
    assert controller.seconds >= 0.0


def test_setting_the_machines_clock_does_not_reach_a_running_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, before = time.time, now()
    for step in (-86_400.0, 86_400.0):
        monkeypatch.setattr(time, "time", lambda step=step: real() + step)
        assert before <= now() < before + 3600.0
        before = now()


def test_a_budget_of_more_epochs_goes_on_with_what_it_had_limited() -> None:
    keep = Keep()
    train_all(SweepController(sweep(), keep))
    controller = SweepController(sweep(budget=Budget(trials=4, epochs=5)), past=keep.events)
    controller.reopen(failed=False)
    train_all(controller)
    assert [trial.epoch for trial in controller.trials] == [5] * 4


def test_retrying_takes_up_only_what_failed() -> None:
    keep = Keep()
    controller = SweepController(sweep(retries=0), keep)
    first = controller.next()
    assert first is not None
    controller.started(first)
    controller.failed(first, "ValueError: no", {})
    train_all(controller)
    again = SweepController(sweep(retries=0), past=keep.events)
    again.reopen(failed=True)
    trial = again.next()
    assert trial is not None
    assert trial.id == first.id
    train(again, trial)
    assert again.next() is None


def test_the_time_left_counts_the_further_trials_of_a_comparison() -> None:
    now = [0.0]
    controller = SweepController(uneven(), clock=lambda: now[0])
    for _ in range(8):
        trial = controller.next()
        assert trial is not None
        train(controller, trial)
        now[0] += 1.0
    assert [history.epochs for history in controller.histories.values()] == [12, 4]
    assert time_left(controller) == pytest.approx(4.0)


@pytest.mark.parametrize("trials", [1, 4, 9])
@pytest.mark.parametrize("searchers", [{"a": Draw()}, {"a": Draw(), "b": Draw()}])
def test_a_trial_that_would_be_promoted_at_once_does_not_pause(
    trials: int, searchers: dict[str, Draw], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It continues in its process, and the sweep trains what it would have trained."""
    whole = sweep(searchers, scheduler=Asha(grace=1), budget=Budget(trials, 27))

    def played() -> tuple[Keep, SweepController]:
        keep = Keep()
        controller = SweepController(whole, keep)
        train_all(controller)
        return keep, controller

    keep, controller = played()
    events = [event for event in keep.events if event["event"] in ("ended", "promoted", "started")]
    for ended, promoted in pairwise(events):
        again = (ended["event"], promoted["event"]) == ("ended", "promoted")
        assert not (again and ended["trial"] == promoted["trial"])
    monkeypatch.setattr(Upcoming, "is_promoted_at_once", lambda self, trial: False)
    parked, reference = played()
    assert outline(controller) == outline(reference)
    if len(searchers) == 1:  # of two, the one that trained less is promoted first
        assert len(parked.events) > len(keep.events)


def test_a_trial_that_would_be_promoted_at_once_is_resumed_as_it_is() -> None:
    """Whatever the moment at which the session ended."""
    whole = sweep(scheduler=Asha(grace=1), budget=Budget(4, 27))
    keep = Keep()
    controller = SweepController(whole, keep)
    train_all(controller)
    for count in range(len(keep.events)):
        resumed = SweepController(whole, past=keep.events[:count])
        train_all(resumed)
        assert outline(resumed) == outline(controller), count
