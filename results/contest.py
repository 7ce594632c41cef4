"""What `raysweep simulate` found on a run's recorded curves, kept beside them for the page in `contest.json`."""

from __future__ import annotations

import json
import os
from typing import Any

from results.bands import bands
from results.compare import Comparison
from results.folder import RunFolder
from results.verdict import standings, verdict

NAME = "contest.json"


def save(run: RunFolder, comparison: Comparison, answers: str) -> None:
    """Keep the last contest of a run. `answers`: what stood in for configurations between the recorded ones, and its error."""
    said = {
        "verdict": [*verdict(comparison), answers],
        "standings": standings(comparison),
        "progress": bands(comparison),
    }
    unfinished = run.path / f".{NAME}-{os.getpid()}"
    unfinished.write_text(json.dumps(said, allow_nan=False), encoding="utf-8")
    os.replace(unfinished, run.path / NAME)


def read(run: RunFolder) -> dict[str, Any] | None:
    """The last contest; None where there was none."""
    try:
        content: dict[str, Any] = json.loads((run.path / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content
