"""The processes of the default searcher with several metrics, and what they propose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.arrays import FloatArray
from raysweep.fronts import hypervolume
from raysweep.history import Config, History
from raysweep.results.storage.front import is_candidate, points_of
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.searchers import front_proposals
from raysweep.tune.searchers.models import front_model
from raysweep.tune.searchers.models.dataset import Dataset
from raysweep.tune.searchers.models.front_model import (
    HIGHEST,
    LOWEST,
    Outcomes,
    hyperparameters,
    improvement,
    is_steady,
    not_dominated,
    processes,
)
from tests.sweeps import Keep
from tests.test_objectives import sweep

SPACE = {name: rs.Float(0, 1) for name in "abc"}


class Known:
    """A process whose posterior is given."""

    def __init__(self, mean: float, deviation: float) -> None:
        self._mean, self._deviation = mean, deviation

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full(len(x), self._mean), np.full(len(x), self._deviation)


def curve(config: Config, seed: int) -> Iterator[Epoch]:
    """Two losses that only `a` weighs against each other; `mb` forbids a part of the space."""
    rest = (config["b"] - 0.3) ** 2 + (config["c"] - 0.7) ** 2
    for epoch in range(1, 10):
        yield (
            {
                "loss": config["a"] + rest + 0.1 / epoch,
                "ms": 1 - config["a"] ** 0.5 + rest,
                "mb": 1000 * abs(config["b"] - 0.3),
            },
            1.0,
        )


def found(
    searcher: Any, metrics: list[dict[str, Any]], log: Keep | None = None, **keys: Any
) -> History:
    fields = {"budget": {"trials": 36, "epochs": 9}, "space": SPACE} | keys
    said = sweep(searcher=searcher, metrics=metrics, **fields)._sweep
    (history,) = simulate(said, curve, 3).histories.values()
    return history


TWO = [{"name": "loss"}, {"name": "ms"}]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_improvement_is_the_mean_of_what_draws_would_add(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_model, "DRAWS", 40_000)
    rng = np.random.default_rng(size)
    front = np.array([[0.1, 0.9, 0.6], [0.4, 0.5, 0.5], [0.9, 0.1, 0.3]])[:, :size]
    models: Any = [Known(mean, 0.3) for mean in (0.3, 0.4, 0.2)[:size]]
    box = (HIGHEST,) * size
    points = [tuple(point) for point in front.tolist()]
    before = hypervolume(points, box)
    drawn = np.maximum(rng.normal([0.3, 0.4, 0.2][:size], 0.3, (2000, size)), LOWEST)
    gains = [hypervolume([*points, tuple(one)], box) - before for one in drawn.tolist()]
    wanted = float(np.mean(gains)) / (HIGHEST - LOWEST) ** size
    error = float(np.std(gains)) / (HIGHEST - LOWEST) ** size / 2000**0.5
    gain = improvement(models, size, front, np.zeros((1, 1)), not_dominated(front, rng))[0]
    assert gain == pytest.approx(wanted, abs=4 * error)


def test_a_limit_counts_with_the_probability_that_it_holds() -> None:
    front, x = np.array([[0.5, 0.5]]), np.zeros((1, 1))
    free: Any = [Known(0.4, 0.2), Known(0.4, 0.2)]
    limited: Any = [*free, Known(0.0, 0.7)]
    z = not_dominated(front, np.random.default_rng(0))
    whole = improvement(free, 2, front, x, z)[0]
    assert improvement(limited, 2, front, x, z)[0] == pytest.approx(whole / 2)
    none = np.empty((0, 2))
    assert improvement(limited, 2, none, x, z)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("scheduler", ["none", "asha"])
def test_it_finds_more_of_the_front_than_random_draws(scheduler: str) -> None:
    ours, theirs = found("auto", TWO, scheduler=scheduler), found("random", TWO)
    box = (1.6, 1.2)
    assert hypervolume(points_of(ours), box) > hypervolume(points_of(theirs), box)


def test_losses_are_scaled_by_what_was_usual_at_first() -> None:
    front = [(0.0, 100.0), (1.0, 1.0), (9.0, 0.0)]
    usual, later = [(4.0, 10.0)] * 7, [(2.0, 2.0)] * 20
    losses, no_limits = np.array([*front, *usual, *later]), np.empty((30, 0))
    scaled = front_model._scaled(losses, no_limits, front_model._usual_losses(losses))
    assert scaled[3].tolist() == [1.0, 1.0]
    assert scaled[1].tolist() == [0.25, 0.1]


def test_trials_that_are_all_trained_to_their_end_may_lie_close_together() -> None:
    nearest = {}
    for scheduler in ("none", "asha"):
        history = found("auto", TWO, scheduler=scheduler)
        x = np.array([[trial.config[name] for name in "abc"] for trial in history])
        gaps = np.linalg.norm(x[:, None] - x, axis=2) + 9 * np.eye(len(x))
        nearest[scheduler] = float(gaps.min(axis=1)[-12:].mean())
    assert nearest["none"] < nearest["asha"]


def test_it_learns_to_keep_a_limit() -> None:
    metrics: list[dict[str, Any]] = [{"name": "loss"}, {"name": "mb", "limit": 60}]
    ours, theirs = found("auto", metrics), found("random", metrics)
    assert _kept(ours) > 2 * _kept(theirs)
    assert ours.best is not None
    assert theirs.best is None or ours.best[1].loss < theirs.best[1].loss


def test_few_trials_break_a_limit_beside_a_penalty() -> None:
    def penalised(config: Config, seed: int) -> Iterator[Epoch]:
        for metrics, seconds in curve(config, seed):
            excess = max(0.0, metrics["mb"] - 60)
            yield {**metrics, "loss": metrics["loss"] + excess / 60}, seconds

    keys: dict[str, Any] = {"budget": {"trials": 40, "epochs": 9}, "space": SPACE}
    limited = [{"name": "loss"}, {"name": "mb", "limit": 60}]
    broken = {"limited": 0, "penalised": 0}
    for seed in range(3):
        said = sweep(searcher="auto", metrics=limited, scheduler="asha", seed=seed, **keys)
        (ours,) = simulate(said._sweep, curve, 1).histories.values()
        free = sweep(
            searcher="auto", metrics=None, metric="loss", scheduler="asha", seed=seed, **keys
        )
        (theirs,) = simulate(free._sweep, penalised, 1).histories.values()
        broken["limited"] += len(ours) - _kept(ours)
        broken["penalised"] += sum(one.reports[0].metrics["mb"] > 60 for one in theirs)
    assert 2 * broken["limited"] < broken["penalised"], broken


def test_whole_trainings_are_risked_where_limits_more_likely_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limited: list[dict[str, Any]] = [{"name": "loss"}, {"name": "ms", "limit": 0.4}]

    def n_broken() -> int:
        each = [found("auto", limited, scheduler="none", seed=seed) for seed in range(3)]
        return sum(len(history) - _kept(history) for history in each)

    careful = n_broken()
    monkeypatch.setattr(front_proposals, "CAREFUL", front_proposals.BOLD)
    bold = n_broken()
    assert careful < 0.8 * bold, (careful, bold)


def test_a_limit_guides_the_first_trials_too() -> None:
    kept = {"auto": 0, "random": 0}
    for searcher in kept:
        for seed in range(10):
            metrics: list[dict[str, Any]] = [{"name": "loss"}, {"name": "mb", "limit": 200}]
            budget = {"trials": 10, "epochs": 9}
            history = found(searcher, metrics, budget=budget, seed=seed)
            kept[searcher] += sum(is_candidate(trial) for trial in history if trial.number >= 7)
    assert kept["auto"] > kept["random"], kept


def test_what_training_does_not_change_is_observed_once() -> None:
    limited: list[dict[str, Any]] = [{"name": "loss"}, {"name": "mb", "limit": 60}]
    history = found("random", limited, scheduler="asha")
    space = sweep(space=SPACE, metrics=limited)._sweep.space
    outcomes, dataset = Outcomes.of(history), Dataset.of(space, history)
    assert outcomes is not None
    fitted = hyperparameters(dataset, outcomes, 200)
    objective, limit = processes(dataset, outcomes, fitted, 200)
    assert len(objective.model.whitened_targets) == len(outcomes.trial_index)
    assert len(limit.model.whitened_targets) == len(outcomes.numbers) < len(outcomes.trial_index)
    x = dataset.encoded[outcomes.numbers]
    assert (limit.predict(x)[0] <= 0).tolist() == outcomes.feasible.tolist()


def test_values_are_steady_if_training_hardly_moves_them() -> None:
    trials = np.array([0, 1, 2, 0, 1, 0])
    values = np.array([1.0, 5.0, 9.0, 1.1, 5.0, 1.0])
    assert is_steady(trials, values)
    assert is_steady(trials[:3], values[:3])
    assert not is_steady(trials, values - np.array([0, 0, 0, 2, 2, 4]))


def _kept(history: History) -> int:
    return sum(map(is_candidate, history))


def test_a_resumed_sweep_proposes_the_same() -> None:
    log = Keep()
    keys = {"budget": {"trials": 24, "epochs": 9}, "scheduler": "asha"}
    said = sweep(searcher="auto", metrics=TWO, space=SPACE, **keys)._sweep
    (whole,) = simulate(said, curve, 1, log).histories.values()
    past = log.events[: int(0.6 * len(log.events))]
    assert 12 < sum(event["event"] == "proposed" for event in past) < 24
    (resumed,) = simulate(said, curve, 1, Keep(), past).histories.values()
    assert [trial.config for trial in resumed] == [trial.config for trial in whole]


def test_failed_trials_count_as_the_worst() -> None:
    said = sweep(searcher="auto", metrics=TWO, space=SPACE, budget={"trials": 24, "epochs": 9})
    (history,) = simulate(said._sweep, fails, 2).histories.values()
    outcomes = Outcomes.of(history)
    assert outcomes is not None
    failed = np.isin(outcomes.numbers, sorted(history.failed))
    assert failed.any()
    assert (outcomes.y[outcomes.last][failed] == outcomes.y.max(axis=0)).all()


def test_trials_are_rarely_proposed_where_others_failed() -> None:
    n_failed = 0
    for seed in range(3):
        keys: dict[str, Any] = {"budget": {"trials": 24, "epochs": 9}, "seed": seed}
        said = sweep(searcher="auto", metrics=TWO, space=SPACE, **keys)._sweep
        (history,) = simulate(said, fails, 2).histories.values()
        n_failed += sum(number >= 12 for number in history.failed)
    assert n_failed < 3 * 12 / 4


def fails(config: Config, seed: int) -> Iterator[Epoch]:
    """Half of the space fails."""
    if config["a"] > 0.5:
        raise MemoryError
    yield from curve(config, seed)
