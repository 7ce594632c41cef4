"""The benchmarks with several metrics, `benchmarks/objectives.py` and `benchmarks/limits.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import limits, objectives
from benchmarks.limits import METHODS, limited, until
from benchmarks.objectives import Kept, Problem, show
from raysweep.history import Config
from raysweep.search_spaces.language.params import Choice, Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.executors.simulated import Epoch


def train(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in range(1, 4):
        yield {"loss": 1 - config["x"] + 0.1 / epoch, "ms": config["x"] + config["kind"]}, 1.0


PROBLEM = Problem(
    "toy", Space({"x": Float(0, 1), "kind": Choice((0, 1))}), 3, ("loss", "ms"), train
)


def test_finished_runs_are_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    first = Kept(path).of("toy", "auto", 0, lambda: {"epochs": 3})
    again = Kept(path).of("toy", "auto", 0, lambda: pytest.fail("it was run again"))
    assert again == first == {"problem": "toy", "method": "auto", "seed": 0, "epochs": 3}
    assert Kept(path).get("toy", "auto", 1) is None


def test_ours_ends_when_it_has_reached_the_rivals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Kept(tmp_path / "runs.jsonl")
    objectives.run(PROBLEM, 0, 12, kept)
    rows = {name: kept.get("toy", name, 0) for name in ("auto", *objectives.RIVALS)}
    assert all(rows.values())
    auto = rows["auto"] or {}
    assert auto["epochs"] <= 12 * 3 * objectives.PART
    for sampler, epochs in auto["reached"].items():
        rival = rows[sampler] or {}
        assert epochs <= auto["epochs"]
        assert auto["hypervolume"] >= rival["hypervolume"]
    show("toy", 1, kept)
    assert "auto against TPESampler" in capsys.readouterr().out


def test_a_run_counts_what_breaks_the_limit() -> None:
    it = limited(PROBLEM)
    assert it.problem.limit is not None
    assert 0 < it.problem.limit.bound < 1
    for method in METHODS:
        row = limits.run(it, method, 0)
        *steps, (last, broken, wasted, epochs) = row["steps"]
        assert last is None
        assert 0 < broken <= min(row["trials"], wasted)
        assert wasted < epochs <= it.budget
        losses = [step[0] for step in steps]
        assert losses == sorted(losses, reverse=True)


def test_what_was_spent_until_the_goal_is_counted() -> None:
    row = {"steps": [[0.9, 1, 2, 3], [0.4, 4, 5, 6], [None, 7, 8, 9]]}
    assert until(row, 0.5) == ([4, 5, 6], True)
    assert until(row, 0.1) == ([7, 8, 9], False)


def test_a_penalty_adds_the_excess_to_the_loss() -> None:
    it = limited(PROBLEM)
    assert it.problem.limit is not None
    config = {"x": 0.5, "kind": 1}
    ((metrics, _), *_), ((plain, _), *_) = it.penalised().train(config, 0), train(config, 0)
    excess = (1.5 - it.problem.limit.bound) / it.excess_unit
    assert metrics["penalised"] == pytest.approx(plain["loss"] / it.loss_unit + excess)
