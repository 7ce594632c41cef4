"""Advice in `--dry-run`: what it says, and that it is silent where nothing is wrong."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, Param, RangeOrValues
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.tune.cli.advice import advise
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.sweep import Budget, Resources
from tests.sweeps import StopAt, sweep


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("param", "line"),
    [
        (
            Float(1e-4, 1.0),
            "x spans 4 decades evenly, so 9 of 10 draws lie in the last; log: true draws from all "
            "alike",
        ),
        (
            RangeOrValues((0,), Float(1e-6, 1e-2)),
            "x spans 4 decades evenly, so 9 of 10 draws lie in the last; log: true draws from all "
            "alike",
        ),
        (
            Choice((32, 64, 128)),
            "x is a choice of numbers; {ordinal: [32, 64, 128]} tells the searchers that they "
            "have an order",
        ),
    ],
)
def test_a_parameter_that_is_seldom_meant_so(param: Param, line: str) -> None:
    assert advise(sweep(space=Space({"x": param})), 1) == [line]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("1e-3", "x is the text '1e-3'; without quotes it is a number"),
        ("32, 64", "x is one text, '32, 64'; {ordinal: [32, 64]} tries each number of it"),
    ],
)
def test_a_text_that_looks_like_numbers(value: str, line: str) -> None:
    assert advise(sweep(space=Space({}, {"x": value})), 1) == [line]


@pytest.mark.parametrize("value", ["adam", "", "a,b", "1e-3,adam", 1e-3, None, [32, 64]])
def test_no_advice_on_another_constant(value: object) -> None:
    assert advise(sweep(space=Space({}, {"x": value})), 1) == []


@pytest.mark.parametrize(
    "param",
    [
        Float(1e-4, 1.0, log=True),
        Float(0.0, 1.0),
        Float(0.1, 1.0),
        Int(1, 10_000),
        Ordinal((32, 64, 128)),
        Choice((1, 2)),
        Choice(("a", "b", "c")),
        Choice((True, False)),
        Choice((1, 2, "auto")),
    ],
)
def test_a_parameter_that_is_as_it_should_be(param: Param) -> None:
    assert advise(sweep(space=Space({"x": param})), 1) == []


def test_a_grid_larger_than_the_budget() -> None:
    gridded = sweep({"grid": SEARCHERS["grid"]()}, budget=Budget(27, 9))
    assert advise(gridded, 240) == [
        "the grid has 240 cells and the budget 27 trials, so 27 of them will run, drawn by the seed"
    ]
    assert advise(gridded, 27) == []
    assert advise(gridded, 0) == [
        "no cell of the grid satisfies the constraints, so grid has nothing to try; points: 9 "
        "beside a parameter makes more cells"
    ]
    assert advise(gridded, None) == []


def test_a_grace_of_one_in_a_long_training() -> None:
    from raysweep.schedulers import SCHEDULERS

    hasty = sweep(scheduler=SCHEDULERS["asha"](type="stopping", grace=1), budget=Budget(27, 81))
    assert advise(hasty, 1) == [
        "grace: 1 stops trials after the first of 81 epochs; grace: 3 waits until they can be "
        "told apart"
    ]
    assert advise(replace(hasty, scheduler=SCHEDULERS["asha"](type="stopping", grace=3)), 1) == []
    assert advise(replace(hasty, budget=Budget(27, 9)), 1) == []
    assert advise(replace(hasty, scheduler=StopAt()), 1) == []


def test_a_script_that_is_promoted() -> None:
    from raysweep.schedulers import SCHEDULERS

    promoted = sweep(
        trainable="/somewhere/train.py",
        scheduler=SCHEDULERS["asha"](),
        command_line=CommandLine(),
    )
    assert [line.split(",")[0] for line in advise(promoted, 1)] == [
        "a promoted script is started again"
    ]
    assert advise(replace(promoted, scheduler=SCHEDULERS["asha"](type="stopping")), 1) == []
    assert advise(replace(promoted, command_line=None), 1) == []
    assert advise(replace(promoted, command_line=CommandLine(resume=())), 1) == []


def earlier_run(name: str, trainable: str, peak: int, device: str = "cuda:0") -> None:
    folder = Path("ray_results") / name
    folder.mkdir(parents=True)
    (folder / "sweep.yaml").write_text(
        f"trainable: {trainable}\nmetric: {{name: loss, goal: minimize}}\n"
    )
    (folder / "environment.json").write_text(
        json.dumps({"hardware": {"gpus": ["NVIDIA A100, 40960 MiB"]}})
    )
    notes = {"device": device, "peak_memory": peak}
    lines = [
        {"event": "opened"},
        {"event": "reported", "notes": notes | {"peak_memory": peak // 2}},
        {"event": "reported", "notes": notes},
    ]
    (folder / "ledger.jsonl").write_text(
        "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    )


def test_a_whole_device_for_a_small_model() -> None:
    whole = sweep(resources=Resources(gpu=1))
    assert advise(whole, 1) == []
    earlier_run("cnn-1", whole.trainable, 2 * 2**30)
    assert advise(whole, 1) == [
        "gpu: 1, but in cnn-1 a trial took at most 2.0 of 40 GiB; gpu: 0.125 trains 8 at once"
    ]
    assert advise(sweep(resources=Resources(gpu=0.25)), 1) == []
    assert advise(sweep(resources=Resources(gpu=1), trainable="another:train"), 1) == []


def test_a_whole_device_for_a_large_model_or_one_that_no_run_has_measured() -> None:
    whole = sweep(resources=Resources(gpu=1))
    earlier_run("old", whole.trainable, 2**30)
    earlier_run("new", whole.trainable, 30 * 2**30)
    os.utime("ray_results/old/ledger.jsonl", (0, 0))
    assert advise(whole, 1) == []
    (Path("ray_results/new/ledger.jsonl")).write_text("torn")
    (Path("ray_results/old/environment.json")).write_text("{")
    assert advise(whole, 1) == []
