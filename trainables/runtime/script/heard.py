"""What a script that can be continued has reported so far, in all of its attempts.

A script trains on while raysweep decides whether it may, and its checkpoint then is of a later
epoch than the last report that was passed on. What it said meanwhile is not said again when it
continues, so that it is kept: those epochs are sent, and not trained again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HEARD = "heard.jsonl"
"""The file in a trial's folder that holds it, a JSON object for each report."""


class Heard:
    """The reports of a script, which are kept in a file if it `continues` or may do so later."""

    def __init__(self, file: Path, *, may_continue: bool, continues: bool) -> None:
        self._file = file
        self._may_continue = may_continue
        if not continues:
            file.unlink(missing_ok=True)

    def earlier(self) -> Iterator[dict[str, Any]]:
        """What former attempts reported, up to a line that was not written to its end."""
        if not self._file.exists():
            return
        for line in self._file.read_text(encoding="utf-8").splitlines():
            try:
                content = json.loads(line)
            except ValueError:
                return
            yield content

    def add(self, report: Mapping[str, Any]) -> None:
        """Keep a report."""
        if self._may_continue:
            with open(self._file, "a", encoding="utf-8") as file:
                file.write(json.dumps(report) + "\n")
