"""A comparison on made-up studies with a known truth, and its words."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from raysweep.history import History, Report, Trial
from raysweep.results.analysis.compare import Comparison, compare
from raysweep.results.analysis.findings import findings, ranking, tables
from raysweep.results.analysis.incumbents import IncumbentCurve, incumbent_curve
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunError, load
from tests.made_up import Story, write_run


def study(label: str, seed: int, losses: list[float]) -> IncumbentCurve:
    return IncumbentCurve(
        label, seed, np.arange(1.0, len(losses) + 1), np.minimum.accumulate(losses)
    )


def studies(
    seeds: int, length: int = 20, **ends: Callable[[np.random.Generator], float]
) -> Comparison:
    """Studies that fall from 1 to an end drawn for each seed."""
    rng = np.random.default_rng(seeds)
    made = [
        study(label, seed, list(np.linspace(1.0, end(rng), length)))
        for seed in range(seeds)
        for label, end in ends.items()
    ]
    return Comparison(tuple(made), "loss", False)


def noisy(end: float, rng: np.random.Generator) -> float:
    return float(rng.normal(end, 0.01))


def test_a_trace_is_the_best_so_far_against_what_was_spent() -> None:
    history = History()
    for number, losses in enumerate([[0.9, 0.5], [0.7, math.inf, 0.4]]):
        history.add(Trial(number, "bohb", {}, 0))
        for epoch, loss in enumerate(losses, 1):
            history.record(number, Report(epoch, loss, {}, epoch * 2.0, epoch * 10.0 + number))
    found = incumbent_curve("bohb", 0, history)
    assert found.spent.tolist() == [1, 2, 3, 4, 5]
    assert found.loss.tolist() == [0.9, 0.7, 0.5, 0.5, 0.4]
    assert incumbent_curve("bohb", 0, history, "seconds").spent.tolist() == [2, 4, 6, 8, 10]
    assert incumbent_curve("bohb", 0, history, "GPU-seconds", 0.25).spent.tolist() == [
        0.5,
        1.0,
        1.5,
        2.0,
        2.5,
    ]
    assert found.loss_at(np.array([0.5, 1.0, 2.9, 99.0])).tolist() == [math.inf, 0.9, 0.7, 0.4]


def test_arms_are_compared_at_what_the_shortest_has_spent() -> None:
    comparison = Comparison(
        (study("a", 0, [1.0, 0.5]), study("b", 0, [0.9, 0.8, 0.7, 0.1])), "loss", False
    )
    assert comparison.budget == 2
    assert {label: finals.tolist() for label, finals in comparison.finals.items()} == {
        "a": [0.5],
        "b": [0.8],
    }
    assert any(
        "studies spent between 2 epochs and 4 epochs" in line for line in findings(comparison)
    )


def test_regret_is_the_area_above_the_best_known_loss() -> None:
    comparison = Comparison(
        (study("a", 0, [1.0] * 10), study("b", 0, [1.0] * 5 + [0.0] * 5)), "loss", False
    )
    assert comparison.mean_regrets["a"].tolist() == [1.0]
    assert comparison.mean_regrets["b"][0] == pytest.approx(0.6, abs=0.01)


def test_a_searcher_that_gets_there_sooner_is_said_to() -> None:
    comparison = Comparison(
        (
            study("random", 0, list(np.linspace(1, 0.5, 100))),
            study("bohb", 0, list(np.linspace(1, 0.0, 100))),
        ),
        "loss",
        False,
    )
    assert comparison.budget_fraction_to_match("bohb", "random") == pytest.approx(0.5, abs=0.02)
    assert comparison.budget_fraction_to_match("random", "bohb") is None
    assert any(
        line.startswith("bohb reached random's final value after 5")
        for line in findings(comparison)
    )


def test_infinite_losses_count_as_the_ceiling() -> None:
    broken = IncumbentCurve("a", 0, np.arange(1.0, 4.0), np.full(3, math.inf))
    comparison = Comparison((broken, study("b", 0, [0.9, 0.8, 0.7])), "loss", False)
    assert comparison.finals["a"].tolist() == [0.9]
    assert all(np.isfinite(curves).all() for curves in comparison.curves.values())


def test_equal_searchers_are_told_apart_in_at_most_one_comparison_of_twenty() -> None:
    """Four searchers with Holm's correction: any false alarm among the six pairs counts."""
    rng = np.random.default_rng(0)
    finals = rng.normal(size=(1000, 4, 10))
    alarms = 0
    for values in finals:
        made = tuple(
            IncumbentCurve("abcd"[i], seed, np.array([1.0]), values[i, seed : seed + 1])
            for i in range(4)
            for seed in range(10)
        )
        comparison = Comparison(made, "loss", False)
        comparison.__dict__["ceiling"] = math.inf
        alarms += any(pair.is_significant for pair in comparison.pairs)
    assert 0.01 <= alarms / 1000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_a_real_difference_is_found_and_named() -> None:
    comparison = studies(
        10, random=lambda rng: rng.normal(0.5, 0.03), bohb=lambda rng: rng.normal(0.3, 0.03)
    )
    (pair,) = comparison.pairs
    assert (pair.better, pair.worse, pair.is_significant, pair.seeds) == (
        "bohb",
        "random",
        True,
        10,
    )
    assert findings(comparison)[0].startswith("bohb is better than random: 0.")
    assert "paired permutation over 10 seeds" in findings(comparison)[0]
    assert comparison.best_probabilities is not None
    assert comparison.best_probabilities["bohb"] > 0.99


def test_five_seeds_can_show_a_large_difference() -> None:
    comparison = studies(
        5, random=lambda rng: rng.normal(0.5, 0.01), bohb=lambda rng: rng.normal(0.3, 0.01)
    )
    assert comparison.pairs[0].is_significant


def test_what_cannot_be_told_is_said_with_the_seeds_it_would_take() -> None:
    comparison = studies(
        8, random=lambda rng: rng.normal(0.5, 0.1), bohb=lambda rng: rng.normal(0.46, 0.1)
    )
    line = findings(comparison)[0]
    assert line.startswith("no detectable difference between ")
    assert "more seeds would be needed" in line


def test_three_seeds_are_too_few_to_show_anything() -> None:
    comparison = studies(
        3, random=lambda rng: rng.normal(0.5, 0.01), bohb=lambda rng: rng.normal(0.1, 0.01)
    )
    assert not comparison.pairs[0].is_significant
    assert "with 3 seeds no difference at all could be shown; about" in findings(comparison)[0]


def test_one_seed_tells_nothing_about_luck() -> None:
    comparison = studies(1, random=lambda rng: 0.5, bohb=lambda rng: 0.3)
    assert findings(comparison)[0] == (
        "bohb is ahead with one search seed each, which cannot tell luck from skill; --seeds "
        "5 or more can"
    )
    assert comparison.best_probabilities is None
    equal = studies(1, random=lambda rng: 0.3, bohb=lambda rng: 0.3)
    assert findings(equal)[0].startswith(
        "random and bohb found the same value with one search seed each, "
    )


def test_a_single_searcher_is_not_compared() -> None:
    assert findings(studies(3, bohb=lambda rng: 0.3)) == ["bohb alone: nothing to compare with"]


def test_the_metric_is_shown_as_the_user_has_it(tmp_path: Path) -> None:
    stories = [
        Story(f"{name}.{seed}", [0.5, end + seed / 100])
        for seed in range(5)
        for name, end in [("random", 0.7), ("bohb", 0.9)]
    ]
    comparison = compare([load(write_run(tmp_path / "run", stories, seeds=5))])
    rows = ranking(comparison)
    assert [row["searcher"] for row in rows] == ["bohb", "random"]
    assert [row["mean acc"] for row in rows] == ["0.92", "0.72"]
    low, high = (float(end) for end in rows[0]["95 % interval"].split(" … "))
    assert low < 0.92 < high
    assert comparison.pairs[0].is_significant


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit(tmp_path: Path, width: int) -> None:
    stories = [
        Story(f"{name}.{s}", [0.5, e + s / 100])
        for s in range(5)
        for name, e in [("random", 0.7), ("bohb", 0.9), ("tpe", 0.8)]
    ]
    console = Console(file=io.StringIO(), width=width)
    console.print(tables(compare([load(write_run(tmp_path / "run", stories, seeds=5))])))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    assert "P(best)" in text
    assert "corrected for 3 pairs" in " ".join(text.split())


def test_a_grid_that_came_to_its_end_holds_nobody_back(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", [Story("grid", [0.5]), Story("random", [0.1, 0.4, 0.6])])
    assert compare([load(folder)]).budget == 1
    ledger = Ledger(folder)
    ledger.append({"event": "exhausted", "study": "grid", "time": 0.0})
    ledger.close()
    comparison = compare([load(folder)])
    assert comparison.budget == 3
    assert comparison.finals["grid"].tolist() == [-0.5]
    assert "grid had nothing more to try after 1 epoch" in findings(comparison)


def test_runs_are_compared_under_their_names(tmp_path: Path) -> None:
    runs = [
        load(write_run(tmp_path / name, [Story("bohb", [0.5, 0.6])])) for name in ("one", "two")
    ]
    assert compare(runs).labels == ("one: bohb", "two: bohb")


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "run", [Story("bohb", [0.5])]))
    other = load(write_run(tmp_path / "other", [Story("bohb", [0.5])], goal="minimize"))
    with pytest.raises(RunError, match="runs of different metrics"):
        compare([run, other])
    asked = load(write_run(tmp_path / "asked", [Story("bohb", [0.5])], resources={"gpu": 0.25}))
    for one in (run, asked):
        with pytest.raises(RunError, match="used no GPU"):
            compare([one], "GPU-seconds")
    with pytest.raises(RunError, match="nothing to compare"):
        compare([load(write_run(tmp_path / "empty", []))])


def test_many_searchers_are_summed_up_around_the_leader() -> None:
    ends = {f"s{i}": partial(noisy, 0.2 + 0.1 * (i // 2)) for i in range(6)}
    comparison = studies(12, 20, random=partial(noisy, 0.8), **ends)
    first, second, third = findings(comparison)
    assert first.startswith("s")
    assert " is better, with 0." in first
    assert all(name in first for name in ("s2 (", "s3 (", "s4 (", "s5 (", "random ("))
    assert "cannot be told from s" in second
    assert "more seeds" in second
    assert third.startswith("random's final value was reached after ")
    console = Console(file=io.StringIO(), width=100)
    console.print(tables(comparison))
    assert console.file.getvalue().split().count("paired") == 6  # type: ignore[attr-defined]
