"""Starts a script as a process of its own, and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.trainables.runtime import kill_with_parent
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.script.hooks import with_wandb_hook


@dataclass(frozen=True)
class Paths:
    """The script, and the folder of the trial."""

    script: Path
    folder: Path

    @property
    def reports(self) -> Path:
        return self.folder / "reports.jsonl"


@contextmanager
def running(
    paths: Paths, words: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """The script as a process that ends with the body, or when this process dies."""
    paths.folder.mkdir(parents=True, exist_ok=True)
    # What an earlier attempt reported is in the ledger. Read again, it would count for this one.
    paths.reports.unlink(missing_ok=True)
    # -I -S: the guard needs no packages, and so starts in milliseconds.
    guard = [sys.executable, "-I", "-S", kill_with_parent.__file__]
    process = subprocess.Popen(
        [*guard, sys.executable, str(paths.script), *words],
        cwd=paths.script.parent,
        env=with_wandb_hook(os.environ | environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()  # which ends the script, if it still runs
        process.wait()


def environment(paths: Paths, config: dict[str, Any], run: Run) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",  # or reports would stay in a buffer
        "RAYSWEEP_CONFIG": json.dumps(config),
        "RAYSWEEP_DEVICE": run.device,
        "RAYSWEEP_FOLDER": str(paths.folder),
        "RAYSWEEP_REPORTS": str(paths.reports),
        "RAYSWEEP_REPORT_EVERY": str(run.report_every),
        "RAYSWEEP_SEED": str(run.seed),
        f"RAYSWEEP_{run.unit.upper()}": str(run.length),
    }
