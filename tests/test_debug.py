"""The executor for debugging trains in this process, without Ray, into the same run directory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.history import Config
from raysweep.results.storage import ledger
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.debug import ANNOUNCEMENT
from tests import trainables

TRAIN = """\
import os


def train(config, run):
    print(f"training x = {config['x']:.3f} in process {os.getpid()}")
    for epoch in run.epochs():
        if epoch == 2 and config["x"] > config["most"]:
            raise ValueError(f"x is {config['x']:.3f}")
        run.report(loss=(config["x"] - 0.3) ** 2 + 1 / epoch)
"""
SWEEP = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: {name: asha, eta: 3}
budget: {trials: 6, epochs: 9}
space:
  x: {float: [0, 1]}
  most: 2.0
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "s.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_it(*more: str) -> int:
    return main(["run", "--space", "s.yaml", "--name", "a", "--debug", *more])


def kinds(folder: Path) -> list[str]:
    return [event["event"] for event in ledger.read(folder)]


def test_a_sweep_trains_in_this_process_and_leaves_a_whole_run(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = dict(os.environ)
    assert run_it() == 0
    out = capsys.readouterr().out
    assert out.count(ANNOUNCEMENT) == 1
    assert "Ray ..." not in out
    assert f"in process {os.getpid()}" in out
    run = rs.load("ray_results/a")
    assert len(run.trials) == 6
    assert set(run.trials["status"]) == {"completed", "stopped"}
    assert run.best.epoch == 9
    assert (place / "ray_results/a/report.html").exists()
    assert kinds(place / "ray_results/a")[-1] == "closed"
    assert dict(os.environ) == before


def test_a_sweep_with_nothing_to_tune_says_so_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it("--set", "space.x=0.5", "--set", "budget={trials: 2, epochs: 1}") == 0
    assert capsys.readouterr().out.startswith("the space has nothing to tune: every trial trains")
    assert main(["resume", "a", "--debug", "--set", "budget.trials=3"]) == 0
    assert "nothing to tune" not in capsys.readouterr().out


def test_the_first_trial_that_fails_raises_and_the_run_can_be_resumed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="x is 0") as raised:
        run_it("--set", "space.most=0.1")
    assert Path(raised.traceback[-1].path).name == "train.py"
    folder = place / "ray_results/a"
    assert kinds(folder)[-1] == "returned"
    last = ledger.read(folder)[-1]
    assert "failed, retrying: ValueError" in last["reason"]
    failed = last["trial"]
    assert "raise ValueError" in (folder / "trials" / failed / "error.txt").read_text()
    (place / "train.py").write_text(TRAIN.replace('config["most"]', "2.0"))
    assert main(["run", "--resume", "ray_results/a", "--debug", "--accept-changes"]) == 0
    assert set(rs.load(folder).trials["status"]) == {"completed", "stopped"}


@pytest.mark.parametrize("name", ["train", "json"])
def test_a_changed_file_is_imported_anew_in_the_same_process(place: Path, name: str) -> None:
    """A file whose name is another module's is imported under the name of its path."""
    (place / "s.yaml").write_text(SWEEP.replace("train.py", f"{name}.py"))
    for number, added in enumerate(("0", "100")):
        (place / f"{name}.py").write_text(TRAIN.replace("1 / epoch", f"1 / epoch + {added}"))
        assert main(["run", "--space", "s.yaml", "--name", f"r{number}", "--debug"]) == 0
    first, second = (rs.load(f"ray_results/r{number}").best.value for number in (0, 1))
    assert second == pytest.approx(first + 100)


def test_a_breakpoint_stops_in_the_train_function(place: Path) -> None:
    """A debugger reads its commands from the terminal; after `q` the session can be resumed."""
    (place / "train.py").write_text(
        TRAIN.replace("    for epoch", "    breakpoint()\n    for epoch")
    )
    command = [sys.executable, "-m", "raysweep", "run", "--space", "s.yaml", "--debug"]
    typed = "p 'x is', config['x'] > -1\nq\n"
    done = subprocess.run(
        [*command, "--name", "a"],
        input=typed,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONBREAKPOINT": "pdb.set_trace"},
        capture_output=True,
        text=True,
    )
    assert "('x is', True)" in done.stdout
    assert "resume a --debug" in done.stdout
    assert done.returncode == 4, done.stderr[-2000:]


@pytest.mark.parametrize("more", [["--address", "auto"], ["--submit", "http://a"], ["--isolate"]])
def test_what_needs_other_processes_is_refused(
    place: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_it(*more) == 2
    assert "--debug trains in this process, without" in capsys.readouterr().err


def made(**changes: Any) -> rs.Sweep:
    keys: dict[str, Any] = {
        "trainable": trainables.bowl,
        "space": {"x": rs.Float(0, 1)},
        "metric": "loss",
        "budget": {"trials": 3, "epochs": 3},
    }
    return rs.Sweep(**keys | changes)


def test_from_python_it_calls_a_function_of_this_process(tmp_path: Path) -> None:
    run = made(scheduler="none").run(storage=tmp_path, executor="debug", quiet=True)
    assert list(run.trials["status"]) == ["completed"] * 3
    assert run.best.value == pytest.approx((run.best.config["x"] - 0.3) ** 2 + 1 / 3)


def test_from_python_a_failure_raises_with_its_own_type(tmp_path: Path) -> None:
    def train(config: Config, run: Any) -> None:
        raise ZeroDivisionError("of my own")

    with pytest.raises(ZeroDivisionError, match="of my own"):
        made(trainable=train).run(storage=tmp_path, executor="debug", quiet=True)


class Backwards:
    """An executor of a user's own: it trains nothing and reports what it likes."""

    def run(self, controller: SweepController, callbacks: Sequence[Callback]) -> None:
        while (trial := controller.next()) is not None:
            controller.started(trial)
            for epoch in range(trial.epoch + 1, 4):
                if controller.reported(trial, epoch, {"loss": -float(epoch)}, 1.0).stop:
                    break
            for callback in callbacks:
                callback.on_tick(controller)


def test_an_executor_may_be_an_object(tmp_path: Path) -> None:
    run = made(scheduler="none").run(storage=tmp_path, executor=Backwards(), quiet=True)
    assert run.best.value == -3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"executor": "rya"}, "executor: expected 'ray', 'debug' or an object with a method `run`"),
        ({"executor": "debug", "address": "auto"}, "address: a cluster is joined by"),
    ],
)
def test_arguments_that_cannot_be_followed_are_named(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(rs.UserError, match=message):
        made().run(storage=tmp_path / "runs", **arguments)
    assert not (tmp_path / "runs").exists()


@pytest.mark.examples
@pytest.mark.ray
def test_it_gives_the_numbers_that_ray_gives(tmp_path: Path, ray_here: Any) -> None:
    sweep = made(trainable=trainables.noisy, parallel=1, budget={"trials": 4, "epochs": 3})
    here = sweep.run(name="here", storage=tmp_path, executor="debug", quiet=True)
    there = sweep.run(name="there", storage=tmp_path, quiet=True)
    columns = ["trial", "epoch", "loss"]
    assert here.curves[columns].equals(there.curves[columns])
