"""`raysweep.report` and `raysweep.config` in a script: in a sweep, and outside of one."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import raysweep as rs
from raysweep.integrations.reporter import Reporter
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.run import LocalRun, Objective, ReportError, Run


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of reports of a sweep that runs this process, as far as it knows."""
    path = tmp_path / "reports.jsonl"
    monkeypatch.setenv("RAYSWEEP_REPORTS", str(path))
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_numbers_of_every_kind_are_reported(reports: Path) -> None:
    rs.report(epoch=1, val_loss=torch.tensor(0.5), accuracy=np.float32(0.25), best=True)
    rs.report({"val/loss": np.array([2]), "epoch": 1}, epoch=2)
    rs.report(val_loss=math.nan)
    first, second, third = lines(reports)
    assert first == {"epoch": 1, "val_loss": 0.5, "accuracy": 0.25, "best": 1}
    assert second == {"val/loss": 2, "epoch": 2}
    assert math.isnan(third["val_loss"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("low", r"the metric 'val_loss' is 'low', a str; expected a number"),
        (torch.zeros(2), r"the metric 'val_loss' has more than one element"),
        (None, r"the metric 'val_loss' is None"),
    ],
)
def test_what_is_no_number_is_refused(reports: Path, value: Any, text: str) -> None:
    with pytest.raises(ReportError, match=text):
        rs.report(epoch=1, val_loss=value)
    assert not reports.exists()


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({}, 1),
        ({"RANK": "0", "LOCAL_RANK": "0"}, 1),
        ({"LOCAL_RANK": "-1"}, 1),
        ({"RANK": "1", "LOCAL_RANK": "0"}, 0),
        ({"LOCAL_RANK": "1"}, 0),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, 0),
    ],
)
def test_only_the_first_process_reports(
    reports: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], count: int
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    rs.report(val_loss=1)
    assert reports.exists() == bool(count)


def test_the_rank_in_the_process_group_comes_first(
    reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")  # of a launcher that started the whole sweep
    from torch import distributed

    place = f"file://{tmp_path}/rendezvous"
    distributed.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    try:
        rs.report(val_loss=1)
    finally:
        distributed.destroy_process_group()
    assert lines(reports) == [{"val_loss": 1}]


def test_outside_of_a_sweep_nothing_is_reported_and_defaults_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYSWEEP_REPORTS", raising=False)
    monkeypatch.delenv("RAYSWEEP_CONFIG", raising=False)
    rs.report(epoch=1, val_loss=0.5)
    assert list(tmp_path.iterdir()) == []
    assert rs.config(lr=0.1, width=64) == {"lr": 0.1, "width": 64}
    assert rs.config() == {}


def test_parameters_of_the_trial_come_before_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"lr": 0.3, "optimizer": {"args": {"beta": 0.9}}, "layers": [1, 2], "name": None}
    monkeypatch.setenv("RAYSWEEP_CONFIG", json.dumps(values))
    config = rs.config({"optimizer.args.beta": 0.5, "optimizer.args.eps": 1e-8}, lr=0.1, width=64)
    assert config == {
        "lr": 0.3,
        "width": 64,
        "optimizer": {"args": {"beta": 0.9, "eps": 1e-8}},
        "layers": [1, 2],
        "name": None,
    }
    assert config.lr == config["lr"] == 0.3
    assert config.optimizer.args.beta == config["optimizer.args.beta"] == 0.9
    assert config.get("none") is None
    assert json.loads(json.dumps(config)) == config
    config.device = "cpu"
    assert config["device"] == "cpu"
    assert {**config}["width"] == 64


def test_a_group_takes_the_place_of_a_default_and_the_other_way_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAYSWEEP_CONFIG", json.dumps({"net": {"kind": "mlp"}, "aug": "none"}))
    assert rs.config(net="cnn", aug={"flip": True}) == {"net": {"kind": "mlp"}, "aug": "none"}


def test_a_parameter_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYSWEEP_CONFIG", json.dumps({"lr": 0.3, "width": 3}))
    with pytest.raises(AttributeError, match=r"there is no parameter 'rate'; there are: lr, width"):
        _ = rs.config().rate
    with pytest.raises(KeyError, match="net"):
        _ = rs.config()["net.width"]
    monkeypatch.delenv("RAYSWEEP_CONFIG")
    with pytest.raises(AttributeError, match=r"there are: none; raysweep.config\(name=value\)"):
        _ = rs.config().rate


@pytest.mark.parametrize("call", [rs.report, rs.config])
def test_a_train_function_that_takes_itself_for_a_script_is_told(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import raysweep.trainables.runtime.train_job  # noqa: F401  # as in the process of a trial

    monkeypatch.delenv("RAYSWEEP_REPORTS", raising=False)
    monkeypatch.setenv("RAYSWEEP_WORKER", "1")
    with pytest.raises(ReportError, match=r"this is for scripts; a train function (reports|gets)"):
        call(lr=0.1)


def test_a_callback_chooses_what_it_reports(reports: Path) -> None:
    logged = {"loss": torch.tensor([0.5]), "matrix": torch.zeros(2, 2), "note": "x", "lr": 0.1}
    Reporter((), None).report(logged, epoch=1, step=10)
    Reporter(("loss",), None).report(logged, epoch=2, step=20)
    assert lines(reports) == [
        {"epoch": 1, "step": 10, "loss": 0.5, "lr": 0.1},
        {"epoch": 2, "step": 20, "loss": 0.5},
    ]
    with pytest.raises(ReportError, match="'los' was not logged; logged: loss, lr, matrix, note"):
        Reporter(("los",), None).report(logged)
    with pytest.raises(ReportError, match="'note' is 'x', a str"):
        Reporter(("note",), None).report(logged)


def test_a_callback_in_a_train_function_ends_with_the_run(tmp_path: Path) -> None:
    reporter = Reporter(("loss",), LocalRun(2, folder=tmp_path, quiet=True))
    assert reporter.begin()
    assert reporter.report({"loss": 0.5}, epoch=7)
    assert not reporter.report({"loss": 0.25})
    assert not reporter.report({"loss": 0.1})  # a library that evaluates once more
    again = Reporter(("loss",), LocalRun(2, folder=tmp_path, quiet=True))
    assert not again.begin()
    assert again.known_epochs == 2


SCRIPT = """
import sys
import raysweep as rs

config = rs.config(lr=0.1, width=64)
loss = 1.0
for epoch in range(1, 4):
    print(f"epoch {epoch}: training loss {loss:.3f}")
    heavy = {"ray", "torch", "pandas"} & set(sys.modules)
    loss *= 1 - config.lr
    rs.report(epoch=epoch, val_loss=loss, width=config["width"], heavy=len(heavy))
"""


def test_a_script_in_a_trial_and_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    run = Run(
        3, lambda message: None, folder=tmp_path / "trial", objective=Objective("val_loss", False)
    )
    load(str(path))[0]({"lr": 0.5}, run)
    assert [report["metrics"] for report in run.reports] == [
        {"val_loss": 0.5, "width": 64, "heavy": 0},
        {"val_loss": 0.25, "width": 64, "heavy": 0},
        {"val_loss": 0.125, "width": 64, "heavy": 0},
    ]
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "epoch 3: training loss 0.810"
    assert [file.name for file in tmp_path.iterdir() if file.suffix] == ["train.py"]
