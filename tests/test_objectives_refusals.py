"""Each searcher with each scheduler, for one metric and for several, through the command line."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from raysweep.history import Config, Status
from raysweep.tune.cli.app import main
from raysweep.tune.executors.simulated import Epoch, simulate
from raysweep.tune.load import load_sweep

SEARCHERS = {
    "auto": True,
    "bohb": True,
    "grid": True,
    "random": True,
    "tpe": False,
    "{name: optuna, sampler: NSGAIISampler}": True,
    "{name: optuna, sampler: TPESampler}": True,
    "{name: optuna, sampler: CmaEsSampler}": False,
    "[random, tpe]": False,
}
"""Each with whether it can do with several metrics."""
SCHEDULERS = {"asha": True, "{name: asha, type: stopping}": True, "none": True, "median": False}
METRICS = {
    "metric: {name: loss, goal: minimize}": False,
    "metrics: [{name: loss}, {name: ms, goal: minimize}]": True,
    "metrics: [{name: loss}, {name: mb, limit: 0.7}]": True,
    "metrics: [{name: loss}, {name: ms, goal: minimize}, {name: mb, limit: 0.7}]": True,
}
"""Each with whether it is several."""
INSTEAD = "use auto, bohb, random, grid, or {name: optuna, sampler: TPESampler}"
TABLE = list(product(SEARCHERS, SCHEDULERS, METRICS))


def train(config: Config, seed: int) -> Iterator[Epoch]:
    for epoch in range(1, 4):
        yield {"loss": (1 - config["x"]) + 1 / epoch, "ms": config["x"], "mb": config["y"]}, 1.0


@pytest.fixture
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    searcher, scheduler, metrics = request.param
    path = tmp_path / "sweep.yaml"
    path.write_text(
        f"trainable: tests.test_objectives_refusals:train\n{metrics}\n"
        f"searcher: {searcher}\nscheduler: {scheduler}\n"
        "budget: {trials: 6, epochs: 3}\nspace: {x: {float: [0, 1]}, y: {float: [0, 1]}}\n"
    )
    return path


def refusal(searcher: str, scheduler: str, metrics: str) -> tuple[str, ...]:
    """What the one line of a refusal says; () if the three go together."""
    if not METRICS[metrics]:
        return ()
    if not SEARCHERS[searcher]:
        name = "optuna" if "optuna" in searcher else "tpe"
        return (f"searcher {name} proposes for one metric", INSTEAD)
    if not SCHEDULERS[scheduler]:
        return (f"scheduler {scheduler} judges by one metric", "use asha or none")
    return ()


@pytest.mark.parametrize(("written", "row"), [(row, row) for row in TABLE], indirect=["written"])
def test_a_combination_is_refused_in_one_line_or_works(
    written: Path, row: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = refusal(*row)
    code = main(["run", "--space", str(written), "--dry-run"])
    told = capsys.readouterr().err
    if wanted:
        assert code == 2
        assert told.count("\n") == 1
        assert all(words in told for words in wanted)
        return
    assert (code, told) == (0, "")
    trials = list(simulate(load_sweep(str(written)), train, 2).trials)
    assert trials
    assert not any(trial.status in (Status.FAILED, Status.DIVERGED) for trial in trials)
    assert any(trial.best for trial in trials)
