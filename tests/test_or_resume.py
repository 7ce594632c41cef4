"""`raysweep run --or-resume`: the one command of a job that a queue starts again and again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from raysweep.results.storage import ledger
from raysweep.results.storage.ledger import Ledger
from raysweep.tune import run_folders
from raysweep.tune.cli.app import main

TRAIN = """\
from pathlib import Path


def train(config, run):
    for epoch in run.epochs():
        if Path("interrupt").exists():
            raise KeyboardInterrupt
        run.report(loss=config["x"] + 1 / epoch)
"""
SWEEP = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 2, epochs: 3}
space: {x: {float: [0, 1]}}
"""
RUN = Path("ray_results/a")


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "s.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)


def run_it(*more: str) -> int:
    return main(["run", "--space", "s.yaml", "--name", "a", "--debug", "--or-resume", *more])


def reported() -> list[tuple[str, int]]:
    events = ledger.read(RUN)
    return [(one["trial"], one["epoch"]) for one in events if one["event"] == "reported"]


ALL = [(f"random-{trial}", epoch) for trial in (0, 1) for epoch in (1, 2, 3)]


def test_it_begins_a_run_and_then_says_that_it_is_finished(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_it() == 0
    assert reported() == ALL
    capsys.readouterr()
    assert run_it() == 0
    assert "a is finished: 2 trials, 6 epochs" in capsys.readouterr().out
    assert reported() == ALL


def test_it_resumes_what_was_interrupted() -> None:
    Path("interrupt").touch()
    assert run_it() == 4
    assert reported() == []
    Path("interrupt").unlink()
    assert run_it() == 0
    assert sorted(reported()) == ALL


@pytest.mark.parametrize("left", ["nothing", "lock", "ledger"])
def test_a_first_session_that_was_killed_at_once_is_begun_again(left: str) -> None:
    RUN.mkdir(parents=True)
    if left != "nothing":
        Ledger(RUN).close()
    if left == "lock":
        (RUN / ledger.NAME).unlink()
    assert run_it() == 0
    assert reported() == ALL


def test_a_run_that_another_session_holds_is_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_it("--set", "budget.trials=1") == 0
    monkeypatch.setattr(run_folders, "LOOK_SECONDS", 0.01)
    held = Ledger(RUN)
    ending = threading.Timer(0.2, held.close)
    ending.start()
    assert run_it() == 0
    ending.join()
    assert "held by another session; waiting for its end" in capsys.readouterr().out
    assert sorted(reported()) == ALL


def test_what_cannot_be_meant_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--space", "s.yaml", "--debug", "--or-resume"]) == 2
    assert "no name says which run" in capsys.readouterr().err
    RUN.mkdir(parents=True)
    (RUN / "other").touch()
    assert run_it() == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["run", "--space", "s.yaml", "--debug", "--wait-for-nodes", "2"]) == 2
    assert "--wait-for-nodes is for a cluster" in capsys.readouterr().err
