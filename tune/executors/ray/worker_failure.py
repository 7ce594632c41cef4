"""Why a Ray worker died: because its machine did, or its memory monitor ended it, or by itself.

A trial's own process is another one: how that ended, the worker tells (`trainables/runtime/worker.py`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import SessionInterrupted

GONE = "its machine was lost"
SILENT = "its machine did not answer"
NOT_STARTED = "worker startup repeatedly failed"
"""Ray's words after several workers in a row did not register within its time limit."""
MONITOR = "out of memory on the host, killed by Ray's memory monitor"
DIED = "its worker process died"


@dataclass(frozen=True)
class Lost:
    """Why a trial was taken away. `node`: because its whole machine was lost."""

    reason: str
    out_of_memory: bool = False
    node: bool = False


def lost(error: object, otherwise: str = DIED) -> Lost:
    """What Ray's error means, or words of ours that say what it meant on another machine.

    `otherwise`: the reason if it is none of those that are known.
    Raises Interruption if no worker could be started: no trial is to blame, and none can train.
    """
    text = str(error) if error else ""
    if NOT_STARTED in text:
        raise SessionInterrupted(
            "Ray started one worker after the other, and none was ready in time: "
            "the machine is too busy, or Python does not start on it"
        )
    if getattr(error, "preempted", False) or any(
        words in text for words in ("node has died", "node was terminated", GONE)
    ):
        return Lost(GONE, node=True)
    if "temporarily unavailable" in text or SILENT in text:
        return Lost(SILENT, node=True)
    if "OutOfMemory" in type(error).__name__ or "running low on memory" in text or MONITOR in text:
        return Lost(MONITOR, out_of_memory=True)
    return Lost(_ours(error) or otherwise)


def silence(seconds: float) -> Lost:
    """Why a worker was killed that had shown no sign of life for so long."""
    return Lost(f"no sign of life from its worker for {seconds:.0f} s, so it was killed")


def _ours(error: object) -> str:
    """The last line of what this project's code raised in the worker; "" if it was Ray's.

    Ray's own sentences ("Task was cancelled", "Should not have reached here") help nobody.
    """
    cause = getattr(error, "cause", None)
    if cause is None or type(cause).__module__.startswith("ray"):
        return ""
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[-1]}" if lines else type(cause).__name__


def error_of(trial: Any) -> object:
    """What ended a Ray trial. Ray's own `get_error` looks in the storage, to which the files have not been copied yet."""
    from ray import cloudpickle

    with contextlib.suppress(OSError, TypeError, AttributeError, EOFError):
        return cloudpickle.loads(
            Path(trial.pickled_error_file).read_bytes()
        )  # this process has just written it
    with contextlib.suppress(OSError, TypeError):
        return Path(trial.error_file).read_text()
    return None
