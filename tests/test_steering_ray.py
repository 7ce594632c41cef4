"""Steering a sweep on Ray: stop at once, pause, fewer and more at once, a trial that continues."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import raysweep as rs
from raysweep.history import Event, Status
from raysweep.results.storage.inbox import Command, Inbox
from raysweep.results.storage.run_directory import RunDirectory
from raysweep.tune.controller import SweepController
from raysweep.tune.session import Options, run
from raysweep.tune.sweep import Budget
from tests.test_engine import Watch, made

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def until(seen: Callable[[], Any]) -> None:
    while not seen():
        time.sleep(0.1)


def free(ray: Any) -> float:
    return float(ray.available_resources().get("CPU", 0.0))


def events(folder: Path, kind: str) -> list[Event]:
    return [event for event in RunDirectory(folder).events if event["event"] == kind]


def steer(folder: Path, ray: Any, everything: float) -> None:
    """What a person does while the sweep trains; each step waits for the effect of the last one."""
    epochs = folder.parent

    def give(command: str, **arguments: Any) -> None:
        given = Command(command, arguments)
        Inbox(folder).put(given)
        until(lambda: given.id in RunDirectory(folder).steering.ids)

    until(lambda: (folder / "ledger.jsonl").exists() and len(events(folder, "started")) >= 3)
    give("stop", trial="listed-0", now=True)  # in its first epoch, which would never end
    until(lambda: events(folder, "ended"))
    until(lambda: len(events(folder, "started")) >= 4)
    give("set", parallel=1)
    (epochs / "epoch1").touch()
    until(lambda: len(events(folder, "returned")) == 2)
    until(lambda: free(ray) == everything - 1)
    give("set", parallel=3)
    until(lambda: len(events(folder, "started")) == 6)
    give("pause")
    (epochs / "epoch2").touch()
    until(lambda: len(events(folder, "returned")) == 5)
    until(lambda: free(ray) == everything)
    give("continue", trial="listed-0", epochs=4)
    (epochs / "epoch3").touch()
    (epochs / "epoch4").touch()
    give("resume")


@pytest.mark.examples
def test_devices_are_given_back_and_no_epoch_is_lost(tmp_path: Path, ray_here: Any) -> None:
    folder = tmp_path / "run"
    configs = [{"x": float(x), "folder": str(tmp_path)} for x in range(1, 5)]
    said = made("waits", *configs, parallel=3, budget=Budget(4, 3))
    until(lambda: free(ray_here) == ray_here.cluster_resources()["CPU"])
    person = threading.Thread(target=steer, args=(folder, ray_here, free(ray_here)), daemon=True)
    person.start()
    watch = Watch()
    assert run(said, folder, Options(), watch) == 0
    person.join()
    assert isinstance(watch.controller, SweepController)
    trials = list(watch.controller.trials)
    assert [trial.epoch for trial in trials] == [4, 3, 3, 3]
    assert {trial.status for trial in trials} == {Status.COMPLETED}
    reported = [(event["trial"], event["epoch"]) for event in events(folder, "reported")]
    assert len(reported) == len(set(reported)) == 13
    assert {event["reason"] for event in events(folder, "returned")} == {
        "at most 1 trial at once",
        "the sweep is paused",
    }
    assert {event["outcome"] for event in events(folder, "command")} == {"applied"}
    assert rs.load(folder).state == "finished"
