"""The conditional example, trained in this process.

Inactive parameters never reach a train function, and derived and constrained ones are right.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.results.storage.run_directory import load
from raysweep.search_spaces.convert.any_file import read
from raysweep.tune.cli.app import main

CHANGES = [
    "budget.trials=6",
    "budget.epochs=1",
    "scheduler=none",
    "parallel=1",
    "resources.gpu=0",
    "space.train_size=200",
]


@pytest.mark.usefixtures("without_end")
def test_a_conditional_space_trains(tmp_path: Path) -> None:
    changes = [word for change in CHANGES for word in ("--set", change)]
    assert (
        main(
            [
                "run",
                "--space",
                "mlp_conditional.yaml",
                "--storage",
                str(tmp_path),
                "--name",
                "small",
                "--json",
                "--debug",
                *changes,
            ]
        )
        == 0
    )
    run = load(tmp_path / "small")
    assert set(run.trials["status"]) == {"completed"}
    configs = [trial.config for history in run.histories.values() for trial in history]
    space = read("mlp_conditional.yaml", ["space.train_size=200"]).space
    assert len(configs) == 12
    for config in configs:
        assert config in space
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert ("nesterov" in config) == (config.get("momentum", 0) >= 0.8)
        assert ("dropout2" in config) == (config["layers"] >= 2)
        assert config["width"] == 16 * config["units"]
        assert config["layers"] * config["width"] <= 640
    assert {config["optimizer"] for config in configs} == {"sgd", "adam"}
