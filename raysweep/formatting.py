"""Numbers, durations and tables as people read them.

They look the same on the screen, in the page, in a notebook and in `raysweep ls`.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"
"""Stands in a table for a value that does not exist."""
LEAST_GROUPED = 10_000
"""Whole numbers have commas from here on; those of four digits are read easily without."""
_NOT_FINITE = {"nan": "NaN", "inf": "∞", "-inf": "-∞"}


def number(value: Any, digits: int = 4) -> str:
    """A number with so many significant digits; a dash for None."""
    if value is None:
        return DASH
    # True is an int as well, and would be shown as a number.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(str(value))
    if isinstance(value, int):
        return _whole_number(value)
    if not math.isfinite(value):
        return _NOT_FINITE[str(float(value))]
    if 1e-4 <= abs(value) < 10**digits or value == 0:
        return f"{value:.{digits}g}"
    return f"{value:.{digits - 1}g}"  # one digit less makes room for the exponent


def _whole_number(value: int) -> str:
    if abs(value) < LEAST_GROUPED:
        return str(value)
    return f"{value:,}"


def duration(seconds: float | None) -> str:
    """A duration, as `0.42 s`, `12 s`, `3 min 05 s` or `2 h 04 min`; a dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if 0 < seconds < 0.01:  # "0 s" would look like a trial that never ran
        return "<0.01 s"
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60:,} h {minutes % 60:02d} min"


def size(count: float | None) -> str:
    """A number of bytes, as `312 MiB`; a dash for None."""
    if count is None:
        return DASH
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def plural(count: int, word: str) -> str:
    """A count with its noun, as `1 trial` or `1,000 trials`."""
    if count == 1:
        return f"1 {word}"
    return f"{count:,} {word}s"


def clean(text: str) -> str:
    """Text that is safe on a terminal: control characters, but for line ends, become `?`."""
    return "".join(map(_safe_letter, text))


def _safe_letter(letter: str) -> str:
    if letter == "\t":
        return "    "
    if letter.isprintable() or letter == "\n":
        return letter
    return "?"


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """Prose in lines of at most `width` characters. Lines after the first one are indented.

    Lines are broken between words only: a path that is longer than a line stays whole.
    """
    return textwrap.fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,  # a path that is broken cannot be copied
        break_on_hyphens=False,
    )


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows as an HTML table, with all text escaped; columns that hold only dashes are left out."""
    names = [name for name in rows[0] if any(row[name] != DASH for row in rows)]
    head = "".join(f"<th>{html_text(name)}</th>" for name in names)
    lines = []
    for row in rows:
        cells = "".join(f"<td>{html_text(row[name])}</td>" for name in names)
        lines.append(f"<tr>{cells}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def html_text(text: str) -> str:
    """Text as HTML, escaped and without control characters."""
    return html.escape(clean(text))
