"""`searcher: auto` where every trial is trained to its end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from raysweep.history import Config, Event, History, Report, Status, Trial
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.search_spaces.language.params import Choice, Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.testing.components import CONDITIONAL, Recorder
from raysweep.tune.executors.simulated import Curve, Epoch, simulate
from raysweep.tune.searchers.full_losses import _thinned, standardised
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.models.acquisition import climb, log_expected_improvement
from raysweep.tune.searchers.models.candidates import beside
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Observations,
    expected_improvement,
)
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.sweep import Budget, Metric, Searcher, Sweep

BOWL = Space({f"x{i}": Float(0.0, 1.0) for i in range(5)})


def sweep_of(space: Space, trials: int, searcher: Searcher, seed: int = 0) -> Sweep:
    return Sweep(
        trainable="tests:none",
        metric=Metric("loss", "minimize"),
        searchers={"it": searcher},
        scheduler=NoStopping(),
        budget=Budget(trials, 1),
        space=space,
        seed=seed,
    )


def once(loss: Any) -> Curve:
    """A training of one epoch."""

    def train(config: Config, seed: int) -> Iterable[Epoch]:
        return [({"loss": loss(config)}, 1.0)]

    return train


def bowl(config: Config) -> float:
    return float(sum((value - 0.2 - 0.1 * i) ** 2 for i, value in enumerate(config.values())))


def best(space: Space, loss: Any, searcher: Searcher, trials: int = 45) -> float:
    (history,) = simulate(sweep_of(space, trials, searcher), once(loss), 1).histories.values()
    assert history.best is not None
    return history.best[1].loss


def process(rungs: int = 1) -> GaussianProcess:
    """A process that saw fifteen trials in three dimensions, each at so many rungs."""
    rng = np.random.default_rng(0)
    trials, at = np.tile(np.arange(15), rungs), np.repeat(np.arange(rungs), 15)
    seen = Observations(rng.random((15, 3)), trials, at)
    y = np.sin(5 * seen.x[trials, 0]) + 0.1 * at
    scales = Hyperparameters(np.array([0.4, 0.9, 2.0]), 0.01, 0.8, 0.1)
    return GaussianProcess.condition(scales, seen, y)


# What is expected of a point


def test_the_logarithm_is_that_of_the_improvement() -> None:
    model, x = process(), np.random.default_rng(1).random((30, 3))
    plain = expected_improvement(model, x, 0.5, len(x))
    value, *_ = log_expected_improvement(*model.predict(x), 0.5)
    assert np.exp(value) == pytest.approx(plain, rel=1e-5, abs=1e-7)


def test_it_falls_without_end_where_the_improvement_vanishes() -> None:
    mean = np.array([-1.0, 3.0, 4.9, 5.1, 10.0, 50.0, 900.0, 1100.0, 1e5])
    value, by_mean, by_deviation = log_expected_improvement(mean, np.ones(len(mean)), 0.0)
    assert np.isfinite(value).all()
    assert all(later < earlier for earlier, later in pairwise(value))
    assert (by_mean < 0).all()
    assert (by_deviation > 0).all()


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("mean", [-2.0, 0.4, 3.0, 7.0, 60.0])
def test_its_slopes_are_its_slopes(mean: float, noise: float) -> None:
    step, at = 1e-6, np.array([mean])

    def value(mean: float, deviation: float) -> float:
        found, *_ = log_expected_improvement(np.array([mean]), np.array([deviation]), 0.3, noise)
        return float(found[0])

    _, by_mean, by_deviation = log_expected_improvement(at, np.array([0.7]), 0.3, noise)
    numeric = (value(mean + step, 0.7) - value(mean - step, 0.7)) / (2 * step)
    assert by_mean[0] == pytest.approx(numeric, rel=1e-4)
    numeric = (value(mean, 0.7 + step) - value(mean, 0.7 - step)) / (2 * step)
    assert by_deviation[0] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_noise_makes_what_is_known_less_worth_than_what_is_not() -> None:
    mean, deviation = np.zeros(3), np.array([1e-9, 0.1, 1.0])
    clean, *_ = log_expected_improvement(mean, deviation, 0.0)
    noisy, *_ = log_expected_improvement(mean, deviation, 0.0, 0.5)
    assert np.isfinite(noisy).all()
    loss = clean - noisy
    assert loss[0] > loss[1] > loss[2] > 0


@pytest.mark.parametrize("rungs", [1, 3])
def test_the_slope_of_a_prediction_is_its_slope(rungs: int) -> None:
    model, x, step = process(rungs), np.random.default_rng(2).random((4, 3)), 1e-6

    def value(x: Any) -> Any:
        mean, deviation = model.predict(x)
        return 2 * mean + 3 * deviation

    slope = model.predict_with_slope(x).slope(np.full(4, 2.0), np.full(4, 3.0))
    for d, one in enumerate(np.eye(3)):
        numeric = (value(x + step * one) - value(x - step * one)) / (2 * step)
        assert slope[:, d] == pytest.approx(numeric, rel=1e-4, abs=1e-6)


def test_points_climb_within_the_cube_and_along_the_first_coordinates_alone() -> None:
    model, x = process(), np.random.default_rng(3).random((6, 3))
    found = climb(model, x, 2, -1.0)
    assert (found[:, 2] == x[:, 2]).all()
    assert ((found >= 0) & (found <= 1)).all()
    before, after = (
        log_expected_improvement(*model.predict(one), -1.0)[0].sum() for one in (x, found)
    )
    assert after > before + 0.1


# Losses and candidates


def test_very_bad_losses_hide_no_others() -> None:
    losses = np.array([1.0, 2.0, 3.0, 1e9, math.inf])
    values = standardised(losses)
    assert values[2] < values[3] == values[4]
    assert values[1] - values[0] == pytest.approx(values[2] - values[1])
    assert values[3] - values[0] == pytest.approx(3 * (values[1] - values[0]))
    assert values.std() == pytest.approx(1)


def test_losses_of_which_most_are_the_best_are_told_from_the_others() -> None:
    values = standardised(np.array([1.0, 1.0, 1.0, 2.0]))
    assert values[3] > values[0] == values[2]
    assert standardised(np.ones(4)).tolist() == [0.0] * 4


def test_losses_beyond_all_numbers_are_standardised() -> None:
    values = standardised(np.array([-math.inf, 1e200, 2e200, 3e200, 1e300, math.inf]))
    assert np.isfinite(values).all()
    assert values[0] == values[1] < values[2] < values[3] < values[4] == values[5]


def test_of_many_trials_the_best_and_some_of_all_others_are_taken() -> None:
    picked = _thinned(np.arange(1000.0)[::-1], 100)
    assert len(set(picked.tolist())) == 100
    assert set(range(950, 1000)) < set(picked.tolist())
    assert 0 in picked


def test_points_beside_others_differ_from_them_in_some_coordinates() -> None:
    space = Space({f"x{i}": Float(0.0, 1.0) for i in range(60)} | {"kind": Choice(("a", "b"))})
    centre = np.full((1, 61), 0.5)
    points = beside(space, centre, 200, np.random.default_rng(0))
    moved = (points != centre).sum(axis=1)
    assert moved.min() >= 1
    assert 5 < moved.mean() < 12
    assert ((points >= 0) & (points <= 1)).all()
    centre[0, 3] = np.nan
    assert np.isfinite(beside(space, centre, 200, np.random.default_rng(0))).all()


# The searcher


def test_it_comes_far_nearer_to_the_bottom_of_a_bowl_than_random_draws() -> None:
    assert best(BOWL, bowl, Auto()) < 0.02 * best(BOWL, bowl, Random())


def test_it_finds_the_best_of_whole_numbers_and_choices() -> None:
    space = Space({"n": Int(1, 400), "m": Int(1, 400), "kind": Choice(("a", "b", "c"))})

    def loss(config: Config) -> float:
        return float(abs(config["n"] - 123) + abs(config["m"] - 321) + 50 * (config["kind"] != "b"))

    assert best(space, loss, Auto(), 60) <= 3


def test_it_proposes_what_the_conditions_and_constraints_allow() -> None:
    controller = simulate(
        sweep_of(CONDITIONAL, 40, Auto()), once(lambda config: abs(config["lr"] - 0.1)), 3
    )
    assert len(list(controller.trials)) == 40
    assert all(trial.config in CONDITIONAL for trial in controller.trials)


def test_workers_do_not_train_the_same() -> None:
    history = History((1,))
    for number in range(20):
        config = Auto().suggest(BOWL, history, 0)
        assert config is not None
        add(history, config)
        if number < 12:
            history.record(number, Report(1, bowl(config), {}))
            history.close(number, Status.COMPLETED)
    points = BOWL.to_units([trial.config for trial in list(history)[12:]])
    apart = np.linalg.norm(points[:, None] - points, axis=2) + np.eye(len(points))
    assert apart.min() > 0.01


def test_a_sweep_that_continues_proposes_as_if_it_had_not_ended() -> None:
    recorder = Recorder()
    whole = simulate(sweep_of(BOWL, 30, Auto()), once(bowl), 1, recorder)
    for part in (0.4, 0.8):
        past: list[Event] = recorder.events[: int(part * len(recorder.events))]
        rest = simulate(sweep_of(BOWL, 30, Auto()), once(bowl), 1, past=past)
        assert [one.config for one in rest.trials] == [one.config for one in whole.trials]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 0.5])
def test_losses_that_say_nothing_end_nothing(loss: float) -> None:
    controller = simulate(sweep_of(BOWL, 25, Auto()), once(lambda config: loss), 2)
    assert len(list(controller.trials)) == 25


def test_it_keeps_away_from_where_trials_fail() -> None:
    def loss(config: Config) -> float:
        return math.nan if config["x0"] > 0.5 else bowl(config)

    controller = simulate(sweep_of(BOWL, 60, Auto()), once(loss), 1)
    late = [trial.config["x0"] > 0.5 for trial in controller.trials][30:]
    assert np.mean(late) < 0.2


def test_it_expects_nothing_of_trials_that_are_never_promoted() -> None:
    history = History((1,))
    for number in range(15):
        add(history, dict.fromkeys(BOWL.names, number / 15))
        history.record(number, Report(1, float(number), {}))
    assert Auto().rank(BOWL, history) == {}


def add(history: History, config: Config) -> None:
    number = len(history)
    history.add(Trial(number, "a", config, number))
    history.start(number)
