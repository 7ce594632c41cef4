"""`gpu: auto` of a sweep: which part of a GPU each worker gets, and what its reports say of it.

Memory and utilization come with the reports of trials (`trainables/runtime/resource_monitor.py`),
so nothing here touches a device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raysweep.history import Trial
from raysweep.trainables.runtime.resource_monitor import UTILIZATION
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.gpu_sharing import Shares
from raysweep.tune.executors.packing import Epoch, Neighbours, Packing


@dataclass
class Worker:
    """A process on a GPU. `level`: how many processes were to share one when it began."""

    share: float
    level: int
    trials: set[str] = field(default_factory=set)
    place: str = ""
    """Its GPU; "" until it has reported."""
    sharing: dict[str, int] = field(default_factory=dict)
    """How many processes shared that GPU at the last report of each of its trials."""


class GpuPacking:
    """Follows the workers of a sweep, and sets their fractions.

    A session that resumes begins with what was found before.
    """

    def __init__(self, controller: SweepController) -> None:
        self._controller = controller
        found = controller.state.packed or {"processes": 1, "settled": False}
        self._packing = Packing(found["processes"], found["settled"])
        self._neighbours = Neighbours()
        self._workers: dict[str, Worker] = {}
        self.shares = Shares(controller.sweep.space, level=self._packing.level)
        self.shares.update(controller.trials)

    @property
    def reason(self) -> str:
        """Why trials continue in another process."""
        return f"up to {self._packing.level} processes are to share a GPU"

    def give(self, worker: str, trial: Trial) -> float:
        """The fraction of a worker that gets a trial: that of its first one."""
        if worker not in self._workers:
            self._workers[worker] = Worker(self.shares.give(trial), self._packing.level)
            others = [other for held in self._workers.values() for other in held.trials]
            self._neighbours.began(trial.id, others)
        self._workers[worker].trials.add(trial.id)
        return self._workers[worker].share

    def is_outdated(self, worker: str) -> bool:
        """True if a worker is to end because its trials would get another fraction now."""
        held = self._workers.get(worker)
        if held is None or held.level == self._packing.level:
            return False
        trials = map(self._controller.trial, held.trials)
        return max(map(self.shares.give, trials), default=held.share) != held.share

    def ended(self, worker: str) -> None:
        """A worker trains no more."""
        held = self._workers.pop(worker, None)
        for trial in held.trials if held is not None else ():
            self._neighbours.ended(trial)

    def reported(self, worker: str, trial: Trial, seconds: float) -> None:
        """A trial of a worker has reported an epoch that took so many seconds."""
        self.shares.update(self._controller.trials)
        held = self._workers.get(worker)
        if held is None:
            return
        held.place = f"{trial.notes.get('node', '')} {trial.notes.get('device', '')}"
        processes, before = self._sharing(held), held.sharing.get(trial.id)
        held.sharing[trial.id] = processes
        # Of an epoch during which others came or went it is not known what it stands for.
        if before in (None, processes):
            self._take(trial, held, seconds, processes, is_first=before is None)

    def _take(
        self, trial: Trial, held: Worker, seconds: float, processes: int, is_first: bool
    ) -> None:
        busy = trial.reports[-1].metrics.get(UTILIZATION)
        epoch = Epoch(trial.id, held.place, seconds, processes, is_first, busy)
        self._packing.add(epoch)
        if line := self._neighbours.add(epoch):
            slow = line.partition(" ")[0]
            self._controller.noted(self._controller.trial(slow), {"slows": line})
            self._controller.say(f"gpu: auto: {line}")
        if line := self._packing.decide(self.shares.most):
            self.shares.level = self._packing.level
            self._controller.packed(self._packing.level, self._packing.settled, line)

    def _sharing(self, held: Worker) -> int:
        """How many processes are on the GPU of this one, with those that have not reported."""
        return sum(other.place in (held.place, "") for other in self._workers.values())
