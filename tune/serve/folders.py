"""The run directories below a folder or a URL, found again and again as they come and go."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from raysweep.errors import UserError
from raysweep.results.storage import mirror, object_ledger
from raysweep.results.storage.ledger import NAME
from raysweep.results.storage.object_store import ObjectStore
from raysweep.text_limits import encodable

MAX_DEPTH = 4
"""Levels of folders that are searched, so that a whole disk is not read for a run."""
SYNC_SECONDS = 5.0
"""Seconds between two looks into object storage: each costs a request for every run."""
UPDATE_SECONDS = 30.0
"""Seconds between two downloads of the other files of a run in which something happens."""


class Folder(Protocol):
    """Where runs are."""

    place: str

    def find(self) -> dict[str, Path]:
        """The run directories, by name. Raises OSError if the place cannot be read."""


class LocalFolder:
    """A folder of this machine. It may be a run directory itself."""

    def __init__(self, folder: Path) -> None:
        self.place = str(folder)
        self._folder = folder

    def find(self) -> dict[str, Path]:
        if (self._folder / NAME).is_file():
            return {encodable(self._folder.resolve().name): self._folder}
        if not self._folder.is_dir():
            return {}  # as before the first sweep
        found = walk(self._folder, MAX_DEPTH, set())
        return {encodable(path.relative_to(self._folder).as_posix()): path for path in found}


def walk(folder: Path, depth: int, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """The run directories below a folder. What is inside of one belongs to it.

    seen: device and inode of the folders that were searched, for links may lead in a circle.
    """
    with contextlib.suppress(OSError):  # a folder that may not be read, or that is gone by now
        state = os.stat(folder)
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
        for name in _folders(folder):
            if os.path.isfile(folder / name / NAME):
                yield folder / name
            elif depth > 1:
                yield from walk(folder / name, depth - 1, seen)


def _folders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name[0] != "." and entry.is_dir())


class StoredFolder:
    """A URL of object storage. Each run below it has a mirror on this machine, which is kept
    up to date."""

    def __init__(self, url: str) -> None:
        self.place = url
        self._store = ObjectStore(url)
        self._mirrors: dict[str, Path] = {}
        self._lines: dict[str, int] = {}
        self._updated: dict[str, float] = {}
        self._synced = 0.0

    def find(self) -> dict[str, Path]:
        if self._synced and time.monotonic() - self._synced < SYNC_SECONDS:
            return self._mirrors
        stores = dict(_stored_runs(self._store, "", MAX_DEPTH))
        with ThreadPoolExecutor(mirror.TRANSFER_THREADS) as pool:
            paths = list(pool.map(self._sync, stores, stores.values()))
        found = zip(stores, paths, strict=True)
        self._mirrors = {name: path for name, path in found if path is not None}
        self._synced = time.monotonic()
        return self._mirrors

    def _sync(self, name: str, store: ObjectStore) -> Path | None:
        """The mirror of a run, with what is new; None if it cannot be made yet."""
        try:
            return self._updated_mirror(name, store)
        except (OSError, UserError):  # the next look tries again
            return self._mirrors.get(name)

    def _updated_mirror(self, name: str, store: ObjectStore) -> Path:
        if name not in self._mirrors:
            path = mirror.fetch(store)
            self._lines[name] = (path / NAME).read_bytes().count(b"\n")
            return path
        path = self._mirrors[name]
        new = object_ledger.read(store, first=self._lines[name])
        if new:
            with open(path / NAME, "ab") as file:
                file.write(new)
            self._lines[name] += new.count(b"\n")
            if time.monotonic() - self._updated.get(name, 0.0) > UPDATE_SECONDS:
                self._updated[name] = time.monotonic()
                mirror.update(store, path)
        return path


def _stored_runs(store: ObjectStore, name: str, depth: int) -> Iterator[tuple[str, ObjectStore]]:
    """The runs at and below a URL, by their path in it."""
    if mirror.is_run(store):
        yield name or store.url.partition("?")[0].rpartition("/")[2], store
    elif depth > 0:
        for part in store.folders():
            if part[0] != ".":
                yield from _stored_runs(store / part, f"{name}/{part}".lstrip("/"), depth - 1)
