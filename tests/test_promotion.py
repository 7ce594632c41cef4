"""ASHA in its promotion form: who goes on, that nothing is trained twice, that a sweep resumes to the same end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from results.history import Config, History, Report, Status, Trial
from schedulers.promotion import Promotion
from search_spaces.params import Float
from search_spaces.space import Space
from tests.sweeps import Draw, Keep, sweep
from tune.loop import Loop
from tune.simulate import Epoch, simulate
from tune.sweep import Budget, Sweep

SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def crossing(config: Config, seed: int) -> Iterable[Epoch]:
    """Curves that cross: some begin badly and end well. An epoch lasts 0.5 to 1.5 seconds."""
    return (({"loss": config["x"] + config["y"] / epoch}, 0.5 + config["y"]) for epoch in range(1, 28))


def said(trials: int | None = 27, epochs: int = 27, **changes: Any) -> Sweep:
    budget = changes.pop("budget", Budget(trials, epochs))
    return sweep({"draw": Draw()}, scheduler=changes.pop("scheduler", Promotion(grace=1)), space=SPACE, budget=budget, **changes)


def trained(keep: Keep) -> Counter[tuple[str, int]]:
    return Counter((event["trial"], event["epoch"]) for event in keep.events if event["event"] == "reported")


@pytest.mark.parametrize("workers", [1, 4])
def test_a_third_goes_on_from_each_rung_and_no_epoch_is_trained_twice(workers: int) -> None:
    keep = Keep()
    history = simulate(said(), crossing, workers, keep).histories["draw"]
    assert {level: len(rung) for level, rung in history.rungs.items()} == {1: 27, 3: 9, 9: 3, 27: 1}
    assert set(trained(keep).values()) == {1}
    (best,) = (trial for trial in history if trial.status is Status.COMPLETED)
    assert [report.epoch for report in best.reports] == list(range(1, 28))


def test_with_one_worker_the_best_of_each_rung_go_on() -> None:
    """Whoever waits at a rung in the end is worse there than those who went on, but for what came after the others had gone on."""
    history = simulate(said(trials=None, budget=Budget(None, 27, seconds=400.0)), crossing, 1).histories["draw"]
    rung = history.rungs[1]
    gone = [loss for number, loss in rung.by_trial.items() if history[number].epoch > 1]
    assert len(gone) == rung.gone_on
    assert abs(len(gone) - len(rung) / 3) <= 1
    assert np.mean(gone) < np.quantile(rung.losses, 1 / 3)


@pytest.mark.parametrize("trials", [1, 2, 5])
def test_a_small_sweep_trains_its_best_trial_to_the_end(trials: int) -> None:
    history = simulate(said(trials), crossing, 2).histories["draw"]
    assert [trial.epoch for trial in history if trial.status is Status.COMPLETED] == [27]


losses = st.lists(st.floats(0, 1) | st.just(math.inf), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(losses, st.integers(0, 2**31))
def test_to_go_on_at_once_is_to_stop_and_be_promoted_first(ends: list[float], seed: int) -> None:
    """Whatever came before: `decide` lets a trial go on exactly where `promote` would take it up at that moment."""
    scheduler, rng = Promotion(grace=1), np.random.default_rng(seed)
    history = History(scheduler.levels(27))
    for number, end in enumerate(ends):
        history.add(Trial(number, "draw", {}, number))
        resumed = scheduler.promote(history, ending=False) if rng.random() < 0.7 else None
        turn = history[number if resumed is None else resumed]
        history.close(turn.number, Status.WAITING)
        history.start(turn.number)
        while turn.epoch < 27:
            history.record(turn.number, Report(turn.epoch + 1, end + rng.random() / (turn.epoch + 1), {}))
            goes_on = not scheduler.decide(turn, history).stop
            if turn.epoch in history.levels[:-1]:
                history.close(turn.number, Status.STOPPED)
                assert goes_on == (scheduler.promote(history, ending=False) == turn.number)
                if not goes_on or rng.random() < 0.2:
                    break
                history.close(turn.number, Status.WAITING)
                history.start(turn.number)


@pytest.mark.parametrize("audit", [0.0, 0.3])
def test_a_sweep_interrupted_at_any_event_goes_on_to_the_same_end(audit: float) -> None:
    whole, keep = said(12, scheduler=Promotion(grace=1, audit=audit)), Keep()
    there = outline(simulate(whole, crossing, 1, keep))
    for kept in range(len(keep.events)):
        assert outline(simulate(whole, crossing, 1, past=[dict(event) for event in keep.events[:kept]])) == there


def outline(loop: Loop) -> list[tuple[Any, ...]]:
    return [(trial.id, trial.config, trial.status, [report.loss for report in trial.reports]) for trial in loop.trials]


def test_compared_searchers_train_equally_many_epochs() -> None:
    arms = sweep({"a": Draw(), "b": Draw()}, scheduler=Promotion(grace=1), space=SPACE, budget=Budget(20, 27), seeds=3)
    loop = simulate(arms, crossing, 4)
    assert len({history.epochs for history in loop.histories.values()}) == 1
    assert loop.done


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_an_interrupted_comparison_keeps_its_allowance(part: float) -> None:
    arms, keep = sweep({"a": Draw(), "b": Draw()}, scheduler=Promotion(grace=1), space=SPACE, budget=Budget(20, 27), seeds=2), Keep()
    there = simulate(arms, crossing, 1, keep)
    again = simulate(arms, crossing, 1, past=keep.events[: int(part * len(keep.events))])
    assert outline(again) == outline(there)


def test_no_promotion_beyond_the_epochs_of_the_budget() -> None:
    history = simulate(said(budget=Budget(None, 27, total_epochs=50)), crossing, 3).histories["draw"]
    assert history.epochs == 50


def test_audited_trials_take_nobodys_place() -> None:
    history = simulate(said(60, scheduler=Promotion(grace=1, audit=0.3)), crossing, 2).histories["draw"]
    audited = [trial for trial in history if "audited" in trial.notes]
    assert len(audited) > 5
    assert {trial.epoch for trial in audited} == {27}
    assert not any(trial.number in history.rungs[27].by_trial for trial in audited)
    there = [trial for trial in history if trial.notes.get("audited", {}).get("epoch") != 1]
    assert sum(trial.epoch > 1 for trial in there) == 20  # of 60


def late(config: Config, seed: int) -> Iterable[Epoch]:
    """Says the contrary in the first epoch of what comes later."""
    return (({"loss": 1 - config["x"] if epoch == 1 else config["x"]}, 1.0) for epoch in range(1, 28))


def test_a_first_epoch_that_misleads_is_passed_over() -> None:
    history = simulate(said(60, scheduler=Promotion()), late, 2).histories["draw"]
    assert min(trial.epoch for trial in history) == 3
    assert simulate(said(60, scheduler=Promotion()), crossing, 2).histories["draw"].rungs[1].resting
