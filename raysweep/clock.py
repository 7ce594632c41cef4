"""The clock of a session: Unix seconds that never run backwards, whatever is done to the machine's clock meanwhile."""

from __future__ import annotations

import time


def _elapsed() -> float:
    """Seconds since the machine started, those in which it was suspended included where the system counts them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


_OFFSET = time.time() - _elapsed()
"""What the machine's clock showed when this process started, less the time since the machine's start."""


def now() -> float:
    """Unix seconds: the machine's clock as it stood when this process started, and what has passed since."""
    return _OFFSET + _elapsed()
