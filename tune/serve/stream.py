"""Server-sent events: which runs have changed, as soon as it is known.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

KEEP_OPEN_SECONDS = 15.0
"""Seconds of silence after which a comment is sent, so that nothing between closes a connection."""


class Subscriber:
    """One open connection. What it has not been sent yet is kept once for each run, so a slow
    client costs no memory. run: the only run that it asks about, or None for all."""

    def __init__(self, run: str | None) -> None:
        self.run = run
        self.pending: dict[str, int] = {}
        self.wake = asyncio.Event()


class Feed:
    """Tells the open connections which runs have changed."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closing = False

    def open(self) -> None:
        """Begin, in the event loop that serves the connections."""
        self._loop = asyncio.get_running_loop()

    def changed(self, run: str, version: int) -> None:
        """Say that a run has changed. Any thread may call it."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell, run, version)

    def close(self) -> None:
        """End all connections. Any thread may call it, and a signal handler."""
        self._is_closing = True
        self.changed("", 0)

    def _tell(self, run: str, version: int) -> None:
        for subscriber in self._subscribers:
            if run and subscriber.run in (None, run):
                subscriber.pending[run] = version
            subscriber.wake.set()

    async def stream(self, run: str | None) -> AsyncIterator[str]:
        """The events of one connection, until the server ends or the client goes."""
        subscriber = Subscriber(run)
        self._subscribers.add(subscriber)
        try:
            yield ": raysweep\n\n"  # at once, so that the client knows that it is connected
            while not self._is_closing:
                if not await _woken(subscriber.wake):
                    yield ":\n\n"
                subscriber.wake.clear()
                pending, subscriber.pending = subscriber.pending, {}
                for name, version in pending.items():
                    data = json.dumps({"run": name, "version": version})
                    yield f"event: changed\ndata: {data}\n\n"
        finally:
            self._subscribers.discard(subscriber)


async def _woken(wake: asyncio.Event) -> bool:
    """Wait until there is something to send; False if there was nothing for a while."""
    try:
        await asyncio.wait_for(wake.wait(), KEEP_OPEN_SECONDS)
    except TimeoutError:
        return False
    return True
