"""Finds workers that fall silent without an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune.callback import Callback

SILENCE_SECONDS = 60.0
"""Seconds without a sign of life after which a worker is taken for dead.

A worker gives one every BEAT_SECONDS (`trainables/runtime/trial_process.py`), whatever its trial
does. A link that is cut for less than this heals by itself.
"""
STEP_SECONDS = 1.0
"""Seconds that are counted at most between two looks. A driver that was stopped, or was busy, has
not listened meanwhile, and hears first what was sent to it."""


@dataclass
class Heartbeat:
    """A Ray trial, and the seconds in which nothing was heard of it while the driver listened."""

    trial: Any
    silent_seconds: float = 0.0


class StallDetector(Callback):  # type: ignore[misc]
    """Kills a worker that shows no sign of life: its trial continues elsewhere from its checkpoint.

    A host that was cut off for half a minute, or that froze, leaves such workers behind. For Ray
    they run on, with neither an error nor an end. How long an epoch takes does not matter.

    Ray Tune calls it about ten times a second. What Ray pickles of it is empty.
    """

    def __init__(self, kill: Callable[[Any, float], None]) -> None:
        self._kill = kill
        self._heartbeats: dict[str, Heartbeat] = {}
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heartbeats[trial.trial_id] = Heartbeat(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if heartbeat := self._heartbeats.get(trial.trial_id):
            heartbeat.silent_seconds = 0.0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heartbeats.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._heartbeats.pop(trial.trial_id, None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, STEP_SECONDS), now
        for name, heartbeat in list(self._heartbeats.items()):
            heartbeat.silent_seconds += passed
            if heartbeat.silent_seconds > SILENCE_SECONDS:
                del self._heartbeats[name]
                self._kill(heartbeat.trial, heartbeat.silent_seconds)


def _nothing() -> None:
    """What it comes back as."""


def kill_worker(ray: Any, trial: Any) -> None:
    """Kill the process that trains a Ray trial.

    `temporary_state` is no public part of Ray (2.60, 2.61): the version is pinned, and a test
    holds it.
    """
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)
