"""Where what a script reports is read from, besides the JSON that it prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ReportSources:
    """How the metrics of a script are read.

    `patterns`: regular expressions for the lines that it prints, whose named groups are metrics and
    positions. `last`: the mean of so many last values of the metric is reported. `files`: paths or
    globs of files that it writes.
    """

    patterns: Sequence[str] = ()
    last: int | None = None
    files: Sequence[str] = ()


PRINTED_JSON = ReportSources()
"""What a script prints, and nothing else."""
