"""Runs a program up to where it reads its options, in a process of its own.

The process has no standard input and no GPU. It is ended, with all that it started, once it has
imported nothing for a while: the import of large libraries from a cold disk may take minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import raysweep.trainables.runtime.kill_with_parent as kill_with_parent
from raysweep.finder import program as command_of
from raysweep.search_spaces.drafting.hook.after_import import IMPORTING
from raysweep.search_spaces.drafting.program import MODULE, Program

LIMIT_SECONDS = 120.0
"""How long a program may take from its last import to its parser, in seconds."""
SAID_SECONDS = (10.0, 30.0)
"""When it is said first that a program has not come to its options, and how often from then on."""
POLL_SECONDS = 0.1
"""Between two looks at a program, in seconds."""
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
    """Run the program with `words` until it reads its options.

    It is ended once it has imported nothing for `limit` seconds. What takes longer than a moment is
    said on stderr.
    """
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        place = Path(scratch) / "answer.json"
        what = str(program.path)
        if program.module:
            what = f"{MODULE}{program.module}"
        command = command_of(f"{__package__}.hook.main", str(place), what, *words)
        ended = _run(command, program, limit, Path(scratch) / IMPORTING)
        try:
            data = json.loads(place.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = {}
    if data.get("error") or not data:
        return Answer(error=data.get("error") or _reason(ended, limit))
    return Answer(data)


def _reason(ended: int | None, limit: float) -> str:
    if ended is None:
        return (
            f"it was ended after {limit:g} seconds in which it imported nothing; "
            f"raysweep init --limit {5 * limit:g} gives it longer"
        )
    return f"it ended with exit code {ended}"


def _run(command: list[str], program: Program, limit: float, importing: Path) -> int | None:
    """Run a command; its exit code, or None if it was ended at the limit.

    importing: the file in which it says what it imports.
    """
    # -I -S: the guard needs no packages, and so starts in milliseconds.
    guard = [sys.executable, "-I", "-S", kill_with_parent.__file__]
    process = subprocess.Popen(
        [*guard, *command],
        cwd=program.folder,
        env=os.environ | ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    try:
        return _wait(process, program.shown, limit, importing)
    finally:
        process.stdin.close()  # which ends the program and what it started
        process.wait()


def _wait(process: subprocess.Popen[bytes], name: str, limit: float, importing: Path) -> int | None:
    """Wait for a program as long as it imports something new at least once in `limit` seconds."""
    began = last = time.monotonic()
    module, due = "", SAID_SECONDS[0]
    while time.monotonic() - last < limit:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(POLL_SECONDS)
        now = time.monotonic()
        if (newest := _imported(importing)) != module:
            module, last = newest, now
        if now - began > due:
            due += SAID_SECONDS[1]
            what = f"; it imports {module}" if module else ""
            said = f"{name} has not come to its options after {now - began:.0f} s{what}"
            print(said, file=sys.stderr, flush=True)
    return None


def _imported(importing: Path) -> str:
    """What the program imported last; "" if it has imported nothing yet."""
    try:
        return importing.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
