"""Runs a program up to where it reads its options, in a process of its own.

The process has a time limit, no standard input and no GPU, and is ended with all that it started.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import raysweep.trainables.runtime.kill_with_parent as kill_with_parent
from raysweep.finder import program as command_of
from raysweep.search_spaces.drafting.program import MODULE, Program

LIMIT_SECONDS = 120.0
"""How long a program may take to its parser: the import of large libraries from a cold disk."""
LIBRARIES = {
    "absl",
    "argparse",
    "click",
    "configargparse",
    "draccus",
    "fire",
    "hydra",
    "jsonargparse",
    "lightning",
    "pyrallis",
    "pytorch_lightning",
    "simple_parsing",
    "tap",
    "transformers",
    "typer",
    "tyro",
}
"""Modules that a program reads its options with. One that imports none of them is not run."""
ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",  # no memory of a GPU is taken for a look at the options
    "PYTHONDONTWRITEBYTECODE": "1",  # nothing is left in the user's folder
    "WANDB_MODE": "disabled",  # a program may begin a run before it reads its options
    "MPLBACKEND": "Agg",  # no window is opened
}


@dataclass(frozen=True)
class Answer:
    """What was found. `error`: why it found nothing, without the program's name."""

    data: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def reads_options(program: Program) -> bool:
    """True if the program imports a library that options are read with."""
    return bool(program.imports & LIBRARIES)


def ask(program: Program, words: list[str], limit: float = LIMIT_SECONDS) -> Answer:
    """Run the program with `words` until it reads its options; at most `limit` seconds."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        place = Path(scratch) / "answer.json"
        what = str(program.path)
        if program.module:
            what = f"{MODULE}{program.module}"
        command = command_of(f"{__package__}.hook.main", str(place), what, *words)
        ended = _run(command, program.folder, limit)
        try:
            data = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = {}
    if data.get("error") or not data:
        return Answer(error=data.get("error") or _reason(ended, limit))
    return Answer(data)


def _reason(ended: int | None, limit: float) -> str:
    if ended is None:
        return f"it was ended after {limit:g} seconds"
    return f"it ended with exit code {ended}"


def _run(command: list[str], folder: Path, limit: float) -> int | None:
    """Run a command; its exit code, or None if it was ended at the limit."""
    # -I -S: the guard needs no packages, and so starts in milliseconds.
    guard = [sys.executable, "-I", "-S", kill_with_parent.__file__]
    process = subprocess.Popen(
        [*guard, *command],
        cwd=folder,
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        process.stdin.close()  # which ends the program and what it started
        process.wait()
