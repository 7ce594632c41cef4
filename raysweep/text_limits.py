"""What of a user's text is kept, and how: the same limits in workers, in the driver and in files.

A train function can raise an exception with a message of any length and any characters. The
ledger, the tables and the screen keep a short form (`message`, `shorten_traceback`); the whole
traceback (`format_exception`) stands once, in the trial's `error.txt`. Characters that no file can
encode, or that a terminal would obey, are written as escapes (`visible`).
"""

from __future__ import annotations

import re
import traceback
from types import TracebackType

MESSAGE_CHARACTERS = 2_000
"""The most that is kept of a message in the ledger, in tables and on the screen: about 24 lines."""
TRACEBACK_CHARACTERS = 8_000
"""The most that is kept of a traceback there: about a hundred lines."""
ERROR_FILE_CHARACTERS = 4_000_000
"""The most that is kept of a traceback in `error.txt`, and that a worker sends of it."""

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, but for tabs and line ends, and surrogates: Python strings hold these only
alone, as what remains of a byte that could not be decoded."""
_CHAIN = re.compile(
    r"\n(?:The above exception was the direct cause of the following exception"
    r"|During handling of the above exception, another exception occurred):\n\n"
)


def visible(text: str) -> str:
    r"""Text that every file takes and no terminal obeys: `\udcff` and `\x1b` become escapes.

    Text that has gone through once is not changed by a second time.
    """
    # A line end of Windows becomes a plain one, not an escape of its carriage return.
    return _UNSAFE.sub(_escape, text.replace("\r\n", "\n"))


def encodable(text: str) -> str:
    r"""The text with surrogates as escapes (`\udcff`), and no other change."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}"


def shorten(text: str, most: int = MESSAGE_CHARACTERS) -> str:
    """At most `most` characters: the start and the end, and between them how many were left out."""
    if len(text) <= most:
        return text
    marker = f" ... {len(text) - most:,} characters are left out ... "
    room = max(0, most - len(marker))
    end = room // 2
    # Not text[-end:], which is the whole text if `end` is 0.
    return text[: room - end] + marker + text[len(text) - end :]


def message(text: str) -> str:
    """A user's message as the ledger, the tables and the screen have it."""
    return shorten(visible(text))


def shorten_traceback(text: str, most: int = TRACEBACK_CHARACTERS) -> str:
    """At most `most` characters of a traceback as text.

    Of a chain of exceptions the first, which caused the others, and the last one stay.
    """
    if len(text) <= most:
        return text
    root, *followed = _CHAIN.split(text)
    if not root or not followed:
        return shorten(text, most)
    *between, last = followed
    joint = f"\n\n... {len(between):,} exceptions that followed from it are left out ...\n\n"
    # The cause gets half of the room, and what the last exception does not need.
    room = most - len(joint)
    root = shorten(root, max(room // 2, room - len(last)))
    return root + joint + shorten(last, room - len(root))


def format_exception(error: BaseException, frames: TracebackType | None = None) -> str:
    """The whole traceback of an exception as text, for `error.txt`; never raises.

    `frames`: the first frame to show; by default all are.
    """
    try:
        lines = traceback.format_exception(type(error), error, frames or error.__traceback__)
        text = "".join(lines)
    except Exception as second:  # an exception may define any method, and each may raise
        text = f"{exception_line(error)}\n(its traceback cannot be shown: {type(second).__name__})"
    return shorten_traceback(visible(text.rstrip()), ERROR_FILE_CHARACTERS)


def exception_line(error: BaseException) -> str:
    """The type of an exception and the first line of its message; never raises."""
    name = message(type(error).__name__)
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # an exception may define `__str__`, and that may raise
        return f"{name} (its message cannot be shown)"
    if not lines:
        return name
    return message(f"{name}: {lines[0]}")
