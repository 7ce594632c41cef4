"""Counts the processes that the kernel has killed because this machine ran out of memory."""

from __future__ import annotations

import re
from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def kernel_kills() -> int:
    """How many processes the kernel has killed for memory since the machine started.

    0 if the kernel does not count them.
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        return 0
    if found is None:
        return 0
    return int(found[1])
