"""Slow is not dead: long epochs and a driver that was stopped, on a Ray of their own.

The real limit is a minute (`SILENCE_SECONDS`); here it is shorter than everything that happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysweep.history import Status
from raysweep.results.storage.run_directory import load
from tests.command_line import Typed

ROOT = Path(__file__).resolve().parent.parent
SILENCE = 8.0
STOPPED = 14.0
LONG_EPOCH = 20.0
PATIENCE = 240.0
DRIVER = f"""\
import sys
from raysweep.tune.cli.app import main
from raysweep.tune.executors.ray import stall_detector
stall_detector.SILENCE_SECONDS = {SILENCE}
sys.exit(main(sys.argv[1:]))
"""
TRAIN = f"""\
import time


def train(config, run):
    for epoch in run.epochs():
        print("epoch", epoch, "begins")
        time.sleep({LONG_EPOCH} if epoch == 3 else 0.2)
        run.report(loss=config["x"])
"""

pytestmark = [pytest.mark.ray, pytest.mark.examples]


def test_neither_a_long_epoch_nor_a_stopped_driver_costs_a_trial(tmp_path: Path) -> None:
    """The third epoch is longer than the silence that is allowed, and the driver is stopped for
    longer than that while it trains."""
    (tmp_path / "train.py").write_text(TRAIN)
    typed = Typed(tmp_path)
    typed.write(f"{tmp_path}/train.py:train", trials=1, epochs=4)
    command = [sys.executable, "-c", DRIVER, *typed.arguments("--name", "first")]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as driver:
        assert driver.stdout is not None
        said = []
        for line in driver.stdout:
            said.append(line)
            if "epoch 2: loss" in line:
                time.sleep(1.0)
                os.kill(driver.pid, signal.SIGSTOP)
                time.sleep(STOPPED)
                os.kill(driver.pid, signal.SIGCONT)
        assert driver.wait(PATIENCE) == 0, "".join(said)
    (trial,) = next(iter(load(tmp_path / "runs" / "first").histories.values()))
    assert (trial.status, trial.attempts, trial.epoch) == (Status.COMPLETED, 1, 4)
