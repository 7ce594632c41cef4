"""Numbers, durations and times as people read them: the same on the screen, in the report and in `raysweep ls`."""

from __future__ import annotations

import math
import textwrap
from typing import Any


def number(value: Any, digits: int = 4) -> str:
    """A number with so many significant digits; `–` where there is none."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clean(str(value))
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    return (
        f"{value:.{digits}g}"
        if 1e-4 <= abs(value) < 10**digits or value == 0
        else f"{value:.{digits - 1}g}"
    )


def duration(seconds: float | None) -> str:
    """`0.42 s`, `12 s`, `3 min 05 s`, `2 h 04 min`."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds >= 0.01 or seconds == 0 else "<0.01 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02d} s"
        if minutes < 60
        else f"{minutes // 60:,} h {minutes % 60:02d} min"
    )


def size(count: float | None) -> str:
    """Bytes as `312 MiB`."""
    if count is None:
        return "–"
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def clean(text: str) -> str:
    """Text that is safe on a terminal: control characters, but for line ends, become `?`."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ("    " if letter == "\t" else "?")
        for letter in text
    )


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """Prose in lines of at most `width`, broken between words only: a path that is longer stays whole.

    Lines after the first one are indented.
    """
    return textwrap.fill(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
