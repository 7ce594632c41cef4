"""Sweeps over recorded curves or a formula, on a simulated clock: no Ray, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count

from raysweep.formatting import plural
from raysweep.history import Config, Event, Trial
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController
from raysweep.tune.state import Log
from raysweep.tune.sweep import Sweep

Epoch = tuple[Mapping[str, float], float]
"""What an epoch of a training gives: its metrics, and how many seconds it took."""
Curve = Callable[[Config, int], Iterable[Epoch]]
"""The training of a configuration with a training seed, epoch by epoch.

It raises MemoryError if the configuration does not fit.
"""


def simulate(
    sweep: Sweep, curve: Curve, workers: int, log: Log | None = None, past: Iterable[Event] = ()
) -> SweepController:
    """Run a sweep on `workers` simulated workers, and return its controller.

    The times in its histories are simulated seconds; a budget in seconds ends it at that second.
    """
    executor = SimulatedExecutor(curve, workers)
    controller = SweepController(sweep, log, past, clock=executor.clock)
    executor.run(controller)
    return controller


class SimulatedExecutor:
    """Workers on a clock of their own: each trains its next epoch as soon as the last one ends."""

    def __init__(self, curve: Curve, workers: int) -> None:
        self._curve = curve
        self._now = 0.0
        self._workers = workers
        self._order = count()
        self._running: list[tuple[float, int, Trial, Iterator[Epoch], Epoch]] = []
        """A heap: when an epoch ends, a tie-break, its trial, the rest of its curve, the epoch."""

    def clock(self) -> float:
        """The simulated time in seconds. The controller must read it too."""
        return self._now

    def run(self, controller: SweepController, callbacks: Sequence[Callback] = ()) -> None:
        self._start(controller)
        while self._running:
            self._now, _, trial, epochs, epoch = heappop(self._running)
            self._report(controller, trial, epochs, epoch)
            for callback in callbacks:
                callback.on_tick(controller)
            self._start(controller)

    def _start(self, controller: SweepController) -> None:
        """Give every idle worker a trial, as long as there is one."""
        while (
            len(self._running) < self._limit(controller)
            and (trial := controller.next()) is not None
        ):
            controller.started(trial)
            epochs = iter(self._curve(trial.config, trial.seed))
            for _ in range(trial.epoch):
                next(epochs)
            self._train(controller, trial, epochs)

    def _train(self, controller: SweepController, trial: Trial, epochs: Iterator[Epoch]) -> None:
        """Have a worker train the next epoch.

        Raises ValueError if the curve ends before the budget's epochs: its author made a mistake.
        """
        try:
            epoch = next(epochs)
        except StopIteration:
            raise ValueError(f"the curve of {trial.id} ends after epoch {trial.epoch}") from None
        except MemoryError as error:
            notes = {"accumulation_read": True}  # a curve stands for a train function that reads it
            controller.out_of_memory(trial, f"out of memory: {error}", notes)
            return
        heappush(self._running, (self._now + epoch[1], next(self._order), trial, epochs, epoch))

    def _report(
        self, controller: SweepController, trial: Trial, epochs: Iterator[Epoch], epoch: Epoch
    ) -> None:
        metrics, seconds = epoch
        spent = trial.reports[-1].seconds if trial.reports else 0.0
        decision = controller.reported(trial, trial.epoch + 1, metrics, spent + seconds)
        if decision.stop:
            return
        limit = self._limit(controller)
        if len(self._running) >= limit:  # this trial is not among them at present
            controller.returned(trial, f"at most {plural(limit, 'trial')} at once")
        elif not controller.hold(trial):
            self._train(controller, trial, epochs)

    def _limit(self, controller: SweepController) -> int:
        """The most trials at once: the workers, or fewer if a command says so."""
        wanted = controller.steering.parallel
        return min(self._workers, wanted) if isinstance(wanted, int) else self._workers
