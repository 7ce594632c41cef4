"""Where a script saves: which of its checkpoints it continues from, and when one is whole."""

from __future__ import annotations

import contextlib
import glob
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raysweep.files import atomic_write
from raysweep.placeholders import fill

REFUSED = "refused_checkpoints.json"
"""The file in a trial's folder that names checkpoints from which the script failed to continue."""
LONGEST_SECONDS = 10.0
"""How long a script that is stopped may take to save. Many report an epoch before they save it, and
without a checkpoint a promoted trial would begin again."""
STILL_SECONDS = 0.25
"""A checkpoint that has not changed for so long is whole."""
POLL_SECONDS = 0.05
"""How often a checkpoint that is waited for is looked at."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of a trial.

    `pattern`: of their paths. `trial`: the trial's folder.
    """

    pattern: str
    trial: Path

    @classmethod
    def at(cls, text: str, values: Mapping[str, str], folder: Path, trial: Path) -> Checkpoints:
        """The checkpoints that a text with placeholders names, relative to the working folder.

        The values may have letters that mean something in a pattern; here they mean themselves.
        """
        pattern = fill(text, lambda name: glob.escape(values[name]))
        return cls(str(Path(glob.escape(str(folder))) / pattern), trial)

    def found(self) -> list[Path]:
        """The checkpoints that the script can continue from, the newest last."""
        refused = self._refused()
        marked = [(mark, path) for path in self.all() if (mark := changed(path)) is not None]
        return [path for mark, path in sorted(marked) if [str(path), mark] not in refused]

    def all(self) -> list[Path]:
        """All files and folders that match."""
        return [Path(name) for name in glob.glob(self.pattern, recursive=True)]

    def refuse(self, *paths: Path) -> None:
        """Remember checkpoints that the script did not continue from as it should.

        As long as they are not changed, the next attempt takes another, or begins again.
        """
        refused = [*self._refused(), *([str(path), changed(path)] for path in paths)]
        atomic_write(self.trial / REFUSED, json.dumps(refused))

    def wait_until_whole(self, is_running: Callable[[], bool]) -> None:
        """Wait, while the script runs, for its first checkpoint, and until the newest is whole.

        It is whole if it has not changed for a while, or if another follows it.
        """
        began = time.monotonic()
        before = self.found()
        while is_running():
            waited, found = time.monotonic() - began, self.found()
            if waited >= LONGEST_SECONDS:
                return
            if found and (is_whole(found[-1]) or len(found) > max(1, len(before))):
                return
            time.sleep(POLL_SECONDS)

    def delete(self) -> None:
        """Delete those that lie in the trial's folder; any other may not be the trial's own."""
        for path in self.all():
            if not path.resolve().is_relative_to(self.trial.resolve()):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _refused(self) -> list[list[object]]:
        try:
            return list(json.loads((self.trial / REFUSED).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return []


def changed(path: Path) -> int | None:
    """When a file, or anything in a folder, was changed, in nanoseconds; None if it is gone."""
    times = []
    for part in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):
            times.append(part.stat().st_mtime_ns)
    return max(times, default=None)


def is_whole(path: Path) -> bool:
    """True if a file or a folder has not changed for a while."""
    when = changed(path)
    return when is None or time.time() - when / 1e9 >= STILL_SECONDS
