"""Recorded curves and simulations on them.

Recorded configurations give their own curves, others a surrogate's, with its error stated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.history import Config, Event, History
from raysweep.results.analysis.findings import tables
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory, RunError, load
from raysweep.search_spaces.file.document import parse
from raysweep.tune.cli.arguments import names
from raysweep.tune.executors.debug import DebugExecutor
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.load import load_sweep
from raysweep.tune.offline.recorded_curves import Recorded, overrides, recorded
from raysweep.tune.offline.simulation_grid import SimulationGrid, simulate_grid, simulate_study
from raysweep.tune.offline.surrogate import Forest, Nearest, cross_validated
from raysweep.tune.state import NoLog
from tests.made_up import write_run

SPACE = {
    "lr": {"float": [1e-4, 1.0], "log": True},
    "width": {"int": [8, 64]},
    "optimizer": {"choice": ["sgd", "adam"]},
}
EPOCHS = 9
STOPPING = "{name: asha, type: stopping}"


def training(config: Config, seed: int) -> Iterator[Epoch]:
    """The accuracy depends on the learning rate, the seed and a little on the width.

    With adam it rises sooner.
    """
    noise = np.random.default_rng(seed).normal(0, 0.003, EPOCHS)
    top = 0.98 - 0.06 * (math.log10(config["lr"]) + 2) ** 2 - 0.001 * (64 - config["width"])
    for epoch in range(1, EPOCHS + 1):
        speed = 1.0 if config["optimizer"] == "adam" else 0.4
        yield (
            {"acc": max(0.0, top * (1 - math.exp(-speed * epoch))) + noise[epoch - 1]},
            0.5 + config["width"] / 64,
        )


class Writing(NoLog):
    """Writes a simulation's events to a ledger, as a session does."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def write(self, event: Event) -> None:
        self._ledger.append(event)


def run_of(
    folder: Path, searcher: str = "random", scheduler: str = "none", trials: int = 60
) -> RunDirectory:
    """A run folder as a real sweep over `training` would leave it."""
    write_run(
        folder,
        [],
        epochs=EPOCHS,
        budget={"trials": trials, "epochs": EPOCHS},
        space=SPACE,
        searcher=searcher,
        scheduler=parse(scheduler, "scheduler").data,
    )
    ledger = Ledger(folder)
    simulate(load_sweep(str(folder / "sweep.yaml")), training, 1, Writing(ledger))
    ledger.close()
    return load(folder)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return run_of(tmp_path_factory.mktemp("runs") / "record", trials=120)


def known(run: RunDirectory, nearest: bool = False) -> Recorded:
    return recorded(run, load_sweep(str(run.path / "sweep.yaml")), nearest)


def outcomes(history: History) -> list[Any]:
    """All that two runs of one sweep must agree in."""
    return [
        (
            trial.config,
            trial.seed,
            str(trial.status),
            trial.reason,
            [(one.epoch, one.loss, dict(one.metrics)) for one in trial.reports],
        )
        for trial in history
    ]


@pytest.mark.parametrize("scheduler", ["none", "asha", STOPPING, "median"])
@pytest.mark.parametrize("searcher", ["grid", "random", "tpe", "bohb"])
def test_a_replay_with_one_worker_is_the_run_itself(
    tmp_path: Path, searcher: str, scheduler: str
) -> None:
    run = run_of(tmp_path / "run", searcher, scheduler, trials=30)
    sweep = load_sweep(str(run.path / "sweep.yaml"))
    again = simulate(sweep, known(run).curve, workers=1)
    assert outcomes(again.histories[searcher]) == outcomes(run.histories[searcher])


LIVE = """
trainable: tests.trainables:noisy
metric: {name: loss, goal: minimize}
searcher: [SEARCHER]
scheduler: SCHEDULER
budget: {trials: 12, epochs: 4}
seeds: 2
parallel: 1
space: {x: {float: [0.0, 1.0]}}
"""


@pytest.mark.examples
@pytest.mark.ray
def test_a_replay_is_the_live_run_on_ray(tmp_path: Path, ray_here: Any) -> None:
    check_replay(tmp_path, "bohb", "{name: asha, type: stopping, grace: 1, eta: 2}", None)


def test_a_replay_is_the_live_run_in_this_process(tmp_path: Path) -> None:
    check_replay(tmp_path, "tpe", "{name: median, trials: 2}", DebugExecutor())


def check_replay(
    tmp_path: Path, searcher: str, scheduler: str, executor: DebugExecutor | None
) -> None:
    """One worker, two search seeds, and a train function that depends on its training seed."""
    from raysweep.tune.callbacks.screen import Lines
    from raysweep.tune.session import Options, run

    (tmp_path / "live.yaml").write_text(
        LIVE.replace("SEARCHER", searcher).replace("SCHEDULER", scheduler)
    )
    sweep = load_sweep(str(tmp_path / "live.yaml"))
    with open(tmp_path / "lines", "w") as out:
        assert run(sweep, tmp_path / "live", Options(), Lines(out), executor) == 0
    live = load(tmp_path / "live")
    again = simulate(sweep, recorded(live, sweep).curve, workers=1)
    for seed in range(2):
        study = f"{searcher}.{seed}"
        assert len(live.histories[study]) == 12
        assert {str(trial.status) for trial in live.histories[study]} == {"completed", "stopped"}
        assert outcomes(again.histories[study]) == outcomes(live.histories[study])


def test_a_recorded_configuration_answers_with_its_own_curve(record: RunDirectory) -> None:
    trial = record.histories["random"][7]
    curve = [metrics["acc"] for metrics, _ in known(record).curve(trial.config, seed=99)]
    assert curve == [report.metrics["acc"] for report in trial.reports]


@pytest.mark.parametrize("nearest", [False, True])
def test_others_are_answered_about_right(record: RunDirectory, nearest: bool) -> None:
    recording, rng = known(record, nearest), np.random.default_rng(1)
    configs = [recording.space.sample(rng) for _ in range(40)]
    truth = [[metrics["acc"] for metrics, _ in training(config, 0)][-1] for config in configs]
    answers = [[metrics["acc"] for metrics, _ in recording.curve(config, 0)] for config in configs]
    errors = np.abs(np.array([curve[-1] for curve in answers]) - truth)
    assert [len(curve) for curve in answers] == [EPOCHS] * 40
    assert errors.mean() < 0.06
    assert recording.error.mean == pytest.approx(errors.mean(), abs=0.03)
    assert recording.error.rank > 0.8


def test_the_error_is_told_in_words(record: RunDirectory) -> None:
    text = known(record).describe()
    assert text.startswith(
        "120 recorded curves; between them a surrogate (random forest) answers: acc off by 0.0"
    )
    assert "cross-validated" in text


def test_a_surrogate_of_noise_is_found_to_be_worthless() -> None:
    rng = np.random.default_rng(0)
    error = cross_validated(rng.random((80, 3)), rng.random((80, 6)), nearest=False)
    assert abs(error.rank) < 0.4


def test_a_forest_walks_as_scikit_learn_does() -> None:
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    points, curves = rng.random((60, 4)), np.sort(rng.random((60, 5)), axis=1)
    forest = Forest(points, curves)
    reference = RandomForestRegressor(48, min_samples_leaf=2, max_features=0.7, random_state=0)
    ranks = np.hstack(
        [
            np.argsort(np.argsort(part.ravel())).reshape(part.shape) / (part.size - 1)
            for part in (curves[:, :-1], curves[:, -1:])
        ]
    )
    expected = reference.fit(points, ranks).predict(points[:5])
    assert np.array([forest._trees.predict(point) for point in points[:5]]) == pytest.approx(
        expected
    )


def test_divergence_is_the_worst_that_was_seen() -> None:
    points = np.linspace(0, 1, 40)[:, None]
    curves = np.hstack([np.where(points > 0.5, math.inf, points), np.ones((40, 1))])
    forest = Forest(points, curves)
    assert forest.curve(np.array([0.9]))[0] == pytest.approx(points[points <= 0.5].max())
    assert math.isinf(Nearest(points, curves).curve(np.array([0.9]))[0])


def test_an_absent_parameter_is_far_from_a_present_one() -> None:
    points = np.array([[0.5, np.nan], [0.5, 0.0]])
    nearest = Nearest(points, np.array([[1.0, 1.0], [2.0, 1.0]]))
    assert nearest.curve(np.array([0.9, np.nan]))[0] == 1.0
    assert nearest.curve(np.array([0.9, 0.9]))[0] == 2.0


def test_too_few_curves_are_one_line(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", trials=4)
    config = {"lr": 0.5, "width": 8, "optimizer": "sgd"}
    with pytest.raises(RunError, match="4 curves were trained to their end; it takes 10"):
        list(known(run).curve(config, 0))
    with pytest.raises(RunError, match="nothing was recorded yet"):
        known(
            load(
                write_run(
                    tmp_path / "empty", [], epochs=3, budget={"trials": 3, "epochs": 3}, space=SPACE
                )
            )
        )


def test_recording_is_random_search_that_nothing_stops(tmp_path: Path) -> None:
    folder = write_run(
        tmp_path / "run",
        [],
        budget={"total_epochs": 90, "epochs": 9},
        space=SPACE,
        seeds=5,
        searcher=["grid", "bohb"],
    )
    sweep = load_sweep(str(folder / "sweep.yaml"), overrides(200))
    assert [type(one).__name__ for one in sweep.searchers.values()] == ["Random"]
    assert (
        type(sweep.scheduler).__name__,
        sweep.seeds,
        sweep.budget.trials,
        sweep.budget.total_epochs,
    ) == ("NoStopping", 1, 200, None)


def test_arms_spend_alike_and_a_grid_that_ends_is_said_to(record: RunDirectory) -> None:
    grid = SimulationGrid(("grid", "random"), ("none",), seeds=2, total_epochs=400)
    studies = [
        simulate_study(record.path, grid, searcher, "none", seed)
        for searcher in grid.searchers
        for seed in range(2)
    ]
    assert [study.label for study in studies] == ["grid", "grid", "random", "random"]
    assert [study.exhausted for study in studies] == [True, True, False, False]
    assert [study.total for study in studies[2:]] == [400, 400]
    assert studies[2].seed != studies[3].seed


def test_the_contest_finds_that_stopping_early_pays(record: RunDirectory) -> None:
    played = simulate_grid(
        record,
        SimulationGrid(("random",), ("none", STOPPING), seeds=10, total_epochs=120),
        processes=1,
    )
    assert played.comparison.labels == ("random + none", "random + asha (type: stopping)")
    (pair,) = played.comparison.pairs
    assert (pair.better, pair.is_significant) == ("random + asha (type: stopping)", True)
    assert (
        played.comparison.budget_fraction_to_match(*reversed(played.comparison.labels)) is not None
    )
    assert "acc off by" in played.answers
    assert tables(played.comparison) is not None


def test_both_types_of_asha_are_played_side_by_side(record: RunDirectory) -> None:
    schedulers = names("none, asha,{name: asha, type: stopping},asha")
    assert schedulers == ("none", "asha", STOPPING)
    played = simulate_grid(
        record, SimulationGrid(("random",), schedulers[1:], seeds=2, total_epochs=40), processes=1
    )
    assert played.comparison.labels == ("random + asha", "random + asha (type: stopping)")


@pytest.mark.slow
def test_processes_play_the_same_arms(record: RunDirectory) -> None:
    grid, seen = SimulationGrid(("random", "tpe"), ("asha",), seeds=2, total_epochs=60), []
    one, two = (
        simulate_grid(record, grid, processes, lambda done, total: seen.append((done, total)))
        for processes in (1, 2)
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2
    for a, b in zip(one.comparison.studies, two.comparison.studies, strict=True):
        assert (a.label, a.seed, a.loss.tolist()) == (b.label, b.seed, b.loss.tolist())


def test_an_unknown_name_is_one_line(record: RunDirectory) -> None:
    from raysweep.search_spaces.file.document import SpecificationError

    with pytest.raises(SpecificationError, match="unknown searcher 'bobh'"):
        simulate_grid(record, SimulationGrid(("bobh",), ("asha",)), processes=1)
