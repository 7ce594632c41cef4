"""The median rule: stop a trial whose best loss is worse than the median of the other trials.

Golovin et al., "Google Vizier: A Service for Black-Box Optimization", KDD 2017, section 3.2.1. As
in Optuna, the median is that of the losses at the epoch, not of their running averages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from raysweep.formatting import plural
from raysweep.history import History, Trial
from raysweep.schedulers.audit import AuditFraction, is_audited, stop_or_audit
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.schedulers.rungs import just_reached, quantile_of_others


@dataclass(frozen=True)
class Median:
    """Compares a trial from epoch `grace` on, once `trials` others have reported the same epoch.

    `audit`: the fraction of the stopped trials that is trained to the end nevertheless.
    """

    grace: Annotated[int, Ge(1)] = 1
    trials: Annotated[int, Ge(1)] = 5
    audit: AuditFraction = 0.0

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (*range(self.grace, epochs), epochs)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None = None) -> Decision:
        level = just_reached(trial, history)
        if level is None or level == history.levels[-1] or trial.best is None or is_audited(trial):
            return CONTINUE
        rung = history.rungs[level]
        n_others = len(rung) - 1
        if n_others < self.trials:
            return CONTINUE
        median = quantile_of_others(rung, trial.loss, 0.5)
        best = trial.best.loss
        if best <= median:
            return CONTINUE
        others = f"the median of {plural(n_others, 'other')}, {history.show(median)}"
        reason = f"its best, {history.show(best)}, is worse than {others}"
        return stop_or_audit(trial, f"epoch {trial.epoch}: {reason}", self.audit)

    def promote(
        self, history: History, ranking: Ranking | None = None, *, budget_exhausted: bool
    ) -> int | None:
        """None: a stopped trial is never promoted."""
        return None
