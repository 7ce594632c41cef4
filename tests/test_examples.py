"""Every file of `search_spaces/` and every example, from the YAML file to the end of a sweep, at a small budget on a real Ray."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from results import load
from trainables.backbones import bundled
from tune.cli import main

ROOT = Path(__file__).resolve().parent.parent
FILES = [*sorted((ROOT / "search_spaces").glob("*.yaml")), *sorted((ROOT / "examples").glob("*/sweep.yaml"))]
CHANGES = ["budget.trials=2", "budget.epochs=2", "budget.total_epochs=null", "scheduler=none", "parallel=1", "resources.gpu=0"]
WEIGHTS = "imagenet" if bundled() else "none"
EXTRA = {"transfer": ["space.image_size=32", "space.train_size=60", f"space.weights={WEIGHTS}"], "text": ["space.train_size=240"]}
"""What a file's own test changes besides, by the file's name or its folder's."""


def name(path: Path) -> str:
    return path.parent.name if path.stem == "sweep" else path.stem


@pytest.mark.ray
@pytest.mark.parametrize("path", FILES, ids=name)
def test_it_runs_from_end_to_end(path: Path, tmp_path: Path, ray_here: Any, capsys: pytest.CaptureFixture[str]) -> None:
    changes = [word for change in CHANGES + EXTRA.get(name(path), []) for word in ("--set", change)]
    assert main(["run", "--space", str(path), "--storage", str(tmp_path), "--name", "small", "--json", *changes]) == 0
    summary = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert summary["event"] == "summary"
    if summary["exported"]:
        assert "does NOT load" not in summary["exported"]["message"]
        assert summary["exported"]["difference"] in (0.0, None)
    else:
        assert re.search(r"train.py is a script, which keeps its own; the best trial's files are in .*/trials/", summary["complaint"])
    trials = load(tmp_path / "small").trials
    assert set(trials["status"]) == {"completed"}
    assert set(trials["epochs"]) == {2}


def test_the_quickstart_is_at_most_30_lines_and_runs_by_hand() -> None:
    """The README shows this file as it is."""
    code = ROOT / "examples" / "quickstart" / "train.py"
    assert len(code.read_text().splitlines()) <= 30
    by_hand = (
        "from train import train; from trainables.run import LocalRun\n"
        "train({'lr': 0.3, 'momentum': 0.5, 'width': 64, 'batch_size': 32}, LocalRun(epochs=5))"
    )
    done = subprocess.run(
        [sys.executable, "-c", by_hand], cwd=code.parent, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert float(lines[-1].split()[3]) > 0.85
