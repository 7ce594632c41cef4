"""The ledger: an append-only file of events, one JSON object per line.

Everything else about a run can be rebuilt from it. Each line carries its number and a checksum, so
that a line that was lost, swapped, repeated or changed is found and named. A killed process may
leave a last line without a line end: it is dropped, and `Ledger.torn` is true. Numbers that JSON
lacks are written as the strings "NaN", "Infinity" and "-Infinity"; surrogates, which UTF-8 cannot
encode, are written as JSON escapes. A line has reached the operating system when `append` returns,
so that a killed process loses nothing, and the disk at most a second later.
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
"""The longest that an appended line waits for an fsync, in seconds, while events keep coming. An
fsync after each event would take longer than the event itself on most disks."""
LOCK_ATTEMPTS, LOCK_SECONDS = 5, 0.02
"""How often a lock that is held is tried, and how long after each time, in seconds."""
_FLOATS_BY_NAME = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_NAMES = {str(value): name for name, value in _FLOATS_BY_NAME.items()}


class LedgerError(UserError):
    """The ledger cannot be read. The message names the line."""


class LedgerLockedError(UserError):
    """Another process is writing to this run directory."""


class Ledger:
    """The ledger of a run directory, open for appending. Only one process may hold it.

    past: the events that it held when it was opened. torn: true if an incomplete last line was
    dropped. Raises LedgerLockedError or LedgerError.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder / "lock")
        try:
            # Read only under the lock: before it, another process may still append.
            path = self._path = folder / NAME
            self.past, self.torn, self._length = _read(path)
            # Without a buffer, so that a line is with the operating system when `write` returns.
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115
            # An incomplete last line goes first, or the next event would be glued to it.
            self._file.truncate(self._length)
            self._inode = os.fstat(self._file.fileno()).st_ino
        except BaseException:
            self._lock.close()
            raise
        self._count = len(self.past)
        self._synced = time.monotonic()

    def append(self, event: Event) -> None:
        """Write one event. If it cannot be stored, raise OSError and leave the ledger unchanged."""
        line = encode(event, self._count)
        self._check_inode()
        try:
            if self._file.write(line) != len(line):
                # An unbuffered write to a full disk may store a part and raise nothing.
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            self._drop_partial_line()
            raise
        self._length += len(line)
        self._count += 1
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Wait until everything that was appended is on the disk."""
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Sync, close the file and release the lock. May be called more than once."""
        if not self._file.closed:
            with contextlib.suppress(OSError):  # a failing disk already failed an `append`
                self.sync()
            self._file.close()
        self._lock.close()

    def _check_inode(self) -> None:
        """Raise OSError if the file was moved, deleted or unmounted.

        The open file would still accept lines, but nobody could find them again.
        """
        # `os.stat` itself raises if there is no file any more.
        if os.stat(self._path).st_ino != self._inode:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    def _drop_partial_line(self) -> None:
        """Drop the part of a line that fitted on a full disk."""
        with contextlib.suppress(OSError):  # if this fails too, the next reader drops the part
            self._file.truncate(self._length)


def read(folder: Path) -> list[Event]:
    """Read the events of a run directory without locking it, so a running sweep can be read.

    Raises LedgerError if a line is damaged, or if the file cannot be read.
    """
    try:
        return _read(folder / NAME)[0]
    except OSError as error:
        raise LedgerError(f"{folder / NAME} cannot be read: {error.strerror or error}") from None


def is_locked(folder: Path) -> bool:
    """True if a process is writing to this run directory."""
    try:
        with open(folder / "lock", "rb") as file:
            # A shared lock: several processes may ask at once, and none takes another for a writer.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:  # flock: another process holds the exclusive lock
        return True
    return False


def encode(event: Event, number: int) -> bytes:
    """Encode an event as line `number` of a ledger, with its line end."""
    content = {"n": number, **_with_special_floats_as_text(event)}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # "backslashreplace" writes a surrogate as `\udcff`, which is its escape in JSON too.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f'{text[:-1]},"crc":"{_checksum(text)}"}}\n'.encode()


def decode(line: bytes, number: int) -> Event:
    """Decode line `number`. Raises ValueError, with the reason, if it is damaged or misplaced."""
    text = line.decode("utf-8")
    # From the right, because a configuration may have a key of this name too.
    body, separator, rest = text.rpartition(',"crc":"')
    if not separator or rest != f'{_checksum(body + "}")}"}}':
        raise ValueError("the line is damaged: its checksum does not match")
    event: Event = json.loads(body + "}")
    if event.pop("n") != number:
        raise ValueError(f"a line is missing, repeated or out of order: expected number {number}")
    return _with_special_floats(translate_event(event))


def _checksum(text: str) -> str:
    """The CRC-32 of a line's JSON, as eight hexadecimal digits."""
    return f"{zlib.crc32(text.encode()):08x}"


def _read(path: Path) -> tuple[list[Event], bool, int]:
    """The events, whether the last line is incomplete, and the bytes before such a line."""
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
    if isinstance(error, UnicodeDecodeError):
        return "the line is damaged: not UTF-8"
    return str(error)


def _with_special_floats_as_text(value: Any) -> Any:
    """A copy of plain data in which NaN and infinities are strings."""
    if isinstance(value, float) and not math.isfinite(value):
        # `str` gives "nan", "inf" or "-inf".
        return _FLOAT_NAMES[str(value)]
    if isinstance(value, dict):
        return {key: _with_special_floats_as_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_special_floats_as_text(item) for item in value]
    return value


def _with_special_floats(event: Event) -> Event:
    """Turn the strings for NaN and infinities in a report into floats again.

    Other events are left alone: a configuration may hold the string "NaN" as a value.
    """
    if event.get("event") == "reported":
        event["loss"] = _number(event["loss"])
        event["metrics"] = {name: _number(value) for name, value in event["metrics"].items()}
        for key in ("losses", "excesses"):  # of a sweep with several metrics
            if key in event:
                event[key] = [_number(value) for value in event[key]]
    return event


def _number(value: Any) -> Any:
    if isinstance(value, str):
        return _FLOATS_BY_NAME.get(value, value)
    return value


def _try_lock(file: BinaryIO) -> bool:
    """Lock a file for this process; False if another process holds it.

    Whoever asks by `is_locked` holds it for an instant, which is no reason to give up.
    """
    for _ in range(LOCK_ATTEMPTS):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(LOCK_SECONDS)
    return False


def _lock(path: Path) -> BinaryIO:
    """Lock a run directory for this process, or raise LedgerLockedError with the holder's name.

    The lock lasts until the returned file is closed or the process ends.
    """
    # Mode "a+b" makes the file but keeps what is in it: the holder's name, for the message.
    file = open(path, "a+b")  # noqa: SIM115
    if not _try_lock(file):
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "another process"
        file.close()
        raise LedgerLockedError(f"{path.parent} is held by {holder}") from None
    file.truncate(0)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {now}".encode())
    file.flush()
    return file
