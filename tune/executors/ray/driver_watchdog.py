"""Ends a driver whose Ray has died while it waits inside one of Ray's calls.

Such a call returns after a minute only, or aborts the process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 1.0
"""Seconds between two looks at Ray's processes."""
GRACE_SECONDS = 8.0
"""Seconds in which the driver may notice by itself. Ray would abort the process after a minute."""


@contextmanager
def watchdog(dead: Callable[[], str], end: Callable[[str], None], code: int) -> Iterator[None]:
    """Watch while the body runs.

    `dead` returns what has died, or "". If the body runs on all the same, `end` is called with
    that, and the process exits with `code`.
    """
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
