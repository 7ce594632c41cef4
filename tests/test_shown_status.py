"""A trial that its scheduler stopped is called paused as long as it can still be promoted."""

from __future__ import annotations

import csv
import io
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raysweep.history import Status
from raysweep.results.storage.ledger import Ledger, read
from raysweep.results.storage.run_directory import RunDirectory, load
from raysweep.results.storage.tables import write_tables
from raysweep.results.views.html.page_data import run_data
from raysweep.results.views.terminal import show
from raysweep.schedulers.asha import Asha
from raysweep.shown_status import ORDER, status_in_words
from raysweep.tune.callbacks.screen import render
from raysweep.tune.cli.app import main
from raysweep.tune.controller import SweepController
from raysweep.tune.notebook import page
from raysweep.tune.serve.live_run import LiveRun
from raysweep.tune.serve.trial_view import trial_data
from raysweep.tune.sweep import Budget
from tests.made_up import Story, write_run
from tests.sweeps import sweep

STORIES = [
    Story("random", [0.1, 0.2, 0.3], {"lr": 0.1}),
    Story("random", [0.1], {"lr": 0.2}, "stopped", "epoch 1: behind"),
    Story("random", [0.1], {"lr": 0.3}, "failed", "no"),
]


def run(folder: Path, scheduler: str = "promotion", **closed: Any) -> RunDirectory:
    """A run whose second trial was stopped at a rung."""
    write_run(folder, STORIES, scheduler={"name": "asha", "type": scheduler})
    if closed:
        ledger = Ledger(folder)
        ledger.append({"event": "closed", "time": 2e9, **closed})
        ledger.close()
    return load(folder)


def told(found: RunDirectory, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """What each place that people read says of the second trial."""
    place = str(found.path)
    console = Console(file=io.StringIO(), width=80)
    console.print(show(found, "random-1"))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    write_tables(found.path, found.histories, "acc", may_promote=found.may_promote)
    with open(found.path / "trials.csv", encoding="utf-8") as file:
        tables = list(csv.DictReader(file))[1]["status"]
    capsys.readouterr()
    assert main(["status", place, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["trials"]
    assert main(["show", place, "random-1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["status"]
    (counted,) = counts.keys() - {"completed", "failed"}
    by_line = [line.split() for line in text.splitlines()]
    return {
        tables,
        shown,
        counted,
        found.rows[1]["status"],
        run_data(found)["trials"]["status"][1],
        next(words[1] for words in by_line if words and words[0] == "status"),
    }


def test_it_is_paused_until_the_sweep_has_ended_and_then_it_is_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(run(tmp_path / "a"), capsys) == {"paused"}
    assert told(run(tmp_path / "b", reason="SIGINT", interrupted=True), capsys) == {"paused"}
    assert told(run(tmp_path / "c", reason="done", interrupted=False), capsys) == {"stopped"}
    assert told(run(tmp_path / "d", "stopping"), capsys) == {"stopped"}


def test_the_session_says_whether_its_scheduler_promotes(tmp_path: Path) -> None:
    """Of a scheduler of the user's own, and of retrainings, the file of the sweep does not."""
    for scheduler, promotes in (("promotion", False), ("stopping", True)):
        folder = run(tmp_path / scheduler, scheduler).path
        ledger = Ledger(folder)
        ledger.append({"event": "opened", "time": 2e9, "levels": [1], "promotes": promotes})
        ledger.close()
        assert load(folder).may_promote is promotes


@pytest.mark.parametrize(
    ("notes", "word"),
    [({}, "paused"), ({"limited": True}, "stopped"), ({"by_hand": True}, "stopped")],
)
def test_what_a_person_or_the_budget_ended_is_not_paused(notes: dict[str, Any], word: str) -> None:
    assert status_in_words("stopped", notes, may_promote=True) == word
    assert status_in_words("failed", notes, may_promote=True) == "failed"
    assert status_in_words("stopped", notes, may_promote=False) == "stopped"


def test_the_live_table_and_the_notebook_count_paused_trials() -> None:
    controller = SweepController(sweep(scheduler=Asha(grace=1), budget=Budget(8, 9)))
    trials = [controller.next() for _ in range(7)]
    for loss, trial in enumerate(trials):
        assert trial is not None
        controller.started(trial)
        controller.reported(trial, 1, {"loss": float(loss)}, 1.0)
    assert sum(trial.status is Status.STOPPED for trial in controller.trials) == 7
    console = Console(file=io.StringIO(), width=100)
    console.print(render("first", controller, 100))
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert "7 paused" in shown
    assert shown.count("paused") == 8
    assert "stopped" not in shown
    assert "7 paused" in page("first", controller)
    controller.stop("the target is reached")
    assert "7 stopped" in page("first", controller)


def test_a_served_page_learns_that_paused_trials_are_stopped_in_the_end(tmp_path: Path) -> None:
    folder = run(tmp_path / "a").path
    live = LiveRun(folder)
    live.apply(read(folder))
    assert trial_data(live, "random-1")["status"] == "paused"
    before = live.version
    live.apply([{"event": "closed", "time": 2e9, "reason": "done", "interrupted": False}])
    found = live.changes(before)
    assert found is not None
    assert [(row["id"], row["status"]) for row in found["trials"]] == [("random-1", "stopped")]


def test_the_page_has_a_colour_and_a_place_for_each_status() -> None:
    script = files("raysweep.results.views.html").joinpath("base.js").read_text(encoding="utf-8")
    (order,) = re.findall(r"const STATUS_ORDER = \[(.*)\];", script)
    assert sorted(re.findall(r'"(\w+)"', order)) == sorted(ORDER)
    colours = script.partition("const STATUS_COLOURS = {")[2].partition("};")[0]
    assert sorted(re.findall(r"^  (\w+):", colours, re.MULTILINE)) == sorted(ORDER)
