"""What Ray raises when a worker is gone, in the two forms that Ray Tune can handle.

Ray Tune's `RayActorManager` expects that an actor's task ends in a `RayActorError` or in a
`RayTaskError`, and ends the whole experiment with `Caught unexpected exception` otherwise. Ray
raises others, too: `OutOfMemoryError` if its memory monitor killed the worker,
`TaskCancelledError`, `ObjectLostError` if a machine was lost with a result on it, or any
exception at all if what a worker sent cannot be unpickled. Each of them is the loss of a single
worker (seen in Ray 2.60 and 2.61).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

from raysweep.text_limits import visible


class WorkerLost(RayActorError):  # type: ignore[misc]
    """A worker was lost by an error that Ray does not count among those of actors."""


class WorkerOutOfMemory(WorkerLost):
    """Ray's memory monitor killed the worker. Its text is that of Ray's `OutOfMemoryError`."""


def actor_error(error: Exception) -> Exception:
    """The error as Ray Tune can handle it: itself, or a `WorkerLost` with its text."""
    expected = isinstance(error, RayActorError | RayTaskError)
    if expected and _can_be_written(error):
        return error
    kind = WorkerOutOfMemory if isinstance(error, OutOfMemoryError) else WorkerLost
    try:
        text = str(error)
    except Exception:  # of a user's exception, any method may raise
        text = ""
    lost: Exception = kind(error_msg=visible(text or type(error).__name__))
    return lost


def _can_be_written(error: Exception) -> bool:
    """Whether Ray Tune can write the error's text into the file that it makes of each."""
    try:
        str(error).encode()
    except Exception:
        return False
    return True


@contextmanager
def handled() -> Iterator[None]:
    """Have each error of a worker end one trial. Call it around `Tuner.fit`.

    It replaces a method that is no public part of Ray: the version is pinned, and a test with Ray's
    own exceptions holds it.
    """
    original = RayActorManager._actor_task_failed

    def task_failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        error = actor_error(exception)
        if error is not exception:
            _kill(self, tracked_actor_task._tracked_actor)
        original(self, tracked_actor_task, error)

    RayActorManager._actor_task_failed = task_failed
    try:
        yield
    finally:
        RayActorManager._actor_task_failed = original


def _kill(manager: Any, tracked_actor: Any) -> None:
    """Kill the process of an actor that Ray Tune gives up: it may be alive, and would train on."""
    import ray

    actor, _ = manager._live_actors_to_ray_actors_resources.get(tracked_actor, (None, None))
    if actor is not None:
        with contextlib.suppress(Exception):  # it is dead already, or so is its machine
            ray.kill(actor)
