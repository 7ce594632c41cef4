"""No early stopping: every trial is trained to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from raysweep.history import History, Trial
from raysweep.schedulers.base import CONTINUE, Decision, Ranking


@dataclass(frozen=True)
class NoStopping:
    """Stops no trial."""

    promotes: ClassVar[bool] = False
    several_metrics: ClassVar[bool] = True

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (epochs,)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None = None) -> Decision:
        return CONTINUE

    def promote(
        self, history: History, ranking: Ranking | None = None, *, budget_exhausted: bool
    ) -> int | None:
        """None: no trial is ever paused."""
        return None
