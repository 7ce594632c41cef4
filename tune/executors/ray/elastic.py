"""Follows a cluster whose nodes join and leave while a sweep runs.

A node that is about to go, because a spot machine or a job's time ends, is emptied first
(`raysweep drain-node`): each of its trials ends its epoch and continues elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ray.tune.callback import Callback

from raysweep.tune.executors.placement import n_parallel, room
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.executors.ray import ray_compat
from raysweep.tune.executors.ray.cluster_resources import node_resources
from raysweep.tune.executors.ray.stall_detector import StallDetector, kill_worker
from raysweep.tune.sweep import Resources

LOOK_SECONDS = 2.0
"""Seconds between two looks at the nodes: each asks Ray's control service."""


class ParallelismFollower(Callback):  # type: ignore[misc]
    """Trains as many trials at once as the cluster can hold now.

    `capacity` is asked for that number, and `tell` gets it. Ray Tune calls it about ten times a
    second. What Ray pickles of it is empty: a sweep resumes from its ledger.
    """

    def __init__(self, capacity: Callable[[], int], tell: Callable[[int], None]) -> None:
        self._capacity = capacity
        self._tell = tell
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            self._tell(self._capacity())


class DrainFollower(Callback):  # type: ignore[misc]
    """Tells which Ray trials have their workers on nodes that are being emptied.

    Ray Tune calls it about ten times a second. What Ray pickles of it is empty.
    """

    def __init__(
        self,
        draining: Callable[[], set[str]],
        node_of: Callable[[Any], str],
        tell: Callable[[frozenset[str]], None],
    ) -> None:
        self._draining = draining
        self._node_of = node_of
        self._tell = tell
        self._looked = time.monotonic()

    def __reduce__(self) -> tuple[Any, ...]:
        return _nothing, ()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if time.monotonic() - self._looked <= LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        draining = self._draining()
        running = [trial for trial in trials if draining and trial.status == "RUNNING"]
        leaving = [trial.trial_id for trial in running if self._node_of(trial) in draining]
        self._tell(frozenset(leaving))


def _nothing() -> None:
    """What it comes back as."""


def cluster_callbacks(coordinator: TrialCoordinator, resources: Resources) -> list[Callback]:
    """The callbacks that follow the nodes and the workers of the connected Ray.

    `resources`: of a trial. The most trials at once, if the user limits them, are asked for each
    time: a command may change them.
    """
    import ray

    def tell(count: int) -> None:
        coordinator.parallel = max(1, count)

    def capacity() -> int:
        nodes, packing = node_resources(ray), coordinator.packing
        parallel = coordinator.controller.sweep.parallel
        if coordinator.devices is not None:
            coordinator.devices.room = room(resources, nodes)
        if packing is None:
            return n_parallel(resources, parallel, nodes)
        shares = packing.shares
        measured = replace(resources, gpu=shares.smallest)
        return n_parallel(measured, parallel if shares.trials else 1, nodes)

    def kill(trial: Any, seconds: float) -> None:
        coordinator.silent(trial.trial_id, seconds)
        kill_worker(ray, trial)

    def leave(workers: frozenset[str]) -> None:
        coordinator.leaving = workers

    draining = DrainFollower(ray_compat.draining_nodes, ray_compat.node_of, leave)
    # It looks before the capacity is known that is left, so that the right trials give way.
    return [draining, ParallelismFollower(capacity, tell), StallDetector(kill)]
