"""The families of recorded trainings that `benchmarks/search.py` reads, made small here."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search import problem_names
from benchmarks.search_by_problem import by_problem
from benchmarks.search_kept import Kept, kept
from benchmarks.search_problems import DEVELOP, JUDGE, Problem
from benchmarks.search_recorded import Repeats, algoperf, arlbench
from benchmarks.search_runs import GRID, regret
from benchmarks.search_table import Run
from raysweep.schedulers import Asha, NoStopping
from raysweep.search_spaces.language.params import Choice, Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.searchers.random_grid import Random


def two_seeds() -> Repeats:
    """Two configurations; the first one's second seed was not run."""
    losses = np.array([[[3.0, 1.0], [9.0, 9.0]], [[2.0, 2.0], [4.0, 4.0]]])
    means = np.array([[3.0, 1.0], [3.0, 3.0]])
    index = {"a": 0, "b": 1}
    return Repeats(
        losses, np.ones((2, 2, 2)), np.array([1, 2]), means, lambda config: index[config["x"]]
    )


def test_a_configuration_that_comes_again_gets_another_seed_and_a_training_keeps_its_own() -> None:
    draw = two_seeds().drawn(0)
    first, second = draw({"x": "b"}, 10)[0], draw({"x": "b"}, 11)[0]
    assert {first[0], second[0]} == {2.0, 4.0}
    assert draw({"x": "b"}, 10)[0].tolist() == first.tolist()
    assert [draw({"x": "a"}, key)[0][0] for key in (1, 2)] == [3.0, 3.0]


def test_where_trainings_are_noisy_a_configuration_is_judged_by_its_mean() -> None:
    space, repeats = Space({"x": Choice(("a", "b"), (1.0, 9.0))}), two_seeds()
    problem = Problem("arlbench/x", space, 2, repeats.curve, 1.0, 1.0, repeats, noisy=True)
    seen = [(1.0, 2.0, {"x": "b"}), (2.0, 1.5, {"x": "a"})]
    assert problem.regret(3.0) == 1.0
    found = regret(problem, seen)
    assert set(found[GRID < 0.99].tolist()) == {1.0}
    assert found[-1] == 0.0


def test_a_target_is_reached_or_not() -> None:
    problem = Problem("algoperf/x", Space({}), 2, two_seeds().curve, 1.0, only_best=True)
    assert problem.regret(np.array([1.0, 1.1, math.inf])).tolist() == [0.0, 1.0, 1.0]


def test_arlbench_is_read_with_what_was_not_run_and_what_diverged(tmp_path: Path) -> None:
    curves = np.array([[[1.0, 2.0], [np.nan, np.nan]], [[-9e9, 5.0], [1.0, np.nan]]])
    said = [
        {"name": "on", "type": "categorical", "choices": [True, False]},
        {"name": "rate", "type": "float", "lower": 0.0, "upper": 1.0, "log": False}
        | {"when": ["on", True]},
    ]
    np.savez(
        tmp_path / "ppo_x.npz",
        hp=np.array([[1.0, 0.25], [0.0, np.nan]]),
        names=np.array(["on", "rate"]),
        space=json.dumps(said),
        curves=curves,
        ran=np.array([[True, False], [True, True]]),
        steps=np.array([10, 20]),
    )
    space, repeats = arlbench(tmp_path / "ppo_x.npz")
    assert repeats.count.tolist() == [1, 2]
    assert repeats.nearest({"on": True, "rate": 0.3}) == 0
    assert repeats.nearest({"on": False}) == 1
    assert repeats.means.tolist() == [[-1.0, -2.0], [499.5, 497.5]]
    assert repeats.losses[1, 1].tolist() == [-1.0, math.inf]
    assert "rate" not in space.from_unit([0.9, 0.5])


def test_algoperf_is_cut_into_slices_and_ends_at_the_target(tmp_path: Path) -> None:
    setting: dict[str, Any] = {"round": "v05", "ruleset": "external", "algorithm": "adamw"}
    about = {
        "mode": "max",
        "validation_target": 0.5,
        "horizon_seconds": 27,
        "settings": [{**setting, "round": "v06", "trial": 1}, {**setting, "trial": 2}],
    }
    (tmp_path / "x.json").write_text(json.dumps(about))
    np.savez(
        tmp_path / "x.npz",
        setting=np.array([0, 1]),
        first=np.array([0, 1, 4]),
        seconds=np.array([1.0, 2.0, 4.0, 5.5]),
        valid=np.array([0.9, 0.1, 0.2, 0.6]),
    )
    space, repeats, target = algoperf(tmp_path / "x.npz")
    assert (target, repeats.losses.shape) == (-0.5, (1, 1, 27))
    assert repeats.losses[0, 0, :7].tolist() == [math.inf, -0.1, -0.1, -0.2, -0.2, -0.5, -0.5]
    assert repeats.seconds[0, 0, :7].tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]
    assert space.from_unit([0.3]) == {"setting": "adamw-2"}


def options(**changes: Any) -> argparse.Namespace:
    usual = {"problem": None, "family": None, "own": None, "quick": False, "develop": False}
    return argparse.Namespace(**usual | changes)


def test_problems_are_asked_for_by_family_or_name() -> None:
    assert list(problem_names(options(family=["taskset"]))) == list(JUDGE[4:8])
    asked = problem_names(options(develop=True, family=["algoperf", "rbv2"]))
    assert len(asked) == 24
    assert set(asked) < set(DEVELOP)
    assert list(problem_names(options(problem=["rbv2/1479"]))) == ["rbv2/1479"]


def test_differences_are_between_runs_of_the_same_seed() -> None:
    ends = {"random": [0.5, 0.3, 0.9], "random + stopping": [0.4, 0.1]}
    runs = [
        Run(method, "rbv2/12", 4, seed, [1.0, end], 0.1)
        for method, values in ends.items()
        for seed, end in enumerate(values)
    ]
    assert "| rbv2/12 | 3 | 0.783, 0.567 | +0.150 ± 0.050 | 0.625, 0.250 | +0.000 ± 0.000 |" in (
        by_problem(runs, "random + stopping")
    )


def test_a_winner_that_begins_worst_is_lost_at_the_first_rung() -> None:
    def curve(config: Any) -> tuple[Any, Any]:
        """The worse it begins, the better it ends."""
        return 2 + config["x"] - (1 + 2 * config["x"]) * np.arange(27) / 26, np.ones(27)

    problem = Problem("own/crossing", Space({"x": Float(0.0, 1.0)}), 27, curve, 0.0)
    whole = kept(problem, Random(), 20, NoStopping(), workers=2, seed=0)
    assert whole == Kept(first=True, last=True, epochs=540)
    stopped = kept(problem, Random(), 20, Asha(grace=1), workers=2, seed=0)
    assert not stopped.first
    assert stopped.epochs < 100
