"""What a script reports: the lines that it prints, and the file that it writes."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from raysweep.trainables.runtime.script.heard import Heard

POLL_SECONDS = 0.1
"""How often the file of reports is read while the script prints nothing."""
LAST_LINES = 20
"""How many of the last printed lines the message about a failed script has."""


class Output:
    """What a script prints and writes. What is not a report is passed on to the trial's log."""

    def __init__(
        self, process: subprocess.Popen[str], file: Path, metric: str | None, heard: Heard
    ) -> None:
        self._file, self._metric, self._heard = file, metric, heard
        self._printed: queue.Queue[str | None] = queue.Queue()
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self.has_reported = False
        """True once the script reported anything, of an epoch that is known already, too."""
        self._ended = False
        self._bytes_read = 0
        threading.Thread(target=self._pump, args=(process,), daemon=True).start()

    @property
    def last(self) -> str:
        """The last line that is not a report."""
        if not self.lines:
            return "it printed nothing"
        return self.lines[-1]

    def reports(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each report with its epoch, as they come, until the script ends.

        Those come first that a former attempt heard, if this one continues it.
        """
        epoch = 0
        for report in chain(list(self._heard.earlier()), self._coming()):
            epoch = int(report.pop("epoch", epoch + 1))
            yield epoch, report

    def hear_out(self) -> None:
        """Keep what a script that has ended said after the last report that was taken."""
        for _ in self._coming():
            pass

    def _coming(self) -> Iterator[dict[str, Any]]:
        while not self._ended:
            try:
                printed = self._printed.get(timeout=POLL_SECONDS)
            except queue.Empty:
                printed = ""
            # The file is read once more after the end of the output, for the last report.
            self._ended = printed is None
            for line in [printed or "", *self._written()]:
                report = self._report(line)
                if report is not None:
                    self.has_reported = True
                    self._heard.add(report)
                    yield report

    def _pump(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._printed.put(line)
        self._printed.put(None)

    def _written(self) -> list[str]:
        """The whole lines that were appended to the file of reports since the last call."""
        if not self._file.exists():
            return []
        with open(self._file, "rb") as file:
            file.seek(self._bytes_read)
            # The script may be in the middle of a line: the rest is read the next time.
            lines, newline, _ = file.read().rpartition(b"\n")
        self._bytes_read += len(lines) + len(newline)
        return lines.decode(errors="replace").splitlines()

    def _report(self, line: str) -> dict[str, Any] | None:
        """A line as a report: its numbers, and the metric, whatever type that has.

        None for any other line, which goes to the log.
        """
        content = _json_object(line)
        if content is not None and (
            self._metric in content or "epoch" in content or self._metric is None
        ):
            return {
                key: value
                for key, value in content.items()
                if isinstance(value, int | float) or key == self._metric
            }
        if line.strip():
            self.lines.append(line.rstrip())
            print(line.rstrip())
        return None


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    return content
