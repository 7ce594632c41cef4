"""Why a Ray worker died: its machine did, Ray's memory monitor killed it, or it ended by itself.

A trial has a process of its own beside the worker: how that one ended, the worker reports
(`trainables/runtime/worker.py`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from raysweep.errors import SessionInterrupted
from raysweep.tune.retries import (
    KILLED_BY_MONITOR,
    MACHINE_LOST,
    MACHINE_SILENT,
    WorkerFailure,
    worker_failure,
)

NOT_STARTED = "worker startup repeatedly failed"
"""Ray's words after several workers in a row did not register within its time limit."""
NODE_DIED = ("node has died", "node was terminated")
"""Ray's words about an actor whose node died."""
DIED = "its worker process died"


def explain(error: object) -> WorkerFailure:
    """What Ray's error means for the trial.

    Raises SessionInterrupted if no worker could be started: that is no trial's fault, and none
    can train.
    """
    text = str(error) if error else ""
    if NOT_STARTED in text:
        raise SessionInterrupted(
            "Ray started several workers in a row, and none was ready in time: "
            "the machine is too busy, or Python does not start on it"
        )
    if getattr(error, "preempted", False) or any(words in text for words in NODE_DIED):
        return WorkerFailure(MACHINE_LOST, machine_lost=True)
    if "temporarily unavailable" in text:
        return WorkerFailure(MACHINE_SILENT, machine_lost=True)
    if "OutOfMemory" in type(error).__name__ or "running low on memory" in text:
        return WorkerFailure(KILLED_BY_MONITOR, out_of_memory=True)
    return worker_failure(text, otherwise=_users_error(error) or DIED)


def _users_error(error: object) -> str:
    """The last line of what this project's code raised in the worker; "" if Ray raised it.

    Ray's own sentences ("Task was cancelled", "Should not have reached here") help nobody.
    """
    cause = getattr(error, "cause", None)
    if cause is None or type(cause).__module__.startswith("ray"):
        return ""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[-1]}" if lines else type(cause).__name__


def error_of(trial: Any) -> object:
    """What ended a Ray trial.

    Ray's own `get_error` looks in the storage, to which the files have not been copied yet.
    """
    from ray import cloudpickle

    with contextlib.suppress(OSError, TypeError, AttributeError, EOFError):
        pickled = Path(trial.pickled_error_file).read_bytes()  # written by this very process
        return cloudpickle.loads(pickled)
    with contextlib.suppress(OSError, TypeError):
        return Path(trial.error_file).read_text()
    return None
