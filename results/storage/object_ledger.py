"""A ledger in object storage: objects named `ledger/<first>-<last>`, each of one line or more.

In the order of their names they are the lines of a `ledger.jsonl`. An event is written as an object
of its own before `append` returns. From time to time many small objects are merged into one large
object; until the small objects are deleted both exist, and a reader takes the large one. A copy of
the ledger is kept in the mirror that the session works in.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from raysweep.results.storage.ledger import (
    NAME,
    Event,
    Ledger,
    LedgerError,
    LedgerLockedError,
    encode,
)
from raysweep.results.storage.object_store import ObjectStore

FOLDER, LOCK = "ledger", "lock"
MERGE_LINES = 200
"""Lines in a merged object. A reader then needs about one request for each hundred events."""
HEARTBEAT_SECONDS = 10.0
"""How often, in seconds, a session renews its lock."""
LOCK_TIMEOUT_SECONDS = 60.0
"""A lock that was not renewed for this many seconds (six heartbeats) is free."""
READ_THREADS = 16
"""Objects that are read at once. A request takes some 50 ms, nearly all of it waiting."""
READ_ATTEMPTS = 5
"""How often a reader that met a merge lists the objects before it gives up."""


class StoredLedger:
    """The ledger of a run in object storage, open for appending, with a copy in `folder`.

    Only one process may hold it: raises LedgerLockedError if another one does.
    """

    def __init__(self, folder: Path, store: ObjectStore) -> None:
        self.torn = False
        self._store = store
        self._lock = Lock(store)
        try:
            # Read only under the lock: before it, another session may still append.
            (folder / NAME).write_bytes(read(store))
            self._copy = Ledger(folder)
        except BaseException:
            self._lock.release()
            raise
        self.past = self._copy.past
        self._count = len(self.past)
        self._unmerged: list[bytes] = []
        # One thread, so that merges end in the order in which they were begun.
        self._pool = ThreadPoolExecutor(1)

    def append(self, event: Event) -> None:
        """Write one event. Raises OSError if it cannot be stored."""
        self._lock.check()
        line = encode(event, self._count)
        # The store first: an event counts once it is there, and the copy follows.
        self._store.write(object_name(self._count, self._count), line)
        self._copy.append(event)
        self._count += 1
        self._unmerged.append(line)
        if len(self._unmerged) == MERGE_LINES:
            self._start_merge()

    def sync(self) -> None:
        """Do nothing: an object is durable as soon as it is written."""

    def close(self) -> None:
        """Merge what is left, close the copy and release the lock."""
        if len(self._unmerged) > 1:
            self._start_merge()
        self._pool.shutdown()
        self._copy.close()
        self._lock.release()

    def _start_merge(self) -> None:
        first = self._count - len(self._unmerged)
        self._pool.submit(self._merge, first, self._unmerged)
        self._unmerged = []

    def _merge(self, first: int, lines: list[bytes]) -> None:
        with contextlib.suppress(OSError):  # the small objects stay, so nothing is lost
            # The large object is there before the first small one goes: no event is ever missing.
            self._store.write(object_name(first, first + len(lines) - 1), b"".join(lines))
            for number in range(first, first + len(lines)):
                self._store.delete(object_name(number, number))


def object_name(first: int, last: int) -> str:
    """The name of the object that holds the events `first` to `last`."""
    return f"{FOLDER}/{first:09d}-{last:09d}"


def read(store: ObjectStore, first: int = 0) -> bytes:
    """The lines from event `first` on, as a `ledger.jsonl` would hold them.

    Raises LedgerError if some are missing.
    """
    for attempts_left in reversed(range(READ_ATTEMPTS)):
        try:
            chosen = cover([span for name in store.sizes(FOLDER) if (span := _span(name))])
        except LedgerError:
            # A listing is not atomic. During a merge it may miss the small objects, which are
            # deleted already, and the large object, which was not yet there at its beginning.
            if attempts_left:
                continue
            raise
        chosen = [span for span in chosen if span[1] >= first]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            parts = list(pool.map(lambda span: store.read(object_name(*span)), chosen))
        # A part is None if a merge deleted it after it was listed: then list again.
        if all(part is not None for part in parts):
            content = b"".join(part for part in parts if part is not None)
            known = max(0, first - chosen[0][0]) if chosen else 0
            return b"".join(content.splitlines(keepends=True)[known:])
    raise LedgerError(f"{store.url}/{FOLDER}: its objects vanish while they are read")


def cover(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Choose the largest objects that hold every event once, in order.

    spans: first and last event of each object. Raises LedgerError if an event is in none of them.
    """
    chosen: list[tuple[int, int]] = []
    following = 0
    # Of objects that begin with the same event the largest comes first, and hides the others.
    for first, last in sorted(spans, key=lambda span: (span[0], -span[1])):
        if last < following:
            continue
        if first != following:
            raise LedgerError(f"{FOLDER}: event {following} is missing")
        chosen.append((first, last))
        following = last + 1
    return chosen


def is_locked(store: ObjectStore) -> bool:
    """True if a process is writing to this run."""
    return bool(_holder(store.read(LOCK)))


class Lock:
    """An object in the store that says which process writes to a run.

    Raises LedgerLockedError if another process renewed it within the last minute. Object stores
    have no locks: two sessions that begin within the same second could both hold it. The session
    that finds the other's key at its next heartbeat stops.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._mine = {
            "host": socket.gethostname(),
            "boot": _boot_id(),
            "process": os.getpid(),
            "key": uuid.uuid4().hex,
        }
        self._taken_by = ""
        self._released = threading.Event()
        if holder := _holder(store.read(LOCK)):
            raise LedgerLockedError(f"{store.url} is held by {holder}")
        self._write()
        # A daemon: a lock that nobody releases must not keep the process from ending.
        threading.Thread(target=self._renew, daemon=True).start()

    def check(self) -> None:
        """Raise OSError if another session has taken the run."""
        if self._taken_by:
            raise OSError(errno.EBUSY, f"another session has taken the run: {self._taken_by}")

    def release(self) -> None:
        """Stop renewing the lock, and delete it if it is still ours."""
        self._released.set()
        if not self._taken_by:
            with contextlib.suppress(OSError):  # it times out by itself
                self._store.delete(LOCK)

    def _write(self) -> None:
        self._store.write(LOCK, json.dumps(self._mine | {"time": time.time()}).encode())

    def _renew(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError, ValueError):  # the next heartbeat tries again
                content = self._store.read(LOCK)
                if content is not None and json.loads(content)["key"] != self._mine["key"]:
                    self._taken_by = _describe(json.loads(content))
                    return
                # Asked again, because reading takes time: a lock that was released meanwhile
                # must not be written once more.
                if not self._released.is_set():
                    self._write()


def _span(name: str) -> tuple[int, int] | None:
    """The first and last event of an object; None if it is not a part of a ledger."""
    found = re.fullmatch(rf"{FOLDER}/(\d+)-(\d+)", name)
    if found is None:
        return None
    return int(found[1]), int(found[2])


def _holder(content: bytes | None) -> str:
    """The living process that a lock names, in words; "" if there is no such process.

    A process of this machine that has ended does not count, nor does a lock that timed out.
    """
    if content is None:
        return ""
    lock = json.loads(content)
    silent = time.time() - lock["time"]
    is_local = (lock["host"], lock["boot"]) == (socket.gethostname(), _boot_id())
    if silent > LOCK_TIMEOUT_SECONDS:
        return ""
    if is_local and not Path(f"/proc/{lock['process']}").exists():
        return ""
    return (
        f"{_describe(lock)}, last heard of {silent:.0f} s ago; if it was killed, "
        f"the lock expires {LOCK_TIMEOUT_SECONDS:.0f} s after that"
    )


def _describe(lock: dict[str, object]) -> str:
    return f"process {lock['process']} on {lock['host']}"


def _boot_id() -> str:
    """A text that differs between boots, so that a process number is not taken for an old one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # only Linux has this file
        return ""
