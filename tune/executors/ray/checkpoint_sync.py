"""A trial whose folder is in object storage: its checkpoint is fetched first, and stored after each epoch before the driver hears of it."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from raysweep.results.storage.object_store import ObjectStore, is_url
from raysweep.trainables.runtime.checkpoint import BEST, LAST
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import StorageError

Patience = Callable[[Callable[[], None]], None]
"""Calls what may take minutes, and meanwhile says that this worker is alive."""


@contextmanager
def at_hand(job: Job, patiently: Patience) -> Iterator[tuple[Job, Callable[[], None]]]:
    """The job with a folder on this machine, and what is to be called after each epoch.

    Raises StorageError if the store fails. The `log` of a job that is away names the folder of
    all logs. `patiently` makes the calls that may take long.
    """
    if not is_url(job.folder):
        yield job, _nothing
        return
    os.environ.update(job.environment)
    bucket, log = ObjectStore(job.folder), job.log
    with tempfile.TemporaryDirectory(prefix="raysweep-") as name:
        folder = Path(name)
        local = replace(job, folder=name, log=str(folder / "log"))
        patiently(lambda: _fetch(bucket, folder))
        local = replace(local, trainable=_fetch_function(job.trainable, folder))
        store = Store(bucket, folder)
        try:
            yield local, lambda: patiently(store)
        finally:
            with contextlib.suppress(OSError):
                if (folder / "log").exists():
                    logs, file = (
                        ObjectStore(log),
                        f"{job.trial}.{job.rank}.log" if job.rank else f"{job.trial}.log",
                    )
                    logs.write(file, (logs.read(file) or b"") + (folder / "log").read_bytes())


@contextmanager
def function_at_hand(reference: str) -> Iterator[str]:
    """The reference of a train function that this machine can load.

    A pickled function that lies in object storage is fetched for as long as the body runs.
    """
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder:
        yield _fetch_function(reference, Path(folder))


def _fetch_function(reference: str, folder: Path) -> str:
    """Bring a pickled function into a folder. Returns its reference there; any other stays."""
    url, _, name = reference.rpartition(":")
    if not is_url(url):
        return reference
    store, _, file = url.rpartition("/")
    with _storing(ObjectStore(store)):
        content = ObjectStore(store).read(file)
    if content is None:
        raise StorageError(f"{url} is gone")
    (folder / file).write_bytes(content)
    return f"{folder / file}:{name}"


def _nothing() -> None:
    """A folder of this machine needs no copies."""


def _fetch(bucket: ObjectStore, folder: Path) -> None:
    """Bring the checkpoints here."""
    with _storing(bucket):
        for part in (LAST, BEST):
            if (content := bucket.read(part)) is not None:
                (folder / part).write_bytes(content)


class Store:
    """Called after each epoch: stores the checkpoints. The best first: a checkpoint that is the last one knows of all the best before."""

    def __init__(self, bucket: ObjectStore, folder: Path) -> None:
        self._bucket = bucket
        self._folder = folder
        self._best = self._mark()

    def __call__(self) -> None:
        with _storing(self._bucket):
            if self._mark() != self._best:
                self._bucket.write(BEST, (self._folder / BEST).read_bytes())
                self._best = self._mark()
            if (self._folder / LAST).exists():
                self._bucket.write(LAST, (self._folder / LAST).read_bytes())

    def _mark(self) -> tuple[int, int] | None:
        """What changes with each new best checkpoint."""
        path = self._folder / BEST
        return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


@contextmanager
def _storing(bucket: ObjectStore) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{bucket.url} cannot be used: {(str(error).splitlines() or [''])[0]}"
        ) from error
