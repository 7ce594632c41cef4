"""The records in what a script prints, and what of it goes to the trial's log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from raysweep.report_interval import Unit
from raysweep.trainables.runtime.script.lines import Line, json_objects, printed_dictionaries
from raysweep.trainables.runtime.script.patterns import Patterns
from raysweep.trainables.runtime.script.records import Record, record_of


class Printed:
    """Reads records from lines.

    `patterns`: regular expressions whose named groups are metrics and positions.
    """

    def __init__(self, metric: str | None, unit: Unit, patterns: Sequence[str] = ()) -> None:
        self._metric = metric
        self._unit: Unit = unit
        self._patterns = Patterns(patterns)

    def read(self, line: Line) -> tuple[list[Record], bool]:
        """The records of a line, and whether it is a report and nothing else.

        Raises ReportError if a pattern takes too long.
        """
        records, is_report = [], False
        if not line.overwritten:
            for record, is_alone in self._objects(line.text):
                records.append(record)
                is_report |= is_alone and self._is_report(record)
        records += self._matches(line)
        return records, is_report

    def _objects(self, text: str) -> Iterator[tuple[Record, bool]]:
        """The records of JSON objects and of printed dictionaries, and which fill the line.

        What stands beside other text may be anything, such as a script's settings, so it counts
        only if it has the metric or a position.
        """
        if "{" not in text:
            return
        found: list[tuple[dict[str, Any], bool]] = list(json_objects(text))
        if not found:
            found = [(pairs, False) for pairs in printed_dictionaries(text)]
        for values, is_alone in found:
            record = self._record(values)
            if is_alone or self._is_report(record):
                yield record, is_alone

    def _matches(self, line: Line) -> Iterator[Record]:
        for groups in self._patterns.matches(line.text):
            yield record_of(groups, self._metric, self._unit, firm=not line.overwritten)

    def _record(self, values: dict[str, Any]) -> Record:
        return record_of(values, self._metric, self._unit)

    def _is_report(self, record: Record) -> bool:
        if self._metric is None:
            return bool(record.metrics)
        return self._metric in record.metrics or record.position is not None
