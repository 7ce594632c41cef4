"""What a cluster does in mid-sweep: nodes join and leave, and trials fall silent without an error.

Both classes are told of it by Ray Tune, about ten times a second. What Ray pickles of them is empty: a sweep resumes from its ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ray.tune.callback import Callback

from tune.engine.adapters import Conductor
from tune.engine.offers import offers
from tune.engine.plan import room
from tune.sweep import Resources

LOOK_SECONDS = 2.0
SILENCE_FACTOR = 10.0
LEAST_SILENCE = 60.0
LEAST_FIRST_SILENCE = 900.0
"""A trial may be silent for SILENCE_FACTOR of its longest epoch, and for these seconds at least. Before its first report, which waits for
imports and data, nothing is known of its epochs, and the second report tells more of them than the first."""


class Follow(Callback):  # type: ignore[misc]
    """Has as many trials at once as the cluster holds now, whatever it held at the start."""

    def __init__(self, room: Callable[[], int], tell: Callable[[int], None]) -> None:
        self._room = room
        self._tell = tell
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, ()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            self._tell(self._room())


@dataclass
class Heard:
    """When something was last heard of a trial, how often, and the longest that it was silent in between."""

    trial: Any
    last: float
    longest: float = 0.0
    reports: int = 0

    def hear(self, now: float) -> None:
        silent = now - self.last
        self.longest = max(self.longest, silent) if self.reports > 1 else silent
        self.last = now
        self.reports += 1

    def patience(self) -> float:
        return (
            max(LEAST_SILENCE, SILENCE_FACTOR * self.longest)
            if self.longest
            else LEAST_FIRST_SILENCE
        )


class Watchdog(Callback):  # type: ignore[misc]
    """Kills the worker of a trial that has long been silent: it goes on from its checkpoint in another one.

    A host that was cut off for half a minute leaves such trials behind: running, for Ray, with neither an error nor an end.
    """

    def __init__(self, kill: Callable[[Any, float], None]) -> None:
        self._kill = kill
        self._heard: dict[str, Heard] = {}
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heard[trial.trial_id] = Heard(trial, time.monotonic())

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if heard := self._heard.get(trial.trial_id):
            heard.hear(time.monotonic())

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heard.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heard.pop(trial.trial_id, None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now = time.monotonic()
        if now - self._looked < 1.0:
            return
        self._looked = now
        for name, heard in list(self._heard.items()):
            if now - heard.last > heard.patience():
                del self._heard[name]
                self._kill(heard.trial, now - heard.last)


def _gone() -> None:
    """What both come back as."""


def watching(conductor: Conductor, resources: Resources, parallel: int | None) -> list[Callback]:
    """The two, for what a conductor runs on the connected Ray."""
    import ray

    def tell(many: int) -> None:
        conductor.parallel = max(1, many)

    def found() -> int:
        shares = conductor.shares
        if shares is None:
            return room(resources, parallel, offers(ray))
        return room(
            replace(resources, gpu=shares.smallest), parallel if shares.trials else 1, offers(ray)
        )

    def kill(trial: Any, seconds: float) -> None:
        conductor.silent(trial.trial_id, seconds)
        kill_worker(ray, trial)

    return [Follow(found, tell), Watchdog(kill)]


def kill_worker(ray: Any, trial: Any) -> None:
    """Kill the process that trains a Ray trial. `temporary_state` is no public part of Ray: pinned, and held by a test."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)
