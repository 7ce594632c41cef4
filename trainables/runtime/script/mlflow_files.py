"""What MLflow writes on this machine: a database (`mlflow.db`), or a file for each metric."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from raysweep.trainables.runtime.script.file_formats import LinesFile, RecordOf
from raysweep.trainables.runtime.script.lines import Line
from raysweep.trainables.runtime.script.records import Record

WAIT_SECONDS = 1.0
"""How long a program that is writing to the database is waited for."""
MOST_ROWS = 100_000
"""The most rows that are read at once."""
DIGITS = 18
"""The most digits of a step."""
_NEW = "select rowid, key, value, step, is_nan from metrics where rowid > ? order by rowid limit ?"


class _Steps:
    """The steps of metrics. A program that names no step has step 0 in all, which says nothing."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def step(self, name: str, step: float) -> float | None:
        is_repeated = self._last.get(name) == step
        self._last[name] = step
        if is_repeated:
            return None
        return step


class MlflowMetric:
    """A metric in MLflow's file store: lines of time stamp, value and step."""

    def __init__(self, path: Path, name: str, record_of: RecordOf) -> None:
        self._name, self._record_of = name, record_of
        self._file, self._steps = LinesFile(path, self._records), _Steps()

    def read(self, ended: bool) -> list[Record]:
        return self._file.read(ended)

    def skip(self) -> None:
        self._file.skip()

    def _records(self, line: Line) -> tuple[list[Record], bool]:
        words = line.text.split()
        if len(words) != 3 or not words[2].removeprefix("-").isdecimal():
            return [], False
        step = self._steps.step(self._name, float(words[2][:DIGITS]))
        return [self._record_of({self._name: words[1]}, step=step)], False


class MlflowDatabase:
    """The table of metrics in MLflow's SQLite database."""

    def __init__(self, path: Path, record_of: RecordOf) -> None:
        self._path = path
        self._seen: list[tuple[int, int]] = []
        self._record_of, self._steps = record_of, _Steps()
        self._last_row = -1

    def read(self, ended: bool) -> list[Record]:
        records = []
        for _, name, value, step, is_nan in self._new_rows():
            number = float("nan") if is_nan else value
            records.append(self._record_of({name: number}, step=self._steps.step(name, step)))
        return records

    def skip(self) -> None:
        self._new_rows()

    def _new_rows(self) -> list[tuple[int, str, float, int, bool]]:
        seen = self._versions()
        if seen == self._seen:
            return []
        self._seen = seen
        address = f"file:{quote(str(self._path))}?mode=ro"
        try:
            with closing(sqlite3.connect(address, timeout=WAIT_SECONDS, uri=True)) as database:
                rows = database.execute(_NEW, (self._last_row, MOST_ROWS)).fetchall()
        except sqlite3.Error:  # it is another database, or it is being made or written to
            self._seen = []
            return []
        if rows:
            self._last_row = rows[-1][0]
        return rows

    def _versions(self) -> list[tuple[int, int]]:
        """Sizes and times of the database and of its journal, to which new rows go first."""
        found = []
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((status.st_size, status.st_mtime_ns))
        return found


def metric_name(path: Path) -> str | None:
    """The name of a metric in MLflow's file store, RUN/metrics/NAME, where a name may have slashes.

    None if the file lies elsewhere. A run's folder has a `meta.yaml`.
    """
    for folder in path.parents:
        if folder.name == "metrics" and (folder.parent / "meta.yaml").is_file():
            return path.relative_to(folder).as_posix()
    return None
