"""The benchmark without early stopping, `benchmarks/functions.py`."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.function_problems import DEVELOP, JUDGE, Function
from benchmarks.functions import (
    METHODS,
    TABLE,
    Runs,
    instance,
    mark,
    p_value,
    played,
    run,
    searcher_of,
    table,
)
from raysweep.history import Config
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space

FUNCTIONS = DEVELOP | JUDGE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_its_seed_s_and_has_a_least_loss_of_about_0(name: str) -> None:
    first, again = (instance(FUNCTIONS[name], name, 3) for _ in range(2))
    rng = np.random.default_rng(0)
    configs = [first.space.sample(rng) for _ in range(50)]
    losses = [first.loss(config) for config in configs]
    assert losses == [again.loss(config) for config in configs]
    assert min(losses) > -1e-4
    assert len(set(losses)) > 1


def test_what_is_judged_was_not_chosen_on() -> None:
    assert len(JUDGE) >= 15
    assert not DEVELOP.keys() & JUDGE.keys()
    sizes = [len(instance(make, name, 0).space) for name, make in JUDGE.items()]
    assert (min(sizes), max(sizes)) == (2, 60)


def test_observations_have_the_noise_the_outliers_and_the_failures_that_are_said() -> None:
    def loss(config: Config) -> float:
        return float(config["x"])

    space = Space({"x": Float(0.0, 1.0)})
    function = Function(space, loss, 0.1, 0.25, lambda config: config["x"] > 0.9)
    seen = np.array([function.observe({"x": 0.5}, np.random.default_rng(i)) for i in range(400)])
    assert 0.1 < (seen > 3).mean() < 0.4
    assert 0.05 < seen[seen < 3].std() < 0.2
    assert math.isnan(function.observe({"x": 0.95}, np.random.default_rng(0)))


def test_the_loss_is_that_of_the_trial_that_looked_best() -> None:
    function = instance(DEVELOP["failures, sphere 6"], "failures, sphere 6", 0)
    found, cost = run(function, searcher_of("random"), 0, 30)
    assert found < np.median(
        [function.loss(function.space.sample(np.random.default_rng(i))) for i in range(30)]
    )
    assert cost > 0


def test_runs_are_kept_and_not_run_again(tmp_path: Path) -> None:
    chosen = {"branin 2": JUDGE["branin 2"]}
    first = played(chosen, ["random"], 2, tmp_path / "runs.json")
    again = played(chosen, ["random"], 2, tmp_path / "runs.json")
    assert first == again
    assert set(first["branin 2 / random"]) == {"0", "1"}


def test_the_table_says_what_is_better_and_what_is_worse() -> None:
    functions = {"easy": JUDGE["branin 2"], "hard": JUDGE["levy 8"]}
    loss = {"easy": {"auto": 1.0, "random": 2.0}, "hard": {"auto": 5.0, "random": 3.0}}
    runs: Runs = {
        f"{name} / {method}": {str(seed): [value + 0.01 * seed, 1.0] for seed in range(9)}
        for name, row in loss.items()
        for method, value in row.items()
    }
    text = table(runs, functions, ["auto", "random"], 9)
    assert "| easy | 1.04 | 2.04 > |" in text
    assert "| hard | 5.04 | 3.04 < |" in text
    assert "| **mean rank** | 1.50 ± 0.00 | 1.50 ± 0.00 |" in text
    assert "better on 1, worse on 1; its median loss is higher on hard" in text


def test_a_difference_of_few_seeds_is_not_called_one() -> None:
    own, other = np.arange(4.0), np.arange(4.0) + 10
    assert p_value(own, other) > 0.05
    assert mark(own, other) == ""
    assert p_value(own, own) == 1.0


def test_all_methods_of_the_table_are_there() -> None:
    assert set(TABLE) <= set(METHODS)
