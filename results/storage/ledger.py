"""The ledger: an append-only file of events, one JSON object a line, from which everything else can
be rebuilt.

Each line carries its number and a checksum, so that a line that was lost, swapped, repeated or
changed is found and named. A last line without its end is what a killed process leaves behind: it
is dropped, and `Ledger.torn` says so. Numbers that JSON lacks are written as the strings "NaN",
"Infinity" and "-Infinity", and surrogates, which UTF-8 lacks, as JSON's escapes of them. Lines reach the
operating system before `append` returns (a killed process loses nothing) and the disk at most a
second later.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import socket
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from raysweep.errors import UserError
from raysweep.results.storage.old_versions import translate_event

Event = dict[str, Any]

NAME = "ledger.jsonl"
SYNC_SECONDS = 1.0
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class LedgerError(UserError):
    """A ledger that cannot be read, in one line that names the place."""


class LedgerHeld(UserError):
    """Another process is writing to this run folder."""


class Ledger:
    """The ledger of a run folder, open for appending. Only one process may hold it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _hold(folder / "lock")
        try:
            path = self._path = folder / NAME
            self.past, self.torn, self._length = _read(path)
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
            self._file.truncate(self._length)
            self._inode = os.fstat(self._file.fileno()).st_ino
        except BaseException:
            self._lock.close()
            raise
        self._count = len(self.past)
        self._synced = time.monotonic()

    def append(self, event: Event) -> None:
        """Write one event. Raises OSError where it cannot be stored; the ledger then ends with the event before."""
        line = encode(event, self._count)
        self._check_place()
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._cut()
            raise
        self._length += len(line)
        self._count += 1
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Have what was written on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        if not self._file.closed:
            with contextlib.suppress(OSError):  # whoever appended was told
                self.sync()
            self._file.close()
        self._lock.close()

    def _check_place(self) -> None:
        """Raise where the file was moved, deleted or unmounted: what is open still takes lines that nobody would find again."""
        if os.stat(self._path).st_ino != self._inode:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _cut(self) -> None:
        """Drop the half of a line that a full disk took; where even that fails, the next reader drops it."""
        with contextlib.suppress(OSError):
            self._file.truncate(self._length)


def read(folder: Path) -> list[Event]:
    """The events of a run folder, without holding it: a run that goes on may be read. LedgerError where a line is damaged."""
    return _read(folder / NAME)[0]


def held(folder: Path) -> bool:
    """Whether a process is writing to this run folder."""
    try:
        with open(folder / "lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def encode(event: Event, number: int) -> bytes:
    """An event as line `number` of a ledger, with its end."""
    text = json.dumps(
        {"n": number, **_plain(event)}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # `\udcff` is JSON's escape too
    return f'{text[:-1]},"crc":"{_checksum(text)}"}}\n'.encode()


def decode(line: bytes, number: int) -> Event:
    """The event in line `number`. ValueError, with the reason, where it is not that."""
    text = line.decode("utf-8")
    body, separator, rest = text.rpartition(',"crc":"')
    if not separator or rest != f'{_checksum(body + "}")}"}}':
        raise ValueError("the line is damaged: its checksum does not match")
    event: Event = json.loads(body + "}")
    if event.pop("n") != number:
        raise ValueError(f"a line is missing, repeated or out of order: expected number {number}")
    return _special(translate_event(event))


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _read(path: Path) -> tuple[list[Event], bool, int]:
    """Events, whether the last line was torn, and the length in bytes of what is whole."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], False, 0
    lines = content.split(b"\n")
    events = []
    for number, line in enumerate(lines[:-1]):
        try:
            events.append(decode(line, number))
        except ValueError as error:
            raise LedgerError(f"{path}:{number + 1}: {_reason(error)}") from None
    torn = bool(lines[-1])
    return events, torn, len(content) - len(lines[-1])


def _reason(error: ValueError) -> str:
    return "the line is damaged: not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _special(event: Event) -> Event:
    """Turn the special numbers of a report back; a configuration that holds the string "NaN" keeps it."""
    if event.get("event") == "reported":
        event["loss"] = _number(event["loss"])
        event["metrics"] = {name: _number(value) for name, value in event["metrics"].items()}
    return event


def _number(value: Any) -> Any:
    return _SPECIAL.get(value, value) if isinstance(value, str) else value


def _hold(path: Path) -> BinaryIO:
    """Lock a run folder for this process. LedgerHeld, naming the holder, where another has it."""
    file = open(path, "a+b")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "another process"
        file.close()
        raise LedgerHeld(f"{path.parent} is held by {holder}") from None
    file.truncate(0)
    file.write(
        f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode()
    )
    file.flush()
    return file
