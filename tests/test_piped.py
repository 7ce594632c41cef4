"""What verbs print into a pipe, and how they are called without a trial."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.tune.cli.app import main
from raysweep.tune.status import lines, status
from tests.made_up import Story, write_run

LONG = "a/very/long/path/" * 9


@pytest.mark.parametrize("words", [["best"], ["show", "TRIAL"], ["ls"]], ids=lambda words: words[0])
def test_nothing_is_wrapped_or_padded_in_a_pipe(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    run = write_run(tmp_path / "run", [Story("grid", [0.5, 0.7], {"path": LONG})])
    verb, *trial = [word.replace("TRIAL", "grid-0") for word in words]
    assert main([verb, str(run), *trial]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert any(LONG in line for line in printed)
    assert all(line == line.rstrip() for line in printed)


@pytest.mark.parametrize("verb", ["show", "reproduce"])
def test_a_missing_trial_is_one_line(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [Story("grid", [0.5]), Story("grid", [0.7])])
    assert main([verb, str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"name a trial, such as grid-1, the best: raysweep {verb} {run} TRIAL" in line


@pytest.mark.parametrize("trial", [None, "grid-0"])
def test_a_session_that_was_stopped_by_hand_at_once_says_so(
    trial: str | None, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", [Story("grid", [0.5], status="running")])
    ledger = Ledger(run)
    arguments = {"now": True} | ({"trial": trial} if trial else {})
    stop = {"event": "command", "id": "x", "command": "stop", "arguments": arguments}
    ledger.append({"event": "opened", "time": 2e9})
    ledger.append(stop | {"outcome": "applied", "reason": "", "time": 2e9})
    ledger.close()
    by_hand = " (stopped by hand)" if trial is None else ""
    assert lines(status(RunDirectory(run)))[0] == f"{run} is interrupted{by_hand}"
