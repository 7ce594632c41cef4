"""What a script that can be continued has reported so far, in all of its attempts.

A script trains on while raysweep decides whether it may, and its checkpoint then is of a later
epoch than the last report that was passed on. What it said meanwhile is not said again when it
continues, so that it is kept: those epochs are sent, and not trained again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from raysweep.trainables.runtime.script.records import Record

HEARD = "heard.jsonl"
"""The file in a trial's folder that holds it, a JSON object for each record."""


class Heard:
    """The records of a script, in a file if it continues or may do so later.

    `is_kept`: it may continue later. `continues`: it continues what earlier attempts trained.
    """

    def __init__(self, file: Path, *, may_continue: bool, continues: bool) -> None:
        self._file = file
        self.is_kept = may_continue
        self.continues = continues
        if not continues:
            file.unlink(missing_ok=True)

    def earlier(self) -> Iterator[Record]:
        """What former attempts said, up to a line that was not written to its end."""
        if not self._file.exists():
            return
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                yield Record(**json.loads(line))
            except (TypeError, ValueError):
                return

    def add(self, records: Iterable[Record]) -> None:
        """Keep records, but for the states of progress bars, which come again as lines."""
        lines = [json.dumps(asdict(record)) + "\n" for record in records if record.firm]
        if self.is_kept and lines:
            with open(self._file, "a", encoding="utf-8") as file:
                file.writelines(lines)
