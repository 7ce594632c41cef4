"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_file(path: Path, *, fsync: bool = False) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the body ends.

    Readers see the old content or the new one, never a part. If the body raises, `path` stays as
    it was and nothing is left behind. The content is collected in a hidden file beside `path`,
    because a rename is atomic only within one file system. `fsync`: the content is on the disk
    before `path` names it, so that it survives a power failure too.
    """
    # With the process id, so that two processes that write the same file do not mix their parts.
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            yield file
            # The file system may write the rename before the content, and lose power in between.
            if fsync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        # After a rename there is nothing left to delete.
        unfinished.unlink(missing_ok=True)


def atomic_write(path: Path, data: bytes | str, *, fsync: bool = False) -> None:
    """Write `data` to `path`, whole or not at all; text as UTF-8. See `atomic_file`."""
    if isinstance(data, str):
        data = data.encode()
    with atomic_file(path, fsync=fsync) as file:
        file.write(data)
