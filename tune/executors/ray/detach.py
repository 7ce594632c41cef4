"""Starting a local Ray out of reach of the signals that are meant for the driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial


@contextmanager
def own_session() -> Iterator[None]:
    """Have Ray start its processes in a session of their own, and so in another process group.

    `timeout`, job schedulers, and a shell at Ctrl-C send their signals to the whole process group.
    Ray's processes would end at once, and the running epochs with them; the driver ends them in
    order. They still die with the driver, because the kernel kills them then (PR_SET_PDEATHSIG,
    Ray's `fate_share`).

    `ConsolePopen` is private to Ray 2.60, which has no option for this. tests/test_signals.py
    fails if another version changes it.
    """
    from ray._private import services

    before = services.ConsolePopen
    services.ConsolePopen = partial(before, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = before
