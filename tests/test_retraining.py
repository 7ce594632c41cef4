"""Retraining the best configurations: which ones, and what the new results say of the old ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from raysweep.results.analysis.retraining import (
    FOLDER,
    finalists,
    metric_on_test,
    retraining_findings,
    retraining_results,
    retraining_rows,
    winner,
    winner_finding,
)
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import load
from raysweep.tune.callbacks.checkpoint_retention import CheckpointRetention
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import Keep, sweep, train

STORIES = [
    Story("random", [0.7, 0.9], {"lr": 0.1}),
    Story("grid", [0.9], {"lr": 0.1}),
    Story("grid", [0.8], {"lr": 0.2}),
    Story("bohb", [math.nan], {"lr": 9.0}, "diverged"),
    Story("bohb", [0.6], {"lr": 0.3}),
]


def test_finalists_are_the_best_configurations_each_once(tmp_path: Path) -> None:
    histories = load(write_run(tmp_path / "run", STORIES)).histories
    assert [trial.id for trial in finalists(histories, 2)] == ["random-0", "grid-1"]
    assert [trial.id for trial in finalists(histories, 9)] == ["random-0", "grid-1", "bohb-1"]


def confirmed(path: Path, goal: str = "maximize") -> Path:
    """A run with a best score of 0.9, a mean of 0.85 when retrained, and 0.8 on the test split."""
    folder = write_run(path / "run", STORIES, goal=goal)
    noises = (-0.02, -0.01, 0.0, 0.01, 0.02)
    again = [Story("random-0", [0.85 + noise], {"lr": 0.1}) for noise in noises]
    write_run(
        folder / FOLDER,
        [
            *again,
            Story("random-0", [math.nan], {}, "diverged"),
            Story("grid-1", [0.82], {"lr": 0.2}),
        ],
        goal=goal,
    )
    ledger = Ledger(folder / FOLDER)
    for seed, noise in enumerate(noises):
        ledger.append(
            {
                "event": "noted",
                "trial": f"random-0-{seed}",
                "notes": {"test": {"test_acc": 0.8 + noise}},
                "time": 0.0,
            }
        )
    ledger.append(
        {
            "event": "noted",
            "trial": "grid-1-0",
            "notes": {"untested": "a has no evaluate"},
            "time": 0.0,
        }
    )
    ledger.close()
    return folder


def test_the_selected_score_is_held_against_the_retrainings(tmp_path: Path) -> None:
    first, second = retraining_rows(retraining_results(load(confirmed(tmp_path))), maximize=True)
    assert (first["trial"], first["selected"], first["split"], first["seeds"]) == (
        "random-0",
        0.9,
        "test",
        5,
    )
    assert first["mean"] == pytest.approx(0.8)
    assert first["low"] < 0.8 < first["high"]
    assert first["optimism"] == pytest.approx(0.05)
    assert (second["split"], second["optimism"]) == ("validation", pytest.approx(-0.02))


def test_the_words(tmp_path: Path) -> None:
    run = load(confirmed(tmp_path))
    first, second = retraining_findings(retraining_results(run), run.maximize, run.metric)
    assert first.startswith(
        "random-0: acc 0.8 on the test split over 5 fresh seeds (95 % interval "
    )
    assert first.endswith(
        "the score it was selected for, 0.9, was optimistic by 0.05; 1 retraining diverged or "
        "failed"
    )
    assert second.endswith(
        "was not optimistic (worse by 0.02 than its retrainings); no test: a has no evaluate"
    )


@pytest.mark.parametrize(
    ("metric", "there", "name"),
    [
        ("val_acc", {"test_acc": 1.0}, "test_acc"),
        ("loss", {"loss": 1.0}, "loss"),
        ("valid_f1", {"f1": 1.0}, "f1"),
        ("loss", {"mse": 1.0}, None),
    ],
)
def test_the_metric_is_found_on_the_test_split(
    metric: str, there: dict[str, float], name: str | None
) -> None:
    assert metric_on_test(metric, there) == name


def test_when_less_is_better_optimism_turns_round(tmp_path: Path) -> None:
    run = load(confirmed(tmp_path, "minimize"))
    assert retraining_rows(retraining_results(run), run.maximize)[0]["optimism"] == pytest.approx(
        0.15
    )


def test_choosing_the_best_of_many_equal_trials_is_found_to_flatter() -> None:
    """The true score of all 50 trials is 0.9.

    The best score is above it by luck alone, and the retrainings say by how much.
    """
    from raysweep.results.analysis.retraining import RetrainingResult

    rng = np.random.default_rng(0)
    errors = []
    for _ in range(200):
        selected = float(rng.normal(0.9, 0.01, 50).max())
        again = tuple(rng.normal(0.9, 0.01, 5).tolist())
        (row,) = retraining_rows([RetrainingResult("a-0", selected, again, again)], maximize=True)
        errors.append(row["optimism"] - (selected - 0.9))
    assert np.mean(errors) == pytest.approx(0.0, abs=0.002)


def test_a_run_without_retrainings(tmp_path: Path) -> None:
    assert retraining_results(load(write_run(tmp_path / "run", STORIES))) == []


def retrained(folder: Path, *stories: Story, ended: bool = True) -> Path:
    run = write_run(folder / "run", STORIES)
    write_run(run / FOLDER, list(stories))
    ledger = Ledger(run / FOLDER)
    if ended:
        ledger.append({"event": "closed", "reason": "done", "interrupted": False, "time": 0.0})
    ledger.close()
    return run


def test_the_finalist_with_the_best_retrainings_wins(tmp_path: Path) -> None:
    stories = [
        Story("random-0", [0.95], {"lr": 0.1}),
        Story("random-0", [0.60], {"lr": 0.1}),
        Story("grid-1", [0.80], {"lr": 0.2}),
        Story("grid-1", [0.82], {"lr": 0.2}),
        Story("bohb-1", [0.99], {"lr": 0.3}),
        Story("bohb-1", [math.nan], {"lr": 0.3}, "diverged"),
        Story("bohb-1", [math.nan], {"lr": 0.3}, "diverged"),
    ]
    run = load(retrained(tmp_path, *stories))
    assert (run.best.trial.id, winner(run).trial.id, winner(run).value) == (
        "random-0",
        "grid-1",
        0.8,
    )
    (line,) = winner_finding(run)
    assert line == (
        "grid-1 is exported: its mean acc over 2 retrainings, 0.81, is the best of the finalists; "
        "random-0 was the best of the search alone"
    )


def test_the_best_of_the_search_wins_until_all_retrainings_are_there(tmp_path: Path) -> None:
    again = Story("grid-1", [0.8], {"lr": 0.2})
    (tmp_path / "a").mkdir()
    half = load(retrained(tmp_path / "a", again, ended=False))
    assert winner(half).trial.id == "random-0"
    assert winner_finding(half) == []
    assert winner(load(write_run(tmp_path / "b", STORIES))).trial.id == "random-0"


def test_the_finalists_keep_their_checkpoints(tmp_path: Path) -> None:
    keep = Keep()
    controller = SweepController(sweep(budget=Budget(6, 1)), keep)
    retention = CheckpointRetention(tmp_path, 1, finalists=3)
    while (trial := controller.next()) is not None:
        folder = tmp_path / "trials" / trial.id
        folder.mkdir(parents=True)
        (folder / "best.pt").touch()
        train(controller, trial)
        retention.on_event(keep.events[-1], controller)
    left = {path.parent.name for path in tmp_path.glob("trials/*/best.pt")}
    ranked = sorted(controller.trials, key=lambda trial: trial.loss)
    assert left == {trial.id for trial in ranked[:3]}
