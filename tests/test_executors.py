"""An executor outside of raysweep, which a file names, trains a sweep in place of Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import raysweep as rs
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep

EXECUTOR = '''\
"""An executor of a user's own."""

import time
from dataclasses import dataclass


@dataclass
class Formula:
    """Trains nothing: the loss of a configuration is a formula."""

    offset: float = 0.0
    pause: float = 0.0

    def run(self, controller, callbacks):
        while (trial := controller.next()) is not None:
            controller.started(trial)
            for epoch in range(trial.epoch + 1, controller.sweep.budget.epochs + 1):
                time.sleep(self.pause)
                loss = trial.config["x"] + self.offset + 1 / epoch
                if controller.reported(trial, epoch, {"loss": loss}, seconds=1.0).stop:
                    break
            for callback in callbacks:
                callback.on_tick(controller)


@dataclass
class Idle:
    """Has no method `run`."""
'''
FILE = """\
trainable: tests.trainables:bowl
metric: loss
budget: {trials: 6, epochs: 3}
executor: {name: "mine.py:Formula", offset: 10}
space: {x: {float: [0.0, 1.0]}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(EXECUTOR)
    (tmp_path / "s.yaml").write_text(
        FILE.replace("metric: loss", "metric: {name: loss, goal: minimize}")
    )
    return tmp_path


def curves(folder: Path) -> list[tuple[str, int, float]]:
    table = rs.load(folder).curves
    return list(zip(table["trial"], table["epoch"], table["loss"], strict=True))


def test_the_file_names_it_with_its_options(place: Path) -> None:
    assert main(["run", "--space", "s.yaml", "--name", "a"]) == 0
    run = rs.load("ray_results/a")
    assert len(run.trials) == 6
    assert run.best.value == pytest.approx(run.best.config["x"] + 10 + 1 / run.best.epoch)
    assert run.sweep["executor"] == {
        "name": f"{place.resolve()}/mine.py:Formula",
        "offset": 10.0,
        "pause": 0.0,
    }


def test_a_killed_session_resumes_to_the_same_curves(place: Path) -> None:
    assert main(["run", "--space", "s.yaml", "--name", "whole"]) == 0
    command = [sys.executable, "-m", "raysweep", "run", "--space", "s.yaml", "--name", "killed"]
    first = subprocess.Popen(
        [*command, "--set", "executor.pause=0.2"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.DEVNULL,
    )
    ledger = place / "ray_results/killed/ledger.jsonl"
    deadline = time.monotonic() + 60
    while not (ledger.exists() and ledger.read_text().count('"reported"') >= 4):
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert main(["run", "--resume", "killed", "--set", "executor.pause=0"]) == 0
    assert curves(place / "ray_results/killed") == curves(place / "ray_results/whole")


@pytest.mark.parametrize(
    ("executor", "message"),
    [
        ("mine.py:Idle", "the class has no method 'run'"),
        ("mine.py:Formula2", "Formula2"),
        ("{name: mine.py:Formula, ofset: 1}", "unknown key 'ofset'"),
        ("slurm", "executor 'slurm': expected package.module:Class or path/to/file.py:Class"),
    ],
)
def test_a_mistake_is_one_line(place: Path, executor: str, message: str) -> None:
    with pytest.raises(SpecificationError) as raised:
        load_sweep(str(place / "s.yaml"), [f"executor={executor}"])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
