r"""What a script prints, as a terminal would show it, and the records in it.

A progress bar redraws its line by a carriage return, or by moving the cursor up; each state of it
but the last is *overwritten*. Colours are removed. A report is read from a JSON object anywhere in
a line, from a Python dictionary of numbers as transformers' Trainer prints it, and from what the
user's patterns match.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LINE_CHARACTERS = 2**20
"""The most of a line that is kept. A report of 200 metrics is a hundredth of that."""
PATTERN_CHARACTERS = 4096
"""The most of a line that patterns are matched against: beyond that they may take long."""
MOST_BRACES = 20
"""How many braces of a line are tried as the start of a JSON object."""
_ENDS = re.compile(r"\r\n|\n|\r|\x1b\[(?P<rows>\d{0,3})A")
"""What ends a line or a state of it: line ends, and a cursor that goes up."""
_BEGUN = re.compile(r"(?:\r|\x1b(?:\[\d{0,3})?)\Z")
"""What may be the first half of such an end."""
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # a control sequence, such as a colour
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # an operating system command, such as a link
    r"|\x1b[@-_]?"
)
_BAR = re.compile(r"\d+%\s*\|")
_DICTIONARY = re.compile(r"\{\s*'[^{}]*\}")
_PAIR = re.compile(
    r"'(?P<name>[^'\\]{1,200})':\s*(?P<quote>'?)(?:[\w.]{1,20}\()?"
    r"(?P<value>[-+]?(?:\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+|nan|inf))(?P=quote)(?=[\s,)}])"
)
"""A name and its number in a Python dictionary, where it may stand in `np.float64(...)` or in
quotation marks."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line without colours. `overwritten`: it is a state of a progress bar, and not the last."""

    text: str
    overwritten: bool = False


class LineReader:
    """Splits what arrives in pieces into lines. The result does not depend on the pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces: list[str] = []
        self._length = 0
        self._begun = ""
        self._rows_up = 0
        self._shown = ""

    def feed(self, content: bytes) -> list[Line]:
        """The lines that this piece ends."""
        return self._split(self._decoder.decode(content))

    def end(self) -> list[Line]:
        """The line that the end of the output ends."""
        rest = self._split(self._decoder.decode(b"", final=True) + "\n")
        self._shown = ""
        return [line for line in rest if line.text]

    def _split(self, text: str) -> list[Line]:
        text = self._begun + text
        begun = _BEGUN.search(text)
        self._begun = ""
        if begun:
            self._begun, text = begun[0], text[: begun.start()]
        lines, start = [], 0
        for end in _ENDS.finditer(text):
            self._keep(text[start : end.start()])
            line = self._ended(end)
            if line is not None:
                lines.append(line)
            start = end.end()
        self._keep(text[start:])
        return lines

    def _keep(self, piece: str) -> None:
        piece = piece[: LINE_CHARACTERS - self._length]
        if piece:
            self._pieces.append(piece)
            self._length += len(piece)

    def _ended(self, end: re.Match[str]) -> Line | None:
        """The line that ends here; None if a terminal would show nothing of it."""
        raw = "".join(self._pieces)
        self._pieces, self._length = [], 0
        text = _ESCAPES.sub("", raw).rstrip()
        if "\n" not in end[0]:
            return self._redrawn(text, raw, end["rows"])
        if self._rows_up:
            # Nested bars go down to draw, and up again. What is printed above them stays.
            self._rows_up -= 1
            return Line(text, overwritten=bool(_BAR.search(text))) if text else None
        if not raw:
            text = self._shown  # the last state of a bar that the line end leaves standing
        self._shown = ""
        return Line(text)

    def _redrawn(self, text: str, raw: str, rows: str | None) -> Line | None:
        """The state of a line that is drawn again, or of one that the cursor leaves upwards."""
        if rows is not None:
            self._rows_up += int(rows or "1")
        elif raw:
            self._shown = text
        return Line(text, overwritten=True) if text else None


def json_objects(text: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """The JSON objects in a line, also behind or before other text.

    With each goes whether the line holds nothing else.
    """
    decoder = json.JSONDecoder()
    start, tries = text.find("{"), 0
    while start >= 0 and tries < MOST_BRACES:
        tries += 1
        end = start + 1
        try:
            content, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict):
            yield content, not (text[:start].strip() or text[end:].strip())
        start = text.find("{", end)


def printed_dictionaries(text: str) -> Iterator[dict[str, str]]:
    """The numbers of each flat Python dictionary in a line, as text. Nothing is evaluated."""
    if "{" not in text or "'" not in text:
        return
    for found in _DICTIONARY.finditer(text[:PATTERN_CHARACTERS]):
        if text[: found.start()].rstrip().endswith("':"):
            continue  # the value of a name: without that, its own names mean something else
        pairs = {pair["name"]: pair["value"] for pair in _PAIR.finditer(found[0])}
        if pairs:
            yield pairs
