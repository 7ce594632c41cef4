"""Audit early stopping: train a random fraction of the stopped trials to the end nevertheless.

What these trials reach tells how often early stopping loses the best trial
(`results/analysis/stopping_audit.py`). They are left out of every rung above the one at which they
would have stopped, so that every other trial is compared as if they had.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from raysweep.history import Trial
from raysweep.schedulers.base import Decision

AuditFraction = Annotated[float, Ge(0), Lt(1)]
"""The fraction of all trials that is trained to the end even if a scheduler would stop them."""
_SEED = 0xA0D17
"""Goes into the seed of the draw beside the trial's own, so that the draw is independent of what
else is drawn from the trial's seed. An arbitrary number."""


def stop_or_audit(trial: Trial, reason: str, audit_fraction: float) -> Decision:
    """Stop a trial for a reason, or let it continue under audit if it was drawn for that."""
    draw = float(np.random.default_rng([trial.seed, _SEED]).random())
    audited = draw < audit_fraction
    return Decision(not audited, reason, audited=audited)


def is_audited(trial: Trial) -> bool:
    """True if the trial would have been stopped before, and continues under audit."""
    return "audited" in trial.notes
