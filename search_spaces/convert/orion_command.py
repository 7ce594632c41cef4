"""The command `orion hunt` in a shell script, as a document that the converter can read."""

from __future__ import annotations

import re
import shlex

from raysweep.search_spaces.file.document import Document, Path, SpecificationError

KEY = "orion hunt"
"""What stands for the command in the document."""
_COMMAND = re.compile(r"^[^#\n]*?\borion[ \t]+(?:-[\w-]+[ \t]+)*hunt\b(?P<rest>.*)$", re.MULTILINE)
_SEPARATORS = {"&", "&&", ";", "|", "||", ">", ">>", "2>&1", "<"}


def document(text: str, name: str) -> Document | None:
    """The words behind `orion hunt`, with their lines; None if the text has no such command.

    Raises SpecificationError for several commands, and for one that is not closed.
    """
    if "orion" not in text or "hunt" not in text:
        return None
    # A backslash at the end of a line continues it; the line break is kept for counting.
    joined = re.sub(r"\\[ \t]*\n", "\x00", text)
    found = list(_COMMAND.finditer(joined))
    if not found:
        return None
    lines = [
        joined.count("\n", 0, one.start()) + joined.count("\x00", 0, one.start()) + 1
        for one in found
    ]
    if len(found) > 1:
        raise SpecificationError(f"{name}:{lines[1]}: a second 'orion hunt'; expected one")
    return _read(found[0].group("rest"), name, lines[0])


def label(word: str) -> str:
    """What messages call a word of the command: an option without its value."""
    return word.partition("~")[0].partition("=")[0] if word.startswith("-") else word


def _read(rest: str, name: str, line: int) -> Document:
    words: list[str] = []
    places: dict[Path, str] = {(): f"{name}:{line}", (KEY,): f"{name}:{line}"}
    for part in rest.split("\x00"):
        try:
            given = shlex.split(part, comments=True)
        except ValueError:
            raise SpecificationError(f"{name}:{line}: a quote has no end") from None
        for word in given:
            if word in _SEPARATORS:
                return Document(name, {KEY: words}, places)
            places.setdefault((label(word),), f"{name}:{line}")
            words.append(word)
        line += 1
    return Document(name, {KEY: words}, places)
