"""The memory of a process whose tensors are those of several trials."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of `mallopt`, from glibc's `malloc.h`."""
MOST_KEPT, LARGEST_KEPT = 2**30, 2**25
"""Bytes that a process keeps of what it has freed, and of what size at most; glibc allows no more
than 32 MiB."""


@cache
def keep_freed_memory() -> None:
    """Have this process use freed memory again, instead of giving it back to the system.

    The tensors of several trials are so large that the C library would get the memory of each
    anew, page by page, which can take a third of a step. Without glibc, nothing changes.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT)
