"""Several processes in a trial: FSDP in a train function, and scripts that torchrun starts."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.train_job import train_job
from tests.test_script import gone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.examples,
    pytest.mark.timeout(900),  # each starts up to six processes that import torch and a library
]


class Stopped(Exception):
    """The receiver wants no more."""


SHARDED = """
import os
import torch
from importlib.util import find_spec
from pathlib import Path
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.device_mesh import init_device_mesh

def train(config, run):
    group = run.process_group
    x = torch.linspace(-1, 1, 24)[:, None]
    y = torch.cat([3 * x + 1, x * x], dim=1)
    model = nn.Sequential(nn.Linear(1, 7), nn.Tanh(), nn.Linear(7, 2))
    if group.world_size > 1:
        mesh = init_device_mesh("cpu", (group.world_size,))
        for layer in (model[0], model[2], model):
            fully_shard(layer, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config["lr"])
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.7)
    for epoch in run.epochs(model=model, optimizer=optimizer, schedule=schedule):
        for batch in run.shuffled(len(x)).split(8):
            own = group.shard(batch)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x[own]), y[own]).backward()
            optimizer.step()
        schedule.step()
        if "folder" in config:
            Path(config["folder"], f"{group.rank}-{epoch}").write_text(str(os.getpid()))
        with torch.inference_mode():
            loss = nn.functional.mse_loss(model(x), y)  # the forward pass needs all processes
        run.report(val_loss=loss)
"""


@pytest.fixture
def sharded(tmp_path: Path) -> str:
    (tmp_path / "train.py").write_text(SHARDED)
    return f"{tmp_path}/train.py:train"


def losses(
    trainable: str, folder: Path, stop_at: int = 0, metric: str = "val_loss", **changes: Any
) -> list[float]:
    """Train with two processes; the losses that were reported before the end."""
    heard: list[float] = []

    def send(message: dict[str, Any]) -> None:
        heard.append(message["metrics"][metric])
        if message["epoch"] == stop_at:
            raise Stopped

    fields: dict[str, Any] = {"config": {"lr": 0.05}, "epochs": 4, "seed": 3, "workers": 2}
    objective = Objective(metric, maximize=False)
    job = Job(
        "t-0",
        trainable,
        folder=str(folder),
        objective=objective,
        log=str(folder.parent / "log"),
        **fields | changes,
    )
    outcome = train_job(job, send)
    assert outcome.status == "completed", outcome.reason + outcome.trace
    return heard


def alone(trainable: str, folder: Path, metric: str = "val_loss", **config: Any) -> list[float]:
    """The losses of one process."""
    torch.manual_seed(3)
    run = Run(4, lambda message: None, seed=3, folder=folder, objective=Objective(metric, False))
    load(trainable)[0]({"lr": 0.05} | config, run)
    return [report["metrics"][metric] for report in run.reports]


def pids(folder: Path, epoch: int) -> list[int]:
    return [int((folder / f"{rank}-{epoch}").read_text()) for rank in (0, 1)]


def test_a_sharded_model_has_the_curve_and_the_checkpoint_of_one_process(
    sharded: str, tmp_path: Path
) -> None:
    assert losses(sharded, tmp_path / "two") == pytest.approx(
        alone(sharded, tmp_path / "one"), abs=1e-5
    )
    two, one = (checkpoint.load(tmp_path / name / checkpoint.BEST) for name in ("two", "one"))
    model = nn.Sequential(nn.Linear(1, 7), nn.Tanh(), nn.Linear(7, 2))
    model.load_state_dict(two["model_state_dict"])
    for name, weight in one["model_state_dict"].items():
        assert torch.allclose(two["model_state_dict"][name], weight, atol=1e-5)


def test_a_sharded_model_is_resumed_and_stopping_ends_all_of_its_processes(
    sharded: str, tmp_path: Path
) -> None:
    whole = losses(sharded, tmp_path / "whole")
    config = {"lr": 0.05, "folder": str(tmp_path)}
    with pytest.raises(Stopped):
        losses(sharded, tmp_path / "parts", stop_at=2, config=config)
    assert all(gone(pid) for pid in pids(tmp_path, 2))
    rest = losses(sharded, tmp_path / "parts", known_epoch=2)
    assert rest == pytest.approx(whole[2:], abs=1e-6)


LAUNCHER = """
import os, sys
words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "ddp.py"]
os.execv(sys.executable, [sys.executable, *words, *sys.argv[1:]])
"""
"""A script that starts the real one by torchrun."""
DDP = """
import argparse, os, time
import torch
from importlib.util import find_spec
from pathlib import Path
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
import raysweep as rs

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--folder", default=".")
args = parser.parse_args()
world_size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
if world_size > 1:
    distributed.init_process_group("gloo")
torch.manual_seed(0)
x = torch.linspace(-1, 1, 24)[:, None]
data = TensorDataset(x, 3 * x + 1)
model = nn.Sequential(nn.Linear(1, 7), nn.Tanh(), nn.Linear(7, 1))
wrapped = DistributedDataParallel(model) if world_size > 1 else model
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
sampler = DistributedSampler(data, world_size, rank)
loader = DataLoader(data, batch_size=8 // world_size, sampler=sampler)
for epoch in range(1, 5):
    sampler.set_epoch(epoch)
    for inputs, wanted in loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(wrapped(inputs), wanted).backward()
        optimizer.step()
    Path(args.folder, f"{rank}-{epoch}").write_text(str(os.getpid()))
    with torch.inference_mode():
        loss = nn.functional.mse_loss(model(x), 3 * x + 1)
    print(f"[rank {rank}] epoch {epoch}: loss {loss:.4f}", flush=True)
    rs.report(epoch=epoch, val_loss=loss)
    time.sleep(float(os.environ.get("PAUSE", 0)))
if world_size > 1:
    distributed.destroy_process_group()
"""


def run_script(
    script: Path, folder: Path, stop_at: int = 0, metric: str = "val_loss"
) -> list[float]:
    """The losses that a script reports as a trial."""

    def send(message: dict[str, Any]) -> None:
        if message["epoch"] == stop_at:
            raise Stopped

    objective = Objective(metric, maximize=False)
    run = Run(4, send, seed=3, folder=folder / "trial", objective=objective)
    load(str(script))[0]({"lr": 0.05, "folder": str(folder)}, run)
    return [report["metrics"][metric] for report in run.reports]


def test_torchrun_in_a_trial_gives_the_curve_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "ddp.py").write_text(DDP)
    (tmp_path / "launch.py").write_text(LAUNCHER)
    two = run_script(tmp_path / "launch.py", tmp_path)
    assert len(set(pids(tmp_path, 4))) == 2
    assert two == pytest.approx(run_script(tmp_path / "ddp.py", tmp_path), abs=1e-5)
    assert len(two) == 4


def test_stopping_a_trial_ends_torchrun_and_all_of_its_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAUSE", "60")
    (tmp_path / "ddp.py").write_text(DDP)
    (tmp_path / "launch.py").write_text(LAUNCHER)
    with pytest.raises(Stopped):
        run_script(tmp_path / "launch.py", tmp_path, stop_at=1)
    assert all(gone(pid) for pid in pids(tmp_path, 1))


needs_transformers = pytest.mark.skipif(not find_spec("transformers"), reason="not installed")
needs_lightning = pytest.mark.skipif(not find_spec("lightning"), reason="not installed")


@needs_transformers
@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_hugging_face_trains_by_all_workers_of_a_trial(tmp_path: Path) -> None:
    trainable, config = "tests.libraries:transformers", {"lr": 0.05, "dropout": 0.0}
    two = losses(trainable, tmp_path / "two", metric="eval_loss", config=config)
    expected = alone(trainable, tmp_path / "one", metric="eval_loss", dropout=0.0)
    assert two == pytest.approx(expected, abs=1e-5)
    with pytest.raises(Stopped):
        losses(trainable, tmp_path / "parts", 2, metric="eval_loss", config=config)
    rest = losses(trainable, tmp_path / "parts", metric="eval_loss", config=config, known_epoch=2)
    assert rest == pytest.approx(two[2:], abs=1e-6)


@needs_lightning
@pytest.mark.filterwarnings("ignore")
def test_lightning_trains_by_all_workers_of_a_trial(tmp_path: Path) -> None:
    trainable = "tests.libraries:lightning"
    two = losses(trainable, tmp_path / "two")
    with pytest.raises(Stopped):
        losses(trainable, tmp_path / "parts", 2)
    rest = losses(trainable, tmp_path / "parts", known_epoch=2)
    assert rest == pytest.approx(two[2:], abs=1e-6)
    assert len(rest) == 2


WITH_A_LIBRARY = """
import os
from pathlib import Path
import raysweep as rs
from tests import libraries

config = rs.config(lr=0.05)
rank = os.environ.get("RANK") or os.environ.get("LOCAL_RANK", "0")
Path(config.folder, f"{rank}-1").write_text(str(os.getpid()))
"""


@needs_transformers
def test_the_trainer_of_hugging_face_under_torchrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    code = WITH_A_LIBRARY + "libraries.transformers(config | {'dropout': 0.0}, None)"
    (tmp_path / "ddp.py").write_text(code)
    (tmp_path / "launch.py").write_text(LAUNCHER)
    two = run_script(tmp_path / "launch.py", tmp_path, metric="eval_loss")
    assert len(set(pids(tmp_path, 1))) == 2
    assert two == pytest.approx(
        run_script(tmp_path / "ddp.py", tmp_path, metric="eval_loss"), abs=1e-5
    )
    with pytest.raises(Stopped):
        run_script(tmp_path / "launch.py", tmp_path, stop_at=1, metric="eval_loss")
    assert all(gone(pid) for pid in pids(tmp_path, 1))


@needs_lightning
def test_lightning_that_starts_its_own_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))
    call = "libraries.lightning(config, None, strategy='ddp', devices=2)"
    (tmp_path / "train.py").write_text(WITH_A_LIBRARY + call)
    assert len(run_script(tmp_path / "train.py", tmp_path)) == 4
    with pytest.raises(Stopped):
        run_script(tmp_path / "train.py", tmp_path, stop_at=1)
    assert all(gone(pid) for pid in pids(tmp_path, 1))
