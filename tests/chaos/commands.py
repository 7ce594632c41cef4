"""A hundred commands at random moments under 32 SIGKILLs of the driver: each counts once.

`make chaos` runs it: pytest does not find it by its name. An executor without Ray makes a session
short, so that kills fall into every part of it. The grid makes the outcome independent of the order
of things: each cell is trained once, and so is each configuration that was enqueued.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import APPLIED, Status
from raysweep.results.storage.inbox import Command, Inbox
from raysweep.results.storage.run_directory import RunDirectory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

KILLS, COMMANDS, CELLS = 32, 100, 60
STEPS = 0.3, 1.5
"""Seconds between two kills after a session has written its first event: from, to."""
EXECUTOR = '''\
"""Trains nothing: the loss of a configuration is a formula."""

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Formula:
    def run(self, controller, callbacks):
        while (trial := controller.next()) is not None:
            controller.started(trial)
            place = Path(controller.make_job(trial).folder)
            place.mkdir(parents=True, exist_ok=True)
            while True:
                time.sleep(0.02)
                for callback in callbacks:
                    callback.on_tick(controller)
                epoch = trial.epoch + 1
                loss = trial.config["x"] + 1 / epoch
                (place / "last.pt").write_text(str(epoch))
                if controller.reported(trial, epoch, {"loss": loss}, seconds=float(epoch)).stop:
                    break
                if controller.hold(trial):
                    break
'''
FILE = f"""\
trainable: tests.trainables:bowl
metric: {{name: loss, goal: minimize}}
searcher: {{name: grid, points: {CELLS}}}
scheduler: none
budget: {{trials: 1000, epochs: 3}}
executor: mine.py:Formula
space: {{x: {{float: [0.0, 1.0]}}}}
"""


KINDS = (
    *("enqueue", "continue", "extend", "note", "tag", "pause", "stop", "set", "retry"),
    *("child", "range", "unit"),
)
NAMES = {"child": "continue", "longer": "extend", "range": "set", "unit": "continue"}
"""The commands of those kinds that have another name."""


class Person:
    """Gives commands of all kinds, and knows what must come of them."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self._folder = folder
        self._inbox = Inbox(folder)
        self._draw = draw
        self.given: list[Command] = []
        self.enqueued: list[float] = []
        self.longer: dict[str, int] = {}
        self.length = 3
        self.tags: list[str] = []

    def give(self) -> None:
        """Give one more command."""
        index = len(self.given)
        kind = self._draw.choice(KINDS)
        if index == COMMANDS // 2:
            kind, self.length = "longer", 5
        command = Command(NAMES.get(kind, kind), self._arguments(kind, index))
        self.given.append(command)
        self._inbox.put(command)
        if kind == "pause":
            self.given.append(Command("resume"))
            self._inbox.put(self.given[-1])

    def _arguments(self, kind: str, index: int) -> dict[str, Any]:
        if kind == "enqueue":
            self.enqueued.append(round(2 / 3 + index * 1e-4, 6))
            return {"configurations": [{"x": self.enqueued[-1]}]}
        if kind == "continue":
            trial = f"grid-{self._draw.randrange(3)}"
            self.longer[trial] = max(self.longer.get(trial, 3), epochs := 4 + index)
            return {"trial": trial, "epochs": epochs}
        if kind == "tag":
            self.tags.append(f"t{index}")
            return {"tags": [self.tags[-1]]}
        others: dict[str, dict[str, Any]] = {
            "extend": {"trials": "+1"},
            "note": {"text": f"note {index}"},
            "stop": {"trial": "grid-9999"},  # always refused: what it stops depends on the moment
            "set": {"parallel": 1 + index % 3},
            "retry": {"trial": "grid-0"},
            "child": {
                "trial": "grid-0",
                "epochs": 110 + index,
                "config": {"x": 0.7 + index * 1e-4},
            },
            "longer": {"epochs": 5},
            "range": {"space": {"x": "0.1..0.5"}},  # always refused: it is a grid
            "unit": {"trial": "grid-0", "steps": 500},  # always refused: it counts epochs
        }
        return others.get(kind, {})


def session(folder: Path) -> subprocess.Popen[bytes]:
    words = ["run", "--resume", str(folder)]
    if not folder.exists():
        words = ["run", "--space", "s.yaml", "--name", folder.name]
    root = str(Path(__file__).resolve().parents[2])  # its trainable is one of the tests
    return subprocess.Popen(
        [sys.executable, "-m", "raysweep", *words],
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": root},
    )


def begun(folder: Path, before: int) -> bool:
    """True once a session has written an event."""
    ledger = folder / "ledger.jsonl"
    return ledger.exists() and ledger.stat().st_size > before


def test_each_command_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(EXECUTOR)
    (tmp_path / "s.yaml").write_text(FILE)
    folder, draw = tmp_path / "ray_results" / "a", random.Random(0)
    person: Person | None = None
    killed = 0
    for kill in range(KILLS):
        size = (folder / "ledger.jsonl").stat().st_size if folder.exists() else 0
        driver = session(folder)
        while not begun(folder, size) and driver.poll() is None:
            time.sleep(0.01)
        if person is None:
            while b"grid-2" not in (folder / "ledger.jsonl").read_bytes():
                time.sleep(0.02)
            person = Person(folder, draw)
        until = time.monotonic() + draw.uniform(*STEPS)
        while len(person.given) < COMMANDS * (kill + 1) / KILLS:
            person.give()
            time.sleep(draw.uniform(0, 0.3))
        time.sleep(max(0.0, until - time.monotonic()))
        driver.kill()
        killed += driver.wait() < 0
    assert person is not None
    assert killed >= KILLS - 4  # a session may have ended just before
    while Inbox(folder).names() or RunDirectory(folder).state != "finished":
        assert session(folder).wait() in (0, 4)
    check(RunDirectory(folder), person)


def check(run: RunDirectory, person: Person) -> None:
    """All that the commands must have led to, each once."""
    recorded = [event["id"] for event in run.events if event["event"] == "command"]
    assert sorted(recorded) == sorted(command.id for command in person.given)
    check_children(run)
    trials = [trial for trial in run.all_trials() if "parent" not in trial.notes]
    assert {trial.status for trial in trials} == {Status.COMPLETED}
    cells = Counter(round(index / (CELLS - 1), 6) for index in range(CELLS))
    assert Counter(round(t.config["x"], 6) for t in trials) == cells + Counter(person.enqueued)
    for trial in trials:
        assert [report.epoch for report in trial.reports] == list(range(1, trial.epoch + 1))
        assert trial.epoch == max(person.length, person.longer.get(trial.id, 3))
    assert run.steering.budget["epochs"] == 5
    extended = sum("trials" in command.arguments for command in person.given)
    assert run.steering.budget.get("trials", 1000) == 1000 + extended
    assert sorted(run.steering.tags.get("", [])) == sorted(person.tags)
    notes = [command for command in person.given if command.command == "note"]
    assert [note.text for note in run.steering.notes] == [note.arguments["text"] for note in notes]


def check_children(run: RunDirectory) -> None:
    """Each command that continued a trial with another configuration made one new trial."""
    applied = [
        event["arguments"]
        for event in run.events
        if event["event"] == "command" and event["outcome"] == APPLIED
        if "config" in event["arguments"]
    ]
    children = [trial for trial in run.all_trials() if "parent" in trial.notes]
    wanted = sorted((given["config"]["x"], given["trial"], given["epochs"]) for given in applied)
    assert sorted((t.config["x"], t.notes["parent"], t.epoch) for t in children) == wanted
    assert wanted
    for trial in children:
        epochs = [report.epoch for report in trial.reports]
        assert epochs == list(range(trial.start + 1, trial.epoch + 1))
        assert trial.start >= 1
