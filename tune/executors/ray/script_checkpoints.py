"""The checkpoints of scripts whose trial's folder is in object storage.

A script saves where it likes; the newest of what it saved is stored, a file or a folder of files.
A folder is stored under a new name each time, and what is fetched is named last, so that a machine
that dies in between leaves what was stored before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raysweep.results.storage.mirror import SCRIPT_CHECKPOINTS
from raysweep.results.storage.object_store import ObjectStore
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.script.checkpoints import Checkpoints, changed, is_whole
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.heard import HEARD
from raysweep.trainables.runtime.script.process import Paths, checkpoints_of

INDEX = "newest.json"
"""The object that names what is stored: `{"name": "1767225600000000000", "files": [...], "heard":
"..."}`, the last of them what the script had reported until then."""


def script_checkpoints(bucket: ObjectStore, job: Job) -> ScriptCheckpoints | None:
    """The stored checkpoints of a job's script; None for a job that has none."""
    if job.script is None:
        return None
    paths = Paths(Path(job.trainable).resolve(), Path(job.folder).resolve())
    device = "cuda" if job.gpu > 0 else "cpu"
    found = checkpoints_of(
        paths, job.config, (job.trial, job.seed, device), CommandLine.of(job.script)
    )
    if found is None:
        return None
    return ScriptCheckpoints(bucket / SCRIPT_CHECKPOINTS, found, paths.trial)


@dataclass
class ScriptCheckpoints:
    """Fetches and stores the newest checkpoint of a script.

    Only what lies in the trial's folder is stored: any other place is one that stays.
    """

    bucket: ObjectStore
    checkpoints: Checkpoints
    folder: Path
    _stored: tuple[Path, int | None] | None = field(default=None, init=False)

    def fetch(self) -> None:
        """Bring the stored checkpoint to where the script saved it."""
        index = fetch_files(self.bucket, self.folder)
        if index is None:
            return
        (self.folder / HEARD).write_text(index["heard"], encoding="utf-8")
        found = self.checkpoints.found()
        if found:
            self._stored = (found[-1], changed(found[-1]))

    def store(self) -> None:
        """Store the newest checkpoint, unless it is being written."""
        found = self._own()
        if found and is_whole(found[-1]):
            self._store(found[-1])

    def store_last(self) -> None:
        """Store the newest checkpoint of a script that has ended.

        If it failed to continue from the stored one and left no other, that one is deleted.
        """
        found = self._own()
        if found:
            self._store(found[-1])
        elif self._stored is not None:
            self._delete_others("")

    def _own(self) -> list[Path]:
        return [path for path in self.checkpoints.found() if path.is_relative_to(self.folder)]

    def _store(self, path: Path) -> None:
        mark = changed(path)
        if mark is None or (path, mark) == self._stored:
            return
        files = [file for file in (path, *path.rglob("*")) if file.is_file()]
        names = [file.relative_to(self.folder).as_posix() for file in files]
        for file, name in zip(files, names, strict=True):
            self.bucket.write(f"{mark}/{name}", file.read_bytes())
        heard = ""
        if (self.folder / HEARD).exists():
            heard = (self.folder / HEARD).read_text(encoding="utf-8")
        index = {"name": str(mark), "files": names, "heard": heard}
        self.bucket.write(INDEX, json.dumps(index).encode())
        self._delete_others(str(mark))
        self._stored = (path, mark)

    def _delete_others(self, kept: str) -> None:
        """Delete what is stored under another name, and the index if none is kept."""
        for name in self.bucket.sizes():
            if name.partition("/")[0] not in ((kept, INDEX) if kept else ()):
                self.bucket.delete(name)


def fetch_files(bucket: ObjectStore, folder: Path) -> dict[str, Any] | None:
    """Bring a stored checkpoint into a folder. Returns what is known of it; None if there is none.

    bucket: the folder of a trial's checkpoints in the store.
    """
    content = bucket.read(INDEX)
    if content is None:
        return None
    index: dict[str, Any] = json.loads(content)
    for file in index["files"]:
        part = bucket.read(f"{index['name']}/{file}")
        if part is not None:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part)
    return index
