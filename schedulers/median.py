"""The median rule: a trial stops where its best so far is worse than the median of the others at the same epoch.

Golovin et al., "Google Vizier", KDD 2017, section 3.2.1, with the value at the epoch in place of the running average, as Optuna has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from raysweep.history import History, Trial
from raysweep.schedulers.asha import cutoff
from raysweep.schedulers.audit import Share, under_audit, verdict
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.schedulers.rungs import just_reached


@dataclass(frozen=True)
class Median:
    """Judges from epoch `grace` on, once `trials` other trials have reported that epoch; `audit` as in ASHA."""

    grace: Annotated[int, Ge(1)] = 1
    trials: Annotated[int, Ge(1)] = 5
    audit: Share = 0.0

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (*range(self.grace, epochs), epochs)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None = None) -> Decision:
        level = just_reached(trial, history)
        if level is None or level == history.levels[-1] or trial.best is None or under_audit(trial):
            return CONTINUE
        if len(history.rungs[level]) <= self.trials:
            return CONTINUE
        rung = history.rungs[level]
        median = cutoff(rung, trial.loss, 0.5)
        if trial.best.loss <= median:
            return CONTINUE
        values = f"best {history.show(trial.best.loss)} behind the median {history.show(median)}"
        return verdict(trial, f"epoch {trial.epoch}: {values} of {len(rung) - 1}", self.audit)

    def promote(
        self, history: History, ranking: Ranking | None = None, *, budget_exhausted: bool
    ) -> int | None:
        """None: who was stopped stays stopped."""
        return None
