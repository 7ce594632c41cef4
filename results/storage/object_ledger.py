"""A ledger in object storage: `ledger/<first>-<last>`, objects of one line or more. One after the other they are a `ledger.jsonl`.

An event is one object, written before `append` returns. Many small objects become one large one from time to time; until the small ones
are deleted both are there, and a reader takes the large one. A copy is kept in the folder that the session works in.
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

from raysweep.results.storage.ledger import NAME, Event, Ledger, LedgerError, LedgerHeld, encode
from raysweep.results.storage.object_store import ObjectStore

FOLDER, LOCK = "ledger", "lock"
MERGED = 200
BEAT_SECONDS = 10.0
DEAD_SECONDS = 60.0
READERS = 16
RETRIES = 5


class StoredLedger:
    """The ledger of a run in object storage, open for appending, with a copy in `folder`. Only one process may hold it."""

    def __init__(self, folder: Path, bucket: ObjectStore) -> None:
        self.torn = False
        self._bucket = bucket
        self._lock = Lock(bucket)
        try:
            (folder / NAME).write_bytes(read(bucket))
            self._copy = Ledger(folder)
        except BaseException:
            self._lock.release()
            raise
        self.past = self._copy.past
        self._count = len(self.past)
        self._loose: list[bytes] = []
        self._pool = ThreadPoolExecutor(1)

    def append(self, event: Event) -> None:
        """Write one event. Raises OSError where it cannot be stored."""
        self._lock.check()
        line = encode(event, self._count)
        self._bucket.write(name(self._count, self._count), line)
        self._copy.append(event)
        self._count += 1
        self._loose.append(line)
        if len(self._loose) == MERGED:
            self._pool.submit(self._merge, self._count - MERGED, self._loose)
            self._loose = []

    def _merge(self, first: int, lines: list[bytes]) -> None:
        with contextlib.suppress(OSError):  # the small ones stay: nothing is lost
            self._bucket.write(name(first, first + len(lines) - 1), b"".join(lines))
            for number in range(first, first + len(lines)):
                self._bucket.delete(name(number, number))

    def sync(self) -> None:
        """Nothing: an object that was written is stored."""

    def close(self) -> None:
        if len(self._loose) > 1:
            self._pool.submit(self._merge, self._count - len(self._loose), self._loose)
            self._loose = []
        self._pool.shutdown()
        self._copy.close()
        self._lock.release()


def name(first: int, last: int) -> str:
    """The object of these lines."""
    return f"{FOLDER}/{first:09d}-{last:09d}"


def read(bucket: ObjectStore) -> bytes:
    """All lines, as a `ledger.jsonl` holds them. LedgerError where some are missing."""
    for more in reversed(range(RETRIES)):  # a reader may meet a merge
        try:
            chosen = cover([span for one in bucket.sizes(FOLDER) if (span := _span(one))])
        except LedgerError:  # no list of many objects is of one moment: the small ones may be gone, and the large one not there yet
            if more:
                continue
            raise
        with ThreadPoolExecutor(READERS) as pool:
            parts = list(pool.map(lambda span: bucket.read(name(*span)), chosen))
        if all(part is not None for part in parts):
            return b"".join(part for part in parts if part is not None)
    raise LedgerError(f"{bucket.url}/{FOLDER}: its objects vanish while they are read")


def cover(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The largest spans that tell everything once. LedgerError where a number is in none."""
    chosen: list[tuple[int, int]] = []
    following = 0
    for first, last in sorted(spans, key=lambda span: (span[0], -span[1])):
        if last < following:
            continue
        if first != following:
            raise LedgerError(f"{FOLDER}: event {following} is missing")
        chosen.append((first, last))
        following = last + 1
    return chosen


def _span(path: str) -> tuple[int, int] | None:
    found = re.fullmatch(rf"{FOLDER}/(\d+)-(\d+)", path)
    return (int(found[1]), int(found[2])) if found else None


class Lock:
    """Says in the store that this process writes to a run. LedgerHeld where another one does, and was heard of in the last minute.

    Object stores know no locks: two sessions that begin within the same second could both hold it. Whoever finds the other's name there
    at the next heartbeat stops.
    """

    def __init__(self, bucket: ObjectStore) -> None:
        self._bucket = bucket
        self._mine = {
            "host": socket.gethostname(),
            "boot": _boot(),
            "process": os.getpid(),
            "key": uuid.uuid4().hex,
        }
        self._taken = ""
        self._end = threading.Event()
        if holder := _living(bucket.read(LOCK)):
            raise LedgerHeld(f"{bucket.url} is held by {holder}")
        self._write()
        threading.Thread(target=self._beat, daemon=True).start()

    def check(self) -> None:
        """Raise OSError where another session has taken the run."""
        if self._taken:
            raise OSError(errno.EBUSY, f"another session has taken the run: {self._taken}")

    def release(self) -> None:
        self._end.set()
        if not self._taken:
            with contextlib.suppress(OSError):
                self._bucket.delete(LOCK)

    def _write(self) -> None:
        self._bucket.write(LOCK, json.dumps(self._mine | {"time": time.time()}).encode())

    def _beat(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError, ValueError):  # the next time
                content = self._bucket.read(LOCK)
                if content is not None and json.loads(content)["key"] != self._mine["key"]:
                    self._taken = _named(json.loads(content))
                    return
                if not self._end.is_set():
                    self._write()


def held(bucket: ObjectStore) -> bool:
    """Whether a process is writing to this run."""
    return bool(_living(bucket.read(LOCK)))


def _living(content: bytes | None) -> str:
    """Who holds a lock, in words; "" for nobody: a process of this machine that has ended, or one that has long been silent."""
    if content is None:
        return ""
    said = json.loads(content)
    silent = time.time() - said["time"]
    here = (said["host"], said["boot"]) == (socket.gethostname(), _boot())
    if silent > DEAD_SECONDS or (here and not Path(f"/proc/{said['process']}").exists()):
        return ""
    return f"{_named(said)}, heard of {silent:.0f} s ago; if it was killed, its hold ends {DEAD_SECONDS:.0f} s after that"


def _named(said: dict[str, object]) -> str:
    return f"process {said['process']} on {said['host']}"


def _boot() -> str:
    place = Path("/proc/sys/kernel/random/boot_id")
    return place.read_text().strip() if place.exists() else ""
