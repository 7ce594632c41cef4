"""Under early stopping, `auto` weighs what it expects of a proposal against how long it trains."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
import pytest

from raysweep.history import Config, History, Report, Trial
from raysweep.schedulers.asha import Asha
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers.gp import Auto
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.training_time import TrainingTime
from raysweep.tune.sweep import Budget, Metric, Sweep

Cost = Literal["auto", "seconds", "none"]
TRIALS, TIME = Budget(40, 9), Budget(None, 9, seconds=2000.0)
SPACE = Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})


def reported(seconds: list[float], level: int = 1) -> Dataset:
    """Trials along a diagonal that report once, after `level` epochs of so many seconds each."""
    history = History((level, 9))
    for number, lasted in enumerate(seconds):
        place = number / len(seconds)
        history.add(Trial(number, "a", {"x": place, "y": 1 - place}, number))
        history.start(number)
        history.record(number, Report(level, 0.5, {}, lasted * level))
    return Dataset.of(SPACE, history)


@pytest.mark.parametrize("level", [1, 3])
def test_what_lasts_longer_is_told_from_the_configuration(level: int) -> None:
    dataset = reported([math.exp(5 * place / 30) for place in range(30)], level)
    time = TrainingTime.of(dataset, 30)
    assert time is not None
    low, middle, high = time.log_seconds(np.array([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]]))
    assert (low, middle, high) == pytest.approx((0.5, 2.5, 4.5), abs=0.2)


def test_many_trials_are_thinned_and_later_ones_change_nothing() -> None:
    seconds = [math.exp(5 * place / 300) for place in range(300)]
    one = TrainingTime.of(reported(seconds), 200)
    other = TrainingTime.of(reported(seconds[:200] + [1000.0] * 100), 200)
    assert one is not None
    assert other is not None
    assert one.log_seconds(np.eye(2)).tolist() == other.log_seconds(np.eye(2)).tolist()
    assert len(one.model.observations.x) == 140


@pytest.mark.parametrize("seconds", [[1.0, 1.02] * 10, [1e-6, 1e-3] * 10, [0.0] * 20, []])
def test_epochs_that_last_alike_or_are_not_timed_say_nothing(seconds: list[float]) -> None:
    assert TrainingTime.of(reported(seconds), len(seconds)) is None


def mean_x(cost: Cost, slowness: float, budget: Budget) -> float:
    """The mean x of what is proposed where y alone matters, and x makes epochs slow."""

    def train(config: Config, seed: int) -> Iterable[Epoch]:
        lasts = math.exp(slowness * config["x"])
        for epoch in range(1, 10):
            yield {"loss": (config["y"] - 0.3) ** 2 + 1 / epoch}, lasts

    searchers, metric = {"it": Auto(cost=cost)}, Metric("loss", "minimize")
    sweep = Sweep("tests:none", metric, searchers, Asha(), budget, SPACE, 0)
    (history,) = simulate(sweep, train, 1).histories.values()
    return float(np.mean([trial.config["x"] for trial in history][10:]))


def test_of_equally_good_configurations_the_fast_ones_are_proposed() -> None:
    assert mean_x("seconds", 4.0, TRIALS) < mean_x("none", 4.0, TRIALS) - 0.1
    assert mean_x("auto", 4.0, TIME) < mean_x("none", 4.0, TIME) - 0.1


def test_time_does_not_matter_if_it_does_not_end_the_sweep_or_if_all_take_the_same() -> None:
    assert mean_x("auto", 4.0, TRIALS) == mean_x("none", 4.0, TRIALS)
    assert mean_x("none", 4.0, TRIALS) == mean_x("seconds", 0.0, TRIALS)
    both = Budget(40, 9, seconds=1e9)
    assert mean_x("auto", 4.0, both) == mean_x("none", 4.0, TRIALS)
