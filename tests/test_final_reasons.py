"""Once a sweep has ended, an unfinished trial says everywhere why it does not continue."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raysweep.final_reasons import final_reasons
from raysweep.history import Status
from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.results.storage.ledger import Ledger, read
from raysweep.results.storage.run_directory import load
from raysweep.results.views.html.page_data import run_data
from raysweep.results.views.terminal import show
from raysweep.schedulers.asha import Asha
from raysweep.tune.callbacks.run_files import TableFiles
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.simulated import simulate
from raysweep.tune.serve.live_run import LiveRun
from raysweep.tune.serve.trial_view import trial_data
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import Draw, sweep, train_all


def played(values: list[float], **changes: Any) -> SweepController:
    """A sweep under ASHA, each trial with the same loss in all of its epochs, one at a time."""
    losses: dict[int, float] = {}

    def epochs(config: Any, seed: int) -> list[tuple[dict[str, float], float]]:
        loss = losses.setdefault(seed, values[len(losses) % len(values)])
        return [({"loss": loss}, 1.0)] * 9

    fields = {"scheduler": Asha(grace=1), "budget": Budget(len(values), 9)} | changes
    return simulate(sweep({"draw": Draw()}, **fields), epochs, 1)


def test_it_is_said_where_a_trial_stood_in_the_end_and_how_many_continued() -> None:
    controller = played([0.5, 0.4, 0.3, 0.2, 0.6, 0.7])
    first, *_ = controller.trials
    assert first.reason.startswith("epoch 1: 0.5 is the best of 1 so far")
    reasons = controller.final_reasons
    assert (
        reasons["draw-0"] == "not promoted after epoch 1: number 4 of 6 there, of which 2 continued"
    )
    assert (
        reasons["draw-5"] == "not promoted after epoch 1: number 6 of 6 there, of which 2 continued"
    )
    paused = {one.id for one in controller.trials if one.status is Status.STOPPED}
    assert reasons.keys() == paused
    completed = {one.id for one in controller.trials if one.status is Status.COMPLETED}
    assert completed == {"draw-2", "draw-3"}


def test_one_that_others_were_preferred_to_says_so() -> None:
    reasons = played([0.5, 0.6, 0.7, 0.3, 0.4, 0.8]).final_reasons
    assert reasons["draw-4"] == (
        "not promoted after epoch 1: number 2 of 6 there, of which 2 continued (chosen before, or "
        "by forecast)"
    )


def test_the_unit_is_that_of_the_sweep() -> None:
    histories = played([0.4, 0.5, 0.3, 0.6]).histories.values()
    reasons = final_reasons(histories, ReportInterval("steps", 500), "done", promotes=True)
    assert reasons["draw-1"].startswith("not promoted after step 500: number 3 of 4 there, ")


def test_a_trial_that_waited_when_the_sweep_ended_says_why_it_did() -> None:
    controller = SweepController(sweep(budget=Budget(2, 3)))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    assert controller.final_reasons == {}
    controller.stop("the target is reached")
    controller.hold(trial)
    assert controller.final_reasons == {
        trial.id: "did not continue before the sweep ended: the target is reached"
    }


def test_a_scheduler_that_promotes_none_has_said_it_all() -> None:
    controller = played([0.5, 0.4, 0.6], scheduler=Asha(type="stopping", grace=1))
    assert controller.final_reasons == {}


def test_nothing_changes_before_the_end_or_by_an_interruption() -> None:
    controller = SweepController(sweep(scheduler=Asha(grace=1), budget=Budget(3, 9)))
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    assert controller.final_reasons == {}
    controller.stop("SIGINT", interrupted=True)
    assert controller.final_reasons == {}
    histories = controller.histories.values()
    assert len(final_reasons(histories, EVERY_EPOCH, "done", promotes=True)) == 1


def test_every_place_says_that_it_was_not_promoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = [
        Story("random", [0.1, 0.2, 0.3], {"lr": 0.1}),
        Story("random", [0.05], {"lr": 0.2}, "stopped", "epoch 1: 0.05 is number 2 of 2 so far"),
    ]
    folder = write_run(tmp_path / "a", stories, scheduler={"name": "asha", "type": "promotion"})
    assert load(folder).rows[1]["reason"] == "epoch 1: 0.05 is number 2 of 2 so far"
    ledger = Ledger(folder)
    ledger.append({"event": "opened", "time": 2e9, "levels": [1, 3], "promotes": True})
    ledger.append({"event": "closed", "time": 2e9, "reason": "done", "interrupted": False})
    ledger.close()
    run = load(folder)
    wanted = "not promoted after epoch 1: number 2 of 2 there, of which 1 continued"
    assert run.rows[1]["reason"] == wanted
    assert run_data(run)["trials"]["reason"][1] == wanted
    assert main(["show", str(folder), "random-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == wanted
    console = Console(file=io.StringIO(), width=200)
    console.print(show(run, "random-1"))
    assert wanted in console.file.getvalue()  # type: ignore[attr-defined]
    live = LiveRun(folder)
    live.apply(read(folder))
    assert trial_data(live, "random-1")["reason"] == (  # a server does without rungs
        "not promoted; as it paused: epoch 1: 0.05 is number 2 of 2 so far"
    )


def test_the_table_of_a_session_that_ends_says_it_too(tmp_path: Path) -> None:
    controller = SweepController(sweep(scheduler=Asha(grace=1), budget=Budget(4, 9)))
    train_all(controller)
    TableFiles(tmp_path).close(controller)
    with open(tmp_path / "trials.csv", encoding="utf-8") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    assert sum(reason.startswith("not promoted after epoch 1: ") for reason in reasons) == 3
