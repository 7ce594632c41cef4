"""Whose fault it is: a searcher or a scheduler that raises ends the sweep with its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class PartError(RuntimeError):
    """A searcher or a scheduler raised: its name and the exception in one line. The exception itself is the cause."""


@contextmanager
def blaming(part: str, doing: str) -> Iterator[None]:
    """Raise PartError with `part`, what it was doing, and the exception, where the body raises one."""
    try:
        yield
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        raise PartError(f"{part} raised while {doing}: {type(error).__name__}: {text}") from error
