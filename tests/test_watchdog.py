"""When Ray is dead or old: a driver that hangs in a call, and trials that Ray would keep."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, field
from pathlib import Path

from raysweep.tune.executors.ray import driver_watchdog as module
from raysweep.tune.executors.ray.adapters import MAX_REMEMBERED, forget


def hang(path: str) -> None:
    def last_words(why: str) -> None:
        Path(path).write_text(why)

    module.LOOK_SECONDS = module.GRACE_SECONDS = 0.1
    with module.watchdog(lambda: "Ray's raylet died", last_words, 4):
        time.sleep(60)


def test_a_driver_that_hangs_in_a_dead_ray_is_ended(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=hang, args=(str(tmp_path / "said"),)
    )
    process.start()
    process.join(50)
    assert process.exitcode == 4
    assert (tmp_path / "said").read_text() == "Ray's raylet died"


def test_a_driver_that_notices_by_itself_is_left_alone() -> None:
    said: list[str] = []
    with module.watchdog(lambda: "", said.append, 4):
        pass
    assert said == []


@dataclass(frozen=True)
class Ended:
    name: int
    ended: bool

    def is_finished(self) -> bool:
        return self.ended


@dataclass
class Controller:
    _trials: list[Ended]
    _stopped_trials: set[Ended] = field(default_factory=set)


def test_ray_forgets_trials_that_ended_long_ago_and_none_that_runs() -> None:
    trials = [Ended(i, i != 5) for i in range(1000)]
    controller = Controller(list(trials), {trial for trial in trials if trial.ended})
    forget(controller)
    assert controller._trials == [trials[5], *trials[-MAX_REMEMBERED:]]
    assert controller._stopped_trials == set(trials[-MAX_REMEMBERED:])
