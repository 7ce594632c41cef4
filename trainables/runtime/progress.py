"""Whether a trial's process makes any progress at all: for `hang_after`, which is off by default.

How long an epoch takes says nothing: a large data set, or an evaluation that runs every third
epoch, is slow and not dead. What hangs (a deadlock, a lost network drive, a collective operation
whose partner is gone) computes nothing, reads nothing and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

LEAST_CPU = 0.01
"""Seconds of CPU time for each second of a span in which something was computed. Threads that
wait with a time-out, as those of tqdm or of a DataLoader, take less."""
LEAST_BYTES = 1024.0
"""Bytes read and written for each second of a span in which there was input or output."""
SPAN_SECONDS = 10.0


@dataclass(frozen=True)
class Usage:
    """What a process and all that it started have used so far."""

    cpu: float
    """Seconds."""
    bytes: float
    """Read and written, whatever the file or socket."""


def usage(pid: int) -> Usage:
    """What the process and its descendants have used; of those that have ended, nothing."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return Usage(0.0, 0.0)
    cpu = total = 0.0
    for one in family:
        try:
            times, counters = one.cpu_times(), one.io_counters()
        except (psutil.Error, AttributeError):  # it has just ended; macOS has no counters
            continue
        cpu += times.user + times.system
        total += counters.read_chars + counters.write_chars
    return Usage(cpu, total)


@dataclass
class Progress:
    """Follows one process. `gpu_busy`: whether its GPU has computed since the last look."""

    pid: int
    hang_after: float
    """Seconds without progress after which it hangs; 0 for never."""
    gpu_busy: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    measure: Callable[[int], Usage] = usage
    _looked: float = field(init=False)
    _moved: float = field(init=False)
    _used: Usage = field(init=False)

    def __post_init__(self) -> None:
        self.reported()
        self._used = self.measure(self.pid) if self.hang_after else Usage(0.0, 0.0)

    def reported(self) -> None:
        """It has said something: that is progress."""
        self._looked = self._moved = self.clock()

    def hangs(self) -> bool:
        """Whether it has made no progress for `hang_after` seconds. Asked every few seconds."""
        now = self.clock()
        span = now - self._looked
        if not self.hang_after or span < SPAN_SECONDS:
            return False
        used = self.measure(self.pid)
        computed = used.cpu - self._used.cpu >= LEAST_CPU * span
        wrote = used.bytes - self._used.bytes >= LEAST_BYTES * span
        if computed or wrote or self.gpu_busy():
            self._moved = now
        self._looked, self._used = now, used
        return now - self._moved >= self.hang_after
