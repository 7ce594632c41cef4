"""The loop over recorded curves or a formula, on a simulated clock: no Ray, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count

from raysweep.history import Config, Event, Trial
from raysweep.tune.controller import Log, SweepController
from raysweep.tune.sweep import Sweep

Epoch = tuple[Mapping[str, float], float]
"""What one epoch of a training gives: its metrics, and how many seconds it took."""
Curve = Callable[[Config, int], Iterable[Epoch]]
"""The training of a configuration with a training seed, epoch by epoch. MemoryError: the configuration does not fit."""


def simulate(
    sweep: Sweep, curve: Curve, workers: int, log: Log | None = None, past: Iterable[Event] = ()
) -> SweepController:
    """Run the sweep on `workers` simulated workers; a worker takes its next trial when one of its epochs ends with a stop.

    The loop has the histories; the times in them are simulated seconds. A budget in seconds ends the simulation at that second.
    """
    return Simulation(sweep, curve, workers, log, past).run()


class Simulation:
    """Workers, the epochs that they are training, and when each ends."""

    def __init__(
        self,
        sweep: Sweep,
        curve: Curve,
        workers: int,
        log: Log | None = None,
        past: Iterable[Event] = (),
    ) -> None:
        self.now = 0.0
        self.controller = SweepController(sweep, log, past, clock=lambda: self.now)
        self._curve = curve
        self._idle = workers
        self._order = count()
        self._ends: list[tuple[float, int, Trial, Iterator[Epoch], Epoch]] = []

    def run(self) -> SweepController:
        self._start()
        while self._ends:
            self.now, _, trial, epochs, epoch = heappop(self._ends)
            self._report(trial, epochs, epoch)
            self._start()
        return self.controller

    def _start(self) -> None:
        """Give every idle worker something to do, as long as there is something."""
        while self._idle and (trial := self.controller.next()) is not None:
            self._idle -= 1
            self.controller.started(trial)
            epochs = iter(self._curve(trial.config, trial.seed))
            for _ in range(trial.epoch):
                next(epochs)
            self._train(trial, epochs)

    def _train(self, trial: Trial, epochs: Iterator[Epoch]) -> None:
        """Let a worker train the next epoch. A curve that ends before the budget's epochs is a mistake of its author."""
        try:
            epoch = next(epochs)
        except StopIteration:
            raise ValueError(f"the curve of {trial.id} ends after epoch {trial.epoch}") from None
        except MemoryError as error:
            notes = {"accumulation_read": True}  # a curve stands for a train function that heeds it
            self.controller.out_of_memory(trial, f"out of memory: {error}", notes)
            self._idle += 1
            return
        heappush(self._ends, (self.now + epoch[1], next(self._order), trial, epochs, epoch))

    def _report(self, trial: Trial, epochs: Iterator[Epoch], epoch: Epoch) -> None:
        metrics, seconds = epoch
        spent = trial.reports[-1].seconds if trial.reports else 0.0
        decision = self.controller.reported(trial, trial.epoch + 1, metrics, spent + seconds)
        if decision.stop:
            self._idle += 1
        elif self.controller.stopping:
            self.controller.returned(trial, f"interrupted: {self.controller.stopping}")
            self._idle += 1
        else:
            self._train(trial, epochs)
