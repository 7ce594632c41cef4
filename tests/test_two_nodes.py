"""A sweep joins a running cluster with `--address auto`, and trains on both of its nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysweep.history import Status
from raysweep.results.storage.ledger import read
from raysweep.results.storage.run_directory import load
from tests.nodes import Nodes, two_nodes

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

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.examples,
]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with two_nodes() as cluster:
        yield cluster


def test_trials_run_on_both_nodes(tmp_path: Path, nodes: Nodes) -> None:
    code, output, errors = nodes.sweep(SWEEP, tmp_path)
    assert code == 0, output + errors
    assert "2 trials at once on 2 nodes" in output
    run = load(tmp_path / "run")
    trials = [trial for history in run.histories.values() for trial in history]
    assert [trial.status for trial in trials] == [Status.COMPLETED] * 6
    assert len({trial.reports[-1].metrics["raylet"] for trial in trials}) == 2


def test_groups_of_trials_train_as_one_on_both_nodes(tmp_path: Path, nodes: Nodes) -> None:
    """And when a node is lost, its trials continue on the other with what they had reported."""
    space = "space={lr: {float: [0.001, 0.1]}, optimizer: sgd, batch_size: 16, seconds: 0.3}"
    changes = [
        "trainable=tests.fused_trainables:train",
        "resources.fuse=4",
        "budget.trials=8",
        "budget.epochs=8",
        space,
    ]
    with nodes.typed(SWEEP, tmp_path, *changes) as process:
        while len(places(tmp_path / "run")) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        nodes.lose()
        output, errors = process.communicate(timeout=180)
    nodes.join()
    assert process.returncode == 0, output + errors
    assert "2 groups of up to 4 trials at once on 2 nodes" in output
    run = load(tmp_path / "run")
    trials = [trial for history in run.histories.values() for trial in history]
    assert [trial.status for trial in trials] == [Status.COMPLETED] * 8
    assert all([report.epoch for report in trial.reports] == [*range(1, 9)] for trial in trials)
    returned = [event for event in read(tmp_path / "run") if event["event"] == "returned"]
    assert len(returned) >= 4


def places(folder: Path) -> set[str]:
    """The nodes that have reported: their processes."""
    events = read(folder) if (folder / "ledger.jsonl").exists() else []
    return {str(event["notes"]["pid"]) for event in events if "pid" in event.get("notes", {})}


def test_a_custom_resource_sends_every_trial_to_the_node_that_has_it(
    tmp_path: Path, nodes: Nodes
) -> None:
    code, output, errors = nodes.sweep(
        SWEEP, tmp_path, "resources.custom.site_b=1", "budget.trials=3"
    )
    assert code == 0, output + errors
    assert "1 trial at once" in output
    assert load(tmp_path / "run").curves["raylet"].nunique() == 1


def test_trials_go_to_the_kind_of_gpu_that_their_values_ask_for(
    tmp_path: Path, nodes: Nodes
) -> None:
    """The first two need an A100, of which there is one; the other GPU trains the third."""
    kinds = "{gpu: 1, accelerator: {A100: x > 0.5, L4: x <= 0.5}}"
    changes = (f"resources={kinds}", "space.seconds=1.5")
    code, output, errors = nodes.sweep(SWEEP, tmp_path, *changes)
    assert code == 0, output + errors
    assert "A100: 1 trial at once" in output
    run = load(tmp_path / "run")
    trials = [trial for history in run.histories.values() for trial in history]
    places = {
        (trial.config["x"] > 0.5, report.metrics["raylet"])
        for trial in trials
        for report in trial.reports
    }
    assert [large for large, _ in sorted(places)] == [False, True]
    assert len({raylet for _, raylet in places}) == 2
    begun = [line.split()[0] for line in output.splitlines() if line.endswith(" started")]
    assert begun.index("random-2") < begun.index("random-1")


def test_what_no_single_node_can_hold_is_refused_before_the_start(
    tmp_path: Path, nodes: Nodes
) -> None:
    """Ray compares totals only: two CPUs on two nodes would let a trial of two wait for ever."""
    code, _, errors = nodes.sweep(SWEEP, tmp_path, "resources.cpu=2")
    assert code == 2
    assert errors.strip() == (
        "raysweep: no machine can hold one trial: it needs 2 CPU; the largest node has 1 CPU"
    )
