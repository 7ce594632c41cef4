"""The files that loggers write: CSV, JSON lines, JSON documents, and plain logs.

Each reader gives the records that came since its last call. `skip` leaves out what a file has now.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from raysweep.trainables.runtime.script.growing_file import MOST_BYTES, GrowingFile
from raysweep.trainables.runtime.script.lines import Line, LineReader, json_objects
from raysweep.trainables.runtime.script.records import Record

RecordOf = Callable[..., Record]
"""Makes a record of a mapping, for one metric and unit; it takes `step`."""
LineRecords = Callable[[Line], tuple[list[Record], bool]]
"""The records of a line, as `Printed.read` gives them."""
DELIMITERS = ",\t;"


class FileReader(Protocol):
    """Reads the records of one file."""

    def read(self, ended: bool) -> Sequence[Record]:
        """The records since the last call. `ended`: the file will not grow any more."""

    def skip(self) -> None:
        """Leave out what the file has now."""


class LinesFile:
    """A file of lines: JSON objects, or a log that is matched against the user's patterns."""

    def __init__(self, path: Path, records: LineRecords) -> None:
        self._file, self._lines, self._records = GrowingFile(path), LineReader(), records

    def read(self, ended: bool) -> list[Record]:
        content = self._file.read()
        if self._file.was_replaced:
            self._lines = LineReader()
        lines = self._lines.feed(content)
        if ended:
            lines += self._lines.end()
        return [record for line in lines for record in self._records(line)[0]]

    def skip(self) -> None:
        self._file.skip()


def json_line_records(record_of: RecordOf) -> LineRecords:
    """Reads each JSON object of a line; what else the line has is left out."""

    def records(line: Line) -> tuple[list[Record], bool]:
        return [record_of(values) for values, _ in json_objects(line.text)], False

    return records


class CsvFile:
    """A table with a header. Empty cells say nothing.

    Lightning's logger writes the whole file anew when a column is added, and rows keep their order.
    So rows are compared by what their cells say.
    """

    def __init__(self, path: Path, record_of: RecordOf) -> None:
        self._path, self._record_of = path, record_of
        self._rows: list[dict[str, str]] = []
        self._seen: tuple[int, int] | None = None

    def read(self, ended: bool) -> list[Record]:
        return [self._record_of(row) for row in self._new_rows(ended)]

    def skip(self) -> None:
        self._new_rows(ended=False)

    def _new_rows(self, ended: bool) -> list[dict[str, str]]:
        try:
            status = self._path.stat()
            if self._seen == (status.st_size, status.st_mtime_ns) and not ended:
                return []
            content = self._path.read_bytes()[:MOST_BYTES]
        except OSError:  # it is being replaced
            return []
        self._seen = (status.st_size, status.st_mtime_ns)
        rows = table_rows(content, ended)
        common = _common(self._rows, rows)
        if common < len(rows):  # else it is the same, or the beginning of what is being rewritten
            self._rows = rows
        return rows[common:]


def table_rows(content: bytes, ended: bool) -> list[dict[str, str]]:
    """The rows of a table without their empty cells; the last line only if it is whole."""
    lines = content.decode("utf-8-sig", "replace").replace("\0", "").splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")) and not ended:
        lines.pop()
    if not lines:
        return []
    delimiter = max(DELIMITERS, key=lines[0].count)
    try:
        cells = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error:  # a cell beyond 128 KiB
        return []
    names = [name.strip() for name in cells[0]]
    rows = [dict(zip(names, row, strict=False)) for row in cells[1:]]
    return [
        {name: cell.strip() for name, cell in row.items() if name and cell.strip()} for row in rows
    ]


def _common(before: Sequence[Any], after: Sequence[Any]) -> int:
    """How many entries two sequences have in common at their beginning."""
    count = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        count += 1
    return count


class JsonFile:
    """A JSON file that is written anew each time, or that holds JSON lines.

    The `log_history` of transformers' `trainer_state.json` is a list of records, and so is a list
    of objects; any other object is a record.
    """

    def __init__(self, path: Path, record_of: RecordOf, known: set[str]) -> None:
        """`known`: the records that other files of the same kind had, which have this one's too."""
        self._path, self._record_of, self._known = path, record_of, known
        self._seen: tuple[int, int] | None = None

    def read(self, ended: bool) -> list[Record]:
        return [self._record_of(values) for values in self._new(ended)]

    def skip(self) -> None:
        self._new(ended=False)

    def _new(self, ended: bool) -> list[Mapping[str, Any]]:
        try:
            status = self._path.stat()
            if self._seen == (status.st_size, status.st_mtime_ns) and not ended:
                return []
            text = self._path.read_bytes()[:MOST_BYTES].decode("utf-8", "replace")
        except OSError:  # it is being replaced
            return []
        self._seen = (status.st_size, status.st_mtime_ns)
        new = []
        for values in json_records(text):
            key = json.dumps(values, sort_keys=True, default=str)
            if key not in self._known:
                self._known.add(key)
                new.append(values)
        return new


def json_records(text: str) -> list[Mapping[str, Any]]:
    """The records of a JSON document, or of JSON lines; [] while it is half written."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        lines = text.splitlines()
        return [values for line in lines for values, is_alone in json_objects(line) if is_alone]
    if isinstance(content, dict):
        content = content.get("log_history", [content])
    if not isinstance(content, list):
        return []
    return [values for values in content if isinstance(values, dict)]
