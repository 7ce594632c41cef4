"""The files that a script writes while it trains (`script.reports`), found by their names."""

from __future__ import annotations

import contextlib
import glob
import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath

from raysweep.report_interval import Unit
from raysweep.trainables.runtime.script.event_file import EventFile
from raysweep.trainables.runtime.script.file_formats import (
    CsvFile,
    FileReader,
    JsonFile,
    LinesFile,
    RecordOf,
    json_line_records,
)
from raysweep.trainables.runtime.script.mlflow_files import (
    MlflowDatabase,
    MlflowMetric,
    metric_name,
)
from raysweep.trainables.runtime.script.printed import Printed
from raysweep.trainables.runtime.script.records import Record, record_of

READ_SECONDS = 1.0
"""How often files are read, which costs a few system calls each."""
MOST_SEARCHING = 0.005
"""The largest part of the time that looking for files may take, in folders with very many. It is
below what counts as progress of a trial that hangs (`progress.py`)."""
MOST_FILES = 1000
"""How many files of a trial are read. What is beyond is no logger's."""
OLD_SECONDS = 60.0
"""By how much a file may be older than the trial and still be new: the clock of a network drive
may be behind this machine's."""
TABLES = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")
DATABASES = (".db", ".sqlite", ".sqlite3")
LOGS = (".log", ".txt", ".out", ".err")


class ReportFiles:
    """Finds and reads the files that match `patterns`: paths, folders or globs.

    Relative ones are relative to `folder`. What is there already is left out, so make it before the
    script starts. `excluded`: a file that is read otherwise.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        folder: Path,
        printed: Printed,
        metric: str | None,
        unit: Unit,
        excluded: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patterns = [os.path.join(folder, pattern) for pattern in patterns]
        self._printed = printed
        self._record_of: RecordOf = partial(record_of, metric=metric, unit=unit)
        self._documents: set[str] = set()
        self._clock = clock
        self._next_read = self._next_search = 0.0
        self._began = time.time()
        self._readers: dict[str, FileReader | None] = {}
        if excluded is not None:
            self._readers[str(excluded)] = None
        self._skip_existing()

    @property
    def found(self) -> list[str]:
        """The files that are read."""
        return [path for path, reader in self._readers.items() if reader is not None]

    def read(self, ended: bool = False) -> list[Record]:
        """The records since the last call; nothing if that was a moment ago."""
        if not self._patterns or (self._clock() < self._next_read and not ended):
            return []
        if self._clock() >= self._next_search or ended:
            self._search()
        readers = [reader for reader in self._readers.values() if reader is not None]
        records = [record for reader in readers for record in reader.read(ended)]
        self._next_read = self._clock() + READ_SECONDS
        return records

    def _search(self) -> None:
        begin = self._clock()
        for path in self._matching():
            if path not in self._readers and len(self._readers) < MOST_FILES + self._n_existing:
                self._readers[path] = self._new_reader(Path(path))
        now = self._clock()
        self._next_search = now + (now - begin) / MOST_SEARCHING

    def _matching(self) -> Iterator[str]:
        for pattern in self._patterns:
            if os.path.isdir(pattern):
                pattern = os.path.join(glob.escape(pattern), "**", "*")
            with contextlib.suppress(OSError):  # a folder vanished while it was searched
                found = glob.iglob(pattern, recursive=True, include_hidden=True)
                yield from sorted(path for path in found if os.path.isfile(path))

    def _skip_existing(self) -> None:
        """Leave out what was written before, by other trials or by this one's earlier attempts."""
        for count, path in enumerate(self._matching()):
            if path not in self._readers:
                self._readers[path] = None
                if count < MOST_FILES and (reader := self._reader(Path(path))):
                    reader.skip()
                    self._readers[path] = reader
        self._n_existing = len(self._readers)

    def _new_reader(self, path: Path) -> FileReader | None:
        """The reader for a file that has appeared; None for one that is not read."""
        try:
            if path.stat().st_mtime < self._began - OLD_SECONDS:
                return None  # an older file, which was copied or moved here
        except OSError:
            return None
        return self._reader(path)

    def _reader(self, path: Path) -> FileReader | None:
        """The reader for a file by its name; None for one that is no report."""
        name, suffix = metric_name(path), path.suffix.lower()
        if name is not None:
            return MlflowMetric(path, name, self._record_of)
        if "tfevents" in path.name:
            return EventFile(path, self._record_of)
        if suffix in TABLES:
            return CsvFile(path, self._record_of)
        if suffix in JSON_LINES:
            return LinesFile(path, json_line_records(self._record_of))
        if suffix == ".json":
            return JsonFile(path, self._record_of, self._documents)
        if suffix in DATABASES:
            return MlflowDatabase(path, self._record_of)
        if suffix in LOGS:
            return LinesFile(path, self._printed.read)
        return None


def is_readable(path: PurePath) -> bool:
    """True if what a path or glob names may be read: by its suffix, or because it has none."""
    suffix = path.suffix.lower()
    known = (*TABLES, *JSON_LINES, ".json", *DATABASES, *LOGS)
    if "tfevents" in path.name or "metrics" in path.parts[:-1]:
        return True
    return not suffix or suffix in known or any(letter in suffix for letter in "*?[]{")
