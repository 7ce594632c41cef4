"""Sets up a trial's process, with its seeds and its threads, and measures the memory that it holds.

Each trial has a process of its own (`trainables/runtime/template.py`), so nothing has to be reset
after the trial before it.
"""

from __future__ import annotations

import os
import random
import resource
from pathlib import Path


def prepare(seed: int, threads: int) -> None:
    """Seed every random-number generator, and have torch compute on so many threads."""
    import torch

    torch.set_num_threads(threads)
    seed_generators(seed)


def seed_generators(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch with `seed`, 0 .. 2**32 - 1."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def gpu_memory() -> tuple[int, int]:
    """The most that torch has allocated on this trial's GPU, and what the device has, in bytes.

    Both are 0 if there is no such device.
    """
    import torch

    if not torch.cuda.is_available():
        return 0, 0
    total = torch.cuda.get_device_properties(0).total_memory
    return torch.cuda.max_memory_allocated(), total


def private() -> int:
    """The resident memory that is the process's own, in bytes.

    Shared pages (libraries, files, what the process was forked with) come and go by themselves.
    """
    if not os.path.exists("/proc/self/statm"):
        return resident()
    held, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(held) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """The process's resident memory in bytes."""
    if not os.path.exists("/proc/self/statm"):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
