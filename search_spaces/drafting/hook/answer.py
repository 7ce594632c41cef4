"""Writes the answer and ends the process: what would follow is the training."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

place = Path("answer.json")
"""The file that the answer is written to; `main.py` sets it."""
PLAIN = (bool, int, float, str, type(None))
MOST_CHARACTERS = 300
"""The most that is kept of a default or of a help text: more would not fit into a comment."""


def write(answer: dict[str, Any]) -> None:
    """Write the answer. A later one replaces it."""
    partial = place.with_suffix(".partial")
    partial.write_text(json.dumps(answer, default=repr), encoding="utf-8", errors="replace")
    partial.replace(place)  # so that a process that is killed here leaves a whole answer or none


def finish(answer: dict[str, Any]) -> None:
    """Write the answer and end this process at once, without any handler of the program's."""
    write(answer)
    os._exit(0)


def plain(value: Any) -> Any:
    """A default or a choice as JSON has it; None for anything else."""
    if isinstance(value, PLAIN):
        if isinstance(value, str):
            return value[:MOST_CHARACTERS]
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    inner = getattr(value, "value", None)  # a member of an enumeration
    if isinstance(inner, PLAIN):
        return inner
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return None


def text(value: Any) -> str:
    """A help text on one line."""
    if not isinstance(value, str):
        return ""
    return " ".join(value.split())[:MOST_CHARACTERS]
