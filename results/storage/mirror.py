"""A run in object storage, worked on through a folder of this machine: a copy of all but the checkpoints, which names its origin.

Everything that reads or writes run folders works on such a copy as on any folder. Here is what must reach the store, or come from it.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from raysweep.results.storage import ledger, object_ledger
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.object_ledger import StoredLedger
from raysweep.results.storage.object_store import ObjectStore

ORIGIN = ".origin"
AT_ONCE = 16
PUSH_SECONDS = 20.0
NOT_COPIED = ("logs/", "trials/")


def origin(path: Path) -> ObjectStore | None:
    """Where a folder's content belongs, if it is a working copy or lies in one."""
    path = path.absolute()
    for above in (path, *path.parents):
        if (above / ORIGIN).is_file():
            bucket = ObjectStore((above / ORIGIN).read_text())
            return bucket if above == path else bucket / path.relative_to(above).as_posix()
    return None


def shown(path: Path | str) -> str:
    """A file or folder as a person finds it again: by the place where it belongs."""
    bucket = origin(Path(path))
    return bucket.url if bucket else str(path)


def begin(bucket: ObjectStore) -> Path:
    """An empty working copy of what will be a run. It lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="raysweep-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place = folder / bucket.url.partition("?")[0].rpartition("/")[2]
    place.mkdir()
    (place / ORIGIN).write_text(bucket.url)
    return place


def fetch(bucket: ObjectStore) -> Path:
    """A working copy of a run. OSError where the store cannot be reached."""
    folder = begin(bucket)
    names = [name for name in bucket.sizes() if _copied(name)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: _get(bucket, name, folder), names))
    for place, part in ((folder, bucket), (folder / "confirm", bucket / "confirm")):
        if content := object_ledger.read(part):
            place.mkdir(exist_ok=True)
            (place / ledger.NAME).write_bytes(content)
    return folder


def _copied(name: str) -> bool:
    inside = name.removeprefix("confirm/")
    return not inside.startswith((*NOT_COPIED, f"{object_ledger.FOLDER}/")) and inside not in (
        object_ledger.LOCK,
        ledger.NAME,
    )


def is_run(bucket: ObjectStore) -> bool:
    """Whether a run was begun there."""
    return bool(bucket.sizes(object_ledger.FOLDER))


def runs(bucket: ObjectStore) -> list[ObjectStore]:
    """The runs directly below."""
    return [bucket / name for name in bucket.folders() if is_run(bucket / name)]


class Pusher:
    """Copies what changed in a working copy to where it belongs, in the background; the ledger is there already. A plain folder stays."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bucket = origin(folder)
        self._there: dict[Path, tuple[int, int]] = {}
        self._pool = ThreadPoolExecutor(1)
        self._going: Future[None] | None = None
        self._last = time.monotonic()

    def tick(self) -> None:
        """Called often; does something every PUSH_SECONDS."""
        if (
            self._bucket is None
            or time.monotonic() - self._last < PUSH_SECONDS
            or not (self._going is None or self._going.done())
        ):
            return
        self._last = time.monotonic()
        self._going = self._pool.submit(self._try)

    def _try(self) -> None:
        with contextlib.suppress(OSError):  # the next time, or the last one, which tells
            self.push()

    def push(self) -> None:
        """Copy now. OSError where the store refuses."""
        if self._bucket is None:
            return
        bucket, marks = (
            self._bucket,
            {path: _mark(path) for path in self._folder.rglob("*") if _pushed(path)},
        )
        changed = [path for path, mark in marks.items() if self._there.get(path) != mark]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(
                pool.map(
                    lambda path: bucket.write(
                        path.relative_to(self._folder).as_posix(), path.read_bytes()
                    ),
                    changed,
                )
            )
        self._there = marks

    def close(self) -> None:
        """Copy what is left. OSError where the store refuses."""
        self._pool.shutdown()
        self.push()


def push(folder: Path) -> None:
    """Copy all that a working copy holds to where it belongs."""
    Pusher(folder).push()


def _pushed(path: Path) -> bool:
    return (
        path.is_file() and path.name not in (ledger.NAME, "lock") and not path.name.startswith(".")
    )


def _mark(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, path.stat().st_size


def checkpoint(folder: Path, trial_id: str, name: str) -> Path:
    """Where a trial's checkpoint lies on this machine, if there is one: it is fetched where it is not here yet."""
    path = folder / "trials" / trial_id / name
    if not path.exists() and (bucket := origin(folder)):
        _get(bucket, f"trials/{trial_id}/{name}", folder)
    return path


def forget(folder: Path, trial_id: str) -> None:
    """Delete a trial's checkpoints in the store."""
    if bucket := origin(folder):
        for name in ("last.pt", "best.pt"):
            bucket.delete(f"trials/{trial_id}/{name}")


def remove(folder: Path) -> None:
    """Delete a run from the store; of a plain folder, the folder."""
    if bucket := origin(folder):
        for name in bucket.sizes():
            bucket.delete(name)
    shutil.rmtree(folder, ignore_errors=True)


def hold(folder: Path) -> Ledger | StoredLedger:
    """The ledger of a run folder or of a working copy, open for appending."""
    bucket = origin(folder)
    return StoredLedger(folder, bucket) if bucket else Ledger(folder)


def is_held(folder: Path) -> bool:
    """Whether a process is writing to this run."""
    bucket = origin(folder)
    return object_ledger.held(bucket) if bucket else ledger.held(folder)


def _get(bucket: ObjectStore, name: str, folder: Path) -> None:
    if (content := bucket.read(name)) is not None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
