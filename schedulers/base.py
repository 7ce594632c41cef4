"""What a scheduler is asked: whether a trial goes on, and which stopped one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from raysweep.history import History, Trial


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a trial stops, and why, in words that a table can show. `audited`: it would stop, but goes on to be observed."""

    stop: bool = False
    reason: str = ""
    audited: bool = False


CONTINUE = Decision()


class Scheduler(Protocol):
    """Reads the history after a report was recorded, and says whether the trial goes on. Its methods are pure functions of the history.

    `promotes`: stopped trials may go on later, when `promote` says so.
    """

    promotes: ClassVar[bool]

    def levels(self, epochs: int) -> tuple[int, ...]:
        """The epochs at which trials are compared in trainings of `epochs`, ascending, the last one `epochs`."""

    def decide(self, trial: Trial, history: History) -> Decision:
        """Asked once after each report of a trial that is still running."""

    def promote(self, history: History, budget_exhausted: bool) -> int | None:
        """The number of a stopped trial that goes on from its checkpoint now; None for none. Asked whenever a worker is free.

        `budget_exhausted`: the budget has no new trials any more.
        """
