"""Scripts that continue from their own checkpoints: promoted, killed, damaged, stored."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

import raysweep as rs
from raysweep.results.storage import mirror
from raysweep.results.storage.object_store import ObjectStore
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.script import checkpoints
from raysweep.trainables.runtime.script.checkpoints import Checkpoints
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.train import ScriptError
from raysweep.tune.executors.ray.checkpoint_sync import at_hand

TRAINS = """\
import argparse, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--out", type=pathlib.Path)
parser.add_argument("--resume", type=pathlib.Path)
args = parser.parse_args()
first = 0
if args.resume:
    first = json.loads(args.resume.read_text())["epoch"]
with open(args.out / "trained.txt", "a") as log:
    for epoch in range(first + 1, args.epochs + 1):
        log.write(f"{epoch}\\n")
        log.flush()
        print(json.dumps({"epoch": epoch, "loss": args.lr / epoch}), flush=True)
        (args.out / "new.json").write_text(json.dumps({"epoch": epoch}))
        (args.out / "new.json").rename(args.out / f"epoch-{epoch}.ckpt")
"""
HOW = {
    "arguments": ["--out", "{folder}"],
    "after": ["--epochs", "{epochs}"],
    "resume": "--resume {checkpoint}",
    "checkpoint": "{folder}/*.ckpt",
}


def trained(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "files/trained.txt").read_text().split()]


def test_a_promoted_script_continues_and_trains_no_epoch_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default for a script that says how it resumes is to promote."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(TRAINS)
    sweep = rs.Sweep(
        "train.py",
        {"lr": rs.Choice([5.0, 4.0, 3.0, 2.0, 1.0])},
        metric="loss",
        searcher="grid",
        budget={"trials": 5, "epochs": 9},
        script=HOW,
    )
    run = sweep.run(name="r", executor="debug", quiet=True)
    assert "type: promotion" in (run.path / "sweep.yaml").read_text()
    epochs = dict(zip(run.trials["trial"], run.trials["epochs"], strict=True))
    assert max(epochs.values()) == 9
    assert 1 < len([count for count in epochs.values() if count > 1]) < 5
    for name, count in epochs.items():
        # This one is far ahead when it is stopped, so that what it said meanwhile counts later.
        assert trained(run.path / "trials" / name) == list(range(1, 10)), count


def attempt(script: Path, folder: Path, epochs: int = 4) -> Run:
    how = CommandLine(
        arguments=HOW["arguments"],
        after=["--epochs", "4"],
        resume=["--resume", "{checkpoint}"],
        checkpoint="{folder}/*.ckpt",
    )
    run = Run(epochs, lambda message: None, folder=folder, objective=Objective("loss", False))
    load(str(script))[0]({"lr": 1.0}, run, how)
    return run


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    """The one before it is taken, and none in the end."""
    script, files = tmp_path / "train.py", tmp_path / "t/files"
    script.write_text(TRAINS)
    files.mkdir(parents=True)
    for number, text in enumerate(('{"epoch": 2}', "{", '{"epo')):
        (files / f"{number}.ckpt").write_text(text)
        os.utime(files / f"{number}.ckpt", (number, number))
    for _ in range(2):
        with pytest.raises(ScriptError, match=r"JSONDecodeError"):
            attempt(script, tmp_path / "t")
    with pytest.raises(ScriptError, match=r"continued from .*0.ckpt: .*epoch 3 where epoch 1 was"):
        attempt(script, tmp_path / "t")  # it is of a run whose reports are not known here
    assert trained(tmp_path / "t")[0] == 3
    assert len(attempt(script, tmp_path / "t").reports) == 4


def test_an_error_after_a_report_blames_no_checkpoint(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        TRAINS.replace(
            '        (args.out / "new', '        1 / (epoch - 2)\n        (args.out / "new', 1
        )
    )
    for _ in range(2):
        with pytest.raises(ScriptError, match=r"ZeroDivisionError"):
            attempt(script, tmp_path / "t")
    assert not (tmp_path / "t" / checkpoints.REFUSED).exists()
    assert trained(tmp_path / "t") == [1, 2, 2]


def test_a_checkpoint_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    saved = Checkpoints(f"{tmp_path}/*.ckpt", tmp_path)
    path = tmp_path / "a.ckpt"

    def write() -> None:
        for _ in range(4):
            time.sleep(0.2)
            with open(path, "a") as file:
                file.write("part")

    writer = threading.Thread(target=write)
    writer.start()
    saved.wait_until_whole(lambda: True)
    assert path.read_text() == "part" * 4
    writer.join()
    path.unlink()
    saved.wait_until_whole(lambda: False)  # of a script that has ended nothing is awaited


def test_the_newest_is_the_one_of_which_any_part_changed_last(tmp_path: Path) -> None:
    saved = Checkpoints(f"{tmp_path}/step-*", tmp_path)
    for number, when in ((1, 30), (2, 20), (10, 10)):
        folder = tmp_path / f"step-{number}"
        folder.mkdir()
        (folder / "model").touch()
        os.utime(folder / "model", (when, when))
        os.utime(folder, (1, 1))
    assert [path.name for path in saved.found()] == ["step-10", "step-2", "step-1"]
    saved.refuse(tmp_path / "step-1")
    assert [path.name for path in saved.found()] == ["step-10", "step-2"]
    (tmp_path / "step-1/model").write_text("whole now")
    assert saved.found()[-1].name == "step-1"


def test_only_what_lies_in_the_trials_folder_is_deleted(tmp_path: Path) -> None:
    trial, elsewhere = tmp_path / "trial", tmp_path / "elsewhere"
    for folder in (trial, elsewhere):
        (folder / "deep").mkdir(parents=True)
        (folder / "a.ckpt").touch()
    Checkpoints(f"{tmp_path}/*/*", trial).delete()
    assert list(trial.iterdir()) == []
    assert len(list(elsewhere.iterdir())) == 2


def test_of_trials_beyond_the_best_the_scripts_checkpoints_are_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(TRAINS)
    sweep = rs.Sweep(
        "train.py",
        {"lr": rs.Choice([1.0, 2.0, 3.0])},
        metric="loss",
        searcher="grid",
        scheduler="none",
        budget={"trials": 3, "epochs": 2},
        checkpoints={"keep": 1},
        script=HOW,
    )
    run = sweep.run(name="r", executor="debug", quiet=True)
    kept = {path.parts[-3] for path in run.path.glob("trials/*/files/*.ckpt")}
    assert kept == {run.best.trial}
    assert len(list(run.path.glob("trials/*/files/trained.txt"))) == 3


@pytest.mark.parametrize("folders", [False, True])
def test_a_scripts_checkpoint_lies_in_object_storage(tmp_path: Path, folders: bool) -> None:
    """Each attempt has a folder of its own on its machine; the newest checkpoint is carried."""
    bucket = ObjectStore(f"file://{tmp_path}/store/run")
    (tmp_path / "train.py").write_text(TRAINS)
    how = CommandLine(resume=["--resume", "{checkpoint}"], checkpoint="{folder}/*.ckpt")
    job = Job(
        "a-0",
        str(tmp_path / "train.py"),
        {"lr": 1.0},
        0,
        3,
        Objective("loss", False),
        folder=(bucket / "trials/a-0").url,
        log=(bucket / "logs").url,
        script=asdict(how),
    )

    def save(folder: Path, name: str, text: str) -> None:
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if folders:
            path.mkdir()
            (path / "deep").mkdir()
            path = path / "deep/model"
        path.write_text(text)

    def read(folder: Path) -> dict[str, str]:
        return {
            path.relative_to(folder / "files").parts[0]: path.read_text()
            for path in (folder / "files").rglob("*")
            if path.is_file()
        }

    with at_hand(job, lambda call: call()) as (local, store):
        save(Path(local.folder), "1.ckpt", "one")
        store()  # it may still be written, so it is left for later
        assert bucket.sizes("trials/a-0/script_checkpoints") == {}
        save(Path(local.folder), "2.ckpt", "two")
        save(Path(local.folder), "notes.txt", "not a checkpoint")
    with at_hand(job, lambda call: call()) as (local, store):
        assert read(Path(local.folder)) == {"2.ckpt": "two"}
        assert len(bucket.sizes("trials/a-0/script_checkpoints")) == 2  # and its name
        found = Checkpoints(f"{local.folder}/files/*.ckpt", Path(local.folder))
        found.refuse(Path(local.folder, "files/2.ckpt"))
    with at_hand(job, lambda call: call()) as (local, store):
        assert read(Path(local.folder)) == {}
        save(Path(local.folder), "3.ckpt", "three")
    folder = mirror.create(bucket)
    mirror.delete_checkpoints(folder, "a-0")
    assert bucket.sizes("trials/a-0/script_checkpoints") == {}
    assert json.dumps(job.script)


def test_a_checkpoint_without_resume_is_only_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is continued from it: a trial that is tried again begins again."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(TRAINS)
    run = rs.Sweep(
        "train.py",
        {"lr": rs.Choice([2.0, 1.0])},
        metric="loss",
        searcher="grid",
        budget={"trials": 2, "epochs": 3},
        script={name: words for name, words in HOW.items() if name != "resume"},
    ).run(name="r", executor="debug", quiet=True)
    assert "type: stopping" in (run.path / "sweep.yaml").read_text()
    assert (run.path / "best/epoch-3.ckpt").read_text() == '{"epoch": 3}'
    assert run.best.checkpoint == (run.path / "trials/grid-1/files/epoch-3.ckpt").resolve()
    folder = run.path / "trials/grid-1"
    how = CommandLine(
        arguments=HOW["arguments"], after=["--epochs", "3"], checkpoint="{folder}/*.ckpt"
    )
    again = Run(3, lambda message: None, folder=folder, objective=Objective("loss", False))
    load("train.py")[0]({"lr": 1.0}, again, how)
    assert trained(folder) == [1, 2, 3, 1, 2, 3]
