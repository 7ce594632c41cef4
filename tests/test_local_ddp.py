"""Several processes in one trial: the curve of one, one report, and an end for all of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.train_job import train_job
from tests.test_script import gone

pytestmark = pytest.mark.slow
CONFIG: dict[str, Any] = {
    "lr": 0.05,
    "channels": 8,
    "batch_size": 50,
    "optimizer": "sgd",
    "data": "digits",
    "train_size": 361,
}
"""301 images: the last batch is one image, less than a process each."""


class Stopped(Exception):
    """The receiver wants no more."""


def job(
    folder: Path,
    trainable: str = "trainables.cnn:train",
    config: dict[str, Any] = CONFIG,
    **changes: Any,
) -> Job:
    fields: dict[str, Any] = {
        "epochs": 2,
        "objective": Objective("val_loss", False),
        "folder": str(folder / "trial"),
    }
    return Job(
        "t-0", trainable, config, seed=3, workers=2, log=str(folder / "log"), **fields | changes
    )


def hear(one: Job, messages: list[dict[str, Any]], stop_at: int = 0) -> Outcome:
    """The outcome; what is reported before it is added to `messages`."""

    def send(message: dict[str, Any]) -> None:
        messages.append(message)
        if message["epoch"] == stop_at:
            raise Stopped

    return train_job(one, send)


def alone(
    config: dict[str, Any], epochs: int, folder: Path, trainable: str = "trainables.cnn:train"
) -> list[dict[str, float]]:
    """The same with one process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(3)
    run = Run(
        epochs, lambda message: None, seed=3, folder=folder, objective=Objective("val_loss", False)
    )
    load(trainable)[0](config, run)
    torch.set_num_threads(before)
    return [message["metrics"] for message in run.reports]


def test_two_processes_give_the_curve_of_one(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = []
    assert hear(job(tmp_path), messages).status == "completed"
    expected = alone(CONFIG, 2, tmp_path / "alone")
    assert [message["epoch"] for message in messages] == [1, 2]
    for message, metrics in zip(messages, expected, strict=True):
        assert message["metrics"] == pytest.approx(metrics, abs=1e-5)
    together, single = (
        checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("trial", "alone")
    )
    for name, tensor in single["model_state_dict"].items():
        assert torch.allclose(together["model_state_dict"][name], tensor, atol=1e-5)


TRAIN = """
import os, signal, time
import torch
from pathlib import Path
from torch.utils.data import DataLoader, TensorDataset

def train(config, run):
    x = torch.linspace(-1, 1, 24)[:, None]
    data = TensorDataset(x, 3 * x + 1)
    # Before `wrap`, which waits for all: no process is ahead of another one's file.
    Path(config["folder"], f"process-{run.process_group.rank}").write_text(str(os.getpid()))
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    spread = run.process_group.wrap(model)
    group = run.process_group
    sampler = group.sampler(data, run.seed)
    batches = DataLoader(data, batch_size=8 // group.world_size, sampler=sampler)
    for epoch in run.epochs(model=model, optimizer=optimizer):
        for inputs, wanted in batches:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(spread(inputs), wanted).backward()
            optimizer.step()
        if run.process_group.rank == config.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        if run.process_group.rank == config.get("raises"):
            raise ValueError("this process has had enough")
        if run.process_group.rank == 0:
            with torch.inference_mode():
                run.report(val_loss=torch.nn.functional.mse_loss(model(x), 3 * x + 1))
        else:
            run.report()
"""


@pytest.fixture
def mine(tmp_path: Path) -> tuple[str, dict[str, Any]]:
    (tmp_path / "train.py").write_text(TRAIN)
    return f"{tmp_path}/train.py:train", {"folder": str(tmp_path)}


def pids(folder: Path) -> list[int]:
    return [int((folder / f"process-{rank}").read_text()) for rank in (0, 1)]


def test_stopping_ends_them_all_and_the_rest_is_trained_later(
    tmp_path: Path, mine: tuple[str, dict[str, Any]]
) -> None:
    """A user's loader with a sampler gives the curve of one process too, in both parts."""
    whole = [metrics["val_loss"] for metrics in alone(mine[1], 3, tmp_path / "whole", mine[0])]
    messages: list[dict[str, Any]] = []
    with pytest.raises(Stopped):
        hear(job(tmp_path, *mine, epochs=3), messages, stop_at=2)
    assert all(gone(pid) for pid in pids(tmp_path))
    outcome = hear(job(tmp_path, *mine, epochs=3, known_epoch=2), messages)
    assert outcome.status == "completed"
    assert [message["metrics"]["val_loss"] for message in messages] == pytest.approx(
        whole, abs=1e-5
    )


def test_an_error_in_one_is_the_trials(tmp_path: Path, mine: tuple[str, dict[str, Any]]) -> None:
    outcome = hear(job(tmp_path, mine[0], mine[1] | {"raises": 1}), [])
    assert (outcome.status, outcome.reason) == ("failed", "ValueError: this process has had enough")
    assert "raise ValueError" in outcome.trace
    assert all(gone(pid) for pid in pids(tmp_path))


@pytest.mark.examples
def test_the_death_of_one_is_told_with_its_rank(
    tmp_path: Path, mine: tuple[str, dict[str, Any]]
) -> None:
    outcome = hear(job(tmp_path, mine[0], mine[1] | {"dies": 1}), [])
    assert (outcome.status, outcome.reason) == ("killed", "process 1 of 2 died")
    assert all(gone(pid) for pid in pids(tmp_path))


@pytest.mark.examples
def test_they_end_when_their_worker_is_killed(
    tmp_path: Path, mine: tuple[str, dict[str, Any]]
) -> None:
    code = (
        "import json, sys, time; from raysweep.trainables.runtime.train_job import train_job; "
        "from raysweep.trainables.runtime.job import read_job\n"
        "fields = json.loads(sys.argv[1])\n"
        "def send(message): print(message['epoch'], flush=True); time.sleep(600)\n"
        "train_job(read_job(fields), send)"
    )
    arguments = [sys.executable, "-c", code, json.dumps(asdict(job(tmp_path, *mine)))]
    with subprocess.Popen(
        arguments, cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "1\n"
        os.kill(worker.pid, signal.SIGKILL)
    assert all(gone(pid) for pid in pids(tmp_path))
