"""For the case that this machine's Ray dies while the driver is deep in one of Ray's calls, from which it would not come back in time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 1.0
GRACE_SECONDS = 8.0
"""So long the driver has to notice by itself. Ray would wait for a minute, and then abort the process."""


@contextmanager
def watchdog(dead: Callable[[], str], end: Callable[[str], None], code: int) -> Iterator[None]:
    """While the body runs: where `dead` names what died, and the body goes on all the same, call `end` with it and exit with `code`."""
    done = threading.Event()
    threading.Thread(
        target=_watch, args=(dead, end, code, done), name="watchdog", daemon=True
    ).start()
    try:
        yield
    finally:
        done.set()


def _watch(
    dead: Callable[[], str], end: Callable[[str], None], code: int, done: threading.Event
) -> None:
    while not done.wait(LOOK_SECONDS):
        if dead() and not done.wait(GRACE_SECONDS):
            end(dead())
            os._exit(code)
