"""The front of a sweep whose members are trained again with fresh seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.history import Config
from raysweep.results.analysis.retrained_front import front_findings
from raysweep.results.analysis.retraining import FOLDER, chosen_finalist, winner
from raysweep.tune.cli.app import main

METRICS: list[dict[str, Any]] = [{"name": "loss"}, {"name": "ms"}, {"name": "mb", "limit": 500}]


def train(config: Config, run: rs.Run) -> None:
    """Loss and time pull `x` to opposite sides; the loss and the memory depend on the seed."""
    noise = np.random.default_rng(run.seed).normal(size=2)
    for epoch in run.epochs():
        loss = (1 - config["x"]) ** 2 + 0.05 * noise[0] + 1 / epoch
        run.report(loss=loss, ms=10 * config["x"], mb=900 * config["x"] + 30 * noise[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = rs.Sweep(
        train,
        metrics=METRICS,
        space={"x": rs.Float(0, 1)},
        budget={"trials": 14, "epochs": 2},
        searcher="random",
        scheduler="none",
        confirm={"top": 3, "seeds": 4},
    )
    return made.run(executor="debug", storage=tmp_path_factory.mktemp("runs"), name="several")


def test_members_of_the_front_are_trained_again(run: Any) -> None:
    again = rs.load(run.path / FOLDER)
    names = {one.trial for one in run.front}
    assert len(names) > 3
    trained = set(again.trials["searcher"])
    assert len(trained) == 3
    assert trained <= names
    assert run.front[0].trial in trained  # the best of the first objective, and the farthest of it
    points = run.retrained_front
    assert {one.trial for one in points} == trained
    for point in points:
        mine = again.trials[again.trials["searcher"] == point.trial]
        for name in ("loss", "ms", "mb"):
            assert point.means[name] == pytest.approx(mine[f"best_{name}"].mean())
            low, high = point.intervals[name]
            assert (low, high) == (mine[f"best_{name}"].min(), mine[f"best_{name}"].max())
        assert (point.retrainings, point.seeds) == (4, 4)
        assert point.seeds_kept == (mine["best_mb"] <= 500).sum()
        assert point.is_on_front is (point.means["mb"] <= 500)  # more loss is less time


def test_it_is_said_where_the_front_is_shown(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = front_findings(run._directory)
    assert first.startswith("of 3 finalists, by their means over fresh seeds, ")
    assert len(others) == 3
    assert "over 4 fresh seeds, each with its range; on the front in" in others[0]
    assert main(["best", str(run.path)]) == 0
    assert " ".join(first.split()) in " ".join(capsys.readouterr().out.split())
    assert first in run.report().read_text()
    html = run._repr_html_()
    assert run.knee.trial in html
    assert "ms " in html


def test_the_exported_finalist_keeps_the_limits_by_its_means(run: Any) -> None:
    chosen = chosen_finalist(run._directory)
    points = {one.trial: one for one in run.retrained_front}
    kept = [one for one in points.values() if one.means["mb"] <= 500]
    assert len(kept) > 0
    assert chosen is not None
    assert points[chosen.trial] is min(kept, key=lambda one: one.means["loss"])
    assert winner(run._directory).trial.id == chosen.trial
