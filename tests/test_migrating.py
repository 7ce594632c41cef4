"""The page for those who come from another tool: its programs run, before and after."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.convert.convert_file import convert
from raysweep.search_spaces.convert.dialects import document_of
from raysweep.search_spaces.file.document import parse
from raysweep.search_spaces.language.params import Choice, Int, Ordinal
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.run import LocalRun, Objective, Run
from raysweep.tune.load import load_sweep

PAGE = Path(__file__).resolve().parent.parent / "docs/how-to/migrating.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def section(title: str) -> list[str]:
    """The blocks of a section, in their order."""
    found = re.search(
        rf"^## From {title}\n(.*?)(?=^## )", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return [content for _, content in BLOCK.findall(found.group(1))]


def trains(place: Path, program: str, sweep: str) -> list[dict[str, Any]]:
    """What the train function reports for a configuration of the sweep that the file means."""
    (place / "train.py").write_text(program)
    (place / "sweep.yaml").write_text(sweep)
    loaded = load_sweep("sweep.yaml")
    said: dict[str, Any] = {}
    exec(compile(program, "train.py", "exec"), said)
    run = LocalRun(epochs=2)
    said["train"](loaded.space.sample(np.random.default_rng(0)), run)
    return run.reports


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_program_for_optuna_before_and_after(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, program, sweep = section("Optuna")
    import optuna

    said: dict[str, Any] = {}
    short = before.replace("n_trials=20", "n_trials=5").replace("range(9)", "range(1)")
    exec(compile(short, "before.py", "exec"), said)
    trials = said["study"].trials
    assert len(trials) == 5
    # The space that the program asked for is the one of the file, but for its condition.
    asked = {
        name: json.loads(optuna.distributions.distribution_to_json(one))
        for trial in trials
        for name, one in trial.distributions.items()
    }
    theirs = document_of(json.dumps(asked), "space.json", place).data["space"]
    ours = parse(sweep, "sweep.yaml").data["space"]
    assert ours["momentum"].pop("when") == {"optimizer": "sgd"}
    assert {name: theirs[name] for name in ours} == ours
    assert [set(one["metrics"]) for one in trains(place, program, sweep)] == [{"accuracy"}] * 2


def test_a_program_for_ray_tune_before_and_after(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ray is not started: its Tuner is replaced, and the program's own function runs once."""
    before, program, sweep = section("Ray Tune")
    from ray import tune

    reported: list[dict[str, Any]] = []
    given: dict[str, Any] = {}

    def tuner(trainable: Any, **settings: Any) -> Any:
        given.update(settings)
        best = SimpleNamespace(config={})
        return SimpleNamespace(fit=lambda: SimpleNamespace(get_best_result=lambda: best))

    monkeypatch.setattr(tune, "Tuner", tuner)
    monkeypatch.setattr(tune, "report", reported.append)
    said: dict[str, Any] = {}
    exec(compile(before, "before.py", "exec"), said)
    space = given["param_space"]
    said["train"]({name: domain.sample() for name, domain in space.items()})
    assert len(reported) == 9
    params = read_space(place, sweep)
    lr, width, batch_size = (space[name] for name in ("lr", "width", "batch_size"))
    assert (lr.lower, lr.upper) == (params["lr"].low, params["lr"].high)
    assert params["width"] == Int(width.lower, width.upper - 1)
    assert params["batch_size"] == Ordinal(tuple(batch_size.categories))
    assert [set(one["metrics"]) for one in trains(place, program, sweep)] == [{"accuracy"}] * 2


def read_space(place: Path, sweep: str) -> dict[str, Any]:
    (place / "s.yaml").write_text(sweep)
    return dict(read(str(place / "s.yaml")).space.params)


def test_a_wandb_sweep_before_and_after(place: Path) -> None:
    before, _, after = section("W&B Sweeps")
    (place / "sweep.yaml").write_text(before)
    printed = convert("sweep.yaml")
    assert parse(printed, "a.yaml").data == parse(after, "b.yaml").data
    assert read_space(place, after)["width"] == Choice((16, 64, 256))


@pytest.mark.slow
def test_a_wandb_program_trains_unchanged(place: Path) -> None:
    pytest.importorskip("wandb")
    sweep, program, _ = section("W&B Sweeps")
    (place / "sweep.yaml").write_text(sweep)
    (place / "train.py").write_text(program)
    loaded = load_sweep("sweep.yaml", ["budget.epochs=2", "space.epochs=2"])
    assert loaded.command_line is not None
    objective = Objective("val_accuracy", maximize=True)
    run = Run(2, lambda message: None, folder=place / "trial", objective=objective)
    config = loaded.space.sample(np.random.default_rng(0))
    load(str(place / "train.py"))[0](config, run, loaded.command_line)
    assert [set(one["metrics"]) for one in run.reports] == [{"train_loss", "val_accuracy"}] * 2
    assert list((place / "trial").glob("**/offline-run-*/*.wandb"))


@pytest.mark.parametrize("title", ["W&B Sweeps", "Optuna", "Ray Tune"])
def test_the_programs_before_use_nothing_of_ours(title: str) -> None:
    program = next(one for one in section(title) if one.startswith("import"))
    assert "raysweep" not in program
