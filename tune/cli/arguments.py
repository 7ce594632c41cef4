"""What the verbs of the command line share: kinds of arguments, and printing."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.results.storage.run_directory import RunDirectory

Verbs = Any
"""What argparse calls the object that takes sub-commands; it has no public name."""


def place(text: str) -> Path | str:
    """A folder as a path; object storage as its URL."""
    return text if "://" in text else Path(text)


def storage() -> Path | str:
    """Where run directories are by default: `$RAYSWEEP_STORAGE`, or `ray_results`."""
    return place(os.environ.get("RAYSWEEP_STORAGE", "ray_results"))


RUN = "a run directory: its path, URL, or name in ray_results"
"""The help of an argument that `find_run` reads."""


def find_run(text: str | Path) -> RunDirectory:
    """The run of that path or URL, or of that name where run directories are by default.

    Raises RunError if there is none.
    """
    from raysweep.results.storage.ledger import NAME
    from raysweep.results.storage.run_directory import load

    default = storage()
    if "/" not in str(text) and isinstance(default, Path) and not (Path(text) / NAME).exists():
        named = default / text
        if (named / NAME).exists():
            return load(named)
    return load(text)


def count(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero, got '{text}'")
    return int(text)


def names(text: str) -> tuple[str, ...]:
    """Names between commas, each once. `{name: asha, type: stopping}` counts as a name too."""
    parts = re.findall(r"\{[^{}]*\}|[^,{}]+", text)
    found = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not found:
        raise argparse.ArgumentTypeError("expected names between commas")
    return found


def show(content: object, width: int | None = None) -> None:
    """Print a table or a text of rich's."""
    from rich.console import Console

    Console(highlight=False, width=width).print(content)
