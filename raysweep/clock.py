"""The clock of a session: Unix seconds that never run backwards.

It ignores what is done to the machine's clock while the process runs.
"""

from __future__ import annotations

import time


def _elapsed() -> float:
    """Seconds since the machine started, with the time in which it was suspended on Linux."""
    # Linux alone has this clock. `time.monotonic` stands still there while a laptop sleeps.
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


# Once per process: a clock that somebody sets later must not make an event older than the last one.
_OFFSET = time.time() - _elapsed()
"""The Unix time at which the machine started, by its clock when this process started."""


def now() -> float:
    """The machine's clock when this process started plus the time since then, in Unix seconds."""
    return _OFFSET + _elapsed()
