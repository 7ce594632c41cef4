"""Storage that fills up or is read-only under a real sweep: one line, and it can be resumed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Status
from raysweep.results.storage import ledger
from tests.command_line import Typed, numbers

pytestmark = pytest.mark.ray


@pytest.fixture
def typed(tmp_path: Path, ray_here: Any, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setattr("raysweep.tune.cli.summary._export", lambda run: (None, "not exported"))
    return Typed(tmp_path)


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting needs root: {done.stderr.strip()}")


@pytest.fixture
def small(typed: Typed) -> Iterator[Path]:
    """A file system of its own for the runs, 64 MiB large."""
    place = typed.place / "runs"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.examples
def test_a_disk_that_fills_ends_the_session_and_room_lets_it_go_on(
    typed: Typed, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed.write("tests.trainables:fills", trials=6, epochs=3)
    mount("-o", "remount,size=2m", str(small))
    assert typed.run() == 4
    said = capsys.readouterr().out
    assert "No space left on device" in said
    assert f"raysweep resume {small}/first" in said.strip().splitlines()[-1]
    confirmed = [event for event in ledger.read(small / "first") if event["event"] == "reported"]
    mount("-o", "remount,size=64m", str(small))
    assert typed.run("--resume", "first") == 0
    after = ledger.read(small / "first")
    assert [event for event in after if event["event"] == "reported"][: len(confirmed)] == confirmed
    assert {trial[4] for trial in numbers(typed.folder())} == {Status.COMPLETED}


@pytest.mark.examples
def test_read_only_storage_is_one_line(
    typed: Typed, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed.write(trials=2, epochs=1)
    mount("-o", "remount,ro", str(small))
    assert typed.run() == 2
    assert "Read-only file system" in capsys.readouterr().err
    mount("-o", "remount,rw", str(small))
    assert typed.run() == 0
    mount("-o", "remount,ro", str(small))
    assert typed.run("--resume", "first", "--set", "budget.trials=3") == 2
    assert "cannot be written: Read-only file system" in capsys.readouterr().err
    mount("-o", "remount,rw", str(small))
    assert typed.run("--resume", "first", "--set", "budget.trials=3") == 0
