"""Why a worker was lost: by itself, or because the machine ran out of memory (then Ray's monitor or the kernel killed it)."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VMSTAT = Path("/proc/vmstat")
GONE = "its machine was lost"
SILENT = "its machine did not answer"
MONITOR = "out of memory on the host, killed by Ray's memory monitor"


@dataclass(frozen=True)
class Lost:
    """`memory`: bytes that the worker held when it was killed, where Ray tells. `node`: the whole machine was lost."""

    reason: str
    out_of_memory: bool = False
    memory: int | None = None
    node: bool = False


def lost(error: object, kernel_killed: bool) -> Lost:
    """What Ray's error says, or one of ours that says what Ray's said.

    `kernel_killed`: this machine's kernel killed a process for its memory since the last loss.
    """
    text = str(error) if error else ""
    if getattr(error, "preempted", False) or any(
        words in text for words in ("node has died", "node was terminated", GONE)
    ):
        return Lost(GONE, node=True)
    if "temporarily unavailable" in text or SILENT in text:
        return Lost(SILENT, node=True)
    if "OutOfMemory" in type(error).__name__ or "running low on memory" in text or MONITOR in text:
        used = re.search(r"actual memory used=([\d.]+)GB", text)
        memory = int(float(used[1]) * 1024**3) if used else None
        return Lost(MONITOR, True, memory)
    if kernel_killed:
        return Lost("out of memory on the host, killed by the kernel", True)
    ours = str(
        getattr(error, "cause", None) or text
    )  # Ray puts a traceback before what a worker raised
    lines = [line.strip() for line in ours.splitlines() if line.strip()]
    return Lost(lines[0] if lines else "no reason given")


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


def kernel_kills() -> int:
    """How many processes this machine's kernel has killed for their memory since it started; 0 where it does not say."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
