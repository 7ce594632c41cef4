"""The checkpoints with which other trials begin, kept apart from those of the trials themselves.

A trial that continues another one with changed parameters begins with what that one had saved when
the command came. The trial may train on meanwhile, and its checkpoints may be deleted. So a copy is
kept in `trials/<its name>/continued/<key>/`: `last.pt`, and below `files/` what a script saved.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from raysweep.history import Trial
from raysweep.results.storage import mirror
from raysweep.results.storage.object_store import ObjectStore
from raysweep.trainables.runtime.checkpoint import LAST
from raysweep.trainables.runtime.parent import FILES
from raysweep.trainables.runtime.script.checkpoints import STILL_SECONDS, is_whole
from raysweep.trainables.runtime.script.process import Paths, checkpoints_of
from raysweep.tune.sweep import Sweep

FOLDER = "continued"


def place(trial: str, key: str) -> str:
    """Where the checkpoint of a trial is kept, within the run directory."""
    return f"trials/{trial}/{FOLDER}/{key}"


class TrialCheckpoints:
    """The checkpoints of the trials of a run directory.

    `writes`: whether they are copied, or only looked at.
    """

    def __init__(self, folder: Path, sweep: Sweep, writes: bool = True) -> None:
        self._folder = folder
        self._sweep = sweep
        self._writes = writes
        self._store = mirror.origin(folder)

    def missing(self, trial: Trial) -> str:
        """Why another trial cannot begin with the last checkpoint of this one; "" if it can."""
        how = self._sweep.command_line
        if how is not None and how.resume is None:
            return (
                f"{trial.id} has no checkpoint: script.resume and script.checkpoint say how a "
                "script continues"
            )
        if not self._has(trial, LAST):
            return f"{trial.id} has no checkpoint; it may have been deleted (checkpoints.keep)"
        if how is None or self._files(trial):
            return ""
        return f"{trial.id} has saved no checkpoint within its folder (script.checkpoint)"

    def keep(self, trial: Trial, key: str) -> None:
        """Keep the last checkpoint of a trial for another one. Raises OSError."""
        if not self._writes:
            return
        target = place(trial.id, key)
        if self._store is not None:
            self._copy_in_store(self._store, trial, target)
            return
        own = self._own(trial)
        shutil.rmtree(self._folder / target, ignore_errors=True)
        (self._folder / target).mkdir(parents=True)
        # A hard link: the trial writes its next checkpoint as another file.
        os.link(own / LAST, self._folder / target / LAST)
        for path in self._files(trial):
            _copy(own / path, self._folder / target / FILES / path)

    def _copy_in_store(self, store: ObjectStore, trial: Trial, target: str) -> None:
        own = f"trials/{trial.id}"
        for name in (f"{own}/{LAST}", *store.sizes(f"{own}/{mirror.SCRIPT_CHECKPOINTS}")):
            store.copy(name, f"{target}/{name.removeprefix(f'{own}/')}")

    def _own(self, trial: Trial) -> Path:
        return self._folder / "trials" / trial.id

    def _has(self, trial: Trial, name: str) -> bool:
        if self._store is not None:
            return bool(self._store.sizes(f"trials/{trial.id}/{name}"))
        return (self._own(trial) / name).exists()

    def _files(self, trial: Trial) -> list[Path]:
        """The newest whole checkpoint of a script, a file or a folder, within its trial's folder.

        In object storage, the folder that holds it.
        """
        how = self._sweep.command_line
        if how is None:
            return []
        if self._store is not None:
            found = self._has(trial, mirror.SCRIPT_CHECKPOINTS)
            return [Path(mirror.SCRIPT_CHECKPOINTS)] if found else []
        folder = self._own(trial).resolve()
        device = str(trial.notes.get("device", "cpu")).partition(":")[0]
        paths = Paths(Path(self._sweep.trainable), folder)
        identity = (trial.id, trial.seed, device)
        checkpoints = checkpoints_of(paths, trial.config, identity, how)
        if checkpoints is None:
            return []
        whole = [path for path in checkpoints.found() if is_whole(path)]
        if not whole and checkpoints.found():
            time.sleep(STILL_SECONDS)  # what has just been saved looks as if it were being written
            whole = [path for path in checkpoints.found() if is_whole(path)]
        return [path.relative_to(folder) for path in whole[-1:] if path.is_relative_to(folder)]


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy2(path, target)
