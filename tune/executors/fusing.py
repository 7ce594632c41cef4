"""How many trials a worker trains as one, and what is learned of it while a sweep runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.history import Status, Trial
from raysweep.tune.controller import SweepController
from raysweep.tune.retries import MAX_WORKER_FAILURES, deaths_in_epoch

SUSPECTED = 4
"""Of trials whose worker died, a worker gets only this part of the most trials at once, until they
have trained the epoch: one of them may kill it again, and must not end the others."""
MAKES_WAY = "a trial whose workers died trains alone for an epoch"
ONE_BY_ONE = "fuse: the trials train one by one from now on"


def trains_alone(trial: Trial) -> bool:
    """True if the next death of its worker in this epoch would end the trial."""
    return deaths_in_epoch(trial) >= MAX_WORKER_FAILURES - 1


class Fusing:
    """`resources.fuse` of a sweep. It begins with what the file says, and only ever goes down.

    That is for the rest of a session: the next one tries again.
    """

    def __init__(self, controller: SweepController) -> None:
        self._controller = controller
        self.most = controller.sweep.resources.fuse
        """The most trials that a worker may have."""
        self._heard: set[str] = set()

    def lanes(self, workers: int) -> int:
        """How many trials a worker should have, if there are so many workers.

        No more than its part of those that are left, so that no worker stays idle.
        """
        if self.most == 1:
            return 1
        left = self._trials_left()
        if left is None:
            return self.most
        return max(1, min(self.most, math.ceil(left / max(1, workers))))

    def may_share(self, trials: Sequence[Trial]) -> bool:
        """True if one worker may have all of these trials.

        Of those whose worker died in their present epoch, and may have been killed by them, only
        some. `MAX_WORKER_FAILURES` deaths in an epoch end a trial, so the last one hits it alone.
        """
        if len(trials) > 1 and any(map(trains_alone, trials)):
            return False
        suspects = sum(deaths_in_epoch(trial) > 0 for trial in trials)
        return suspects <= max(1, self.most // SUSPECTED)

    def heard(self, kind: str, line: str) -> None:
        """A worker says how it trains its trials (`trainables/fused/pool.py`).

        The first line of each kind is shown.
        """
        if kind in self._heard:
            return
        self._heard.add(kind)
        if kind == "none":
            self.stop(line)
        else:
            self._controller.say(f"fuse: {line}")

    def too_large(self, trials: int) -> None:
        """So many trials did not fit into memory together."""
        reason = f"{trials} trials as one did not fit into memory"
        if trials // 2 < 2:
            self.stop(reason)
        elif trials // 2 < self.most:
            self.most = trials // 2
            self._controller.say(f"fuse: at most {self.most} from now on: {reason}")

    def stop(self, reason: str) -> None:
        """Train trials one by one from now on."""
        if self.most > 1:
            self.most = 1
            self._controller.say(f"{ONE_BY_ONE}: {reason}")

    def _trials_left(self) -> int | None:
        """How many trials may still train; None if that is not known.

        Those that have not ended, those that will be proposed, and those that may be promoted.
        """
        sweep = self._controller.sweep
        if sweep.budget.trials is None:
            return None
        proposed = list(self._controller.trials)
        left = sum(not trial.status.ended for trial in proposed)
        if sweep.scheduler.promotes:
            left += sum(trial.status is Status.STOPPED for trial in proposed)
        return left + max(0, sweep.budget.trials * len(self._controller.studies) - len(proposed))
