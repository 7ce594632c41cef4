"""SIGKILLs at random moments of what trains 32 trials as one: each costs them an epoch at most.

`make chaos` runs it: pytest does not find it by its name. In turns, the worker of Ray is killed,
and one of the processes that it started: the trials' own, or the template that this was forked
from.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import raysweep as rs
from raysweep.history import Event, Status, Trial
from raysweep.results.storage.ledger import read
from raysweep.results.storage.run_directory import load
from raysweep.trainables.runtime.trial_process import WORKER
from raysweep.tune.executors.fusing import trains_alone
from tests.chaos.processes import descendants, name_of, sweep_up
from tests.chaos.verdict import reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
KILLS, TRIALS, EPOCHS = 6, 32, 16
PATIENCE = 400.0
"""The most seconds without a report."""
POLL = 0.05
"""Seconds between two looks at the ledger."""
SECONDS = 0.005
"""An evaluation takes so long that a kill often finds some of a group's trials evaluated."""
SPREAD = 0.25
"""A kill comes at most so many seconds late: about an epoch of the group."""
SWEEP = f"""\
trainable: tests.fused_trainables:train
metric: {{name: loss, goal: minimize}}
searcher: random
scheduler: none
budget: {{trials: {TRIALS}, epochs: {EPOCHS}}}
parallel: 1
space:
  lr: {{float: [0.001, 0.1]}}
  optimizer: sgd
  batch_size: 16
  seconds: {SECONDS}
"""


def start(folder: Path, name: str, *settings: str) -> subprocess.Popen[bytes]:
    (folder / "s.yaml").write_text(SWEEP)
    words = ["--space", str(folder / "s.yaml"), "--storage", str(folder), "--name", name]
    more = [word for setting in settings for word in ("--set", setting)]
    with open(folder / f"{name}.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "run_sweep.py"), *words, *more],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def ray_workers(driver: int) -> list[int]:
    return [pid for pid in descendants(driver) if "ImplicitFunc" in name_of(pid)]


def processes_of(workers: list[int]) -> list[int]:
    """What these workers have started, which is not below them: they are no parents of theirs."""
    marks = {f"{WORKER}={worker}".encode() for worker in workers}
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if marks & set(variables):
            found.append(int(path.parent.name))
    return sorted(found)


def kill_after(
    driver: subprocess.Popen[bytes], folder: Path, draw: random.Random, ray: bool
) -> None:
    """Kill at a random moment after more reports, the worker of `ray` or what it started.

    Not while the next death would end a trial: that is what the third one in an epoch does.
    """
    before, deadline = len(reports(folder)), time.monotonic() + PATIENCE
    while len(reports(folder)) < before + TRIALS or any(map(trains_alone, trials_in(folder))):
        assert driver.poll() is None, (folder.parent / "storm.log").read_text()[-3000:]
        assert time.monotonic() < deadline, "no progress"
        time.sleep(POLL)
    time.sleep(draw.random() * SPREAD)
    workers = ray_workers(driver.pid)
    victims = workers if ray else processes_of(workers)
    assert victims, "there is nothing to kill"
    os.kill(draw.choice(victims), signal.SIGKILL)


def trials_in(folder: Path) -> list[Trial]:
    return [trial for history in load(folder).histories.values() for trial in history]


def losses(folder: Path) -> dict[str, list[float]]:
    return {
        trial.id: [float(report.loss) for report in trial.reports] for trial in trials_in(folder)
    }


def undisturbed(folder: Path) -> dict[str, list[float]]:
    """The losses of the same sweep, one trial after another in this process."""
    (folder / "s.yaml").write_text(SWEEP)
    sweep = rs.Sweep.from_yaml(folder / "s.yaml", {"space.seconds": 0})
    sweep.run(name="calm", storage=folder, executor="debug", quiet=True)
    return losses(folder / "calm")


def is_death(event: Event) -> bool:
    """True if a trial was queued again because its worker died, and for no other reason."""
    return event["event"] == "returned" and "losses" in event.get("notes", {})


def test_deaths_of_a_worker_with_many_trials_cost_each_an_epoch(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path)
    written = tmp_path / "trained"
    written.mkdir()
    draw = random.Random(0)
    driver = start(tmp_path, "storm", f"resources.fuse={TRIALS}", f"space.folder={written}")
    try:
        for number in range(KILLS):
            kill_after(driver, tmp_path / "storm", draw, ray=number % 2 == 0)
        assert driver.wait(PATIENCE * 3) == 0, (tmp_path / "storm.log").read_text()[-3000:]
    finally:
        if driver.poll() is None:
            driver.kill()
        sweep_up(driver.pid)
    trials, events = trials_in(tmp_path / "storm"), list(read(tmp_path / "storm"))
    assert {trial.status for trial in trials} == {Status.COMPLETED}
    for name, found in losses(tmp_path / "storm").items():
        assert found == pytest.approx(expected[name], rel=1e-5), name
    deaths = Counter(str(event["trial"]) for event in events if is_death(event))
    # The first kill hits all trials, and none of the kills misses.
    assert set(deaths) == {trial.id for trial in trials}
    assert deaths.total() >= TRIALS + KILLS - 1
    for trial in trials:
        check_epochs(trial, events, deaths[trial.id], written)


def check_epochs(trial: Trial, events: list[Event], deaths: int, written: Path) -> None:
    """Each epoch is reported once, and a death costs an epoch at most."""
    times = [float(line) for line in (written / repr(trial.config["lr"])).read_text().split()]
    assert len(times) <= EPOCHS + deaths, trial.id
    told = [event for event in events if event["event"] == "reported"]
    own = [event for event in told if event["trial"] == trial.id]
    assert [event["epoch"] for event in own] == list(range(1, EPOCHS + 1)), trial.id
    # Nothing is trained after the end.
    assert max(times) <= own[-1]["time"], trial.id
