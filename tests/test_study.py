"""Ask and tell: the same decisions as a sweep, without Ray, and a folder that continues."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.history import Config
from raysweep.schedulers import SCHEDULERS
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.study import StudyError

SPACE = {
    "lr": rs.Float(1e-4, 1.0, log=True),
    "opt": rs.Choice(["sgd", "adam"]),
    "momentum": rs.Float(0.0, 0.99, when="opt == 'sgd'"),
}
EPOCHS = 9


def loss_of(config: Config, epoch: int) -> float:
    bowl = (config["lr"] - 0.1) ** 2 + config.get("momentum", 0.3) * 0.1
    return float(bowl) + 1 / epoch


def curve(config: Config, seed: int) -> Iterable[tuple[Mapping[str, float], float]]:
    for epoch in range(1, EPOCHS + 1):
        yield {"loss": loss_of(config, epoch)}, 1.0


def study(**changes: Any) -> rs.Study:
    keys: dict[str, Any] = {"space": SPACE, "metric": "loss", "epochs": EPOCHS, "seed": 3}
    return rs.Study(**keys | changes)


def train(trial: Any) -> None:
    """Train as a sweep's worker does: from the trial's last epoch until it is stopped."""
    for epoch in range(trial.epoch + 1, EPOCHS + 1):
        if not trial.report(epoch=epoch, loss=loss_of(trial.config, epoch)):
            return


def outline(controller: SweepController) -> list[Any]:
    return [
        (trial.number, trial.config, trial.seed, trial.status, trial.epoch, trial.reason)
        for trial in controller.trials
    ]


@pytest.mark.parametrize("scheduler", [None, {"name": "asha", "type": "promotion"}, *SCHEDULERS])
@pytest.mark.parametrize("searcher", ["auto", "random", "tpe"])
def test_a_loop_decides_as_a_simulated_sweep_with_one_worker(
    searcher: str, scheduler: str | dict[str, str] | None
) -> None:
    asked = study(searcher=searcher, scheduler=scheduler, trials=14)
    turns = []
    for trial in asked:
        turns.append((trial.number, trial.epoch))
        train(trial)
    simulated = simulate(asked._sweep, curve, workers=1)
    assert outline(asked._controller) == outline(simulated)
    assert len(turns) >= 14
    assert asked.finished


def test_the_best_and_all_trials() -> None:
    asked = study(trials=6, scheduler="none", searcher="random")
    with pytest.raises(StudyError, match="no trial has reported a finite loss yet"):
        _ = asked.best
    for trial in asked:
        train(trial)
    values = [trial.value for trial in asked.trials if trial.value is not None]
    assert len(values) == 6
    assert asked.best.value == min(values)
    assert asked.best.config == asked.trials[values.index(min(values))].config
    assert {trial.status for trial in asked.trials} == {"completed"}


def test_a_value_is_told_for_a_training_that_reports_nothing() -> None:
    asked = rs.Study({"x": rs.Float(0, 1)}, metric="accuracy", searcher="random")
    trial = asked.ask()
    asked.tell(trial, 0.5)
    assert (trial.status, trial.value, asked.best.number) == ("completed", 0.5, 0)
    asked.tell(trial)
    assert asked.ask().number == 1


def test_without_a_number_of_trials_it_never_ends() -> None:
    asked = rs.Study({"x": rs.Float(0, 1)}, metric="loss", searcher="random")
    for _ in range(30):
        asked.tell(asked.ask(), 0.5)
    assert not asked.finished


def test_a_failed_trial_is_taken_for_a_bad_one() -> None:
    asked = study(trials=2, searcher="random")
    trial = asked.ask()
    asked.tell(trial, failed="the file was missing")
    assert (trial.status, trial.reason) == ("failed", "the file was missing")
    assert asked.ask().number == 1


def test_several_trials_may_be_under_way_at_once() -> None:
    asked = study(trials=3, searcher="auto", scheduler="none")
    trials = [asked.ask() for _ in range(3)]
    assert [trial.number for trial in trials] == [0, 1, 2]
    with pytest.raises(StudyError, match="nothing to ask for: 3 trials must report or be told"):
        asked.ask()
    for trial in reversed(trials):
        train(trial)
    with pytest.raises(StudyError, match="the study has had its 3 trials"):
        asked.ask()


def test_calls_that_cannot_be_followed_say_why() -> None:
    asked = study(trials=2)
    trial = asked.ask()
    with pytest.raises(StudyError, match="the metric 'loss' is missing"):
        trial.report(epoch=1, accuracy=0.5)
    with pytest.raises(StudyError, match="epoch: expected 1 to 9, got 10"):
        trial.report(epoch=10, loss=0.5)
    with pytest.raises(StudyError, match="report: loss: expected a number, got 'low'"):
        trial.report(epoch=1, metrics={"loss": "low"})  # type: ignore[dict-item]
    with pytest.raises(StudyError, match="trial 0 has reported nothing"):
        asked.tell(trial)
    asked.tell(trial, 0.5)
    with pytest.raises(StudyError, match="trial 0 is completed"):
        trial.report(epoch=1, loss=0.5)


def test_mistakes_are_those_of_a_file() -> None:
    with pytest.raises(rs.UserError, match=r"budget\.epochs: expected 1 or more, got 0"):
        study(epochs=0)
    with pytest.raises(rs.UserError, match=r"unknown searcher 'gpp'"):
        study(searcher="gpp")
    with pytest.raises(rs.UserError, match=r"space\.lr: the bounds"):
        study(space={"lr": rs.Float(1, 0)})
    with pytest.raises(rs.UserError, match="a study has one searcher"):
        study(searcher=["tpe", "random"])


def test_a_folder_continues_and_an_open_trial_is_asked_for_again(tmp_path: Path) -> None:
    whole = study(trials=12, searcher="auto")
    for trial in whole:
        train(trial)
    parts = study(trials=12, searcher="auto", folder=tmp_path / "run")
    for _ in range(5):
        train(parts.ask())
    left = parts.ask()
    left.report(epoch=1, loss=loss_of(left.config, 1))
    parts.close()
    with study(trials=12, searcher="auto", folder=tmp_path / "run") as rest:
        again = rest.ask()
        assert (again.number, again.config, again.epoch) == (left.number, left.config, 1)
        train(again)
        for trial in rest:
            train(trial)
        assert outline(rest._controller) == outline(whole._controller)


def test_a_folder_is_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    with study(trials=4, folder=folder) as asked:
        for trial in asked:
            train(trial)
    run = rs.load(folder)
    assert len(run.trials) == 4
    assert run.best.config == asked.best.config
    assert run.report().exists()
    assert (folder / "trials.csv").read_text().count("\n") == 5
    assert main(["ls", str(folder)]) == 0
    assert main(["run", "--resume", str(folder)]) == 2
    assert "ask and tell" in capsys.readouterr().err


def test_a_folder_of_another_study_is_refused_and_so_is_one_in_use(tmp_path: Path) -> None:
    first = study(trials=2, folder=tmp_path / "run")
    with pytest.raises(StudyError, match=r"is held by process \d+ .*; close\(\) releases"):
        study(trials=2, folder=tmp_path / "run")
    first.close()
    with pytest.raises(
        rs.UserError,
        match=r"was begun with another specification:\n.*seed: was 3.*\n.*begin a new run",
    ):
        study(trials=2, seed=4, folder=tmp_path / "run")
    study(trials=5, folder=tmp_path / "run").close()


def test_it_loads_neither_ray_nor_torch_nor_pandas(tmp_path: Path) -> None:
    code = f"""
import json, sys
import raysweep as rs
with rs.Study({{"x": rs.Float(0, 1)}}, metric="loss", trials=12, folder={str(tmp_path)!r}) as study:
    for trial in study:
        study.tell(trial, trial.config["x"])
print(json.dumps(sorted({{"ray", "torch", "pandas"}} & set(sys.modules))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


METRICS = [{"name": "loss"}, {"name": "ms"}, {"name": "mb", "limit": 500}]


def metrics_of(config: Config, epoch: int) -> dict[str, float]:
    ms = -float(np.log10(config["lr"]))
    return {"loss": loss_of(config, epoch), "ms": ms, "mb": 1000 * config["lr"]}


@pytest.mark.parametrize("searcher", ["auto", "random"])
def test_a_study_with_several_metrics_decides_as_a_sweep_does(searcher: str) -> None:
    asked = several(searcher=searcher, trials=16)
    for trial in asked:
        for epoch in range(1, EPOCHS + 1):
            if not trial.report(epoch, metrics_of(trial.config, epoch)):
                break
    controller = simulate(asked._sweep, metrics_curve, 1)
    assert outline(controller) == outline(asked._controller)
    front = asked.front
    assert 1 < len(front) < 16
    assert front[0] is asked.best
    assert asked.knee in front
    for one in front:
        assert one.metrics["mb"] <= 500
        assert not any(
            other.metrics["loss"] < one.metrics["loss"] and other.metrics["ms"] < one.metrics["ms"]
            for other in front
        )


def metrics_curve(config: Config, seed: int) -> Iterable[tuple[Mapping[str, float], float]]:
    for epoch in range(1, EPOCHS + 1):
        yield metrics_of(config, epoch), 1.0


def several(**changes: Any) -> rs.Study:
    keys: dict[str, Any] = {"space": SPACE, "metrics": METRICS, "epochs": EPOCHS, "seed": 3}
    return rs.Study(**keys | changes)


def test_several_metrics_are_told_as_a_mapping(tmp_path: Path) -> None:
    with several(epochs=1, trials=2, folder=tmp_path / "s") as asked:
        with pytest.raises(StudyError, match="no trial has reported anything yet"):
            _ = asked.knee
        trial = asked.ask()
        with pytest.raises(
            StudyError, match=r"tell: expected a mapping with loss, ms, mb, got 0.5"
        ):
            asked.tell(trial, 0.5)
        with pytest.raises(StudyError, match="report: the metric 'mb' is missing"):
            asked.tell(trial, {"loss": 0.5, "ms": 1.0})
        asked.tell(trial, {"loss": 0.5, "ms": 1.0, "mb": 600.0})
        assert asked.front == []
        with pytest.raises(StudyError, match="no trial has kept the limits yet: mb at most 500"):
            _ = asked.best
        second = asked.ask()
        asked.tell(second, {"loss": 0.7, "ms": 1.0, "mb": 100.0})
        assert asked.front == [asked.knee] == [asked.best] == [second]
    run = rs.load(tmp_path / "s")
    assert run.trials["front"].tolist() == [False, True]
    assert [best.trial for best in run.front] == ["auto-1"]
    assert "feasible,front" in (tmp_path / "s" / "trials.csv").read_text().splitlines()[0]
