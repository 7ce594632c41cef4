"""Trials that wait for one kind of GPU get it in the order in which they were proposed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from ray.tune.utils.object_cache import _ObjectCache

from raysweep.trainables.runtime.outcome import Outcome
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.ray.adapters import ControllerLink, ControllerScheduler
from raysweep.tune.executors.ray.ray_worker import kind_of_gpu
from tests.test_devices import coordinator


@dataclass(eq=False)
class RayTrial:
    """A trial of Ray Tune, as its scheduler sees it."""

    trial_id: str
    placement_group_factory: str
    status: str = "PENDING"
    PENDING: ClassVar[str] = "PENDING"


class RayTune:
    """What Ray Tune does with workers that trials have left, with one GPU of each kind.

    A free one goes to the trial that the scheduler chooses, or else to the one that came last.
    """

    def __init__(self, scheduler: ControllerScheduler, link: ControllerLink) -> None:
        self.scheduler, self.link = scheduler, link
        self._tune_controller = self
        self._trials: list[RayTrial] = []
        self._resetting_trials: set[RayTrial] = set()
        self._actor_cache: Any = _ObjectCache()
        self.begun: list[RayTrial] = []
        for kind in ("A100", ""):
            self._actor_cache.increase_max(kind)
            self._actor_cache.cache_object(kind, "worker")

    def ask(self) -> None:
        """Get trials until there is none at present, as Ray does at every step."""
        name = f"ray-{len(self._trials)}"
        while isinstance(job := self.link.propose(name), dict):
            self._trials.append(RayTrial(name, kind_of_gpu(job)))
            name = f"ray-{len(self._trials)}"

    def begin(self) -> None:
        """Give out the free workers."""
        if chosen := self.scheduler.choose_trial_to_run(self):
            self.start(chosen)
        for trial in reversed(self._trials):
            self.start(trial)

    def start(self, trial: RayTrial) -> None:
        kind = trial.placement_group_factory
        if trial.status == trial.PENDING and self._actor_cache.has_cached_object(kind):
            self._actor_cache.pop_cached_object(kind)
            trial.status = "RUNNING"
            self.link.coordinator.started(trial.trial_id)
            self.begun.append(trial)

    def end(self, trial: RayTrial) -> None:
        """It reports its only epoch and ends; its worker is free."""
        metrics = {"loss": 0.5}
        report = {"epoch": 1, "metrics": metrics, "seconds": 1.0, "notes": {}}
        for message in (report, {"outcome": asdict(Outcome("completed", ""))}):
            self.link.heard(trial.trial_id, {KEY: [message]})
        trial.status = "TERMINATED"
        self._actor_cache.cache_object(trial.placement_group_factory, "worker")


def test_a_gpu_that_is_waited_for_goes_to_the_first_proposed() -> None:
    link = ControllerLink(coordinator(3, {"A100": 1}), lambda: None)
    tune = RayTune(ControllerScheduler(link), link)
    for _ in range(20):
        tune.ask()
        tune.begin()
        for trial in [trial for trial in tune._trials if trial.status == "RUNNING"]:
            tune.end(trial)
    assert link.bug is None
    assert len(tune.begun) == 9
    wide = [trial.trial_id for trial in tune.begun if trial.placement_group_factory]
    assert wide == ["ray-0", "ray-1", "ray-2"]
