"""The seam between what a sweep decides and where its trials train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController


class Executor(Protocol):
    """Trains the trials that a controller gives out.

    An executor that holds something for longer than one run, as a connection to a cluster, may be
    a context manager too. A session enters it once: it may run a second controller, which trains
    the best configurations again (`confirm`).
    """

    def run(self, controller: SweepController, callbacks: Sequence[Callback]) -> None:
        """Train until `controller.done`.

        Take trials from `controller.next()`, tell the controller of each start, report and end,
        and obey its decisions; `raysweep.tune.executors.policy.TrialCoordinator` does so for
        workers that send messages. The controller tells the callbacks of events; the executor
        calls `on_tick` of each of them about ten times a second, if it can.
        """
