"""Kinds of GPU by parameter: which nodes a trial needs, and that waiting ones hold no other up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from raysweep.history import Config, History, Trial
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.search_spaces.language.params import Choice
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.devices import Devices, kind_of, of_kind, of_no_kind
from raysweep.tune.executors.placement import PlanError, bundle, needs, plan, room
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.load import load_sweep
from raysweep.tune.sweep import Budget, Resources
from tests.sweeps import sweep

FILE = """\
trainable: cnn:train
metric: {name: loss, goal: minimize}
searcher: random
budget: {trials: 4, epochs: 1}
resources: {gpu: 1, accelerator: {A100: width >= 64, T4: {optimizer: [sgd]}}}
space:
  width: {int: [8, 128]}
  optimizer: {choice: [adam, sgd]}
"""
LARGE, SMALL = {"CPU": 8.0, "GPU": 2.0, "accelerator_type:A100": 1.0}, {"CPU": 8.0, "GPU": 4.0}
T4 = SMALL | {"accelerator_type:T4": 1.0}
WIDE = Resources(gpu=1, accelerators={"A100": lambda config: bool(config["wide"])})


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text(FILE)
    return "s.yaml"


def test_the_first_kind_whose_condition_holds_counts(file: str) -> None:
    resources = load_sweep(file).resources
    assert kind_of(resources, {"width": 64, "optimizer": "sgd"}) == "A100"
    assert kind_of(resources, {"width": 63, "optimizer": "sgd"}) == "T4"
    assert kind_of(resources, {"width": 63, "optimizer": "adam"}) == ""


def test_one_kind_for_all_is_a_resource_of_each_trial(file: str) -> None:
    resources = load_sweep(file, ["resources={gpu: 0.5, accelerator: A100}"]).resources
    assert needs(resources) == {"CPU": 1.0, "GPU": 0.5, "accelerator_type:A100": 0.001}
    assert not resources.accelerators


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "{gpu: 1, accelerator: {A100: widht > 1}}",
            "unknown name 'widht' in 'widht > 1'; did",
        ),
        ("{gpu: 1, accelerator: {A100: width + 1}}", "is neither true nor false"),
        ("{gpu: 1, accelerator: {A100: {optimizer: lamb}}}", "optimizer"),
        ("{gpu: 1, accelerator: {A100: 3}}", "resources.accelerator"),
        ("{accelerator: A100}", "accelerator: expected gpu above 0"),
        ("{gpu: auto, accelerator: {A100: width > 1}}", "go with gpu as a number"),
        ("{gpu: 1, fuse: 2, accelerator: {A100: width > 1}}", "without fuse"),
    ],
)
def test_what_cannot_be_meant_is_one_line(file: str, setting: str, message: str) -> None:
    with pytest.raises(SpecificationError, match="resources") as raised:
        load_sweep(file, [f"resources={setting}"])
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_the_plan_counts_the_devices_of_each_kind() -> None:
    planned = plan(WIDE, None, [LARGE, SMALL])
    assert (planned.parallel, planned.room) == (6, {"A100": 2})
    assert "A100: 2 trials at once" in planned.lines
    assert room(WIDE, [LARGE, LARGE, SMALL]) == {"A100": 4}
    with pytest.raises(PlanError, match=r"no machine with A100 can hold one trial; .* here: T4"):
        plan(WIDE, None, [T4, SMALL])


def test_without_any_gpu_the_kind_does_not_matter() -> None:
    for resources in (WIDE, of_kind(WIDE, "A100")):
        planned = plan(resources, None, [{"CPU": 3.0}])
        assert planned.parallel == 3
        assert planned.resources == of_no_kind(Resources(gpu=0.0))


def test_each_process_of_a_spread_trial_is_on_such_a_machine() -> None:
    both = bundle(of_kind(Resources(cpu=4, gpu=4, workers=4, spread=True), "A100"))
    assert needs(both) == {"CPU": 1.0, "GPU": 1.0, "accelerator_type:A100": 0.001}


@dataclass(frozen=True)
class WideFirst:
    """Proposes three wide configurations, and others after them."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return {"wide": len(history) < 3}


def coordinator(parallel: int, room: dict[str, int]) -> TrialCoordinator:
    """Of a sweep whose first three trials are wide; the other six are not."""
    space = Space({"wide": Choice((True, False))})
    swept = sweep({"wide": WideFirst()}, space=space, budget=Budget(9, 1), resources=WIDE)
    controller = SweepController(swept)

    def make_job(trial: Trial) -> Job:
        objective = Objective("loss", maximize=False)
        return Job(trial.id, "x:train", trial.config, trial.seed, 1, objective, "trials")

    return TrialCoordinator(controller, make_job, parallel, devices=Devices(WIDE, room))


def given(coordinator: TrialCoordinator, count: int = 9) -> list[str]:
    """The kinds of the jobs that so many workers get which ask, "-" where there is none."""
    jobs = [coordinator.next_job(f"worker {number}") for number in range(count)]
    return ["-" if job is None else job.accelerator for job in jobs]


def test_trials_that_wait_for_a_kind_hold_no_others_up() -> None:
    """With one A100 and room for three trials, two wide ones wait, and two others train."""
    assert given(coordinator(3, {"A100": 3})) == ["A100"] * 3 + ["-"] * 6
    assert given(coordinator(3, {"A100": 1})) == ["A100"] * 3 + ["", ""] + ["-"] * 4


def test_no_more_wait_than_may_train() -> None:
    assert given(coordinator(1, {"A100": 0})) == ["A100"] * 2 + ["-"] * 7
