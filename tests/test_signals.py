"""A sweep in a process group of its own, as `timeout` starts it, and what it leaves behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raysweep.results.storage.ledger import read
from tests.command_line import Typed

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 240.0
TRAIN = """\
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def train(config, run):
    print("training", run.trial)
    here = Path(__file__).parent
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    attempt = len(list(here.glob("child-*")))
    (here / f"child-{attempt}").write_text(str(child.pid))
    for epoch in run.epochs():
        time.sleep(1.0)
        with open(here / "trained", "a") as file:
            file.write(f"{run.trial} {epoch}\\n")
        if config["dies"] and attempt == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        run.report(loss=config["x"])
"""

pytestmark = [pytest.mark.ray, pytest.mark.examples, pytest.mark.timeout(900)]


@contextmanager
def started(typed: Typed) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process group of its own; killed at the end."""
    command = [sys.executable, str(ROOT / "run_sweep.py"), *typed.arguments("--name", "first")[1:]]
    driver = subprocess.Popen(
        command,
        cwd=typed.place,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def wait_until(true: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def events(typed: Typed, kind: str) -> list[dict[str, object]]:
    folder = typed.place / "runs" / "first"
    return [event for event in read(folder) if event["event"] == kind]


def alive(path: Path) -> bool:
    """Whether the process whose number a file holds runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{path.read_text()}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def typed(tmp_path: Path) -> Typed:
    (tmp_path / "train.py").write_text(TRAIN)
    return Typed(tmp_path)


def test_a_signal_before_the_workers_are_ready_waits_for_none(typed: Typed) -> None:
    """What was proposed is given back, and the next session trains it."""
    typed.write(f"{typed.place}/train.py:train", trials=2, epochs=1, more="  dies: false\n")
    with started(typed) as driver:
        wait_until(lambda: bool((typed.place / "runs/first").exists()), driver)
        wait_until(lambda: len(events(typed, "proposed")) >= 1, driver)
        os.kill(driver.pid, signal.SIGINT)
        said = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 4, said
    assert "stopping; once more to end at once" in said
    assert not events(typed, "started")
    assert {event["reason"] for event in events(typed, "returned")} == {"interrupted: SIGINT"}
    assert events(typed, "closed")[-1]["reason"] == "SIGINT"


def test_a_signal_to_the_process_group_lets_running_epochs_end(typed: Typed) -> None:
    typed.write(f"{typed.place}/train.py:train", trials=20, epochs=50, more="  dies: false\n")
    with started(typed) as driver:
        wait_until(lambda: len(events(typed, "reported")) >= 2, driver)
        os.kill(
            driver.pid, signal.SIGTERM
        )  # as `timeout` does it: to the process, then to its group
        os.killpg(driver.pid, signal.SIGTERM)
        said = driver.communicate(timeout=PATIENCE)[0]
    assert driver.returncode == 4, said
    assert said.count("stopping after the running epochs") == 1
    resume = said.splitlines()[-1].partition("interrupted; to continue:  ")[2]
    again = subprocess.run(
        [*shlex.split(resume), "--dry-run"],
        cwd=typed.place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "epochs: 50" in again.stdout
    assert events(typed, "closed")[-1]["reason"] == "SIGTERM"
    assert [event["reason"] for event in events(typed, "returned")] == ["interrupted: SIGTERM"]
    reported = [f"{event['trial']} {event['epoch']}" for event in events(typed, "reported")]
    assert (typed.place / "trained").read_text().splitlines() == reported
    assert not alive(typed.place / "child-0")


def test_a_process_in_another_session_ends_with_its_trial_and_with_a_killed_sweep(
    typed: Typed,
) -> None:
    typed.write(f"{typed.place}/train.py:train", trials=1, epochs=500, more="  dies: true\n")
    with started(typed) as driver:
        wait_until((typed.place / "child-1").exists, driver)
        wait_until(lambda: not alive(typed.place / "child-0"), driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.communicate(timeout=PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while alive(typed.place / "child-1"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
