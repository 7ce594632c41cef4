"""How an attempt to train a trial ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended by itself.

    `status`: `completed`; `failed` (the train function raised, exited or crashed); `fails_again` (a
    script did not begin to train, and would not in another attempt either); `misreport` (it
    reported something that cannot be used); `oom` (it ran out of memory); `killed` (its process
    was killed from outside); `killed_for_memory` (the kernel did); `storage` (the run directory
    cannot be written); `mistake` (no trial of this sweep can run). `trace`: the end of the
    traceback, or of what was printed. `notes`: what else is known of the trial.
    """

    status: str
    reason: str
    trace: str = ""
    notes: dict[str, Any] = field(default_factory=dict)
