"""Resuming: by the printed command, after a change of the code, and at the sweep's end."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Event
from raysweep.results.storage import ledger
from raysweep.tune import code_changes
from raysweep.tune.cli import resume_command
from raysweep.tune.cli.app import main
from raysweep.tune.code_changes import ChangedError
from raysweep.tune.code_digests import digests
from raysweep.tune.controller import SweepController
from raysweep.tune.load import load_sweep
from raysweep.tune.run_folders import recorded_sweep, write_sweep
from raysweep.tune.sweep import Budget, Metric
from tests.command_line import Typed
from tests.sweeps import Draw, Few, Keep, StopAt, sweep, train, train_all

TRAIN = """\
from helpers import offset


def train(config, run):
    print("training", run.trial)
    for epoch in run.epochs():
        run.report(loss=(config["x"] - 0.3) ** 2 + offset / epoch)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished sweep: 3 trials of 2 epochs, by a file that imports another one."""
    typed = Typed(tmp_path_factory.mktemp("trained"))
    (typed.place / "train.py").write_text(TRAIN)
    (typed.place / "helpers.py").write_text("offset = 1.0\n")
    typed.write("train.py:train", trials=3, epochs=2)
    assert typed.run("--name", "first", "--debug") == 0
    return typed.place


@pytest.fixture
def typed(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """A copy of it, which names its own train.py; it is the current folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "runs" / "first" / "sweep.yaml"
    path.write_text(path.read_text().replace(str(trained), str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return Typed(tmp_path)


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever starts Ray is a failure."""

    def fail(*_: Any) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr("raysweep.tune.executors.ray.executor.cluster", fail)


def events(typed: Typed, kind: str) -> list[Event]:
    return [one for one in ledger.read(typed.place / "runs" / "first") if one["event"] == kind]


def test_a_finished_run_says_so_at_once_and_how_to_extend_it(
    typed: Typed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (typed.place / "runs" / "first" / "ledger.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("raysweep.tune.executors.ray.executor.cluster", None)
        assert main(["run", "--resume", "runs/first"]) == 0
        assert main(["run", "--resume", "first", "--storage", "runs"]) == 0
        assert typed.run("--resume", "first") == 0
    said = capsys.readouterr().out
    assert said.count("first is finished: 3 trials, 6 epochs") == 3
    assert (typed.place / "runs" / "first" / "ledger.jsonl").read_bytes() == before
    extend = said.splitlines()[-1].partition("to extend it:  ")[2]
    words = shlex.split(extend)
    assert words[:2] == ["raysweep", "resume"]
    assert words[-2:] == ["--set", "budget.trials=6"]
    assert main([*words[1:], "--debug"]) == 0
    assert len(typed.folder().rows) == 6


def test_a_finished_run_says_so_to_a_program_too(
    typed: Typed, capsys: pytest.CaptureFixture[str], without_ray: None
) -> None:
    assert main(["run", "--resume", "runs/first", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["finished"]
    assert said["extend"].endswith("--json --set budget.trials=6")


def test_changed_code_is_refused_for_trials_under_way_and_recorded_if_accepted(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    (typed.place / "helpers.py").write_text("offset = 10.0\n")
    longer = ["run", "--resume", "runs/first", "--set", "budget.epochs=4"]
    before = (typed.place / "runs" / "first" / "ledger.jsonl").read_bytes()
    sweep_before = (typed.place / "runs" / "first" / "sweep.yaml").read_bytes()
    assert main(longer) == 2
    said = capsys.readouterr().err
    assert said.startswith("raysweep: helpers.py changed since the last session of first, ")
    assert "random-0, random-1, random-2" in said
    assert said.count("\n") == 1
    assert (typed.place / "runs" / "first" / "ledger.jsonl").read_bytes() == before
    assert (typed.place / "runs" / "first" / "sweep.yaml").read_bytes() == sweep_before
    assert main([*longer, "--accept-changes", "--debug"]) == 0
    assert "helpers.py changed since the last session" in capsys.readouterr().out
    kept = events(typed, "code")[-1]
    assert kept["changed"] == ["helpers.py"]
    assert kept["accepted_for"] == ["random-0", "random-1", "random-2"]
    # The code is that of the last session now.
    assert main([*longer[:3], "--set", "budget.epochs=5", "--debug"]) == 0


def test_changed_code_with_no_trial_under_way_is_only_said(
    typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    (typed.place / "train.py").write_text(TRAIN + "\n# better\n")
    assert main(["run", "--resume", "runs/first", "--set", "budget.trials=4", "--debug"]) == 0
    said = capsys.readouterr().out
    assert "train.py changed since the last session: the new code trains all new trials" in said


def test_what_a_sweep_trains_with_is_its_file_and_what_it_imports_beside_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "models" / "parts").mkdir(parents=True)
    files = {
        "train.py": "import os, torch, data\nfrom models import net\n",
        "data.py": "def load():\n    import readers as r\n",
        "readers.py": "from train import x\n",
        "models/__init__.py": "",
        "models/net.py": "from .parts.conv import Conv\nfrom . import heads\n",
        "models/heads.py": "",
        "models/parts/__init__.py": "",
        "models/parts/conv.py": "from ..heads import Head\n",
        "unused.py": "",
        "os.txt": "",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = digests(f"{tmp_path}/train.py:train")
    assert set(found) == set(files) - {"unused.py", "os.txt"}
    (tmp_path / "models" / "heads.py").write_text("# other\n")
    again = digests(f"{tmp_path}/train.py:train")
    assert {name for name in found if found[name] != again[name]} == {"models/heads.py"}
    assert digests(f"{tmp_path}/train.py") == again  # a script


def test_a_module_is_known_by_its_name_and_an_installed_package_is_not_left() -> None:
    found = digests("raysweep.trainables.cnn:train")
    assert {"raysweep/trainables/cnn.py", "raysweep/trainables/common/classification.py"} <= set(
        found
    )
    assert all(name.startswith("raysweep/") for name in found)
    installed = digests("tqdm.std:tqdm")
    assert "tqdm/std.py" in installed
    assert all(name.startswith("tqdm/") for name in installed)
    assert digests("no.such.module:train") == {}


def test_a_ledger_of_a_version_that_kept_no_code_is_no_change() -> None:
    past: list[Event] = [{"event": "opened", "time": 1.0}]
    assert code_changes.changes(past, {"train.py": "1"}) == []
    past.append({"event": "code", "files": {"train.py": "1", "old.py": "2"}})
    assert code_changes.changes(past, {"train.py": "1", "new.py": "3"}) == ["new.py", "old.py"]


def test_the_template_of_a_script_has_not_changed_in_a_runs_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep's file names it relative to itself, and the file in the run directory absolutely."""
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path("conf/base.yaml").write_text("lr: 1.0\n")
    Path("train.py").write_text("print(1)")
    Path("s.yaml").write_text(
        "trainable: train.py\nmetric: {name: loss, goal: minimize}\nbudget: {trials: 2, epochs: 3}"
        "\nscript: {config_file: {name: c.yaml, template: conf/base.yaml, option: --config}}"
        "\nspace: {lr: {float: [0, 1]}}\n"
    )
    sweep = load_sweep("s.yaml")
    write_sweep(Path("run"), sweep)
    past = [{"event": "code", "files": code_changes.code(sweep)}]
    assert code_changes.changes(past, code_changes.code(recorded_sweep(Path("run")))) == []
    Path("conf/base.yaml").write_text("lr: 2.0\n")
    changed = code_changes.changes(past, code_changes.code(recorded_sweep(Path("run"))))
    assert changed == ["conf/base.yaml"]


def test_a_trial_that_has_trained_and_waits_is_under_way() -> None:
    keep = Keep()
    controller = SweepController(sweep({"draw": Draw()}), keep)
    trial = controller.next()
    assert trial is not None
    train(controller, trial)
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    past: list[Event] = [*keep.events, {"event": "code", "files": {"train.py": "other"}}]
    again = SweepController(sweep({"draw": Draw()}), past=past)
    with pytest.raises(ChangedError, match="would train draw-1 on from where"):
        code_changes.check(Path("runs/first"), again, past, accepted=False)
    code_changes.check(Path("runs/first"), again, past, accepted=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": Metric("loss", "minimize", target=0.9)}, "reached loss"),
        ({"plateau": 2, "searchers": {"few": Few(50)}}, "no better loss in the last 2 trials"),
    ],
)
def test_a_run_that_ended_by_its_target_or_plateau_stays_ended(
    change: dict[str, Any], words: str
) -> None:
    keep = Keep()
    said = sweep(budget=Budget(trials=50, epochs=3), scheduler=StopAt(), **change)
    train_all(SweepController(said, keep))
    again = SweepController(said, past=keep.events)
    again.reopen(failed=False)
    assert words in again.stopping
    assert again.done
    assert not again.interrupted


@pytest.mark.parametrize(
    ("argv", "original", "expected"),
    [
        (
            ["run_sweep.py", "--space", "a.yaml"],
            ["python", "-u", "run_sweep.py", "--space", "a.yaml"],
            ["python", "-u", "run_sweep.py"],
        ),
        (
            ["/home/me/raysweep/__main__.py", "run", "--space", "a.yaml"],
            ["python3", "-m", "raysweep", "run", "--space", "a.yaml"],
            ["python3", "-m", "raysweep", "run"],
        ),
        (["my_notebook.py"], ["python", "my_notebook.py"], ["raysweep", "run"]),
    ],
)
def test_the_program_is_named_as_it_was_started(
    argv: list[str], original: list[str], expected: list[str]
) -> None:
    assert resume_command.program(argv, original) == expected


def test_the_installed_program_is_named_so_that_the_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raysweep").write_text("#!/bin/sh\n")
    (tmp_path / "raysweep").chmod(0o755)
    argv = [str(tmp_path / "raysweep"), "run", "--space", "a.yaml"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert resume_command.program(argv, ["python", *argv]) == ["raysweep", "run"]
    monkeypatch.setenv("PATH", "")
    assert resume_command.program(argv, ["python", *argv]) == [str(tmp_path / "raysweep"), "run"]


def test_the_command_keeps_how_a_session_runs_and_leaves_out_what_the_folder_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = argparse.Namespace(
        data_root=Path("my data"),
        address="auto",
        require_gpu=True,
        isolate=False,
        json=False,
        debug=False,
    )
    monkeypatch.setattr(sys, "argv", ["pytest"])
    line = resume_command.resume(options, "ray_results/a")
    assert shlex.split(line)[1:] == [
        *("resume", "ray_results/a"),
        *("--data-root", "my data", "--address", "auto", "--require-gpu"),
    ]
    monkeypatch.setenv(resume_command.SUBMITTED, "http://127.0.0.1:8265")
    line = resume_command.resume(options, "/shared/runs/a")
    assert "--submit http://127.0.0.1:8265" in line
    assert "--address" not in line
