"""Thin adapters between Ray Tune and the controller.

Ray asks them what to start and whether a trial continues; they ask the controller. Ray pickles them
before it starts. They hold a reference to a live `ControllerLink` that does not travel: nothing
here is ever unpickled to continue, because a sweep resumes from its own ledger.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.executors.ray import ray_compat
from raysweep.tune.executors.ray.ray_worker import pack
from raysweep.tune.executors.ray.stall_detector import kill_worker
from raysweep.tune.executors.ray.worker_failure import error_of, explain

MAX_REMEMBERED = 64
"""Ended trials that stay in Ray's lists, which looks at recent ones again."""

T = TypeVar("T")
U = TypeVar("U")


class ControllerLink:
    """Reaches the controller from Ray's components.

    `bug`: what our own code raised under Ray, whose handlers would make a failed trial of it.
    Nothing is started any more then.
    """

    def __init__(self, coordinator: TrialCoordinator, tick: Callable[[], None]) -> None:
        self.coordinator = coordinator
        self.tick = tick
        self.tune_controller: Any = None
        self.bug: Exception | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (_nothing, ())

    def call(self, function: Callable[[], T], otherwise: U) -> T | U:
        """Call; if that raises, now or before, keep the exception and return `otherwise`."""
        if self.bug is not None:
            return otherwise
        try:
            return function()
        except Exception as error:
            self.bug = error
            self.coordinator.controller.stop(str(error), interrupted=True)
            return otherwise

    def propose(self, ray_id: str) -> dict[str, Any] | str | None:
        """The packed job for a new Ray trial; None to wait; FINISHED when the sweep is over."""
        controller = self.coordinator.controller
        if controller.done:
            return str(Searcher.FINISHED)
        job = self.coordinator.next_job(ray_id)
        if job is not None:
            return pack(job)
        return str(Searcher.FINISHED) if controller.done else None

    def heard(self, ray_id: str, result: dict[str, Any]) -> bool:
        """Act on a worker's message, and leave it an answer; False if it must stop."""
        continues = self.coordinator.heard(ray_id, result)
        answer = self.coordinator.answer(ray_id)
        if answer is not None and continues:
            ray_compat.put_answer(ray_id, json.dumps(answer))
        return continues

    def step(self) -> None:
        """What is done about ten times a second."""
        self.tick()
        for ray_id in self.coordinator.give_back():
            ray_compat.end_unstarted(self.tune_controller, ray_id)
        if self.coordinator.needs_no_idle_worker and self.tune_controller is not None:
            ray_compat.release_idle_workers(self.tune_controller)

    def lost(self, ray_id: str, error: object) -> None:
        """A worker died, or could not be used: `error` is what Ray says of it."""
        trials = self.coordinator.trials_of(ray_id)
        for trial in trials:
            logging.getLogger("ray").warning("%s lost its worker: %s", trial.id, error)
        if trials:
            self.coordinator.lost(ray_id, explain(error))


def forget(controller: Any) -> None:
    """Take ended trials out of Ray's lists.

    Ray keeps 20 kB of each to the end, and looks through all of them at every step.
    """
    old = {trial for trial in controller._trials[:-MAX_REMEMBERED] if trial.is_finished()}
    if len(old) >= MAX_REMEMBERED:
        controller._trials[:] = [trial for trial in controller._trials if trial not in old]
        for held in vars(controller).values():
            if isinstance(held, set):
                held -= old


def _nothing() -> None:
    """What a pickled link comes back as."""


class ControllerSearcher(Searcher):  # type: ignore[misc]
    """Ray asks it for the next trial."""

    def __init__(self, link: ControllerLink) -> None:
        super().__init__()
        self._link = link

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._link.call(lambda: self._link.propose(trial_id), str(Searcher.FINISHED))

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler is told of everything."""

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass


class ControllerScheduler(FIFOScheduler):  # type: ignore[misc]
    """Ray asks it after every report: it is the only component that sees all of them."""

    def __init__(self, link: ControllerLink) -> None:
        super().__init__()
        self._link = link

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """None, so that a free worker takes the trial that was proposed last.

        Ray's own answer is the oldest waiting trial, whose worker may just be starting on a node
        that joined late. That trial would get the free worker and its own start would be thrown
        away, and so on, as long as trials are shorter than the start of a worker. Where trials wait
        for a kind of GPU that is short, no worker of theirs is starting: the oldest is right.
        """
        for_free = ray_compat.waiting_for_a_free_worker(tune_controller._tune_controller)
        if not for_free:
            return None
        by_id = {trial.trial_id: trial for trial in for_free}
        waiting = self._link.call(
            lambda: self._link.coordinator.waiting_for_a_kind(list(by_id)), list[str]()
        )
        return by_id[waiting[0]] if waiting else None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._link.tune_controller = tune_controller._tune_controller
        forget(tune_controller._tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        continues = self._link.call(lambda: self._link.heard(trial.trial_id, result), False)
        if not continues and trial.trial_id in self._link.coordinator.leaving:
            kill_worker(ray, trial)  # a stopped one would be kept, and get the next trial
            return str(TrialScheduler.CONTINUE)  # that call fails, so Ray frees what it held
        return str(TrialScheduler.CONTINUE if continues else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._link.call(lambda: self._link.lost(trial.trial_id, error_of(trial)), None)


class ControllerCallback(TrialProgressCallback):  # type: ignore[misc]
    """Ray calls it when a worker starts a trial, and about ten times a second.

    It replaces Ray's own progress printer, which would keep every trial in memory to the end.
    """

    def __init__(self, link: ControllerLink) -> None:
        self._link = link

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._link.call(lambda: self._link.coordinator.started(trial.trial_id), None)

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Nothing: callbacks get the events of the ledger."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing."""

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._link.call(self._link.step, None)
