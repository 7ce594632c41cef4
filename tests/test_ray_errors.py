"""Ray's own exceptions, of every kind, cost one trial its worker and the sweep nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.air.execution._internal import event_manager
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.exceptions import (
    ActorDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RaySystemError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

from raysweep.history import Status
from raysweep.tune.executors.ray.ray_errors import (
    WorkerLost,
    WorkerOutOfMemory,
    actor_error,
    handled,
)
from raysweep.tune.executors.ray.worker_failure import explain
from tests.test_engine import made, trials
from tests.test_memory import RAYS_WORDS

OUT_OF_MEMORY = OutOfMemoryError(RAYS_WORDS)
OTHERS: list[Exception] = [
    TaskCancelledError(),
    WorkerCrashedError(),
    ObjectLostError("00" * 28, None, ""),
    RaySystemError("System error: cannot be unpickled"),
    ModuleNotFoundError("No module named 'theirs'"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


class NoResources:
    """A resource manager of Ray's that has nothing to do."""

    def free_resources(self, acquired_resource: object) -> None:
        """Nothing was taken."""


@pytest.mark.parametrize("error", [OUT_OF_MEMORY, *OTHERS], ids=lambda error: type(error).__name__)
def test_rays_manager_hands_each_error_to_the_trial(error: Exception) -> None:
    heard: list[tuple[str, Exception]] = []
    actor = TrackedActor(1, on_error=lambda _, found: heard.append(("actor", found)))
    task = TrackedActorTask(actor, on_error=lambda _, found: heard.append(("task", found)))
    manager = RayActorManager(resource_manager=NoResources())
    manager._live_actors_to_ray_actors_resources[actor] = (None, None)
    with handled():
        manager._actor_task_failed(task, error)
    assert [name for name, _ in heard] == ["actor", "task"]
    assert all(isinstance(found, RayActorError) for _, found in heard)


def test_the_managers_method_is_as_before_afterwards() -> None:
    before = RayActorManager._actor_task_failed
    with handled():
        assert RayActorManager._actor_task_failed is not before
    assert RayActorManager._actor_task_failed is before


def test_only_a_kill_for_memory_is_out_of_memory() -> None:
    found = actor_error(OUT_OF_MEMORY)
    assert type(found) is WorkerOutOfMemory
    assert str(pickle.loads(pickle.dumps(found))) == str(OUT_OF_MEMORY)
    assert explain(found).out_of_memory
    for error in OTHERS:
        other = actor_error(error)
        assert type(other) is WorkerLost
        assert str(other) == (str(error) or type(error).__name__)
        assert not explain(other).out_of_memory


def test_errors_that_ray_tune_handles_stay_what_they_are() -> None:
    died = ActorDiedError()
    assert actor_error(died) is died
    raised = RayTaskError("train", "Traceback: ...", ValueError("x"))
    assert actor_error(raised) is raised


def test_an_error_that_no_file_takes_becomes_one_that_does() -> None:
    raised = RayTaskError("train", "a traceback with \udcff", ValueError("x"))
    found = actor_error(raised)
    assert type(found) is WorkerLost
    assert "\\udcff" in str(found)
    assert str(found).encode()


@pytest.mark.ray
@pytest.mark.examples
def test_a_worker_that_the_memory_monitor_killed_is_out_of_memory(
    tmp_path: Path, ray_here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process dies for real, and Ray's own exception says why, as the monitor's kill has it."""
    track = event_manager.RayEventManager.track_future

    def killed_for_memory(
        self: Any, future: Any, on_result: Any = None, on_error: Any = None
    ) -> None:
        track(self, future, on_result, on_error and as_out_of_memory(on_error))

    monkeypatch.setattr(event_manager.RayEventManager, "track_future", killed_for_memory)
    said = made("kills_its_worker", {"x": 0.9}, {"x": 0.1}, on_oom=("skip",))
    bad, good = trials(said, tmp_path / "run")
    assert (bad.status, bad.attempts, good.status) == (Status.OOM, 2, Status.COMPLETED)
    assert bad.reason == "out of memory on the host, killed by Ray's memory monitor"


def as_out_of_memory(on_error: Callable[[Exception], None]) -> Callable[[Exception], None]:
    """Have the death of an actor said as Ray does when its memory monitor was the cause."""

    def called(error: Exception) -> None:
        on_error(OUT_OF_MEMORY if isinstance(error, ActorDiedError) else error)

    return called
