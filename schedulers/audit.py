"""Early stopping under observation: a random part of the trials that a scheduler would stop goes on to the end.

What they reach tells how often a winner is cut (`results/analysis/stopping_audit.py`). They count
in no rung after the one where they failed, so that every
other trial is judged as if they had stopped.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from raysweep.history import Trial
from raysweep.schedulers.base import Decision

Share = Annotated[float, Ge(0), Lt(1)]
_DRAW = 0xA0D17


def verdict(trial: Trial, reason: str, audit: float) -> Decision:
    """Stop the trial for that reason, or, for a random part `audit` of all trials, let it go on under observation."""
    chosen = audit > 0 and float(np.random.default_rng([trial.seed, _DRAW]).random()) < audit
    return Decision(not chosen, reason, audited=chosen)


def under_audit(trial: Trial) -> bool:
    """Whether the trial was to be stopped before, and goes on all the same."""
    return "audited" in trial.notes
