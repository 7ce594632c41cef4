"""A file that another process appends to, or writes anew."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 2**26
"""The most that is read of a file at once: 64 MiB."""


class GrowingFile:
    """Reads what was appended to a file since the last call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.was_replaced = False
        """True if the last call found a shorter file, or another one in its place. It has read that
        from the beginning."""
        self._offset = 0
        self._identity: tuple[int, int] | None = None

    def read(self) -> bytes:
        """The new bytes; b"" if there are none, or if the file cannot be read."""
        self.was_replaced = False
        try:
            with open(self.path, "rb") as file:
                return self._read(file)
        except OSError:  # it does not exist yet, or a network drive is away for a moment
            return b""

    def _read(self, file: BinaryIO) -> bytes:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino)
        if self._identity is not None:
            self.was_replaced = identity != self._identity or status.st_size < self._offset
        self._identity = identity
        if self.was_replaced:
            self._offset = 0
        file.seek(self._offset)
        content = file.read(MOST_BYTES)
        self._offset += len(content)
        return content

    def skip(self) -> None:
        """Leave out what the file has now."""
        try:
            status = self.path.stat()
        except OSError:
            return
        self._identity, self._offset = (status.st_dev, status.st_ino), status.st_size
