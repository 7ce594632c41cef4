"""No text of a user's moves the cursor, colours a terminal or ends a command."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from raysweep.results.storage.ledger import Ledger
from raysweep.tune.callbacks.base import Observer
from raysweep.tune.callbacks.screen import Lines, Screen, render
from raysweep.tune.cli import summary
from raysweep.tune.cli.app import main
from raysweep.tune.cli.dry_run import preview
from raysweep.tune.controller import SweepController
from raysweep.tune.session import NONE_SUCCEEDED
from raysweep.tune.sweep import Metric
from tests.made_up import Story, write_run
from tests.sweeps import sweep

BAD = "bad \x1b[31m \x07 \x9b \udcff :smile: [bold]"
UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A run whose only trial failed, with such text everywhere."""
    story = Story("draw", [], {f"name {BAD}": BAD}, "failed", BAD)
    folder = write_run(tmp_path / "run", [story], goal="minimize")
    ledger = Ledger(folder)
    notes = {"traceback": f"Traceback\n{BAD}", "node": BAD, "afterwards": BAD}
    ledger.append({"event": "noted", "trial": "draw-0", "notes": notes, "time": 2e9})
    ledger.close()
    return folder


def observers() -> list[tuple[Observer, io.StringIO]]:
    lines, screen = io.StringIO(), io.StringIO()
    return [(Lines(lines), lines), (Screen("run", Console(file=screen, width=200)), screen)]


@pytest.mark.parametrize("index", [0, 1], ids=["lines", "screen"])
def test_what_is_said_is_safe(index: int) -> None:
    observer, out = observers()[index]
    observer.say(BAD)
    assert out.getvalue() == "bad ?[31m ? ? ? :smile: [bold]\n"


def test_the_screen_is_safe() -> None:
    controller = SweepController(sweep(metric=Metric(BAD, "minimize")))
    controller.stop(BAD)
    console = Console(file=io.StringIO(), width=200)
    console.print(render(BAD, controller, 200))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert not UNSAFE.search(text)
    assert "stopping: bad" in text


def test_a_preview_is_safe() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(preview(sweep(notes=(BAD,), resolved={"name": BAD})))
    assert not UNSAFE.search(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_end_of_a_run_is_safe(
    failed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "_page", lambda run: BAD)
    summary.finish(failed, NONE_SUCCEEDED, False, "raysweep run --resume run")
    said = capsys.readouterr().out
    assert not UNSAFE.search(said)
    assert "  bad ?[31m ? ? ? :smile: [bold]" in said


@pytest.mark.parametrize("words", [["show", "draw-0"], ["ls"], ["show", BAD]], ids=str)
def test_every_command_is_safe(
    failed: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([words[0], str(failed), *words[1:]])
    said = capsys.readouterr()
    assert not UNSAFE.search(said.out + said.err)
    assert "bad ?[31m" in said.out + said.err


def test_a_terminal_that_cannot_show_every_letter_gets_their_escapes(
    failed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["show", str(failed), "draw-0"]) == 0
    out.flush()
    assert b"\\u2013" in out.buffer.getvalue()
