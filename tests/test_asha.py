"""ASHA with `type: promotion`: the order of promotions, no epoch trained twice, and resuming."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.history import Config, History, Report, Status, Trial
from raysweep.schedulers.asha import Asha
from raysweep.schedulers.rung_reliability import PROBE_EVERY, PROBES
from raysweep.schedulers.rungs import promotion_order
from raysweep.search_spaces.language.params import Choice, Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.cli.summary import _extension
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import Curve, Epoch, simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.random_grid import Grid
from raysweep.tune.sweep import Budget, Sweep
from tests.sweeps import Draw, Keep, sweep

SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def crossing(config: Config, seed: int) -> Iterable[Epoch]:
    """Curves that cross: some begin badly and end well. An epoch lasts 0.5 to 1.5 seconds."""
    return (
        ({"loss": config["x"] + config["y"] / epoch}, 0.5 + config["y"]) for epoch in range(1, 28)
    )


def said(trials: int | None = 27, epochs: int = 27, **changes: Any) -> Sweep:
    budget = changes.pop("budget", Budget(trials, epochs))
    return sweep(
        {"draw": Draw()},
        scheduler=changes.pop("scheduler", Asha(grace=1)),
        space=SPACE,
        budget=budget,
        **changes,
    )


def trained(keep: Keep) -> Counter[tuple[str, int]]:
    return Counter(
        (event["trial"], event["epoch"]) for event in keep.events if event["event"] == "reported"
    )


@pytest.mark.parametrize("workers", [1, 4])
def test_a_third_is_promoted_from_each_rung_and_no_epoch_is_trained_twice(workers: int) -> None:
    keep = Keep()
    history = simulate(said(), crossing, workers, keep).histories["draw"]
    assert {level: len(rung) for level, rung in history.rungs.items()} == {1: 27, 3: 9, 9: 3, 27: 1}
    assert set(trained(keep).values()) == {1}
    (best,) = (trial for trial in history if trial.status is Status.COMPLETED)
    assert [report.epoch for report in best.reports] == list(range(1, 28))


def test_with_one_worker_the_best_of_each_rung_are_promoted() -> None:
    """A trial that is paused at the end is worse at its rung than those that were promoted.

    Trials that arrived after the promotions are the exception.
    """
    history = simulate(
        said(trials=None, budget=Budget(None, 27, seconds=400.0)), crossing, 1
    ).histories["draw"]
    rung = history.rungs[1]
    gone = [loss for number, loss in rung.by_trial.items() if history[number].epoch > 1]
    assert len(gone) == rung.n_promoted
    assert abs(len(gone) - len(rung) / 3) <= 1
    assert np.mean(gone) < np.quantile(rung.losses, 1 / 3)


@pytest.mark.parametrize("trials", [1, 2, 5])
def test_a_small_sweep_trains_its_best_trial_to_the_end(trials: int) -> None:
    history = simulate(said(trials), crossing, 2).histories["draw"]
    assert [trial.epoch for trial in history if trial.status is Status.COMPLETED] == [27]


@pytest.mark.parametrize("seed", [1, 2, 4])
@pytest.mark.parametrize("trials", [4, 7, 20])
def test_what_is_best_at_the_end_was_trained_to_the_end(trials: int, seed: int) -> None:
    for workers in (1, 2, 3):
        history = simulate(said(trials, seed=seed), crossing, workers).histories["draw"]
        assert history.best is not None
        assert history.best[0].status is Status.COMPLETED


def test_the_best_trial_is_promoted_though_others_had_the_places_of_its_rung() -> None:
    history = paused([0.4, 0.5, 0.3])
    history.close(0, Status.WAITING)
    asha = Asha(grace=1)
    assert asha.promote(history, None, budget_exhausted=False) is None
    assert asha.promote(history, None, budget_exhausted=True) == 2
    history.start(0)
    history.record(0, Report(27, 0.2, {}))
    assert asha.promote(history, None, budget_exhausted=True) is None


def paused(losses: list[float], level: int = 1) -> History:
    """Trials that were stopped at a rung with these losses."""
    history = History((level, 27))
    for number, loss in enumerate(losses):
        history.add(Trial(number, "draw", {}, number))
        history.start(number)
        history.record(number, Report(level, loss, {}))
        history.close(number, Status.STOPPED)
    return history


def test_the_order_is_the_searchers_ranking_and_then_the_losses() -> None:
    history = paused([0.4, 0.1, 0.3, math.inf, 0.2])
    rung = history.rungs[1]
    assert list(promotion_order(rung)) == [1, 4, 2, 0]

    def ranking() -> dict[int, float]:
        return {2: 0.5, 0: -0.5, 3: -9.0, 17: -9.0}

    assert list(promotion_order(rung, ranking)) == [0, 2, 1, 4]
    assert Asha(grace=1).promote(history, ranking, budget_exhausted=False) == 0
    history.close(0, Status.WAITING)
    assert list(promotion_order(rung, ranking)) == [2, 1, 4]
    assert list(promotion_order(rung, ranking, joining=0)) == [0, 2, 1, 4]


def test_the_reason_of_a_trial_that_pauses_although_its_loss_is_good() -> None:
    history = paused([0.4, 0.1, 0.3, 0.2, 0.5])
    reasons = {}
    for number, loss in ((5, 0.05), (6, 0.9)):
        history.add(Trial(number, "draw", {}, number))
        history.start(number)
        history.record(number, Report(1, loss, {}))
        decision = Asha(grace=1).decide(history[number], history, lambda: {0: -1.0})
        reasons[number] = decision.reason
    assert reasons == {
        5: "epoch 1: 0.05 is the best of 6 so far; 2 of them may continue, and another is ahead by "
        "forecast",
        6: "epoch 1: 0.9 is number 7 of 7 so far; 2 of them may continue, and a better one is "
        "ahead",
    }


def slow(config: Config, seed: int) -> Iterable[Epoch]:
    """If `x` is below 0.3, a model learns from epoch 3 on, and ends better the worse it began."""
    for epoch in range(1, 28):
        begun = 1.5 + 0.1 * config["y"]
        yield (
            {
                "loss": 1.0 - config["y"] + 0.5 * 0.8 ** (epoch - 3)
                if config["x"] < 0.3 and epoch > 2
                else begun
            },
            1.0,
        )


def test_trials_are_promoted_that_begin_badly_if_their_like_ended_well() -> None:
    """Without the searcher's ranking they wait behind all who begin well."""

    def found(foreseen: bool, seed: int) -> float:
        auto = Auto(startup=6)
        searcher = auto if foreseen else SimpleNamespace(suggest=auto.suggest)
        budget = Budget(None, 27, seconds=90.0)
        said = sweep(
            {"a": searcher}, scheduler=Asha(grace=1), space=SPACE, budget=budget, seed=seed
        )
        best = simulate(said, slow, 2).histories["a"].best
        assert best is not None
        return best[1].loss

    ends = [[found(foreseen, seed) for seed in range(4)] for foreseen in (False, True)]
    assert np.mean(ends[1]) < 0.6 * np.mean(ends[0])


losses = st.lists(st.floats(0, 1) | st.just(math.inf), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(losses, st.integers(0, 2**31), st.booleans())
def test_to_continue_at_once_is_to_pause_and_be_promoted_first(
    ends: list[float], seed: int, ranked: bool
) -> None:
    """`decide` continues a trial exactly if `promote` would resume it at that moment."""
    scheduler, rng = Asha(grace=1), np.random.default_rng(seed)
    history = History(scheduler.levels(27))
    expected = {
        number: float(loss)
        for number, loss in enumerate(rng.random(len(ends)))
        if rng.random() < 0.7
    }
    ranking = (lambda: expected) if ranked else None

    def promoted() -> int | None:
        return scheduler.promote(history, ranking, budget_exhausted=False)

    for number, end in enumerate(ends):
        history.add(Trial(number, "draw", {}, number))
        resumed = promoted() if rng.random() < 0.7 else None
        turn = history[number if resumed is None else resumed]
        history.close(turn.number, Status.WAITING)
        history.start(turn.number)
        while turn.epoch < 27:
            history.record(
                turn.number, Report(turn.epoch + 1, end + rng.random() / (turn.epoch + 1), {})
            )
            goes_on = not scheduler.decide(turn, history, ranking).stop
            if turn.epoch in history.levels[:-1]:
                history.close(turn.number, Status.STOPPED)
                assert goes_on == (promoted() == turn.number)
                if not goes_on or rng.random() < 0.2:
                    break
                history.close(turn.number, Status.WAITING)
                history.start(turn.number)


def test_a_sweep_in_the_order_that_auto_predicts_resumes_to_the_same_end() -> None:
    keep = Keep()
    whole = sweep(
        {"a": Auto(startup=4)}, scheduler=Asha(grace=1), space=SPACE, budget=Budget(16, 27)
    )
    there = outline(simulate(whole, slow, 1, keep))
    for kept in range(0, len(keep.events), 7):
        assert (
            outline(simulate(whole, slow, 1, past=[dict(event) for event in keep.events[:kept]]))
            == there
        )


@pytest.mark.parametrize("audit", [0.0, 0.3])
def test_a_sweep_interrupted_at_any_event_resumes_to_the_same_end(audit: float) -> None:
    whole, keep = said(12, scheduler=Asha(grace=1, audit=audit)), Keep()
    there = outline(simulate(whole, crossing, 1, keep))
    for kept in range(len(keep.events)):
        assert (
            outline(
                simulate(whole, crossing, 1, past=[dict(event) for event in keep.events[:kept]])
            )
            == there
        )


def outline(controller: SweepController) -> list[tuple[Any, ...]]:
    return [
        (trial.id, trial.config, trial.status, [report.loss for report in trial.reports])
        for trial in controller.trials
    ]


def test_compared_searchers_train_equally_many_epochs() -> None:
    studies = sweep(
        {"a": Draw(), "b": Draw()},
        scheduler=Asha(grace=1),
        space=SPACE,
        budget=Budget(20, 27),
        seeds=3,
    )
    controller = simulate(studies, crossing, 4)
    assert len({history.epochs for history in controller.histories.values()}) == 1
    assert controller.done


@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_an_interrupted_comparison_keeps_its_allowance(part: float) -> None:
    studies, keep = (
        sweep(
            {"a": Draw(), "b": Draw()},
            scheduler=Asha(grace=1),
            space=SPACE,
            budget=Budget(20, 27),
            seeds=2,
        ),
        Keep(),
    )
    there = simulate(studies, crossing, 1, keep)
    again = simulate(studies, crossing, 1, past=keep.events[: int(part * len(keep.events))])
    assert outline(again) == outline(there)


def test_no_promotion_beyond_the_epochs_of_the_budget() -> None:
    history = simulate(said(budget=Budget(None, 27, total_epochs=50)), crossing, 3).histories[
        "draw"
    ]
    assert history.epochs == 50


GRID = Space({"x": Choice(tuple(i / 9 for i in range(9))), "y": Choice((0.0,))})


def on_grid(budget: Budget, **changes: Any) -> Sweep:
    return replace(said(budget=budget, **changes), searchers={"draw": Grid()}, space=GRID)


@pytest.mark.parametrize("left", [{"total_epochs": 500}, {"seconds": 500.0}])
def test_what_a_finite_space_leaves_of_time_or_epochs_goes_to_its_paused_trials(
    left: dict[str, Any],
) -> None:
    """Those that have trained longest go first, and of these the best."""
    keep = Keep()
    controller = simulate(on_grid(Budget(None, 27, **left)), crossing, 1, keep)
    history = controller.histories["draw"]
    assert {trial.epoch for trial in history} == {27}
    assert set(trained(keep).values()) == {1}
    ended = [
        history[int(event["trial"].partition("-")[2])].config["x"]
        for event in keep.events
        if event["event"] == "ended" and event["status"] == Status.COMPLETED.value
    ]
    assert ended == sorted(ended)
    assert controller.done


@pytest.mark.parametrize(
    ("budget", "scheduler"),
    [
        (Budget(100, 27), Asha(grace=1)),
        (Budget(100, 27, seconds=500.0), Asha(grace=1)),
        (Budget(None, 27, seconds=500.0), Asha(type="stopping")),
    ],
)
def test_a_tried_out_space_ends_a_sweep_that_counts_trials_or_stops_them(
    budget: Budget, scheduler: Asha
) -> None:
    controller = simulate(on_grid(budget, scheduler=scheduler), crossing, 1)
    epochs = [trial.epoch for trial in controller.histories["draw"]]
    assert max(epochs) == 27
    assert sum(epochs) < 9 * 27 / 2
    assert controller.done


def test_a_sweep_that_finishes_its_paused_trials_resumes_to_the_same_end() -> None:
    whole, keep = on_grid(Budget(None, 27, total_epochs=120)), Keep()
    there = outline(simulate(whole, crossing, 1, keep))
    assert sum(trial.epoch for trial in simulate(whole, crossing, 1).trials) == 120
    for kept in range(0, len(keep.events), 7):
        past = [dict(event) for event in keep.events[:kept]]
        assert outline(simulate(whole, crossing, 1, past=past)) == there


@pytest.mark.parametrize(
    ("budget", "settings"),
    [
        (Budget(None, 27, seconds=60.0), ["--set", "budget.time=120"]),
        (Budget(None, 27, total_epochs=100), ["--set", "budget.total_epochs=200"]),
        (Budget(None, 27, seconds=500.0), []),
        (Budget(100, 27), []),
    ],
)
def test_more_of_a_budget_is_offered_if_it_would_finish_paused_trials(
    budget: Budget, settings: list[str]
) -> None:
    controller = simulate(on_grid(budget), crossing, 1)
    assert controller.exhausted
    assert _extension(controller) == settings


def test_audited_trials_take_no_place_of_others() -> None:
    history = simulate(said(60, scheduler=Asha(grace=1, audit=0.3)), crossing, 2).histories["draw"]
    audited = [trial for trial in history if "audited" in trial.notes]
    assert len(audited) > 5
    assert {trial.epoch for trial in audited} == {27}
    assert not any(trial.number in history.rungs[27].by_trial for trial in audited)
    there = [trial for trial in history if trial.notes.get("audited", {}).get("epoch") != 1]
    assert sum(trial.epoch > 1 for trial in there) == 20  # of 60


def late(config: Config, seed: int) -> Iterable[Epoch]:
    """Says the contrary in the first epoch of what comes later."""
    return (
        ({"loss": 1 - config["x"] if epoch == 1 else config["x"]}, 1.0) for epoch in range(1, 28)
    )


def test_a_first_epoch_that_misleads_is_skipped() -> None:
    history = simulate(said(60, scheduler=Asha()), late, 2).histories["draw"]
    assert min(trial.epoch for trial in history) == 3
    assert simulate(said(60, scheduler=Asha()), crossing, 2).histories["draw"].rungs[1].paused


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("foreseen", [False, True])
def test_probes_take_no_place_of_others(foreseen: bool, workers: int) -> None:
    """Under a searcher that forecasts, every second trial is one for good."""
    sweep, probes = said(61, scheduler=Asha()), PROBES
    if foreseen:
        draw = Draw()
        searcher = SimpleNamespace(suggest=draw.suggest, rank=lambda space, history: {})
        sweep = replace(sweep, searchers={"draw": searcher})
        probes = sum(number % PROBE_EVERY for number in range(61))
    history = simulate(sweep, crossing, workers).histories["draw"]
    judged = 61 - probes
    assert abs(history.rungs[1].n_promoted - probes - judged / 3) <= 1
    if foreseen:
        paused = [number for _, number in history.rungs[1].paused]
        assert {number % PROBE_EVERY for number in paused} == {0}


@pytest.mark.parametrize("curves", [crossing, late])
def test_a_sweep_interrupted_while_the_first_rung_is_untested_resumes_to_the_same_end(
    curves: Curve,
) -> None:
    whole, keep = said(26, scheduler=Asha()), Keep()
    there = outline(simulate(whole, curves, 1, keep))
    for kept in range(0, len(keep.events), 5):
        assert (
            outline(simulate(whole, curves, 1, past=[dict(event) for event in keep.events[:kept]]))
            == there
        )
