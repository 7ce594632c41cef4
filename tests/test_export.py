"""The export, loaded and evaluated by a fresh process."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

import raysweep as rs
from raysweep.results.export import export
from raysweep.results.storage.run_directory import RunDirectory, RunError, load
from raysweep.results.views import terminal
from raysweep.results.views.html.page_data import page_data
from raysweep.trainables.runtime import checkpoint
from raysweep.tune.api import write_results
from raysweep.tune.cli import summary
from raysweep.tune.cli.app import main
from raysweep.tune.session import GOOD
from tests.made_up import Story, write_run

TRAIN = """
import torch

def build(config):
    return torch.nn.Linear(config["model"]["width"], 1)

def evaluate(config, model, split="validation"):
    with torch.inference_mode():
        return {"acc": float(model(torch.ones(1, config["model"]["width"])).sum())}

def train(config, run):
    torch.manual_seed(run.seed)
    model = build(config)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for epoch in run.epochs(model=model, optimizer=optimizer):
        optimizer.zero_grad()
        loss = model.weight.sum() * 99
        if epoch < 3:
            loss = -model(torch.ones(1, config["model"]["width"])).sum()
        loss.backward()
        optimizer.step()
        run.report(**evaluate(config, model))
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run of one real training, whose best epoch is not the last."""
    from raysweep.trainables.runtime.import_trainable import load as resolve
    from raysweep.trainables.runtime.run import Objective, Run

    code = tmp_path / "my_train.py"
    code.write_text(TRAIN)
    config: dict[str, Any] = {"model": {"width": 3}}
    folder = tmp_path / "run"
    messages: list[dict[str, Any]] = []
    trained = Run(
        3,
        messages.append,
        seed=1,
        folder=folder / "trials" / "random-0",
        objective=Objective("acc", True),
    )
    resolve(f"{code}:train")[0](config, trained)
    values = [message["metrics"]["acc"] for message in messages]
    assert values[1] > max(values[0], values[2])
    write_run(
        folder,
        [Story("random", values, config), Story("grid", [-1e9], {})],
        trainable=f"{code}:train",
    )
    return load(folder)


def test_the_best_epoch_is_exported_and_gives_its_value_again(run: RunDirectory) -> None:
    import torch

    done = export(run)
    assert (done.trial, done.epoch, done.difference) == ("random-0", 2, 0.0)
    assert done.value == run.best.value
    assert "difference 0" in done.message
    checkpoint = torch.load(done.folder / "checkpoint.pt", weights_only=True)
    assert {"epoch", "model_state_dict", "optimizer_state_dict", "metrics"} <= set(checkpoint)
    assert checkpoint["epoch"] == 2
    assert json.loads((done.folder / "metrics.json").read_text())["value"] == done.value
    assert (done.folder / "config.yaml").read_text() == "model: {width: 3}\n"


def test_what_cannot_be_drawn_does_not_hide_that_the_model_is_good(
    run: RunDirectory, tmp_path: Path
) -> None:
    done = export(run, draw=True)
    drawn = run.path / "tensorboard" / "random-0" / "best"
    assert list(drawn.glob("events.*"))
    with open(tmp_path / "my_train.py", "a") as code:
        code.write("\n\ndef draw(config, model, board):\n    raise OSError('no paper')\n")
    again = export(run, draw=True)
    assert again.difference == done.difference == 0.0
    assert again.message == done.message + "; not drawn for TensorBoard: OSError: no paper"


def test_the_export_loads_without_this_project(run: RunDirectory, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "elsewhere", evaluate=False).folder
    code = (
        "import torch; m = torch.nn.Linear(3, 1); m.load_state_dict(torch.load('model.pt', "
        "weights_only=True)); print(m.bias.item())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) != 0


def test_a_second_export_replaces_the_first_and_nothing_else(
    run: RunDirectory, tmp_path: Path
) -> None:
    first = export(run, evaluate=False)
    written = sorted(path.name for path in first.folder.iterdir())
    (first.folder / "model.pt").write_text("damaged")
    (first.folder / "my-plots").mkdir()
    (first.folder / "my-plots" / "roc.png").write_text("mine")
    again = export(run, evaluate=False).folder
    assert (again / "my-plots" / "roc.png").read_text() == "mine"
    assert (again / "model.pt").read_bytes() != b"damaged"
    assert sorted(path.name for path in again.iterdir()) == sorted([*written, "my-plots"])
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="exists and is not an export"):
        export(run, mine)
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]
    assert not list(run.path.glob(".best*"))


def test_a_model_that_cannot_be_evaluated_again_says_why(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "my_train.py").write_text(
        TRAIN.replace("def evaluate", "def evaluate_it").replace("def build", "def make")
    )
    done = export(run)
    assert done.difference is None
    assert "loads in a fresh process; it was not evaluated again" in done.message
    assert "my_train.py has no build and no evaluate" in done.message


def test_a_model_that_does_not_load_is_said_so(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "my_train.py").write_text(TRAIN.replace("Linear(config", "Linear(1 + config"))
    assert "does NOT load in a fresh process" in export(run).message


def test_a_difference_is_found(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "my_train.py").write_text(TRAIN.replace('"acc": float(', '"acc": 0.5 + float('))
    assert export(run).difference == pytest.approx(0.5)


def test_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="grid-0 has no checkpoint: none was written"):
        export(load(write_run(tmp_path / "run", [Story("grid", [0.5])])))


def test_a_script_keeps_its_own_model(tmp_path: Path) -> None:
    import torch

    folder = write_run(tmp_path / "run", [Story("grid", [0.5])], trainable="/somewhere/train.py")
    (folder / "trials" / "grid-0").mkdir(parents=True)
    torch.save({"epoch": 1, "metrics": {"acc": 0.5}}, folder / "trials" / "grid-0" / "best.pt")
    with pytest.raises(
        RunError,
        match=(
            r"train.py is a script, whose model raysweep does not have; of grid-0: "
            r"the script kept no checkpoint of epoch 1: it wrote no file into "
            r".*/trials/grid-0/files"
        ),
    ):
        export(load(folder))


def scripted(folder: Path, checkpoint: str, *values: float) -> RunDirectory:
    """A run of a script that saved two files in the folder of its trial."""
    section = {"checkpoint": checkpoint}
    stories = [Story("grid", list(values), {"lr": 0.1})]
    run = write_run(folder, stories, trainable="/somewhere/train.py", script=section)
    files = run / "trials" / "grid-0" / "files"
    files.mkdir(parents=True)
    for number, name in enumerate(("a.ckpt", "b.ckpt")):
        (files / name).write_text(name)
        os.utime(files / name, (100, 100 + number))
    return load(run)


def test_the_file_that_a_script_saved_is_exported(tmp_path: Path) -> None:
    found = scripted(tmp_path / "run", "{folder}/*.ckpt", 0.4, 0.5)
    file = found.path / "trials/grid-0/files/b.ckpt"
    assert rs.load(found.path).best.checkpoint == file.resolve()
    exported = export(found)
    assert (exported.epoch, exported.value, exported.difference) == (2, 0.5, None)
    assert exported.message == (
        "b.ckpt, which the script saved last; only the script can evaluate it"
    )
    folder = found.path / "best"
    assert {path.name for path in folder.iterdir()} == {
        "b.ckpt",
        "config.yaml",
        "metrics.json",
        "README.md",
    }
    assert (folder / "b.ckpt").read_text() == "b.ckpt"
    assert json.loads((folder / "metrics.json").read_text())["metrics"] == {"acc": 0.5}
    export(found)  # an older export is replaced
    assert "b.ckpt" in page_data(found)["best"]["ofScript"]


def test_a_sweep_of_a_script_ends_with_the_export_of_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = scripted(tmp_path / "run", "{folder}/*.ckpt", 0.5)
    summary.finish(found.path, GOOD, False, "raysweep resume it")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("model ")]
    copied = "b.ckpt, which the script saved last; only the script can evaluate it"
    assert said == [f"model        {found.path}/best: {copied}"]
    assert (found.path / "best" / "b.ckpt").read_text() == "b.ckpt"
    monkeypatch.setattr("shutil.copy2", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    summary.finish(found.path, GOOD, False, "raysweep resume it")
    assert "no model was exported: " in capsys.readouterr().out
    other = scripted(tmp_path / "other", "{folder}/*.ckpt", 0.5)
    monkeypatch.undo()
    write_results(other, succeeded=True)  # what a notebook does
    assert (other.path / "best" / "b.ckpt").is_file()


def test_a_file_of_a_later_epoch_is_said_to_be_one(tmp_path: Path) -> None:
    found = scripted(tmp_path / "run", "{folder}/{lr}/../a.ckpt", 0.5, 0.4)
    assert rs.load(found.path).best.checkpoint is None  # there is no folder 0.1
    (found.path / "trials/grid-0/files/0.1").mkdir()
    assert "a.ckpt, which the script saved last (it trained on to epoch 2" in export(found).message


@pytest.mark.parametrize("checkpoint", ["{folder}/*.pth", "{env:HOME}/*.ckpt"])
def test_a_file_of_a_script_that_is_not_known_is_none(checkpoint: str, tmp_path: Path) -> None:
    found = scripted(tmp_path / "run", checkpoint, 0.5)
    (found.path / "trials/grid-0/best.pt").touch()
    assert rs.load(found.path).best.checkpoint is None


def test_what_a_script_left_of_its_best_epoch_is_said(tmp_path: Path) -> None:
    """It may have trained on after that epoch, and have written over what it saved."""
    import torch

    stories = [Story("grid", [0.5, 0.9, 0.7]), Story("grid", [0.1, 0.2])]
    folder = write_run(tmp_path / "run", stories, trainable="/somewhere/train.py")
    for trial in ("grid-0", "grid-1"):
        (folder / "trials" / trial / "files").mkdir(parents=True)
        (folder / "trials" / trial / "files" / "model.pt").touch()
        torch.save({"epoch": 1, "metrics": {}}, folder / "trials" / trial / "best.pt")
    run = load(folder)
    said = []
    for renderable in (
        terminal.best(run),
        terminal.show(run, "grid-0"),
        terminal.show(run, "grid-1"),
    ):
        console = Console(file=io.StringIO(), width=400)
        console.print(renderable)
        said.append(console.file.getvalue())  # type: ignore[attr-defined]
    left = f"what the script wrote is in {folder}/trials/"
    later = "; it trained on to epoch 3, so epoch 2 is there only if it keeps all that it saves"
    assert f"checkpoint  {left}grid-0/files{later}" in said[0]
    assert re.search(rf"weights +{left}grid-0/files{later}", said[1])
    assert re.search(rf"weights +{left}grid-1/files *$", said[2], re.MULTILINE)


def test_what_takes_a_while_before_the_summary_is_said_first(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    summary.finish(run.path, GOOD, False, "raysweep resume it")
    first, *others = capsys.readouterr().out.splitlines()
    assert first == (
        f"no trial runs any more; exporting the model of {run.best.trial.id}, checking it in a "
        "fresh process, and writing the page ..."
    )
    assert any(line.startswith("model ") for line in others)
    script = write_run(tmp_path / "s", [Story("grid", [0.5])], trainable="train.py")
    summary.finish(script, GOOD, False, "raysweep resume it")
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == "no trial runs any more; writing the page ..."
    summary.finish(script, GOOD, True, "raysweep resume it")
    assert capsys.readouterr().out.startswith("{")


def test_a_damaged_checkpoint_is_one_line(run: RunDirectory) -> None:
    (run.path / "trials" / "random-0" / "best.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match=r"best.pt cannot be read"):
        export(run)


def lay(place: Path, kind: str) -> Path:
    """What `--out` may name by mistake."""
    if kind == "/":
        return Path("/")
    if kind == ".":
        return Path()
    target = place / "there"
    if kind == "file":
        target.write_text("mine")
    elif kind == "inside a file":
        (place / "file").write_text("mine")
        return place / "file" / "best"
    elif kind == "full":
        target.mkdir()
        (target / "mine.txt").write_text("mine")
    else:
        (place / "elsewhere").mkdir()
        target.symlink_to(place / "elsewhere" if kind == "link" else place / "nowhere")
    return target


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("/", "/ contains the current folder; name a new folder"),
        (".", ". contains the current folder; name a new folder"),
        ("file", "there is a file; name a new folder"),
        ("inside a file", "cannot be written: Not a directory"),
        ("full", "there exists and is not an export; name another folder"),
        ("link", "there is a link; name the folder itself"),
        ("dangling link", "there is a link; name the folder itself"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line_and_left_alone(
    run: RunDirectory,
    tmp_path: Path,
    kind: str,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    out = lay(tmp_path, kind)
    before = sorted(tmp_path.rglob("*"))
    assert main(["export", str(run.path), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"{line}\n")
    assert said.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_without_a_model_is_not_shown_as_one(run: RunDirectory) -> None:
    shown = printed(terminal.best(run))
    assert "checkpoint  " + str(run.best.checkpoint) in shown
    folder = run.path / "trials" / "random-0"
    checkpoint.save(folder, {}, [{"epoch": 2, "metrics": {"acc": 1.0}, "seconds": 1.0}], best=True)
    assert "checkpoint  none: the train function names no model" in printed(
        terminal.best(load(run.path))
    )


def printed(what: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]
