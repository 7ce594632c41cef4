"""What the kernel did to processes when this machine ran out of memory."""

from __future__ import annotations

import re
from pathlib import Path

VMSTAT = Path("/proc/vmstat")


def kernel_kills() -> int:
    """How many processes the kernel has killed for memory since the machine started.

    0 if it does not say.
    """
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
