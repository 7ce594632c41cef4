"""CUDA's MPS on this machine: processes that share a GPU compute at the same time.

Without it, a GPU gives its processes slices of time, one after another. It is NVIDIA's own daemon,
one for all processes of a user, so it is started only if the file allows it (`resources: {mps:
true}`), with a folder of its own, and ended with the session.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CONTROL = "nvidia-cuda-mps-control"
PIPES, LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
"""What tells processes of the daemon, and the daemon where it writes."""
START_SECONDS = 20.0
SLICES = "so trials that share a GPU take turns"

Control = Callable[[list[str], str], str]
"""Runs a command with an input. Returns "", or why it failed."""


def control(words: list[str], said: str) -> str:
    """Run NVIDIA's program."""
    if shutil.which(words[0]) is None:
        return f"there is no {words[0]} here"
    try:
        done = subprocess.run(
            words, input=said, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr or done.stdout).strip() or f"it ended with exit code {done.returncode}"


@contextmanager
def mps(allowed: bool, say: Callable[[str], None], control: Control = control) -> Iterator[None]:
    """Run the daemon while the body runs, if that is allowed. A line says what came of it.

    Processes that the body starts use it. One that runs already is used as it is.
    """
    if not allowed:
        yield
        return
    if PIPES in os.environ:
        say(f"mps: {PIPES} is set, so the daemon there is used")
        yield
        return
    # Short, because the daemon's socket lies there, whose path may have 108 characters.
    folder = tempfile.mkdtemp(prefix="rs-mps-")
    os.environ[PIPES] = os.environ[LOGS] = folder
    failed = control([CONTROL, "-d"], "")
    try:
        if failed:
            _forget()
            say(f"mps: it could not be started, {SLICES}: {failed.splitlines()[0]}")
        else:
            say("mps: started, so trials that share a GPU compute at the same time")
        yield
    finally:
        if not failed:
            control([CONTROL], "quit\n")
            _forget()
        shutil.rmtree(folder, ignore_errors=True)


def _forget() -> None:
    for name in (PIPES, LOGS):
        os.environ.pop(name, None)
