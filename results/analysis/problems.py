"""What went wrong in a sweep: the trials that ended badly, grouped by cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from raysweep.history import Trial

NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+(\.\d+)?([eE][+-]?\d+)?")
"""What differs between two messages of the same cause: sizes, epochs, addresses."""
BAD = ("failed", "oom", "diverged")
"""The statuses of trials that ended badly, the most urgent first."""
MAX_CAUSE = 200
"""Characters of a cause that are kept: enough for the message of an exception."""


def cause(trial: Trial) -> str:
    """The cause of a trial's bad end: the first line of its reason, with each number as `#`."""
    first = trial.reason.strip().partition("\n")[0] or str(trial.status)
    return NUMBER.sub("#", first)[:MAX_CAUSE]


def ended_badly(trial: Trial) -> bool:
    """True if a trial failed, diverged or ran out of memory."""
    return trial.status.ended and not trial.status.succeeded


def problems(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The causes of bad ends, the most frequent first.

    status: of these trials. cause: as `cause` gives it. example: the reason of the latest trial.
    trials: their indices. epochs: the least and the greatest number of epochs that they trained.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, trial in enumerate(trials):
        if ended_badly(trial):
            groups.setdefault((str(trial.status), cause(trial)), []).append(index)
    rows = []
    for (status, text), members in groups.items():
        epochs = [trials[index].epoch for index in members]
        rows.append(
            {
                "status": status,
                "cause": text,
                "example": trials[members[-1]].reason,
                "trials": members,
                "epochs": [min(epochs), max(epochs)],
            }
        )
    return sorted(rows, key=lambda row: (-len(row["trials"]), BAD.index(row["status"])))
