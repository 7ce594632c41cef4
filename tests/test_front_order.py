"""The order by which ASHA judges trials of several objectives."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from raysweep.front_order import epsilon_net, fronts, positions
from raysweep.fronts import front
from raysweep.history import Config, Status
from raysweep.results.analysis.hypervolume import Box
from raysweep.results.storage.front import points_of
from raysweep.tune.executors.simulated import Epoch, simulate
from tests.sweeps import Keep
from tests.test_objectives import curve, sweep


@pytest.mark.parametrize("size", [2, 3, 4])
def test_layers_are_the_fronts_of_what_is_left(size: int) -> None:
    drawn = np.random.default_rng(size).random((60, size))
    left = list(range(60))
    for layer in fronts(drawn):
        points = [tuple(drawn[i].tolist()) for i in left]
        assert layer.tolist() == [left[i] for i in front(points)]
        left = [i for i in left if i not in layer]
    assert not left


def test_the_first_of_a_front_cover_it() -> None:
    x = np.linspace(0, 1, 21)
    points = np.stack([x, 1 - x], axis=1)
    assert sorted(x[epsilon_net(points)[:3]].tolist()) == [0.0, 0.5, 1.0]
    assert sorted(epsilon_net(points).tolist()) == list(range(21))


def test_broken_limits_come_last_and_what_is_not_finite_never() -> None:
    reports = (
        ((1.0, 1.0), (30.0,)),
        ((2.0, 2.0), (-1.0,)),
        ((1.5, 3.0), (0.0,)),
        ((0.0, 0.0), (10.0,)),
        ((math.inf, 0.0), (-1.0,)),
        ((3.0, 4.0), (-1.0,)),
    )
    assert positions(reports) == (4.0, 1.0, 0.0, 3.0, math.inf, 2.0)


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_asha_finds_more_of_the_front_in_as_many_epochs(kind: str) -> None:
    asha = {"name": "asha", "type": kind, "grace": 1}
    ours, theirs = [], []
    for seed in range(4):
        keys = {"budget": {"total_epochs": 250, "epochs": 9}, "seed": seed}
        (judged,) = simulate(sweep(scheduler=asha, **keys)._sweep, long_curve, 2).histories.values()
        (full,) = simulate(sweep(**keys)._sweep, long_curve, 2).histories.values()
        box = Box.of([*points_of(judged), *points_of(full)])
        assert box is not None
        ours.append(box.fraction(points_of(judged)))
        theirs.append(box.fraction(points_of(full)))
    assert sum(ours) > sum(theirs)


def long_curve(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in range(1, 10):
        y = config["y"]
        values = {"val_loss": (1 - config["x"]) ** 2 + y + 1 / epoch, "ms": 10 * config["x"] + y}
        yield values | {"mb": 0.0}, 1.0


def test_reasons_name_the_place_and_audits_train_on() -> None:
    log = Keep()
    asha = {"name": "asha", "type": "stopping", "audit": 0.5}
    controller = simulate(sweep(scheduler=asha)._sweep, curve, 1, log)
    (history,) = controller.histories.values()
    reasons = [trial.reason for trial in history if trial.status is Status.STOPPED]
    assert reasons
    said = ("by fronts is not among the best third of", "will not bring it back within a limit")
    assert all(any(one in reason for one in said) for reason in reasons)
    assert all(any(one in reason for reason in reasons) for one in said)
    assert any("audited" in trial.notes for trial in history)
    again = simulate(sweep(scheduler=asha)._sweep, curve, 1, Keep(), log.events[:70])
    assert [trial.reason for trial in next(iter(again.histories.values()))] == [
        trial.reason for trial in history
    ]


LIMITED = [{"name": "val_loss"}, {"name": "mb", "limit": 5}]


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_a_trial_that_will_not_keep_a_limit_is_given_up(kind: str) -> None:
    asha = {"name": "asha", "type": kind, "grace": 1}
    keys = {"scheduler": asha, "metrics": LIMITED, "budget": {"trials": 40, "epochs": 9}}
    (history,) = simulate(sweep(**keys)._sweep, sized, 1).histories.values()
    broken = [trial for trial in history if not trial.reports[0].feasible]
    assert len(broken) > 10
    assert all(trial.epoch == 1 for trial in broken[10:])
    assert any("back within a limit" in trial.reason for trial in broken)
    assert any(trial.epoch == 9 for trial in history if trial.reports[0].feasible)


def sized(config: Config, seed: int) -> Iterator[Epoch]:
    """The larger the better, and the size never changes."""
    for epoch in range(1, 10):
        yield {"val_loss": 2 - config["x"] + 1 / epoch, "mb": 10 * config["x"]}, 1.0


def test_a_limit_that_training_may_reach_gives_no_trial_up() -> None:
    keys = {"scheduler": "asha", "metrics": LIMITED, "budget": {"trials": 40, "epochs": 9}}

    def shrinking(config: Config, seed: int) -> Iterator[Epoch]:
        for epoch in range(1, 10):
            yield {"val_loss": config["y"] + 1 / epoch, "mb": 8 - 4 * config["x"] * epoch / 9}, 1.0

    (history,) = simulate(sweep(**keys)._sweep, shrinking, 1).histories.values()
    assert not any(trial.reports[0].feasible for trial in history)
    assert not any("back within a limit" in trial.reason for trial in history)
    assert history.best is not None


def test_the_default_scheduler_pauses_and_promotes() -> None:
    keys = {"scheduler": "asha", "budget": {"trials": 30, "epochs": 9}}
    (history,) = simulate(sweep(**keys)._sweep, long_curve, 3).histories.values()
    assert {trial.epoch for trial in history} >= {9}
    assert any("by fronts so far" in trial.reason for trial in history)
