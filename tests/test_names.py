"""A user's own modules with the names of raysweep's packages: they do no harm, or are refused in one line before the start."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.names import NAMES, ROOT, Finder, elsewhere, file_module, pin, program
from tests.command_line import SWEEP
from trainables.attempt import Job
from trainables.resolve import TrainableError, check, load
from trainables.run import Objective
from trainables.worker import Worker
from tune.cli import main
from tune.engine.probe import versions

TRAIN = """\
import multiprocessing
import torch

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


def take_all_names(folder: Path) -> None:
    """Have each of raysweep's names taken in a folder: by packages, modules, and folders that are no package."""
    for name in ("results", "trainables", "search_spaces", "raysweep", "utils"):
        (folder / f"{name}.py").write_text(MINE)
    (folder / "tune").mkdir()
    (folder / "tune" / "__init__.py").write_text(MINE)
    (folder / "schedulers").mkdir()
    (folder / "schedulers" / "cosine.py").write_text(MINE)


@pytest.mark.examples
@pytest.mark.parametrize("trainable", ["train.py:train", "mine.train:train"])
def test_names_that_nobody_imports_do_no_harm(trainable: str, tmp_path: Path) -> None:
    """On a Ray of its own: the driver, the page, workers, processes that they start, and the export's evaluation."""
    take_all_names(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").touch()
    for place in (tmp_path, tmp_path / "mine"):
        (place / "train.py").write_text(TRAIN)
    (tmp_path / "sweep.yaml").write_text(
        SWEEP.format(trainable=trainable, searcher="random", trials=2, epochs=1, more="")
    )
    paths = [str(tmp_path)] if trainable.startswith("mine") else []
    done = subprocess.run(
        [sys.executable, str(ROOT / "run_sweep.py"), "--space", "sweep.yaml", "--name", "a"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*paths, str(ROOT)])},
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
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "random-1" in shown.stdout


@pytest.mark.examples
def test_several_processes_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_all_names(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
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
        ({"results.py": "", "train.py": "from results import x"}, "train.py:1 imports 'results.x'"),
        ({"tune/__init__.py": "", "train.py": "import tune"}, "train.py:1 imports 'tune'"),
        (
            {"tune/__init__.py": "", "train.py": "def train(c, r):\n    import tune.lr"},
            "train.py:2 imports 'tune.lr'",
        ),
        (
            {"schedulers/cosine.py": "", "train.py": "from schedulers.cosine import f"},
            "train.py:1 imports 'schedulers.cosine.f'",
        ),
        (
            {"schedulers/cosine.py": "", "train.py": "from schedulers import cosine"},
            "train.py:1 imports 'schedulers.cosine'",
        ),
        (
            {"results.py": "", "model.py": "import results", "train.py": "import model"},
            "model.py:1 imports 'results'",
        ),
        (
            {
                "trainables.py": "",
                "lib/__init__.py": "",
                "lib/data.py": "from . import more",
                "lib/more.py": "\nimport trainables",
                "train.py": "from lib.data import x",
            },
            "lib/more.py:2 imports 'trainables'",
        ),
        ({"raysweep.py": "", "train.py": "import raysweep"}, "train.py:1 imports 'raysweep'"),
    ],
)
@pytest.mark.parametrize("how", ["file", "module", "current folder"])
def test_a_module_that_cannot_be_imported_beside_ours_is_refused(
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
    assert f"{told}, and raysweep has a package of the name" in said
    assert f"hides {tmp_path / unused}: rename that file or folder" in said
    assert not (tmp_path / "ray_results").exists()


@pytest.mark.parametrize(
    "files",
    [
        {"results.py": MINE, "tune/__init__.py": MINE, "train.py": "import torch"},
        {"results/plot.png": "", "train.py": "from results import load"},
        {
            "results.py": "",
            "train.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import results",
        },
        {
            "results.py": "",
            "lib/__init__.py": "",
            "lib/results.py": "",
            "train.py": "from lib import results",
        },
        {"train.py": "from trainables.run import LocalRun\nimport trainables"},
        {"results.py": MINE, "train.py": "from ray import tune"},
        {"results.py": "not Python", "train.py": "import broken", "broken.py": "def"},
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


def test_a_train_file_with_a_name_of_ours(tmp_path: Path, imports: None) -> None:
    file = tmp_path / "results.py"
    file.write_text("from results import load\ndef train(config, run): return load\n")
    check(f"{file}:train")
    function, module = load(f"{file}:train")
    assert function({}, None) is sys.modules["results"].load
    assert module is not sys.modules["results"]


def test_an_import_that_only_running_shows(tmp_path: Path, imports: None) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "results.py").touch()
    (tmp_path / "late.py").write_text(
        "import sys\nsys.path.insert(0, 'lib')\nfrom results import mine\n"
    )
    with pytest.raises(
        TrainableError, match=r"; 'results' is a package of raysweep's: rename yours$"
    ):
        load(f"{tmp_path}/late.py:train")


def test_a_module_that_would_lie_in_a_package_of_ours() -> None:
    with pytest.raises(
        TrainableError, match=r"raysweep's own package 'results' has no module 'results.train'"
    ):
        check("results.train:train")


def test_a_package_of_ours_that_came_from_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = types.ModuleType("results")
    mine.__file__ = "/home/me/results.py"
    monkeypatch.setitem(sys.modules, "results", mine)
    with pytest.raises(ImportError, match=r"^'results' is /home/me/results.py in this process"):
        pin()


def test_ours_are_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_all_names(tmp_path)
    for name in NAMES:
        spec = Finder().find_spec(name)
        assert spec is not None
        assert spec.origin == str(ROOT / name / "__init__.py")
    assert elsewhere("results", [tmp_path, ROOT]) == tmp_path / "results.py"
    assert elsewhere("results", [ROOT, tmp_path]) is None
    assert elsewhere("results", [tmp_path], tmp_path / "results.py") is None
    assert elsewhere("schedulers", [tmp_path]) is None


def test_another_copy_of_raysweep_is_not_taken_for_a_users_module(tmp_path: Path) -> None:
    for name in ("results/__init__.py", "raysweep/start.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert elsewhere("results", [tmp_path]) is None


@pytest.mark.parametrize("path", ["/a b/ü-1.x/train_it.py", "/x/_2f.py"])
def test_the_name_of_a_file_holds_its_path(path: str) -> None:
    name = file_module(Path(path))
    assert name.removeprefix("raysweep.").isidentifier()
    spec = Finder().find_spec(name)
    assert spec is not None
    assert spec.origin == path


def test_a_program_finds_its_module_and_then_the_current_folder(tmp_path: Path) -> None:
    take_all_names(tmp_path)
    (tmp_path / "json.py").write_text(MINE)
    done = subprocess.run(
        program("raysweep.command", "--help"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("usage: raysweep"), done.stderr


def test_a_node_that_lacks_raysweep(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(versions()["raysweep"]) == 12
    monkeypatch.setitem(sys.modules, "raysweep.names", None)
    assert versions()["raysweep"] == "missing"
