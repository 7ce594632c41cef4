"""The plan: how many trials run at once, and what is said of it."""

from __future__ import annotations

import pytest

from raysweep.history import Status, Trial
from raysweep.tune.executors.gpu_sharing import Shares
from raysweep.tune.executors.placement import PlanError, plan
from raysweep.tune.sweep import Resources
from tests.sweeps import BOWL


@pytest.mark.parametrize(
    ("resources", "nodes", "expected"),
    [
        (Resources(cpu=1), [{"CPU": 2.0}], 2),
        (Resources(cpu=0.5), [{"CPU": 2.0}], 4),
        (Resources(cpu=2), [{"CPU": 3.0}, {"CPU": 4.0}], 3),
        (Resources(cpu=1, gpu=0.25), [{"CPU": 16.0, "GPU": 1.0}], 4),
        (Resources(cpu=1, gpu=0.5), [{"CPU": 16.0, "GPU": 2.0}], 4),
        (Resources(cpu=1, gpu=0.4), [{"CPU": 16.0, "GPU": 2.0}], 4),
        (Resources(cpu=1, gpu=1), [{"CPU": 16.0, "GPU": 1.0}], 1),
        (Resources(cpu=1, gpu=2), [{"CPU": 16.0, "GPU": 1.0}, {"CPU": 4.0, "GPU": 2.0}], 1),
        (Resources(cpu=1, custom={"site": 1}), [{"CPU": 16.0}, {"CPU": 4.0, "site": 2.0}], 2),
        (Resources(cpu=2, workers=2, spread=True), [{"CPU": 1.0}, {"CPU": 1.0}], 1),
        (Resources(cpu=4, workers=4, spread=True), [{"CPU": 3.0}, {"CPU": 6.0}], 2),
        (
            Resources(cpu=4, gpu=4, workers=4, spread=True),
            [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0, "GPU": 3.0}],
            1,
        ),
    ],
)
def test_parallel_auto(resources: Resources, nodes: list[dict[str, float]], expected: int) -> None:
    assert plan(resources, None, nodes).parallel == expected


def test_fewer_than_fit_when_asked() -> None:
    assert plan(Resources(), 1, [{"CPU": 8.0}]).parallel == 1


def test_more_than_fit_is_said() -> None:
    planned = plan(Resources(), 9, [{"CPU": 2.0}])
    assert planned.parallel == 2
    assert planned.lines[-1] == "parallel: 9 was asked for, 2 fit"


def test_without_a_gpu_the_cpu_is_used_and_said() -> None:
    planned = plan(Resources(gpu=0.25), None, [{"CPU": 2.0}])
    assert planned.resources.gpu == 0
    assert "no GPU here: the trials run on the CPU" in planned.lines


def test_a_required_gpu_that_is_not_there_is_an_error() -> None:
    with pytest.raises(PlanError, match="a GPU is required"):
        plan(Resources(gpu=0.25), None, [{"CPU": 2.0}], require_gpu=True)


def test_idle_devices_are_named() -> None:
    planned = plan(Resources(gpu=0.25), 4, [{"CPU": 16.0, "GPU": 2.0}])
    assert (
        planned.lines[-1]
        == "1 of 2 GPUs stay idle: Ray packs fractions of 0.25 onto 1; gpu: 0.5 would use them all"
    )


def test_devices_that_are_full_are_not_called_idle() -> None:
    assert len(plan(Resources(gpu=0.25), 8, [{"CPU": 16.0, "GPU": 2.0}]).lines) == 1


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (Resources(cpu=4), "it needs 4 CPU; the largest node has 2 CPU"),
        (
            Resources(custom={"site": 1}),
            "it needs 1 CPU, 1 site; the largest node has 2 CPU, 0 site",
        ),
        (
            Resources(cpu=6, workers=6, spread=True),
            "it needs 1 CPU for each of 6 processes, 4 of which fit",
        ),
    ],
)
def test_a_trial_that_fits_nowhere_is_an_error(resources: Resources, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        plan(resources, None, [{"CPU": 2.0}, {"CPU": 2.0}])


def test_the_line_says_how_trials_share_a_device() -> None:
    line = plan(Resources(gpu=0.25), None, [{"CPU": 16.0, "GPU": 1.0}]).lines[0]
    assert line == (
        "4 trials at once, each with 1 CPU, 0.25 GPU; up to 4 share a GPU, each held to 25% "
        "of its memory"
    )


def test_auto_begins_with_a_whole_gpu_and_without_one_on_the_cpu() -> None:
    planned = plan(Resources(auto_gpu=True), None, [{"CPU": 4.0, "GPU": 2.0}])
    assert (planned.parallel, planned.resources.gpu) == (1, 1.0)
    assert any("trials have a whole GPU at first" in line for line in planned.lines)
    assert plan(Resources(auto_gpu=True), None, [{"CPU": 4.0}]).resources.gpu == 0.0
    with pytest.raises(PlanError):
        plan(Resources(auto_gpu=True), None, [{"CPU": 4.0}], require_gpu=True)


def measured(number: int, x: float, peak: float, status: Status = Status.COMPLETED) -> Trial:
    """A trial that allocated a part `peak` of a device of 80 GB."""
    return Trial(
        number,
        "a",
        {"x": x},
        0,
        status=status,
        notes={"peak_memory": peak * 80e9, "device_memory": 80e9},
    )


def test_an_automatic_share_is_what_was_measured_or_predicted() -> None:
    shares, new = Shares(BOWL, level=32), Trial(9, "a", {"x": 0.9}, 0)
    assert (shares.of(new), shares.most) == (1.0, 1)
    shares.update([measured(0, 0.1, 0.1), Trial(1, "a", {"x": 0.2}, 0)])
    assert (shares.of(new), shares.smallest, shares.most) == (1 / 7, 1 / 7, 7)
    shares.level = 2
    assert (shares.of(new), shares.smallest, shares.most) == (1 / 2, 1 / 2, 7)
    shares.level = 32
    shares.update([measured(i, 0.1 * i, 0.02 * 2**i) for i in range(1, 6)])
    assert shares.of(Trial(9, "a", {"x": 0.1}, 0)) < shares.of(new) == 1.0


def test_running_out_of_memory_raises_the_share() -> None:
    shares, new = Shares(BOWL, level=32), Trial(9, "a", {"x": 0.1}, 0)
    shares.update([measured(0, 0.1, 0.2, Status.OOM)])
    assert shares.give(new) == 1 / 2
    new.notes["share"] = 1.0  # as every trial has while processes have a GPU each
    assert shares.give(new) == 1 / 2
    new.notes["whole_gpu"] = True
    assert shares.give(new) == 1.0
