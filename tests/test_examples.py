"""Every shipped file and example, from the YAML file to the end of a small sweep on a real Ray."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from raysweep.results.storage.run_directory import load
from raysweep.trainables.common.backbones import bundled
from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.import_trainable import load as resolve
from raysweep.trainables.runtime.run import LocalRun
from raysweep.tune.cli.app import main

ROOT = Path(__file__).resolve().parent.parent
FILES = [
    *sorted((ROOT / "search_spaces").glob("*.yaml")),
    *sorted((ROOT / "examples").glob("*/sweep.yaml")),
]
FILES.append(ROOT / "examples" / "pytorch_template" / "config.json")
NEEDS = {
    "lightning": "lightning",
    "huggingface": "transformers",
    "accelerate": "accelerate",
    "lightning_hydra": "hydra",
    "rl_tyro": "tyro",
}
"""The library that an example is about, by the example's folder."""
CHANGES = [
    "budget.trials=2",
    "scheduler=none",
    "parallel=1",
    "resources.gpu=0",
]
WEIGHTS = "imagenet" if bundled() else "none"
EXTRA = {
    "transfer": ["space.image_size=32", "space.train_size=60", f"space.weights={WEIGHTS}"],
    "text": ["space.train_size=240"],
    "huggingface": ["space.width=32", "space.layers=1"],
}
"""What a file's own test changes besides, by the file's name or its folder's."""
SHORT = ("budget.epochs=2", "budget.total_epochs=null")
SHORT_STEPS = {
    "gpt": ("budget.steps=100",),
    "rl_tyro": ("budget.steps=4000",),
}
"""How long the trials of examples are that count no epochs: two reports."""


def name(path: Path) -> str:
    return path.parent.name if path.parent.parent.name == "examples" else path.stem


@pytest.mark.examples
@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_runs_from_end_to_end(
    path: Path, tmp_path: Path, ray_here: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    library = NEEDS.get(name(path), "torch")
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: pip install raysweep[{library}]")
    short = SHORT_STEPS.get(name(path), SHORT)
    wanted = [*CHANGES, *short, *EXTRA.get(name(path), [])]
    changes = [word for change in wanted for word in ("--set", change)]
    assert (
        main(
            [
                "run",
                "--space",
                str(path),
                "--storage",
                str(tmp_path),
                "--name",
                "small",
                "--json",
                *changes,
            ]
        )
        == 0
    )
    summary = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert summary["event"] == "summary"
    if summary["exported"]:
        assert "does NOT load" not in summary["exported"]["message"]
        assert summary["exported"]["difference"] in (0.0, None)
    else:
        assert re.search(
            r"\w+.py is a script, whose model raysweep does not have; of .*/trials/",
            summary["complaint"],
        )
    if name(path) in ("cnn", "mlp", "mlp_conditional", "transfer", "text"):
        assert list(
            (tmp_path / "small" / "tensorboard" / summary["best"]["trial"] / "best").glob(
                "events.*"
            )
        )
    trials = load(tmp_path / "small").trials
    assert set(trials["status"]) == {"completed"}
    assert set(trials["epochs"]) == {2}


def test_the_quickstart_by_hand_and_its_model_gives_its_accuracy_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The README shows this file as it is."""
    assert len((ROOT / "examples" / "quickstart" / "train.py").read_text().splitlines()) <= 30
    train, module = resolve(f"{ROOT}/examples/quickstart/train.py:train")
    torch.manual_seed(0)
    train({"lr": 0.3, "momentum": 0.5, "width": 64, "batch_size": 32}, LocalRun(5, folder=tmp_path))
    printed = [float(line.split()[3]) for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == 5
    assert printed[-1] > 0.85
    content = checkpoint.load(tmp_path / checkpoint.BEST)
    images, labels = module.digits(slice(300)).tensors
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    model.load_state_dict(content["model_state_dict"])
    right = model(images).argmax(dim=1) == labels
    assert content["metrics"] == {"val_accuracy": right.float().mean().item()}


def test_the_scripts_model_gives_its_accuracy_back(tmp_path: Path) -> None:
    code = ROOT / "examples" / "script" / "train.py"
    environment = os.environ | {"RAYSWEEP_FOLDER": str(tmp_path), "RAYSWEEP_EPOCHS": "2"}
    lines = [
        subprocess.run(
            [sys.executable, str(code), "--lr", "0.1"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert lines[0] == lines[1]
    model = pickle.loads((tmp_path / "model.pickle").read_bytes())
    images, labels = load_digits(return_X_y=True)
    _, x_held, _, y_held = train_test_split(images / 16, labels, test_size=300, random_state=0)
    assert (
        model.score(x_held, y_held) == json.loads(lines[0].splitlines()[-1])["val_accuracy"] > 0.5
    )


def test_a_model_in_two_stages_by_hand(tmp_path: Path) -> None:
    train, module = resolve(f"{ROOT}/examples/model_parallel/train.py:train")
    run = LocalRun(3, folder=tmp_path, quiet=True)
    torch.manual_seed(0)
    train({"lr": 1e-3, "width": 32, "batch_size": 32}, run)
    model = module.build({"width": 32})
    model.load_state_dict(checkpoint.load(tmp_path / "best.pt")["model_state_dict"])
    assert module.evaluate({}, model) == run.reports[-1]["metrics"]
    assert run.reports[-1]["metrics"]["val_accuracy"] > 0.7


CALLS = """
import json, os, runpy, sys

calls, sys.path[0] = json.loads(sys.argv.pop(1)), os.getcwd()
for folder, epochs in calls:
    print("called", flush=True)
    os.environ |= {"RAYSWEEP_FOLDER": folder, "RAYSWEEP_EPOCHS": str(epochs)}
    runpy.run_path("train.py", run_name="__main__")
"""
"""`python train.py` for each call, in one process, which imports torch once."""


@pytest.mark.examples
def test_the_template_project_by_hand_and_again(tmp_path: Path) -> None:
    """Dotted options reach their places, and a second call continues from its checkpoint.

    What it saved loads without any pickled object.
    """
    import torch

    calls = [
        (str(tmp_path / folder), epochs)
        for folder, epochs in (("whole", 3), ("parts", 2), ("parts", 3))
    ]
    command = [
        sys.executable,
        "-c",
        CALLS,
        json.dumps(calls),
        "--optimizer.args.lr=0.01",
        "--arch.args.width=20",
    ]
    done = subprocess.run(
        command,
        cwd=ROOT / "examples" / "pytorch_template",
        capture_output=True,
        text=True,
        check=True,
    )
    whole, begun, rest = (
        [json.loads(line) for line in text.splitlines()]
        for text in done.stdout.split("called\n")[1:]
    )
    assert [[line["epoch"] for line in lines] for lines in (whole, begun, rest)] == [
        [1, 2, 3],
        [1, 2],
        [3],
    ]
    assert begun + rest == whole
    content = torch.load(tmp_path / "whole" / "model_best.pth", weights_only=True)
    assert content["monitor_best"] == min(line["val_loss"] for line in whole)
    assert content["state_dict"]["hidden.weight"].shape == (20, 64)
    assert content["optimizer"]["param_groups"][0]["lr"] == 0.01


@pytest.mark.ray
@pytest.mark.examples
def test_a_wandb_sweep_and_its_program_run_unchanged(
    tmp_path: Path, ray_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the network, with parameters from this sweep that win over the program's own."""
    pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    for variable in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(variable)
    folder = ROOT / "examples" / "wandb_sweep"
    before = sorted(path.name for path in folder.iterdir())
    words = ["run", "--space", str(folder / "sweep-config.yaml"), "--storage", str(tmp_path)]
    changes = ["budget.trials=2", "budget.epochs=2", "space.epochs=2", "scheduler=none"]
    settings = [word for change in changes for word in ("--set", change)]
    assert main([*words, "--name", "small", *settings]) == 0
    run = load(tmp_path / "small")
    assert list(run.trials["status"]) == ["completed"] * 2
    assert {"train/loss", "val/accuracy"} <= set(run.curves.columns)
    for trial in run.all_trials():
        (kept,) = (tmp_path / "small/trials" / trial.id).glob("files/wandb/offline-run-*/*.wandb")
        assert str(trial.config["lr"]).encode() in kept.read_bytes()  # as W&B knows it
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before
