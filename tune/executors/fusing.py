"""How many trials a worker trains as one, and what is learned of it while a sweep runs."""

from __future__ import annotations

import math

from raysweep.history import Status, Trial
from raysweep.tune.controller import SweepController
from raysweep.tune.retries import MAX_WORKER_FAILURES, deaths_in_epoch

SUSPECTED = 4
"""A worker that died is followed by workers with so many times fewer trials each, then by workers
with one: a trial that kills its worker must not end the others."""
ONE_BY_ONE = "fuse: the trials train one by one from now on"


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

    def allowed(self, trial: Trial) -> int:
        """The most trials that a worker may have if this one is among them.

        `MAX_WORKER_FAILURES` deaths in an epoch end a trial, so the last of them hits it alone.
        """
        deaths = deaths_in_epoch(trial)
        if deaths == 0:
            return self.most
        return max(1, self.most // SUSPECTED) if deaths < MAX_WORKER_FAILURES - 1 else 1

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
