"""What a script prints and what it appends to its file of reports, while it runs."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from raysweep.text_limits import visible
from raysweep.trainables.runtime.script.growing_file import GrowingFile
from raysweep.trainables.runtime.script.lines import Line, LineReader
from raysweep.trainables.runtime.script.printed import Printed
from raysweep.trainables.runtime.script.records import Record

CHUNK = 65536
"""The most bytes that are read at once: what a pipe holds."""
MOST_CHUNKS = 64
"""How many are kept for a trial that is busy reporting. Then the script waits in its `print`."""
KEPT_LINES = 400
"""How many of the last printed lines are kept, for the reason why a script failed."""


class Output:
    """Reads what a script prints and writes. What is not a report goes to the trial's log."""

    def __init__(self, process: subprocess.Popen[bytes], file: Path, printed: Printed) -> None:
        self.ended = False
        """True once the script has closed its output, which it does at its end."""
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        """The last printed lines that are no reports."""
        self._printed = printed
        self._reader, self._file_reader = LineReader(), LineReader()
        self._file = GrowingFile(file)
        self._chunks: queue.Queue[bytes] = queue.Queue(MOST_CHUNKS)
        threading.Thread(target=self._pump, args=(process,), daemon=True).start()

    def read(self, timeout: float) -> list[Record]:
        """The records that came; waits at most `timeout` seconds for printed ones."""
        lines = self._printed_lines(timeout)
        # The file is read once more after the end of the output, for the last report.
        content = self._file.read()
        lines += self._file_reader.feed(content)
        if self.ended:
            lines += self._file_reader.end()
        return list(self._records(lines))

    def _printed_lines(self, timeout: float) -> list[Line]:
        try:
            chunk = self._chunks.get(timeout=timeout)
        except queue.Empty:
            return []
        if chunk:
            return self._reader.feed(chunk)
        self.ended = True
        return self._reader.end()

    def _records(self, lines: list[Line]) -> Iterator[Record]:
        for line in lines:
            records, is_report = self._printed.read(line)
            yield from records
            if line.text and not (is_report or line.overwritten):
                self.lines.append(line.text)
                log(line.text)

    def _pump(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout:
            while chunk := os.read(process.stdout.fileno(), CHUNK):
                self._chunks.put(chunk)
        self._chunks.put(b"")


def log(line: str) -> None:
    """Print a line to the trial's log, whatever characters it has."""
    encoding = sys.stdout.encoding or "utf-8"
    print(visible(line).encode(encoding, "backslashreplace").decode(encoding))
