"""What `raysweep simulate` found on a run's recorded curves, kept beside them for the page in `contest.json`."""

from __future__ import annotations

import json
import os
from typing import Any

from raysweep.results.analysis.compare import Comparison
from raysweep.results.analysis.findings import standings, verdict
from raysweep.results.analysis.incumbent_bands import bands
from raysweep.results.storage.run_directory import RunDirectory

NAME = "contest.json"


def save(run: RunDirectory, comparison: Comparison, answers: str) -> None:
    """Keep the last contest of a run. `answers`: what stood in for configurations between the recorded ones, and its error."""
    said = {
        "verdict": [*verdict(comparison), answers],
        "standings": standings(comparison),
        "progress": bands(comparison),
    }
    unfinished = run.path / f".{NAME}-{os.getpid()}"
    unfinished.write_text(json.dumps(said, allow_nan=False), encoding="utf-8")
    os.replace(unfinished, run.path / NAME)


def read(run: RunDirectory) -> dict[str, Any] | None:
    """The last contest; None where there was none."""
    try:
        content: dict[str, Any] = json.loads((run.path / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
