"""Trials whose folder is in object storage.

The checkpoint is fetched before the training, and stored after each epoch, before the driver gets
the report.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from raysweep.errors import first_line
from raysweep.results.storage.mirror import SCRIPT_CHECKPOINTS
from raysweep.results.storage.object_store import ObjectStore, is_url
from raysweep.trainables.runtime.checkpoint import BEST, LAST
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.trainables.runtime.parent import FILES
from raysweep.trainables.runtime.run import StorageError
from raysweep.tune.executors.ray.script_checkpoints import (
    ScriptCheckpoints,
    fetch_files,
    script_checkpoints,
)

PARENT = "parent"
"""The folder, in that of the trial, for the checkpoint of another trial with which it begins."""
Patience = Callable[[Callable[[], None]], None]
"""Calls what may take minutes, and meanwhile says that this worker is alive."""


@contextmanager
def at_hand(job: Job, patiently: Patience) -> Iterator[tuple[Job, Callable[[], None]]]:
    """The job with a folder on this machine, and the function to call after each epoch.

    Raises StorageError if the storage fails. `patiently` makes the calls that may take long. The
    `log` of a job in object storage names the folder of all logs.
    """
    if not is_url(job.folder):
        yield job, _nothing
        return
    os.environ.update(job.environment)
    bucket, log = ObjectStore(job.folder), job.log
    with tempfile.TemporaryDirectory(prefix="raysweep-") as name:
        folder = Path(name)
        local = replace(job, folder=name, log=str(folder / "log"))
        local = replace(local, trainable=_fetch_function(job.trainable, folder))
        if job.parent:
            local = replace(local, parent=str(folder / PARENT))
        of_script = script_checkpoints(bucket, local)
        patiently(lambda: _fetch(bucket, folder, of_script))
        if job.parent and not (folder / LAST).exists():
            patiently(lambda: _fetch_parent(ObjectStore(job.parent), folder / PARENT))
        store = Store(bucket, folder, of_script)
        try:
            yield local, lambda: patiently(store)
        finally:
            if of_script is not None:
                with _storing(bucket):
                    patiently(of_script.store_last)
            with contextlib.suppress(OSError):
                if (folder / "log").exists():
                    logs, file = (
                        ObjectStore(log),
                        f"{job.trial}.{job.rank}.log" if job.rank else f"{job.trial}.log",
                    )
                    logs.write(file, (logs.read(file) or b"") + (folder / "log").read_bytes())


class GroupAtHand(AbstractContextManager["GroupAtHand"]):
    """The folders of several trials of one worker, of which some end and others begin."""

    def __init__(self, patiently: Patience) -> None:
        self._patiently = patiently
        self._trials: dict[str, tuple[ExitStack, Callable[[], None]]] = {}

    def bring(self, job: Job) -> Job:
        """The job with all its folders on this machine. Raises StorageError."""
        local = self._bring_one(replace(job, others=[]))
        others = [self._bring_one(read_job(fields)) for fields in job.others]
        return replace(local, others=[asdict(other) for other in others])

    def exchange(
        self, send: Callable[[dict[str, Any]], dict[str, Any]], message: dict[str, Any]
    ) -> dict[str, Any]:
        """Store what the trials of a message have saved, then send it.

        Returns the answer with the folders of new trials on this machine.
        """
        for part in message["group"]:
            if part["trial"] in self._trials:
                self._trials[part["trial"]][1]()
        answer = send(message)
        for trial in answer["stop"]:
            self._leave(trial)
        jobs = [asdict(self._bring_one(read_job(fields))) for fields in answer["jobs"]]
        return answer | {"jobs": jobs}

    def __exit__(self, *error: object) -> None:
        for trial in list(self._trials):
            self._leave(trial)

    def _bring_one(self, job: Job) -> Job:
        stack = ExitStack()
        local, store = stack.enter_context(at_hand(job, self._patiently))
        self._trials[job.trial] = stack, store
        return local

    def _leave(self, trial: str) -> None:
        if trial in self._trials:
            self._trials.pop(trial)[0].close()


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


def _fetch(bucket: ObjectStore, folder: Path, of_script: ScriptCheckpoints | None) -> None:
    """Bring the checkpoints here."""
    with _storing(bucket):
        if of_script is not None:
            of_script.fetch()
        for part in (LAST, BEST):
            if (content := bucket.read(part)) is not None:
                (folder / part).write_bytes(content)


def _fetch_parent(bucket: ObjectStore, folder: Path) -> None:
    """Bring the checkpoint here with which a trial begins."""
    folder.mkdir()
    with _storing(bucket):
        content = bucket.read(LAST)
        if content is None:
            raise StorageError(
                f"{bucket.url} is gone, with the checkpoint that a trial begins with"
            )
        (folder / LAST).write_bytes(content)
        fetch_files(bucket / SCRIPT_CHECKPOINTS, folder / FILES)


class Store:
    """Stores the checkpoints; called after each epoch.

    The best one is stored first, because the last checkpoint refers to it.
    """

    def __init__(
        self, bucket: ObjectStore, folder: Path, of_script: ScriptCheckpoints | None
    ) -> None:
        self._bucket = bucket
        self._folder = folder
        self._of_script = of_script
        self._best = self._mark()

    def __call__(self) -> None:
        with _storing(self._bucket):
            if self._of_script is not None:
                self._of_script.store()
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
        raise StorageError(f"{bucket.url} cannot be used: {first_line(error)}") from error
