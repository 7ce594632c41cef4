"""What keeps one trial from reaching into the next one in a worker that is used again.

A worker's process lives on from trial to trial, so that a second trial pays no import. `fresh` puts back what a train function may
have left changed; `grown` tells when a worker holds so much more memory than at its first trial that it had better be replaced.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import resource
from dataclasses import dataclass
from pathlib import Path

MOST_GROWTH = 2 * 1024**3
"""Bytes of resident memory that a worker may gain between trials before it is replaced."""


@dataclass(frozen=True)
class Surroundings:
    """The process as the first trial found it."""

    folder: str
    environment: dict[str, str]
    memory: int


_first: Surroundings | None = None
_imported: set[str] = set()


def fresh(seed: int, threads: int) -> None:
    """Bring the process back to how its first trial found it, seed every generator with `seed` (0 .. 2**32 - 1), compute on `threads`."""
    import numpy as np
    import torch

    global _first
    if _first is None:
        _first = Surroundings(os.getcwd(), dict(os.environ), resident())
        gc.freeze()  # what was imported by now is never garbage: looking through it again costs 0.15 s a trial
    os.chdir(_first.folder)
    os.environ.clear()
    os.environ.update(_first.environment)
    for child in multiprocessing.active_children():
        child.kill()
        child.join()
    _reset_torch(threads)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def imported(trainable: str) -> None:
    """Called once a train function is there: what its import brought is never garbage either, and is not looked through again."""
    if trainable not in _imported:
        _imported.add(trainable)
        gc.freeze()


def gpu_memory() -> tuple[int, int]:
    """The most that torch has allocated on this trial's GPU, and what the device has, in bytes; 0 where there is no such device."""
    import torch

    if not torch.cuda.is_available():
        return 0, 0
    return torch.cuda.max_memory_allocated(), torch.cuda.get_device_properties(0).total_memory


def _reset_torch(threads: int) -> None:
    import torch

    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)
    torch.autograd.set_detect_anomaly(False)
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False
    torch.backends.cudnn.benchmark = False
    torch.set_float32_matmul_precision("highest")


def grown() -> bool:
    """Whether this worker holds `MOST_GROWTH` more than at its first trial."""
    return _first is not None and resident() - _first.memory > MOST_GROWTH


def private() -> int:
    """What of the resident memory is the process's own, in bytes: without libraries and files, whose pages come and go."""
    if not os.path.exists("/proc/self/statm"):
        return resident()
    held, shared = Path("/proc/self/statm").read_text().split()[1:3]
    return (int(held) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """The process's resident memory in bytes."""
    pages = (
        int(Path("/proc/self/statm").read_text().split()[1])
        if os.path.exists("/proc/self/statm")
        else 0
    )
    return (
        pages * os.sysconf("SC_PAGE_SIZE")
        if pages
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
