"""W&B and MLflow hear of every report; a tracker that is missing or fails is one line."""

from __future__ import annotations

import os
import posixpath
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from raysweep.history import Report, Status, Trial
from raysweep.tune.callbacks import trackers
from raysweep.tune.callbacks.mlflow import Mlflow, safe_name
from raysweep.tune.callbacks.trackers import TrackerError, Trackers, TrialUpdate, check


def trial(number: int) -> Trial:
    return Trial(
        number=number, study="random", config={"lr": 0.1, "optimizer": {"name": "sgd"}}, seed=1
    )


def holding(trial: Trial) -> Any:
    """A controller with this trial."""
    return SimpleNamespace(trial=lambda trial_id: trial)


def tell(told: Trackers, trials: list[Trial]) -> None:
    """Two trials side by side, two epochs each; the second one is still running at the end."""
    for epoch in (1, 2):
        for one in trials:
            one.reports.append(
                Report(epoch, 1 / epoch, {"val_loss": 1 / epoch}, 1.0, 1_700_000_000.0 + epoch)
            )
            told.on_event({"event": "reported", "trial": one.id}, holding(one))
    trials[0].status, trials[0].reason = Status.STOPPED, "behind"
    told.on_event({"event": "ended", "trial": trials[0].id}, holding(trials[0]))
    told.close(holding(trials[0]))


class Broken:
    """Fails at the second report."""

    reports = 0

    def __init__(self, folder: Path) -> None:
        pass

    def report(self, told: TrialUpdate) -> None:
        type(self).reports += 1
        if self.reports == 2:
            raise OSError("no room\nat all")

    close = report

    def finish(self) -> None:
        pass


def test_one_that_fails_is_left_out_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "wandb", Broken)
    lines: list[str] = []
    tell(Trackers(("wandb",), tmp_path, lines.append), [trial(0), trial(1)])
    assert lines == ["wandb is left out from here on: no room"]
    assert Broken.reports == 2


def test_none_asked_for_is_none(tmp_path: Path) -> None:
    tell(Trackers((), tmp_path, pytest.fail), [trial(0), trial(1)])
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrackerError, match="track: mlflow is not installed: pip install mlflow"):
        check(["mlflow"])


def test_wandb_without_a_key_writes_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    lines: list[str] = []
    tell(Trackers(("wandb",), tmp_path, lines.append), [trial(0), trial(1)])
    assert lines == []
    runs = sorted(
        path.name.rpartition(f"{tmp_path.name}-")[2]
        for path in (tmp_path / "wandb").glob("offline-run-*")
    )
    assert runs == ["random-0", "random-1"]
    for path in (tmp_path / "wandb").glob("offline-run-*/run-*.wandb"):
        content = path.read_bytes()
        assert b"val_loss" in content
        assert b"optimizer" in content


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("val/loss", "val/loss"),
        ("top-5 acc.", "top-5 acc."),
        ("läuft", "läuft"),
        ("loss (%)", "loss ___"),
        ("../../x", "x"),
        ("/a//b/", "a/b"),
        ("\x1b\udcff", "__"),
        ("", "_"),
        ("n" * 1000, "n" * 250),
    ],
)
def test_mlflow_gets_names_that_it_takes(name: str, taken: str) -> None:
    """`mlflow.utils.validation` refuses any other name, which would end the tracking."""
    assert safe_name(name) == taken
    assert re.fullmatch(r"[/\w.\- :]+", taken)
    assert posixpath.normpath(taken) == taken


class Client:
    """Keeps what MLflow's client is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return partial(self._tell, name)

    def _tell(self, name: str, *args: Any, **_: Any) -> Any:
        self.told.append((name, *args))
        return MagicMock()


def test_mlflow_is_told_odd_names_and_values_in_a_form_that_it_takes() -> None:
    told = Mlflow.__new__(Mlflow)
    told._client, told._experiment, told._runs, told._running = Client(), "1", {}, set()
    config = {"a\x1b": "x" * 10_000, "läuft": "\udcff"}
    told.report(TrialUpdate("random-0", "random", config, 1, {"loss (%)": 1.0}, 0.0))
    said = {entry[0:1] + entry[2:] for entry in told._client.told}
    assert ("log_metric", "loss ___", 1.0) in said
    assert ("log_param", "läuft", "\\udcff") in said
    (long,) = [entry[2] for entry in said if entry[:2] == ("log_param", "a_")]
    assert len(long) == 500


def test_mlflow_gives_the_metrics_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracking: Any = pytest.importorskip(
        "mlflow.tracking", reason="mlflow is not installed: pip install mlflow-skinny"
    )
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    lines: list[str] = []
    tell(Trackers(("mlflow",), tmp_path, lines.append), [trial(0), trial(1)])
    assert lines == []
    client = tracking.MlflowClient((tmp_path / "mlruns").as_uri())
    experiment = client.get_experiment_by_name(tmp_path.name)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {
        "random-0": "FINISHED",
        "random-1": "KILLED",
    }
    assert runs["random-0"].data.params == {"lr": "0.1", "optimizer.name": "sgd"}
    assert runs["random-0"].data.tags["reason"] == "behind"
    history = client.get_metric_history(runs["random-1"].info.run_id, "val_loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]
    assert "MLFLOW_TRACKING_URI" not in os.environ
