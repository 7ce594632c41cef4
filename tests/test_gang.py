"""`resources: {workers: 2, spread: true}`: one trial trained by processes on two machines."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.history import Status, Trial
from raysweep.results.storage.run_directory import load
from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.import_trainable import load as resolve
from raysweep.trainables.runtime.process_group import open_rendezvous
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.tune.cli.app import main
from raysweep.tune.executors.ray.multi_node import interface
from tests.nodes import Nodes, two_nodes
from tests.test_script import gone

TRAIN = """
import os, signal, time
import torch
from pathlib import Path
from torch.utils.data import DataLoader, TensorDataset

def train(config, run):
    x = torch.linspace(-1, 1, 24)[:, None]
    data = TensorDataset(x, 3 * x + 1)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])
    spread = run.process_group.wrap(model)
    group = run.process_group
    sampler = group.sampler(data, run.seed)
    batches = DataLoader(data, batch_size=8 // group.world_size, sampler=sampler)
    for epoch in run.epochs(model=model, optimizer=optimizer):
        if config.get("folder"):
            mark = Path(config["folder"], f"{run.trial}.{run.process_group.rank}.{epoch}")
            again = mark.exists()
            mark.write_text(f"{os.getpid()} {os.environ['RAY_RAYLET_PID']}")
            if (run.process_group.rank, epoch) == (1, config.get("dies")) and not again:
                os.kill(os.getpid(), signal.SIGKILL)
            go_on = Path(config["folder"], "go on")
            while (group.rank, epoch) == (0, config.get("waits")) and not go_on.exists():
                time.sleep(0.1)
        for inputs, wanted in batches:
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(spread(inputs), wanted).backward()
            optimizer.step()
        if run.process_group.rank == 0:
            with torch.inference_mode():
                run.report(val_loss=torch.nn.functional.mse_loss(model(x), 3 * x + 1))
        else:
            run.report()
"""
SWEEP = """\
trainable: train.py:train
metric: {{name: val_loss, goal: minimize}}
searcher: random
scheduler: {{name: asha, type: stopping, grace: 1, eta: 2}}
budget: {{trials: 3, epochs: 4}}
resources: {{cpu: 2, workers: 2, spread: true}}
space:
  lr: {{float: [0.001, 0.3], log: true}}
  folder: "{folder}"
"""
slow = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.examples,
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture
def text(tmp_path: Path) -> str:
    (tmp_path / "train.py").write_text(TRAIN)
    return SWEEP.format(folder=tmp_path)


def trials(run: Path | str) -> list[Trial]:
    return [trial for history in load(run).histories.values() for trial in history]


def alone(trial: Trial, folder: Path) -> list[float]:
    """What one process gives for the same configuration and seed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(trial.seed)
    run = Run(4, lambda message: None, seed=trial.seed, objective=Objective("val_loss", False))
    resolve(f"{folder}/train.py:train")[0]({"lr": trial.config["lr"]}, run)
    torch.set_num_threads(before)
    return [message["metrics"]["val_loss"] for message in run.reports]


def check(trial: Trial, folder: Path) -> None:
    losses = [report.metrics["val_loss"] for report in trial.reports]
    assert losses == pytest.approx(alone(trial, folder)[: len(losses)], abs=1e-5)


def marks(folder: Path, what: str) -> list[list[int]]:
    """The process and the raylet of every rank that left a mark."""
    return [[int(word) for word in path.read_text().split()] for path in sorted(folder.glob(what))]


def ended(folder: Path) -> bool:
    return all(gone(pid) for pid, _ in marks(folder, "random-*.*.*"))


class TestOnTwoMachines:
    pytestmark = slow

    def test_what_finds_no_room_is_refused_before_the_start(
        self, tmp_path: Path, nodes: Nodes, text: str
    ) -> None:
        """This test comes first: a machine that was lost counts as alive until Ray has noticed."""
        code, _, errors = nodes.sweep(text, tmp_path, "resources.workers=3", "resources.cpu=3")
        assert code == 2
        assert errors.strip() == (
            "raysweep: the cluster cannot hold one trial: it needs 1 CPU for each of 3 "
            "processes, 2 of which fit"
        )

    def test_two_processes_on_two_machines_give_the_curve_of_one(
        self, tmp_path: Path, nodes: Nodes, text: str
    ) -> None:
        """A trial that is stopped leaves its place to the next one: there is room for one at a
        time."""
        code, output, errors = nodes.sweep(text, tmp_path)
        assert code == 0, output + errors
        assert "1 trial at once on 2 nodes, each with 2 CPU in 2 processes on any node" in output
        told = trials(tmp_path / "run")
        assert len(told) == 3
        assert {trial.status for trial in told} == {Status.COMPLETED, Status.STOPPED}
        for trial in told:
            check(trial, tmp_path)
            assert len({raylet for _, raylet in marks(tmp_path, f"{trial.id}.*.1")}) == 2
        assert ended(tmp_path)

    def test_it_goes_on_from_its_checkpoint_when_one_process_dies(
        self, tmp_path: Path, nodes: Nodes, text: str
    ) -> None:
        """A lost worker is no failure of the trial.

        With `retries: 0` a failure would end it, although the step of the other process fails as a
        consequence. The run is in object storage.
        """
        storage = f"file://{tmp_path}/store"
        code, output, errors = nodes.sweep(
            text, tmp_path, "budget.trials=1", "space.dies=3", "retries=0", storage=storage
        )
        assert code == 0, output + errors
        (trial,) = trials(f"{storage}/run")
        assert (trial.status, trial.attempts) == (Status.COMPLETED, 2)
        # Process 1 does not wait until process 0 has reported its second epoch.
        assert trial.notes["losses"] in ([1], [2])
        assert "retrying: process 1 of 2 died: its process was killed by SIGKILL" in output
        assert (
            checkpoint.load(tmp_path / "store" / "run" / "trials" / "random-0" / "last.pt")["epoch"]
            == 4
        )
        check(trial, tmp_path)
        assert ended(tmp_path)

    def test_the_loss_of_a_machine_is_nobodys_fault(
        self, tmp_path: Path, nodes: Nodes, text: str
    ) -> None:
        with nodes.typed(
            text, tmp_path, "budget.trials=1", "space.waits=3", "retries=0"
        ) as process:
            until(lambda: (tmp_path / "random-0.0.3").exists())
            nodes.lose()
            (tmp_path / "go on").touch()
            nodes.join()
            output, errors = process.communicate(timeout=180)
        assert process.returncode == 0, output + errors
        (trial,) = trials(tmp_path / "run")
        assert trial.status is Status.COMPLETED
        assert "losses" not in trial.notes
        check(trial, tmp_path)


def until(holds: Any, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


class TestOnOneMachine:
    pytestmark = slow

    def test_where_it_has_room_for_all_they_share_it(
        self, tmp_path: Path, ray_here: Any, text: str
    ) -> None:
        (tmp_path / "steps.yaml").write_text(text)
        changes = [
            word for change in ("budget.trials=1", "budget.epochs=2") for word in ("--set", change)
        ]
        assert (
            main(
                [
                    "run",
                    "--space",
                    str(tmp_path / "steps.yaml"),
                    "--storage",
                    str(tmp_path),
                    "--name",
                    "run",
                    "--json",
                    *changes,
                ]
            )
            == 0
        )
        (trial,) = trials(tmp_path / "run")
        check(trial, tmp_path)
        assert len(marks(tmp_path, "random-0.*.2")) == 2
        assert ended(tmp_path)
        assert (tmp_path / "run" / "trials" / "random-0" / "best.pt").exists()


def test_a_rendezvous_listens_on_one_address() -> None:
    from tests.test_security import listening

    before = set(listening(os.getpid()))
    name, store = open_rendezvous("127.0.0.1")
    assert name.startswith("tcp://127.0.0.1:")
    assert set(listening(os.getpid())) - before <= {"127.0.0.1"}
    assert store is not None


def test_the_interface_of_an_address_is_found() -> None:
    assert interface("127.0.0.1") == "lo"
    assert interface("203.0.113.77") == ""
