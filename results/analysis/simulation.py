"""The last result of `raysweep simulate` on a run, kept in its `simulation.json` for the page."""

from __future__ import annotations

import json
from typing import Any

from raysweep.files import atomic_write
from raysweep.results.analysis.compare import Comparison
from raysweep.results.analysis.findings import findings, ranking
from raysweep.results.analysis.incumbent_bands import incumbent_bands
from raysweep.results.storage.old_versions import find_file, translate_simulation
from raysweep.results.storage.run_directory import RunDirectory

NAME = "simulation.json"


def save(run: RunDirectory, comparison: Comparison, surrogate: str) -> None:
    """Write the result of a simulation, in place of an earlier one.

    surrogate: a sentence on what stood in for configurations that were not recorded, and its error.
    """
    content = {
        "findings": [*findings(comparison), surrogate],
        "ranking": ranking(comparison),
        "incumbents": incumbent_bands(comparison),
    }
    atomic_write(run.path / NAME, json.dumps(content, allow_nan=False))


def read(run: RunDirectory) -> dict[str, Any] | None:
    """The last result; None if there is none."""
    path = find_file(run.path, NAME)
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no simulation was run, or its file was cut off
        return None
    return translate_simulation(content)
