"""What the page says in words: problems, good ranges, bounds, what to do next, and decisions."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.history import Report, Status, Trial
from raysweep.report_interval import ReportInterval
from raysweep.results.analysis.decisions import decisions
from raysweep.results.analysis.good_ranges import Scale, good_ranges
from raysweep.results.analysis.next_steps import next_steps
from raysweep.results.analysis.problems import problems
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.page_data import page_data
from tests.made_up import Story, write_run

LOG = {"lr": {"float": [1e-4, 0.1], "log": True}}


def trial(number: int, loss: float, **config: Any) -> Trial:
    report = Report(1, loss, {"loss": loss})
    return Trial(number, "random", config, 0, [report], Status.COMPLETED, best=report)


def ended(number: int, status: Status, reason: str, epochs: int = 0) -> Trial:
    reports = [Report(epoch, 0.5, {}) for epoch in range(1, epochs + 1)]
    return Trial(number, "random", {}, 0, reports, status, reason)


def test_problems_of_one_cause_are_one_row() -> None:
    trials = [
        ended(0, Status.COMPLETED, "trained all 3 epochs", 3),
        ended(1, Status.FAILED, "RuntimeError: shape [3, 64] is invalid", 1),
        ended(2, Status.OOM, "CUDA out of memory. Tried to allocate 20.00 MiB"),
        ended(3, Status.FAILED, "RuntimeError: shape [3, 128] is invalid\nmore", 2),
        ended(4, Status.DIVERGED, "epoch 1: loss is not finite", 1),
        ended(5, Status.FAILED, ""),
    ]
    rows = problems(trials)
    assert [(row["status"], row["cause"], row["trials"]) for row in rows] == [
        ("failed", "RuntimeError: shape [#, #] is invalid", [1, 3]),
        ("failed", "failed", [5]),
        ("oom", "CUDA out of memory. Tried to allocate # MiB", [2]),
        ("diverged", "epoch #: loss is not finite", [4]),
    ]
    assert rows[0]["epochs"] == [1, 2]
    assert rows[0]["example"] == "RuntimeError: shape [3, 128] is invalid\nmore"


def test_the_good_range_of_a_parameter_that_matters() -> None:
    rng = np.random.default_rng(0)
    trials = []
    for i in range(100):
        lr, width = float(10 ** rng.uniform(-4, -1)), int(rng.integers(8, 65))
        trials.append(trial(i, abs(math.log10(lr) + 2.5), lr=lr, width=width))
    ranges, bounds = good_ranges({**LOG, "width": {"int": [8, 64]}}, trials)
    assert [row["name"] for row in ranges] == ["lr"]
    assert bounds == []
    assert 10**-2.7 < ranges[0]["low"] < 10**-2.5 < ranges[0]["high"] < 10**-2.3
    assert ranges[0]["text"].startswith("lr: the best 10 of 100 trials lie between 0.00")


def test_the_category_of_the_best() -> None:
    trials = [
        trial(i, i + (1000 if i % 4 else 0), optimizer="adam" if i % 4 == 0 else "sgd")
        for i in range(80)
    ]
    ranges, _ = good_ranges({"optimizer": {"choice": ["adam", "sgd"]}}, trials)
    assert ranges[0]["values"] == ["adam"]
    assert ranges[0]["text"] == "optimizer: 8 of the best 8 trials have adam, and 25% of all trials"


def test_random_trials_show_nothing() -> None:
    """Of 40 sweeps in which nothing matters, with three parameters each, few show something."""
    space = {"a": {"float": [0, 1]}, "b": {"float": [1, 2]}, "c": {"choice": ["x", "y"]}}
    ranges_named = bounds_named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        trials = [
            trial(
                i, rng.random(), a=rng.random(), b=1 + rng.random(), c=str(rng.choice(["x", "y"]))
            )
            for i in range(60)
        ]
        ranges, bounds = good_ranges(space, trials)
        ranges_named += bool(ranges)
        bounds_named += bool(bounds)
    assert ranges_named <= 5
    assert bounds_named <= 3


def test_a_bound_that_the_best_touch() -> None:
    trials = [trial(i, i, lr=10 ** (-1 - 3 * i / 59)) for i in range(60)]
    _, bounds = good_ranges(LOG, trials)
    assert len(bounds) == 1
    assert bounds[0] | {"text": ""} == {
        "name": "lr",
        "kind": "float",
        "end": "high",
        "count": 3,
        "best": 6,
        "value": 0.1,
        "wider": [1e-4, 1.0],
        "text": "",
    }
    assert bounds[0]["text"] == (
        "lr: 3 of the best 6 trials touch the upper bound, 0.1; better values may lie beyond it"
    )


@pytest.mark.parametrize(
    "losses",
    [
        range(19),  # too few
        [0.5] * 60,  # all are equal
        [math.inf] * 60,
    ],
)
def test_nothing_is_said_of_too_little(losses: Any) -> None:
    trials = [trial(i, float(loss), lr=0.1 if i < 30 else 0.01) for i, loss in enumerate(losses)]
    assert good_ranges(LOG, trials) == ([], [])


def test_few_values_touch_their_ends_by_chance() -> None:
    """Of a range of two integers, half of all trials lie at each end."""
    trials = [trial(i, i, layers=1 + i % 2, depth=1 if i < 10 else 2) for i in range(100)]
    space = {"layers": {"int": [1, 2]}, "depth": {"int": [1, 2]}}
    _, bounds = good_ranges(space, trials)
    assert [(bound["name"], bound["end"]) for bound in bounds] == [("depth", "low")]


@pytest.mark.parametrize(
    ("scale", "end", "wider"),
    [
        (Scale("lr", "float", 1e-4, 0.1, log=True), "low", [1e-5, 0.1]),
        (Scale("width", "int", 8, 64), "high", [8, 92]),
        (Scale("width", "int", 8, 64, step=8), "high", [8, 96]),
        (Scale("layers", "int", 1, 4, log=True), "low", None),
        (Scale("dropout", "float", 0, 0.5), "low", None),
        (Scale("dropout", "float", 0.1, 0.5), "low", [0, 0.5]),
        (Scale("shift", "float", -1, 1), "low", [-2, 1]),
        (Scale("momentum", "float", 0.5, 0.99, log="reverse"), "high", None),
    ],
)
def test_a_range_with_more_room(scale: Scale, end: str, wider: list[float] | None) -> None:
    assert scale.widened(end) == wider


def test_a_value_outside_of_the_range_touches_no_bound() -> None:
    trials = [trial(i, i, decay=0 if i < 30 else 10 ** (-6 + i / 60)) for i in range(60)]
    space = {"decay": {"float": [1e-6, 1e-2], "log": True, "or": [0]}}
    assert good_ranges(space, trials)[1] == []


def steps(folder: Path, stories: list[Story], reason: str | None, **sweep: Any) -> list[str]:
    ledger = Ledger(write_run(folder / "cnn", stories, **sweep))
    if reason is not None:
        ledger.append({"event": "opened", "levels": [1, 3], "time": 0.0})
        ledger.append({"event": "closed", "reason": reason, "time": 1.0})
    ledger.close()
    run = load(folder / "cnn")
    trials = list(run.all_trials())
    _, bounds = good_ranges(run.sweep["space"], trials)
    return [
        step["command"].replace(str(folder), "runs")
        for step in next_steps(run, trials, bounds, False)
    ]


def test_an_interrupted_sweep_is_to_be_resumed(tmp_path: Path) -> None:
    assert steps(tmp_path, [Story("a", [0.5])], None) == ["raysweep resume runs/cnn"]


def test_what_failed_is_to_be_retried(tmp_path: Path) -> None:
    made = [Story("a", [0.5]), Story("a", [], status="failed", reason="no")]
    assert steps(tmp_path, made, "done") == ["raysweep resume runs/cnn --retry-failed"]


def test_a_best_trial_that_was_stopped_is_to_be_trained_to_the_end(tmp_path: Path) -> None:
    made = [Story("a", [0.5, 0.6, 0.7]), Story("a", [0.9], status="stopped", reason="spent")]
    found = steps(tmp_path, made, "done")
    assert found == ["raysweep continue runs/cnn a-1 epochs=3 && raysweep resume runs/cnn"]


def test_a_search_that_still_improves_is_to_be_extended(tmp_path: Path) -> None:
    made = [Story("a", [0.5 + i / 100]) for i in range(20)]
    found = steps(tmp_path, made, "done", budget={"epochs": 3, "trials": 20})
    assert found == ["raysweep extend runs/cnn trials=+10 && raysweep resume runs/cnn"]


def test_a_touched_bound_is_to_be_widened(tmp_path: Path) -> None:
    made = [Story("a", [1 - i / 60], {"lr": 10 ** (-1 - 3 * i / 59)}) for i in range(60)]
    assert steps(tmp_path, made, "done", space=LOG) == [
        "raysweep run --space runs/cnn/sweep.yaml --name cnn-wider "
        "--set 'space.lr.float=[0.0001, 1]'"
    ]


def test_decisions_are_told_with_their_epochs() -> None:
    events: list[dict[str, Any]] = [
        {"event": "proposed", "study": "a", "number": 0},
        {"event": "started", "trial": "a-0"},
        {"event": "reported", "trial": "a-0", "epoch": 1},
        {"event": "ended", "trial": "a-0", "status": "stopped", "reason": "epoch 1: behind"},
        {"event": "promoted", "trial": "a-0", "reason": "promoted after epoch 1"},
        {"event": "started", "trial": "a-0"},
        {"event": "reported", "trial": "a-0", "epoch": 3},
        {"event": "noted", "trial": "a-0", "notes": {"audited": {"epoch": 3, "reason": "late"}}},
        {
            "event": "command",
            "command": "continue",
            "outcome": "applied",
            "arguments": {"trial": "a-0"},
            "reason": "a-0 trains to epoch 9",
        },
        {
            "event": "command",
            "command": "note",
            "outcome": "applied",
            "arguments": {"trial": "a-0"},
        },
    ]
    assert decisions(events)["a-0"] == [
        {"epoch": 1, "kind": "stopped", "text": "behind"},
        {"epoch": 1, "kind": "promoted", "text": "promoted after epoch 1"},
        {"epoch": 1, "kind": "continued", "text": "trained on from epoch 1"},
        {"epoch": 3, "kind": "audited", "text": "would have been stopped: late"},
        {"epoch": 3, "kind": "continue", "text": "a-0 trains to epoch 9"},
    ]


def test_decisions_are_told_in_the_unit_of_the_sweep() -> None:
    ended = {"event": "ended", "trial": "a-0", "status": "stopped", "reason": "step 1,000: behind"}
    events: list[dict[str, Any]] = [
        {"event": "reported", "trial": "a-0", "epoch": 2},
        ended,
        {"event": "started", "trial": "a-0"},
    ]
    texts = [
        made["text"] for made in decisions(events, interval=ReportInterval("steps", 500))["a-0"]
    ]
    assert texts == ["behind", "trained on from step 1,000"]


def test_the_data_of_the_page_have_them(tmp_path: Path) -> None:
    made = [Story("a", [0.1, 0.2], {"lr": 0.1}), Story("a", [], {"lr": 0.2}, "failed", "no")]
    folder = write_run(tmp_path / "run", made, budget={"epochs": 3, "trials": 5})
    data = page_data(load(folder), details=True)
    assert data["of"] == 5
    assert data["problems"][0]["trials"] == [1]
    assert data["details"][0]["decisions"][0]["kind"] == "completed"
    assert data["details"][1]["decisions"] == [{"epoch": 0, "kind": "failed", "text": "no"}]
    assert data["findings"] == data["ranking"] == []
    assert "details" not in page_data(load(folder))
