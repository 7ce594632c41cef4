"""What a scheduler is asked: whether a trial continues, and which paused trial is promoted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from raysweep.history import History, Trial

Ranking = Callable[[], Mapping[int, float]]
"""Returns the final loss that the searcher expects of each trial, by number; less is better.

It is a function because the prediction takes time: a scheduler calls it only if the answer can
change a decision. Trials may be missing from the result.
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a trial stops, and the reason as tables show it.

    `audited`: the trial would have been stopped, but continues under observation.
    """

    stop: bool = False
    reason: str = ""
    audited: bool = False


CONTINUE = Decision()


class Scheduler(Protocol):
    """Decides from the history whether a trial continues. Every method is a pure function.

    `ranking` is None if the searcher predicts nothing.
    """

    @property
    def promotes(self) -> bool:
        """True if a stopped trial is only paused, and may be promoted later."""

    def levels(self, epochs: int) -> tuple[int, ...]:
        """The epochs at which trials are compared, ascending; `epochs`, the last epoch of a full
        training, comes last."""

    def decide(self, trial: Trial, history: History, ranking: Ranking | None) -> Decision:
        """Whether a running trial continues. Asked once after each of its reports is recorded."""

    def promote(
        self, history: History, ranking: Ranking | None, *, budget_exhausted: bool
    ) -> int | None:
        """The number of the paused trial to promote now, from its checkpoint; None without one.

        Asked whenever a worker is free. `budget_exhausted`: no new trials will be started.
        """


@runtime_checkable
class FinishingScheduler(Scheduler, Protocol):
    """A scheduler that also names what to train once every configuration was tried."""

    def finish(self, history: History, ranking: Ranking | None) -> int | None:
        """The number of a paused trial that continues, or None, for `promote` has named none.

        Asked if a searcher has nothing left to propose in a sweep that does not count its trials:
        time or epochs are left, and nothing else can use them.
        """
