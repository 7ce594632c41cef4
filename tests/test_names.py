"""A user's modules with names of raysweep's: no conflict, or one line before the start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.finder import PACKAGE, FileFinder, file_module, program, users_raysweep
from raysweep.trainables.runtime.import_trainable import TrainableError, check, full_name, load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective
from raysweep.trainables.runtime.worker import Worker
from raysweep.tune.cli.app import main
from raysweep.tune.executors.ray.node_checks import versions
from tests.command_line import SWEEP

TRAIN = """\
import multiprocessing
import results, schedulers.cosine, trainables, tune, utils
import torch

assert results.OWN and schedulers.cosine.OWN and trainables.OWN and tune.OWN and utils.OWN

def square(x):
    return x * x

def build(config):
    return torch.nn.Linear(1, 1)

def evaluate(config, model, split="validation"):
    return {"loss": float(model.weight.detach().abs().sum())}

def train(config, run):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(square, [2]) == [4]
    model = build(config)
    for _ in run.epochs(model=model):
        run.report(**evaluate(config, model))
"""
ROOT = PACKAGE.parent
OWN = "OWN = True\n"
MINE = 'raise RuntimeError("a module of the user was imported")\n'


@pytest.fixture
def imports(tmp_path: Path) -> Iterator[None]:
    """What a test imports from its folder, and the path for imports, are as before after it."""
    places = list(sys.path)
    yield
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:] = places


def take_all_names(folder: Path, text: str = MINE) -> None:
    """Fill a folder with modules and folders named as raysweep's, and with a `raysweep.py`."""
    for name in ("results", "trainables", "search_spaces", "utils"):
        (folder / f"{name}.py").write_text(text)
    (folder / "raysweep.py").write_text(MINE)
    (folder / "tune").mkdir()
    (folder / "tune" / "__init__.py").write_text(text)
    (folder / "schedulers").mkdir()
    (folder / "schedulers" / "cosine.py").write_text(text)


def raysweep_alone(folder: Path) -> Path:
    """A folder in which raysweep is found and nothing else of its checkout, as if installed."""
    folder.mkdir()
    (folder / "raysweep").symlink_to(PACKAGE)
    return folder


@pytest.mark.examples
@pytest.mark.parametrize("trainable", ["train.py:train", "mine.train:train"])
def test_a_users_modules_with_our_names(trainable: str, tmp_path: Path) -> None:
    """On a Ray of its own.

    It covers the driver, the page, workers, processes that they start, and the export's evaluation.
    """
    take_all_names(tmp_path, OWN)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    for place in (tmp_path, tmp_path / "mine"):
        (place / "train.py").write_text(TRAIN)
    (tmp_path / "sweep.yaml").write_text(
        SWEEP.format(trainable=trainable, searcher="random", trials=2, epochs=1, more="")
    )
    installed = str(raysweep_alone(tmp_path / "installed"))
    paths = [str(tmp_path)] if trainable.startswith("mine") else []
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_sweep.py"), "--space", "sweep.yaml", "--name", "a"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*paths, installed])},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials" in done.stdout
    assert "evaluated again in a fresh process: loss" in done.stdout
    command = done.stdout.rstrip().splitlines()[-1].removeprefix("data frame").strip()
    assert command.startswith("python -P -c ")
    shown = subprocess.run(
        command.replace("python", sys.executable, 1),
        shell=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": installed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "random-1" in shown.stdout


@pytest.mark.examples
def test_several_processes_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    take_all_names(tmp_path / "sub", OWN)
    (tmp_path / "sub" / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(raysweep_alone(tmp_path / "installed"))
    monkeypatch.syspath_prepend(tmp_path)
    # Last, for `syspath_prepend` brings back the path that it found.
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", str(ROOT))])
    worker = Worker()
    try:
        outcome = worker.train(
            job(tmp_path, f"{tmp_path}/sub/train.py:train", workers=2), ignore, lambda: None
        )
    finally:
        worker.close()
    assert outcome.status == "completed", outcome.trace


def job(place: Path, trainable: str, workers: int) -> Job:
    return Job(
        "random-0",
        trainable,
        {},
        seed=0,
        epochs=1,
        objective=Objective("loss", False),
        folder=str(place / "trial"),
        log=str(place / "log"),
        workers=workers,
    )


def ignore(message: dict[str, object]) -> None:
    """Nobody wants the reports."""


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"raysweep.py": "", "train.py": "import raysweep"}, "train.py:1 imports 'raysweep'"),
        (
            {"raysweep.py": "", "train.py": "def train(c, r):\n    from raysweep import lr"},
            "train.py:2 imports 'raysweep.lr'",
        ),
        (
            {
                "raysweep/__init__.py": "",
                "lib/__init__.py": "",
                "lib/data.py": "from . import more",
                "lib/more.py": "\nimport raysweep.models",
                "train.py": "from lib.data import x",
            },
            "lib/more.py:2 imports 'raysweep.models'",
        ),
    ],
)
@pytest.mark.parametrize("how", ["file", "module", "current folder"])
def test_a_raysweep_of_a_user_that_is_imported_is_refused(
    files: dict[str, str],
    told: str,
    how: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    imports: None,
) -> None:
    unused = next(iter(files))
    for name in ("train", "model", "lib"):  # of another test in this process
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, text in files.items():
        place = tmp_path / "sub" if how == "current folder" and name != unused else tmp_path
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(
            text + ("\ndef train(config, run): ..." if "train" in name else "")
        )
    monkeypatch.chdir(tmp_path)
    if how == "module":
        monkeypatch.syspath_prepend(tmp_path)
    trainable = {"module": "train:train", "file": "train.py:train"}.get(how, "sub/train.py:train")
    (tmp_path / "sweep.yaml").write_text(
        SWEEP.format(trainable=trainable, searcher="random", trials=2, epochs=1, more="")
    )
    assert main(["run", "--space", "sweep.yaml"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{told}, and this tool's own package 'raysweep' hides {tmp_path / unused}" in said
    assert not (tmp_path / "ray_results").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"raysweep.py": MINE, "train.py": "import torch"},
        {"results.py": "", "tune/__init__.py": "", "train.py": "import results, tune"},
        {
            "raysweep.py": "",
            "train.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import raysweep",
        },
        {
            "raysweep.py": "",
            "lib/__init__.py": "",
            "lib/raysweep.py": "",
            "train.py": "from lib import raysweep",
        },
        {"train.py": "import raysweep"},
        {"raysweep.py": "not Python", "train.py": "import broken", "broken.py": "def"},
    ],
)
def test_what_is_not_imported_is_not_refused(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    with open(tmp_path / "train.py", "a") as file:
        file.write("\ndef train(config, run): ...")
    monkeypatch.chdir(tmp_path)
    check(f"{tmp_path}/train.py:train")


def test_a_train_file_that_is_called_raysweep(tmp_path: Path, imports: None) -> None:
    file = tmp_path / "raysweep.py"
    file.write_text("import raysweep\ndef train(config, run): return raysweep.load\n")
    check(f"{file}:train")
    function, module = load(f"{file}:train")
    assert function({}, None) is sys.modules["raysweep"].load
    assert module is not sys.modules["raysweep"]


def test_an_import_that_only_running_shows(tmp_path: Path, imports: None) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "raysweep.py").touch()
    (tmp_path / "late.py").write_text(
        "import sys\nsys.path.insert(0, 'lib')\nfrom raysweep import mine\n"
    )
    with pytest.raises(
        TrainableError, match=r"; 'raysweep' is this tool's own package: rename yours$"
    ):
        load(f"{tmp_path}/late.py:train")


def test_a_module_that_would_lie_in_our_package() -> None:
    with pytest.raises(TrainableError, match=r"raysweep has no module 'raysweep.train'"):
        check("raysweep.train:train")


@pytest.mark.parametrize("name", ["cnn:train", "trainables.cnn:train"])
def test_short_names_of_the_shipped_trainables(name: str) -> None:
    assert full_name(name) == "raysweep.trainables.cnn:train"
    assert load(name)[1].__name__ == "raysweep.trainables.cnn"


@pytest.mark.parametrize("name", ["models.cnn:train", "cnn.py:train", "trainables.other:train"])
def test_names_that_are_a_users_own(name: str) -> None:
    assert full_name(name) == name


def test_a_users_raysweep_is_found(tmp_path: Path) -> None:
    take_all_names(tmp_path)
    assert users_raysweep([tmp_path, PACKAGE.parent]) == tmp_path / "raysweep.py"
    assert users_raysweep([PACKAGE.parent, tmp_path]) is None
    assert users_raysweep([tmp_path], tmp_path / "raysweep.py") is None


def test_another_copy_of_raysweep_is_not_taken_for_a_users_module(tmp_path: Path) -> None:
    (tmp_path / "raysweep").mkdir()
    for name in ("__init__.py", "start.py"):
        (tmp_path / "raysweep" / name).touch()
    assert users_raysweep([tmp_path]) is None


def test_the_package_holds_the_five_folders() -> None:
    """Links in a checkout, so that one installed name holds them all."""
    for name in ("results", "schedulers", "search_spaces", "trainables", "tune"):
        assert (PACKAGE / name).samefile(ROOT / name)


@pytest.mark.parametrize("path", ["/a b/ü-1.x/train_it.py", "/x/_2f.py"])
def test_the_name_of_a_file_holds_its_path(path: str) -> None:
    name = file_module(Path(path))
    assert name.removeprefix("raysweep.").isidentifier()
    spec = FileFinder().find_spec(name)
    assert spec is not None
    assert spec.origin == path


def test_a_program_finds_its_module_and_then_the_current_folder(tmp_path: Path) -> None:
    take_all_names(tmp_path)
    (tmp_path / "json.py").write_text(MINE)
    done = subprocess.run(
        program("raysweep.tune.cli.app", "--help"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("usage: raysweep"), done.stderr


def test_a_node_that_lacks_raysweep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(versions()["raysweep"]) == 12
    monkeypatch.setitem(sys.modules, "raysweep.finder", None)
    assert versions()["raysweep"] == "missing"
