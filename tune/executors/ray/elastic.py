"""What a cluster does in mid-sweep: nodes join and leave, and workers fall silent without an error.

Both classes are told of it by Ray Tune, about ten times a second. What Ray pickles of them is empty: a sweep resumes from its ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ray.tune.callback import Callback

from raysweep.tune.executors.placement import room
from raysweep.tune.executors.ray.adapters import TrialCoordinator
from raysweep.tune.executors.ray.cluster_resources import offers
from raysweep.tune.sweep import Resources

LOOK_SECONDS = 2.0
SILENCE_SECONDS = 60.0
"""A worker says that it is alive every BEAT_SECONDS (`trainables/runtime/trial_process.py`), whatever its
trial does. After so many seconds without a word it is taken for dead. A link that is cut for less
than that heals by itself."""
STEP_SECONDS = 1.0
"""No more than this is counted for the time between two looks: a driver that was stopped, or did
something else for a while, has not listened, and what waits to be heard is heard first."""


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
class Listening:
    """How long nothing was heard from a worker, as a driver counts it that was listening."""

    trial: Any
    silent: float = 0.0
    """Seconds."""


class Watchdog(Callback):  # type: ignore[misc]
    """Kills a worker that shows no sign of life: its trial goes on from its checkpoint in another.

    A host that was cut off for half a minute, or that froze, leaves such workers behind: running,
    for Ray, with neither an error nor an end. How long a trial takes for an epoch does not matter.
    """

    def __init__(self, kill: Callable[[Any, float], None]) -> None:
        self._kill = kill
        self._listening: dict[str, Listening] = {}
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, ()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._listening[trial.trial_id] = Listening(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if listening := self._listening.get(trial.trial_id):
            listening.silent = 0.0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._listening.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._listening.pop(trial.trial_id, None)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, STEP_SECONDS), now
        for name, listening in list(self._listening.items()):
            listening.silent += passed
            if listening.silent > SILENCE_SECONDS:
                del self._listening[name]
                self._kill(listening.trial, listening.silent)


def _gone() -> None:
    """What both come back as."""


def watching(
    coordinator: TrialCoordinator, resources: Resources, parallel: int | None
) -> list[Callback]:
    """The two, for what a conductor runs on the connected Ray."""
    import ray

    def tell(many: int) -> None:
        coordinator.parallel = max(1, many)

    def found() -> int:
        shares = coordinator.shares
        if shares is None:
            return room(resources, parallel, offers(ray))
        return room(
            replace(resources, gpu=shares.smallest), parallel if shares.trials else 1, offers(ray)
        )

    def kill(trial: Any, seconds: float) -> None:
        coordinator.silent(trial.trial_id, seconds)
        kill_worker(ray, trial)

    return [Follow(found, tell), Watchdog(kill)]


def kill_worker(ray: Any, trial: Any) -> None:
    """Kill the process that trains a Ray trial. `temporary_state` is no public part of Ray: pinned, and held by a test."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)
