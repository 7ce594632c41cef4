"""Detects a trial's process that makes no progress at all: for `hang_after`, off by default.

How long an epoch takes is no sign of it: a large data set, or an evaluation that runs every third
epoch, is slow and not dead. What hangs (a deadlock, a network drive that is gone, a collective
operation whose partner is gone) computes nothing, reads nothing and writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

LEAST_CPU = 0.01
"""Seconds of CPU time for each second of a span from which it counts as computing. Threads that
wait with a time-out, as those of tqdm or of a DataLoader, take less."""
LEAST_BYTES = 1024.0
"""Bytes read and written for each second of a span from which it counts as input or output."""
SPAN_SECONDS = 10.0
"""The shortest span over which usage is compared."""


@dataclass(frozen=True)
class Usage:
    """What a process and all that it started have used so far."""

    cpu: float
    """Seconds."""
    bytes: float
    """Bytes read and written, of files and sockets alike."""


def usage(pid: int) -> Usage:
    """What a process and its descendants have used. Those that have ended count nothing."""
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return Usage(0.0, 0.0)
    cpu = total = 0.0
    for process in processes:
        try:
            times, counters = process.cpu_times(), process.io_counters()
        except (psutil.Error, AttributeError):  # it has just ended; macOS has no counters
            continue
        cpu += times.user + times.system
        total += counters.read_chars + counters.write_chars
    return Usage(cpu, total)


@dataclass
class Progress:
    """Follows one process. `gpu_busy()` is True if its GPU has computed since the last call."""

    pid: int
    hang_after: float
    """Seconds without progress after which the process counts as hanging; 0 for never."""
    gpu_busy: Callable[[], bool]
    clock: Callable[[], float] = time.monotonic
    measure: Callable[[int], Usage] = usage
    _checked: float = field(init=False)
    _progressed: float = field(init=False)
    _used: Usage = field(init=False)

    def __post_init__(self) -> None:
        self.reported()
        self._used = Usage(0.0, 0.0)
        if self.hang_after:
            self._used = self.measure(self.pid)

    def reported(self) -> None:
        """Note a report, which is progress."""
        self._checked = self._progressed = self.clock()

    def hangs(self) -> bool:
        """True if it has made no progress for `hang_after` seconds. Called every few seconds."""
        now = self.clock()
        span = now - self._checked
        if not self.hang_after or span < SPAN_SECONDS:
            return False
        used = self.measure(self.pid)
        computed = used.cpu - self._used.cpu >= LEAST_CPU * span
        wrote = used.bytes - self._used.bytes >= LEAST_BYTES * span
        if computed or wrote or self.gpu_busy():
            self._progressed = now
        # Compared with the last check and not with the start: past work must not hide a hang.
        self._checked, self._used = now, used
        return now - self._progressed >= self.hang_after
