"""What the verbs of the command line share: kinds of arguments, and printing."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raysweep.results.storage.run_directory import RunDirectory

UNCUT = 100_000
"""The width, in characters, of a pipe or a file: lines are never cut there."""
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

    Raises RunError, with the run that was probably meant, if there is none.
    """
    from raysweep.results.storage.ledger import NAME
    from raysweep.results.storage.run_directory import RunError, load

    default = storage()
    if "/" in str(text) or isinstance(default, str) or (Path(text) / NAME).exists():
        return load(text)
    if (default / text / NAME).exists():
        return load(default / text)
    if Path(text).is_dir():
        return load(text)  # it names the runs in there
    raise RunError(f"{text} is not a run directory{other_runs(str(text), default)}")


def other_runs(name: str, folder: Path) -> str:
    """The end of a message about a run that is neither in a folder nor here: those that are."""
    from raysweep.results.storage.run_directory import naming, runs_in

    named = [Path(run).name for run in runs_in(folder)]
    return naming(name, [*named, *(run for run in runs_in(Path()) if run not in named)])


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
    """Print a table or a text of rich's, by default as wide as the terminal.

    Into a pipe or a file, lines are as long as they are, and end without blanks.
    """
    from rich.console import Console

    if width is None:
        width = get_terminal_size((UNCUT, 0)).columns  # the variable COLUMNS counts anywhere
    console = Console(highlight=False, width=width)
    if console.is_terminal:
        console.print(content)
        return
    with console.capture() as captured:
        console.print(content)
    for line in captured.get().splitlines():
        print(line.rstrip())
