"""What is said while a trial whose attempt failed is tried again, and which are not tried again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raysweep.history import Event, Status, Trial
from raysweep.results.storage import mirror
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.trainables.runtime.failure import outcome_of
from raysweep.trainables.runtime.script.train import ScriptError
from raysweep.tune.callbacks.screen import Lines, Screen
from raysweep.tune.controller import SweepController
from raysweep.tune.failed_attempts import failed_attempt
from raysweep.tune.limits import SAME_FAILURE
from raysweep.tune.state import NoLog
from raysweep.tune.status import lines, status
from tests.made_up import Story, write_run
from tests.sweeps import sweep
from tests.test_messages import Session, outcome, report

MISSING = "ModuleNotFoundError: No module named 'lightning' (train.py ended with exit code 1)"
SAID = f"draw-0 failed and is tried again: {MISSING} (its log: ray_results/a/logs/draw-0.log)"


def retried(log: NoLog) -> tuple[SweepController, Trial]:
    """A sweep whose first trial has failed, and waits."""
    controller = SweepController(sweep(), log)
    trial = controller.next()
    assert trial is not None
    controller.started(trial)
    controller.failed(trial, MISSING, {"traceback": "..."})
    return controller, trial


@pytest.mark.parametrize("live", [True, False], ids=["screen", "lines"])
def test_a_failed_attempt_is_said_in_one_line(live: bool) -> None:
    out = io.StringIO()
    place = "ray_results/a"
    console = Console(file=out, width=300, height=20, force_terminal=True, color_system=None)
    shown = Screen("a", console, place) if live else Lines(out, place)

    class Told(NoLog):
        def applied(self, event: Event, controller: SweepController) -> None:
            shown.on_event(event, controller)

    controller, _ = retried(Told())
    shown.close(controller)
    assert out.getvalue().count(SAID) == 1


def test_it_is_no_news_once_the_trial_has_reported_or_a_person_has_retried_it() -> None:
    controller, trial = retried(NoLog())
    assert failed_attempt(trial) == MISSING
    assert controller.next() is trial
    controller.started(trial)
    assert failed_attempt(trial) == MISSING
    controller.reported(trial, 1, {"loss": 0.5}, 1.0)
    assert failed_attempt(trial) == ""


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "interrupted"])
def test_status_tells_of_failed_attempts_and_of_an_interruption(
    runs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "a", [Story("draw", [], {"x": 0.1}, status="running")])
    ledger = Ledger(folder)
    notes: dict[str, Any] = {"failed_attempt": {"epoch": 0, "reason": MISSING}}
    for event in (
        {"event": "returned", "trial": "draw-0", "reason": "failed", "notes": notes},
        {"event": "started", "trial": "draw-0"},
    ):
        ledger.append(event | {"time": 2e9})
    ledger.close()
    monkeypatch.setattr(mirror, "is_locked", lambda path: runs)
    text = lines(status(RunDirectory(folder)))
    assert f"  {SAID.replace('ray_results/a', str(folder))}" in text
    happened = "runs: no report yet" if runs else "was interrupted before its first report"
    assert [line for line in text if happened in line] == [f"  draw-0 {happened}"]
    assert not any("epoch 0" in line for line in text)


def test_a_script_that_cannot_begin_is_not_tried_again(tmp_path: Path) -> None:
    error = ScriptError(f"{MISSING}\nTraceback (most recent call last):\n...")
    assert outcome_of(error, "train.py", {}).status == "failed"
    error.fails_again = True
    found = outcome_of(error, "train.py", {})
    assert (found.status, found.reason) == ("fails_again", MISSING)
    session = Session(tmp_path / "run", retries=1)
    for name in session.names:
        session.send(name, outcome(found.status, reason=found.reason))
    assert [session.trial(name).status for name in session.names] == [Status.FAILED] * 3
    assert session.controller.stopping == SAME_FAILURE
    assert session.controller.mistake == MISSING
    session.close()


def test_it_is_where_another_trial_could_begin(tmp_path: Path) -> None:
    """Machines may differ in what is installed there."""
    session = Session(tmp_path / "run", retries=1)
    session.send("second", report(1))
    session.send("first", outcome("fails_again", reason=MISSING))
    assert session.trial("first").status is Status.WAITING
    session.close()
