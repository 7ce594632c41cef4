"""A ledger that is followed while a session appends to it, without its lock.

Each look reads only what was appended since the last one.
"""

from __future__ import annotations

import os
from pathlib import Path

from raysweep.results.storage.ledger import NAME, Event, LedgerError, decode

CHUNK_BYTES = 2**20
"""How much of a ledger is read at once: some 5,000 events, a tenth of a second of work."""


class ReplacedError(Exception):
    """The ledger is another file than before, or lost lines: it is to be read from its start."""


class LedgerTail:
    """Reads the events of a run directory as they come.

    count: the events that were read so far. at_end: the last look found nothing more than, perhaps,
    a line without its end.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._offset = 0
        self._inode: int | None = None
        self.count = 0
        self.at_end = False

    def read(self) -> list[Event]:
        """The next events, of about `CHUNK_BYTES`; [] if there are none yet.

        Raises ReplacedError, OSError, or LedgerError at a damaged line, once the lines before it
        have been read.
        """
        events = []
        for line in self._next_lines():
            try:
                events.append(decode(line, self.count))
            except (ValueError, KeyError, AttributeError, RecursionError) as error:
                self.at_end = False
                if events:
                    break  # the next call begins with this line
                reason = "the line is damaged: not UTF-8"
                if not isinstance(error, UnicodeDecodeError):
                    reason = str(error)
                raise LedgerError(f"{self._path}:{self.count + 1}: {reason}") from None
            self.count += 1
            self._offset += len(line) + 1
        return events

    def _next_lines(self) -> list[bytes]:
        """Whole lines behind those that were read, without their ends."""
        with open(self._path, "rb") as file:
            state = os.fstat(file.fileno())
            if self._inode not in (None, state.st_ino) or state.st_size < self._offset:
                raise ReplacedError
            self._inode = state.st_ino
            file.seek(self._offset)
            content = file.read(CHUNK_BYTES)
            if b"\n" not in content:  # a line that is longer, as of a thousand configurations
                content += file.read()
        self.at_end = self._offset + len(content) >= state.st_size
        return content.split(b"\n")[:-1]
