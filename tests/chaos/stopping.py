"""Ctrl-C, SIGTERM and storage that disappears under a real sweep in a process of its own.

`make chaos` runs it: pytest does not find it by its name.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysweep.results.storage.ledger import read
from tests.command_line import Typed, numbers

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 200.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def start(typed: Typed, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "run_sweep.py"), *typed.arguments(*more)[1:]]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def reports(typed: Typed) -> int:
    return sum(event["event"] == "reported" for event in read(typed.place / "runs" / "first"))


def wait_for(typed: Typed, count: int, driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while reports(typed) < count:
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_stopped_by_hand_four_times_it_ends_as_if_never_stopped(tmp_path: Path) -> None:
    typed = Typed(tmp_path)
    typed.write(
        "tests.trainables:noisy", "[random, tpe]", trials=6, epochs=6, more="  seconds: 0.15\n"
    )
    said = []
    for i, (signals, resume) in enumerate(
        [
            ([signal.SIGINT], ()),
            ([signal.SIGTERM], ("--resume", "first")),
            ([signal.SIGINT] * 2, ("--resume", "first")),
        ]
    ):
        driver = start(typed, *(resume or ("--name", "first")))
        before = reports(typed) if resume else 0
        wait_for(typed, before + 2 + i, driver)
        for number in signals:
            driver.send_signal(number)
            time.sleep(0.1)
        said.append(driver.communicate(timeout=PATIENCE)[0])
        assert driver.returncode == 4, said[-1]
        assert f"--resume {tmp_path}/runs/first" in said[-1].strip().splitlines()[-1]
    # Between two trials, no epoch runs that it waits for.
    stopping = r"^stopping(| after the running epochs); once more to end at once$"
    assert all(re.search(stopping, text, re.MULTILINE) for text in said), said
    assert [
        event["reason"] for event in read(tmp_path / "runs" / "first") if event["event"] == "closed"
    ] == ["SIGINT", "SIGTERM"]
    for name, more in (("first", ("--resume", "first")), ("whole", ("--name", "whole"))):
        driver = start(typed, *more)
        text = driver.communicate(timeout=PATIENCE)[0]
        assert driver.returncode == 0, (name, text)
    assert numbers(typed.folder()) == numbers(typed.folder("whole"))


def test_storage_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    """The train function itself moves the run directory away, in the second epoch of trial 2."""
    typed, folder, away = Typed(tmp_path), tmp_path / "runs" / "first", tmp_path / "away"
    typed.write(
        "tests.trainables:loses_its_storage",
        trials=3,
        epochs=3,
        more=f"  run: {folder}\n  away: {away}\n",
    )
    driver = start(typed, "--name", "first")
    said = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 4, said
    assert f"interrupted: {folder} cannot be written" in said
    assert f"--resume {folder}" in said.strip().splitlines()[-1]
    kept = read(away)
    shutil.rmtree(folder, ignore_errors=True)
    away.rename(folder)
    driver = start(typed, "--resume", "first")
    said = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 0, said
    assert read(folder)[: len(kept)] == kept
    assert [trial.epoch for history in typed.folder().histories.values() for trial in history] == [
        3,
        3,
        3,
    ]
