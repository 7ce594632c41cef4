"""A sweep joins a running cluster of two nodes, as its user types it: `--address auto`, trials on both nodes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from results import load
from results.history import Status

PROJECT = Path(__file__).parent.parent
SWEEP = """\
trainable: tests.cluster.trainables:steps
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 6, epochs: 3}
resources: {cpu: 1}
space:
  x: {float: [0.0, 1.0]}
  seconds: 0.4
"""

pytestmark = [pytest.mark.ray, pytest.mark.slow]


CLUSTER = """
from ray.cluster_utils import Cluster

node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node, shutdown_at_exit=False)
cluster.add_node(num_cpus=1, object_store_memory=80_000_000, resources={"site_b": 1})
cluster.wait_for_nodes()
print("address", cluster.address, flush=True)
input()
cluster.shutdown()
"""


def environment() -> dict[str, str]:
    """Without what a Ray in this process has left there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two nodes of one CPU each: a cluster that somebody else started, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-c", CLUSTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield next(line.split()[1] for line in process.stdout if line.startswith("address"))
        finally:
            process.stdin.write("\n")
            process.stdin.flush()
            process.wait(60)


def sweep(folder: Path, address: str, *changes: str) -> subprocess.CompletedProcess[str]:
    """`run_sweep.py --address auto`, with Ray's address in the environment as it is on a head node."""
    space = folder / "steps.yaml"
    space.write_text(SWEEP)
    settings = [part for change in changes for part in ("--set", change)]
    command: list[str | Path] = [
        sys.executable,
        PROJECT / "run_sweep.py",
        "--space",
        space,
        "--storage",
        folder,
        "--name",
        "run",
        "--address",
        "auto",
        *settings,
    ]
    return subprocess.run(
        command, cwd=PROJECT, env=environment() | {"RAY_ADDRESS": address}, capture_output=True, text=True, timeout=180, check=False
    )


def test_trials_run_on_both_nodes(tmp_path: Path, address: str) -> None:
    done = sweep(tmp_path, address)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 trials at once on 2 nodes" in done.stdout
    run = load(tmp_path / "run")
    trials = [trial for history in run.histories.values() for trial in history]
    assert [trial.status for trial in trials] == [Status.COMPLETED] * 6
    assert len({trial.reports[-1].metrics["raylet"] for trial in trials}) == 2


def test_a_custom_resource_sends_every_trial_to_the_node_that_has_it(tmp_path: Path, address: str) -> None:
    done = sweep(tmp_path, address, "resources.custom.site_b=1", "budget.trials=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 trial at once" in done.stdout
    assert load(tmp_path / "run").curves["raylet"].nunique() == 1


def test_what_no_single_node_can_hold_is_refused_before_the_start(tmp_path: Path, address: str) -> None:
    """Ray compares totals only: two CPUs on two nodes would let a trial of two wait for ever."""
    done = sweep(tmp_path, address, "resources.cpu=2")
    assert done.returncode == 2
    assert done.stderr.strip() == "raysweep: no machine can hold one trial: it needs 2 CPU; the most that one offers is 1 CPU"
