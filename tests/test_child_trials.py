"""Trials that continue another one with changed parameters, from its checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

import raysweep as rs
from raysweep.errors import UserError
from raysweep.history import Event, History
from raysweep.results.storage import ledger
from raysweep.results.storage.inbox import Command
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.schedulers import Asha
from raysweep.search_spaces.language.params import Choice, Float, Int
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime import parent
from raysweep.trainables.runtime.run import Run
from raysweep.tune.cli.app import main
from raysweep.tune.commands import carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.reproduce import reproduce
from raysweep.tune.sweep import Budget
from tests.sweeps import Keep, sweep, train_all
from tests.test_script_resume import HOW, TRAINS

pytestmark = pytest.mark.usefixtures("without_end")
TRAIN = """\
import sys

import torch


def train(config, run):
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(1.0)
        model.bias.fill_(0.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])
    for epoch in run.epochs(model=model, optimizer=optimizer):
        print(f"epoch {epoch} with lr {optimizer.param_groups[0]['lr']}")
        print("as programs do", file=sys.stderr)
        optimizer.zero_grad()
        loss = (model(torch.ones(1, 1)) ** 2).sum() + torch.rand(1).sum() * config["noise"]
        loss.backward()
        optimizer.step()
        run.report(loss=float(loss.detach()), lr=optimizer.param_groups[0]["lr"])
"""
FILE = """\
trainable: train.py:train
metric: {name: loss, goal: minimize}
searcher: random
scheduler: none
budget: {trials: 1, epochs: 3}
space:
  lr: {float: [0.0001, 0.4], log: true}
  noise: {float: [0.0, 0.1]}
"""
SPACE = Space(
    {"x": Float(0.0, 1.0), "width": Int(8, 64), "kind": Choice(("flat", "deep"))},
    conditions={"width": lambda flat: flat["kind"] == "deep"},
    derived={"size": lambda flat: 2 * flat["x"]},
    order=("x", "kind", "width", "size"),
)


def give(controller: SweepController, command: str, **arguments: Any) -> Event:
    return carry_out(Command(command, arguments), controller)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "s.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--space", "s.yaml", "--name", "a", "--debug"]) == 0
    return tmp_path


def test_a_new_trial_begins_with_the_weights_of_its_parent(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["continue", "a", "random-0", "lr=0.05", "epochs=5"]) == 0
    rs.load("ray_results/a").continue_trial("random-0", 4, config={"noise": 0.0})
    assert main(["resume", "a", "--debug"]) == 0
    run = RunDirectory(place / "ray_results/a")
    first, second, third = run.all_trials()
    assert (second.notes["parent"], second.start, second.epoch) == (first.id, 3, 5)
    assert [report.epoch for report in second.reports] == [4, 5]
    assert {report.metrics["lr"] for report in second.reports} == {0.05}
    assert second.config == first.config | {"lr": 0.05}
    assert [report.epoch for report in third.reports] == [4]
    # It goes on from what the parent reached, and not from the first weight.
    assert third.reports[0].loss < first.reports[-1].loss
    history = run.histories["random"]
    assert history.epochs == 3 + 2 + 1
    assert all(1 not in rung.by_trial for rung in history.rungs.values())


def test_what_it_reports_is_reproduced_with_its_parent(place: Path) -> None:
    run = rs.load("ray_results/a")
    run.continue_trial("random-0", 5, config={"lr": 0.05})
    assert main(["resume", "a", "--debug"]) == 0
    assert rs.load("ray_results/a").continue_trial("random-1", 7, config={"noise": 0.1})
    assert main(["resume", "a", "--debug"]) == 0
    environment = dict(os.environ)
    for name, epochs in (("random-1", [4, 5]), ("random-2", [6, 7])):
        found = reproduce(RunDirectory(place / "ray_results/a"), name)
        assert [comparison.epoch for comparison in found] == epochs
        assert all(comparison.difference == 0 for comparison in found)
    assert dict(os.environ) == environment


def test_without_a_checkpoint_or_a_change_it_is_refused_in_a_line(place: Path) -> None:
    run = rs.load("ray_results/a")
    with pytest.raises(UserError, match="has trained 3 epochs: say how far, as epochs=6"):
        run.continue_trial("random-0", config={"lr": 0.05})
    with pytest.raises(UserError, match="lr: expected a number from"):
        run.continue_trial("random-0", 5, config={"lr": 7.0})
    with pytest.raises(UserError, match="rl: there is no such parameter"):
        run.continue_trial("random-0", 5, config={"rl": 7.0})
    with pytest.raises(UserError, match="random-0 has these parameters already"):
        run.continue_trial("random-0", 5, config=dict(run.best.config))
    (place / "ray_results/a/trials/random-0/last.pt").unlink()
    with pytest.raises(UserError, match="random-0 has no checkpoint; it may have been deleted"):
        run.continue_trial("random-0", 5, config={"lr": 0.05})


def test_the_checkpoint_is_that_of_the_moment_of_the_command(place: Path) -> None:
    """The parent may train on, or lose its checkpoints, before the new trial begins."""
    run = rs.load("ray_results/a")
    run.continue_trial("random-0", 4, config={"lr": 0.0001})
    run.continue_trial("random-0", 6)
    (place / "s.yaml").write_text(FILE)
    assert main(["resume", "a", "--debug"]) == 0
    first, second = RunDirectory(place / "ray_results/a").all_trials()
    assert (first.epoch, second.start) == (6, 3)
    assert second.reports[0].loss == pytest.approx(first.reports[3].loss, abs=0.2)


def test_parameters_that_are_not_active_any_more_have_no_value() -> None:
    keep = Keep()
    said = sweep(space=SPACE, budget=Budget(1, 3))
    controller = SweepController(said, keep)
    train_all(controller)
    give(controller, "enqueue", configurations=[{"x": 0.5, "kind": "deep", "width": 16}])
    train_all(controller)
    event = give(controller, "continue", trial="draw-1", epochs=5, config={"kind": "flat"})
    assert event["arguments"]["config"] == {"x": 0.5, "kind": "flat", "size": 1.0}
    event = give(controller, "continue", trial="draw-1", epochs=5, config={"x": 1, "width": 9})
    assert event["arguments"]["config"] == {"x": 1.0, "kind": "deep", "width": 9, "size": 2.0}
    flat = give(controller, "continue", trial="draw-1", epochs=5, config={"kind": "deep"})
    assert flat["outcome"] == "refused"
    for each in (controller, SweepController(said, Keep(), [dict(e) for e in keep.events])):
        train_all(each)
        assert [trial.notes.get("parent") for trial in each.trials][2:] == ["draw-1", "draw-1"]
        assert [trial.epoch for trial in each.trials][2:] == [5, 5]


def test_it_is_compared_at_no_rung_and_counts_only_what_it_trained() -> None:
    said = sweep(scheduler=Asha(grace=1, eta=2), budget=Budget(6, 4))
    controller = SweepController(said, Keep())
    train_all(controller)
    before = controller.histories["draw"].epochs
    parent_trial = max(controller.trials, key=lambda trial: trial.epoch)
    give(controller, "continue", trial=parent_trial.id, epochs=9, config={"x": 0.5})
    train_all(controller)
    history = controller.histories["draw"]
    child = history[len(history) - 1]
    assert (child.start, child.epoch, history.epochs) == (4, 9, before + 5)
    assert all(child.number not in rung.by_trial for rung in history.rungs.values())
    again: History = history.with_levels((1, 2, 3))
    assert all(child.number not in rung.by_trial for rung in again.rungs.values())


def test_optimizers_and_schedules_have_the_options_of_the_new_trial(tmp_path: Path) -> None:
    def made(lr: float, decay: float) -> dict[str, Any]:
        model = torch.nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        return {"model": model, "optimizer": optimizer, "schedule": schedule}

    first = made(0.1, 0.0)
    run = Run(2, lambda message: None, folder=tmp_path)
    for _ in run.epochs(**first):
        first["optimizer"].step()
        first["schedule"].step()
        run.report(loss=1.0)
    state = made(0.01, 0.3)
    assert parent.begin(tmp_path, state) == 2
    (group,) = state["optimizer"].param_groups
    assert group["lr"] == pytest.approx(0.01 / 4)
    assert group["weight_decay"] == 0.3
    state["optimizer"].step()
    state["schedule"].step()
    assert group["lr"] == pytest.approx(0.01 / 8)
    assert torch.equal(state["model"].weight, first["model"].weight)


def test_a_script_continues_from_the_checkpoint_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(TRAINS)
    sweep = rs.Sweep(
        "train.py",
        {"lr": rs.Choice([1.0, 2.0])},
        metric="loss",
        searcher="grid",
        budget={"trials": 1, "epochs": 3},
        script=HOW,
    )
    run = sweep.run(name="r", executor="debug", quiet=True)
    other = 3.0 - run.best.config["lr"]
    run.continue_trial(run.best.trial, 5, config={"lr": other})
    assert main(["resume", "r", "--debug"]) == 0
    _, child = RunDirectory(run.path).all_trials()
    assert [(report.epoch, report.loss) for report in child.reports] == [
        (4, other / 4),
        (5, other / 5),
    ]
    trained = (run.path / "trials" / child.id / "files/trained.txt").read_text().split()
    assert trained == ["4", "5"]
    found = reproduce(RunDirectory(run.path), child.id)
    assert all(comparison.difference == 0 for comparison in found)


def test_a_script_that_does_not_continue_is_refused_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text('print(\'{"epoch": 1, "loss": 1.0}\')\n')
    space = {"lr": rs.Choice([1.0, 2.0])}
    budget = {"trials": 1, "epochs": 1}
    run = rs.Sweep("train.py", space, metric="loss", searcher="grid", budget=budget).run(
        name="r", executor="debug", quiet=True
    )
    with pytest.raises(UserError, match="no checkpoint: script"):
        run.continue_trial("grid-0", 2, config={"lr": 3.0 - run.best.config["lr"]})
    assert not any(event["event"] == "command" for event in ledger.read(run.path))
