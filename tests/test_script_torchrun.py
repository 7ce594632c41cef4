"""Scripts that torchrun starts with two ranks, over gloo: real processes, real collectives."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from tests.test_script import Stopped, gone

TRAINS = """
import argparse, json, os, time
import torch
import torch.distributed as dist

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--epochs", type=int)
args = parser.parse_args()
dist.init_process_group("gloo")
rank = dist.get_rank()
weight = torch.nn.Parameter(torch.zeros(1))
model = torch.nn.Module()
model.weight = weight
optimizer = torch.optim.SGD([weight], lr=args.lr)
data = torch.arange(8.0)[rank::2]
for epoch in range(args.epochs):
    loss = ((weight * data - 2 * data) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    dist.all_reduce(weight.grad)
    weight.grad /= 2
    optimizer.step()
    mean = loss.detach()
    dist.all_reduce(mean)
    said = {"epoch": epoch + 1, "loss": mean.item() / 2, "world": dist.get_world_size()}
    said |= {"parent": os.getppid(), f"pid{rank}": os.getpid()}
    time.sleep(0.2 * rank)  # a line of one rank is not cut by that of the other
    print(json.dumps(said), flush=True)
    dist.barrier()
    if epoch == 1 and os.environ["RAYSWEEP_SEED"] == "1":
        time.sleep(600)
dist.destroy_process_group()
"""


def one_process(lr: float, epochs: int) -> list[float]:
    """The losses of the same training in one process."""
    data = [float(number) for number in range(8)]
    weight, losses = 0.0, []
    for _ in range(epochs):
        losses.append(sum((weight * x - 2 * x) ** 2 for x in data) / len(data))
        weight -= lr * sum(2 * x * (weight * x - 2 * x) for x in data) / len(data)
    return losses


@pytest.mark.examples
@pytest.mark.slow
def test_two_trials_at_once_each_of_two_ranks(tmp_path: Path) -> None:
    """Both meet at a port of their own. All ranks of the one that is stopped end."""
    (tmp_path / "train.py").write_text(TRAINS)
    how = CommandLine(
        launcher=["torchrun", "--nproc_per_node", "2"],
        after=["--epochs", "{epochs}"],
        lengths={"epochs": 4},
        environment={"OMP_NUM_THREADS": "1"},
    )
    train = load(str(tmp_path / "train.py"))[0]
    pids: set[int] = set()

    def stop_at_two(message: dict[str, Any]) -> None:
        pids.update(int(value) for key, value in message["metrics"].items() if key[0] == "p")
        if message["epoch"] == 2:
            raise Stopped

    runs = [
        Run(4, send, seed=seed, folder=tmp_path / f"{seed}", objective=Objective("loss", False))
        for seed, send in ((0, lambda message: None), (1, stop_at_two))
    ]
    errors: list[BaseException] = []

    def follow(run: Run) -> None:
        try:
            train({"lr": 0.01}, run, how)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=follow, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [Stopped]
    assert [len(run.reports) for run in runs] == [4, 2]
    losses = [report["metrics"]["loss"] for report in runs[0].reports]
    assert losses == pytest.approx(one_process(0.01, 4), rel=1e-5)
    assert {report["metrics"]["world"] for report in runs[0].reports} == {2.0}
    assert len(pids) >= 2
    assert all(gone(pid) for pid in pids)
