"""No early stopping: every trial is trained to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from results.history import History, Trial
from schedulers.decision import GO_ON, Decision


@dataclass(frozen=True)
class Never:
    """Stops nothing."""

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (epochs,)

    def decide(self, trial: Trial, history: History) -> Decision:
        return GO_ON

    def promote(self, history: History, ending: bool) -> int | None:
        """None: who was stopped stays stopped."""
        return None
