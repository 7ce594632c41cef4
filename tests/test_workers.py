"""`resources: {workers: 2}` from the file to the end of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.results.storage.run_directory import load
from raysweep.tune.cli.app import main

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.examples,
]


def test_a_sweep_whose_trials_are_trained_by_two_processes(tmp_path: Path, ray_here: Any) -> None:
    changes = [
        "resources.workers=2",
        "resources.cpu=2",
        "resources.gpu=0",
        "searcher=random",
        "scheduler=none",
        "parallel=1",
    ]
    changes += ["budget.trials=1", "budget.epochs=2", "space.train_size=240"]
    words = [word for change in changes for word in ("--set", change)]
    assert (
        main(
            [
                "run",
                "--space",
                "cnn.yaml",
                "--storage",
                str(tmp_path),
                "--name",
                "two",
                "--json",
                *words,
            ]
        )
        == 0
    )
    run = load(tmp_path / "two")
    assert list(run.trials["status"]) == ["completed"]
    assert list(run.trials["epochs"]) == [2]
    assert (tmp_path / "two" / "best" / "model.pt").exists()
