"""Lines that a program prints for every few batches: `Test: [10/59]  Acc@1: 50.0 (28.4)`.

The value is that of the last batch, and the average so far stands in brackets behind it. Only the
last of these lines has the value of the whole validation.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.search_spaces.drafting.formats import Hole, Line, Piece, name_of

_AVERAGES = ("avg", "average", "mean")


@dataclass(frozen=True)
class Progress:
    """Where a line counts batches. ends: the last line is printed, and both numbers are equal."""

    place: int
    ends: bool


def progress_of(line: Line) -> Progress | None:
    """The `[i/n]` of a line; None without it."""
    for place, before in enumerate(line.pieces[:-2]):
        numbers = line.pieces[place + 1 : place + 4]
        if not isinstance(before, str) or not before.rstrip().endswith("[") or len(numbers) < 2:
            continue
        first, between = numbers[:2]
        if isinstance(first, Hole) and isinstance(between, str) and between.strip() == "/":
            return Progress(place, _ends(line, first, numbers[-1]))
        if isinstance(first, Hole) and isinstance(between, str) and between.startswith("/"):
            return Progress(place, False)  # the number of batches is written out
    return None


def _ends(line: Line, first: Hole, second: Piece) -> bool:
    """True if the last batch is printed, and its line has the same number twice."""
    if not isinstance(second, Hole) or first.expression is None or second.expression is None:
        return False
    number, count = ast.unparse(first.expression), ast.unparse(second.expression)
    is_last = name_of(second).lower().startswith("last") or count.endswith("- 1")
    counts_from_one = number.endswith("+ 1") and not is_last
    is_printed = not line.tests or any("last" in ast.unparse(test) for test in line.tests)
    return number == count or (is_printed and (is_last or counts_from_one))


def is_latest(pieces: Sequence[Piece], place: int) -> bool:
    """True for the value of `value (average)`, which is that of the last batch."""
    following = pieces[place + 1 : place + 4]
    if len(following) < 3 or not isinstance(following[0], str) or following[0].strip() != "(":
        return False
    average, end = following[1:]
    if not isinstance(average, Hole) or not isinstance(end, str) or not end.startswith(")"):
        return False
    shown = ""
    if average.expression is not None:
        shown = ast.unparse(average.expression)
    return any(word in shown.rpartition(".")[2].lower() for word in _AVERAGES)
