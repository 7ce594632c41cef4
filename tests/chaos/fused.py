"""SIGKILLs at random moments of what trains eight trials as one: each costs them an epoch.

`make chaos` runs it: pytest does not find it by its name. Either the process of the group is
killed, or the worker of Ray that started it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import raysweep as rs
from raysweep.history import Status
from raysweep.results.storage.ledger import read
from raysweep.results.storage.run_directory import load
from tests.chaos.processes import descendants, name_of, sweep_up
from tests.chaos.verdict import reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
KILLS, TRIALS, EPOCHS = 6, 8, 24
PATIENCE = 400.0
"""The most seconds without a report."""
SECONDS = 0.02
"""An evaluation takes so long that a kill often finds some of a group's trials evaluated."""
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


def victims(driver: int) -> list[int]:
    """The worker of Ray, and the process of the group, which is a descendant of it."""
    workers = [pid for pid in descendants(driver) if "ImplicitFunc" in name_of(pid)]
    return [pid for worker in workers for pid in (worker, *children(worker))]


def children(pid: int) -> list[int]:
    below = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        below += [int(child) for child in path.read_text().split()]
    return [*below, *(found for child in below for found in children(child))]


def kill_after(driver: subprocess.Popen[bytes], folder: Path, draw: random.Random) -> None:
    """Kill when more reports have come, so that no trial is blamed for what it did not do."""
    before, deadline = len(reports(folder)), time.monotonic() + PATIENCE
    while len(reports(folder)) < before + TRIALS:
        assert driver.poll() is None, (folder.parent / "storm.log").read_text()[-3000:]
        assert time.monotonic() < deadline, "no progress"
        time.sleep(0.02)
    time.sleep(draw.random() * 0.3)
    found = victims(driver.pid)
    if found:
        os.kill(draw.choice(found), signal.SIGKILL)


def losses(folder: Path) -> dict[str, list[float]]:
    return {
        trial.id: [float(report.loss) for report in trial.reports]
        for history in load(folder).histories.values()
        for trial in history
    }


def undisturbed(folder: Path) -> dict[str, list[float]]:
    """The losses of the same sweep, one trial after another in this process."""
    (folder / "s.yaml").write_text(SWEEP)
    sweep = rs.Sweep.from_yaml(folder / "s.yaml", {"space.seconds": 0})
    sweep.run(name="calm", storage=folder, executor="debug", quiet=True)
    return losses(folder / "calm")


def test_deaths_of_a_worker_with_many_trials_cost_each_an_epoch(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path)
    written = tmp_path / "trained"
    written.mkdir()
    driver, draw = (
        start(tmp_path, "storm", "resources.fuse=8", f"space.folder={written}"),
        random.Random(0),
    )
    try:
        for _ in range(KILLS):
            kill_after(driver, tmp_path / "storm", draw)
        assert driver.wait(PATIENCE * 3) == 0, (tmp_path / "storm.log").read_text()[-3000:]
    finally:
        if driver.poll() is None:
            driver.kill()
        sweep_up(driver.pid)
    run = load(tmp_path / "storm")
    trials = [trial for history in run.histories.values() for trial in history]
    assert {trial.status for trial in trials} == {Status.COMPLETED}
    for name, found in losses(tmp_path / "storm").items():
        assert found == pytest.approx(expected[name], rel=1e-4), name
    events = read(tmp_path / "storm")
    deaths = [event["trial"] for event in events if event["event"] == "returned"]
    assert deaths
    for trial in trials:
        times = [float(line) for line in (written / repr(trial.config["lr"])).read_text().split()]
        assert len(times) <= EPOCHS + deaths.count(trial.id), trial.id
        told = {
            event["epoch"]: event["time"]
            for event in events
            if event["event"] == "reported" and event["trial"] == trial.id
        }
        assert sorted(told) == list(range(1, EPOCHS + 1))
        # Between two reports an epoch is trained, once more for each death, and none after the end.
        assert max(times) <= told[EPOCHS], trial.id
