"""The executor for debugging: trials run one after another in this very process.

Breakpoints, `print`, profilers and tracebacks work as in a script. No Ray is started.
"""

from __future__ import annotations

import bdb
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.finder import file_module
from raysweep.history import Trial
from raysweep.trainables.runtime.import_trainable import split_reference
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.process_setup import gpu_memory
from raysweep.trainables.runtime.run import StorageError
from raysweep.trainables.runtime.train_job import train_job
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.messages import KEY
from raysweep.tune.executors.placement import PlanError
from raysweep.tune.executors.policy import TrialCoordinator
from raysweep.tune.executors.ray.checkpoint_sync import GroupAtHand, at_hand

ANNOUNCEMENT = (
    "for debugging: trials train one after another in this process, without Ray, "
    "and the first that fails raises its exception"
)
WORKER = "this process"
NO_ERROR = ("alone", "completed", "oom", "storage")
"""Outcomes after which the sweep continues, or ends by itself, as on Ray."""


class DebugError(UserError):
    """A trial that failed without an exception, in one line."""


class TrialStopped(BaseException):
    """Ends the train function of a trial that is stopped. Not an Exception, as `except` in a train
    function should not catch it."""


class DebugExecutor:
    """Trains one trial after another in this process, in the order of the controller.

    The first trial that fails raises its own exception, after the ledger has recorded it. A
    promoted trial continues from its checkpoint, and the sweep can be resumed.

    What a process of its own would give a trial is missing: `resources.workers` above 1 and
    `hang_after` have no effect, and a crash of the trial ends the session. The environment
    variables that trials set are set back at the end. Raises PlanError if there is no GPU although
    the sweep asks for one and `require_gpu`.
    """

    def __init__(self, require_gpu: bool = False) -> None:
        self._require_gpu = require_gpu

    def run(self, controller: SweepController, callbacks: Sequence[Callback]) -> None:
        """Train until the controller is done, or until a trial fails."""
        controller.say(ANNOUNCEMENT)
        controller.machine = socket.gethostname()
        forget_file(controller.sweep.trainable)
        if controller.sweep.resources.workers > 1:
            controller.say("each trial is trained by this process alone, whatever workers says")
        coordinator = TrialCoordinator(controller, self._job_maker(controller))
        with kept_environment():
            while (job := coordinator.next_job(WORKER)) is not None:
                coordinator.started(WORKER)
                _Attempt(coordinator, callbacks).train(job)

    def _job_maker(self, controller: SweepController) -> Callable[[Trial], Job]:
        """Makes jobs for this process, with a whole GPU if there is one and the sweep wants it."""
        resources = controller.sweep.resources
        gpu = 0.0
        if resources.gpu > 0 or resources.auto_gpu:
            if gpu_memory() != (0, 0):
                gpu = 1.0
            elif self._require_gpu:
                raise PlanError("a GPU is required, and the machine has none")
        return lambda trial: replace(controller.make_job(trial), workers=1, spread=False, gpu=gpu)


def forget_file(trainable: str) -> None:
    """Have a train function's file imported anew.

    In a notebook the same process may have trained with an earlier state of the file.
    """
    place = split_reference(trainable)[0]
    if not place.endswith(".py"):
        return
    path = Path(place).resolve()
    file = getattr(sys.modules.get(path.stem), "__file__", None)
    if file and Path(file).resolve() == path:
        del sys.modules[path.stem]
    sys.modules.pop(file_module(path), None)


@contextmanager
def kept_environment() -> Iterator[None]:
    """Set the environment variables back after the body."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@dataclass
class _Attempt:
    """The attempt to train one trial, and what its train function raised."""

    coordinator: TrialCoordinator
    callbacks: Sequence[Callback]
    error: BaseException | None = None

    def train(self, job: Job) -> None:
        """Train the trial, or several as one. Raises what the train function raised."""
        try:
            outcome = self._train_group(job) if job.fuse > 1 else self._train_one(job)
        except TrialStopped:
            return
        except StorageError as error:
            outcome = Outcome("storage", str(error))
        if isinstance(self.error, KeyboardInterrupt | bdb.BdbQuit):
            raise KeyboardInterrupt from self.error  # a person ended it: the trial did not fail
        self.coordinator.heard(WORKER, {KEY: [{"outcome": asdict(outcome)}]})
        if outcome.status not in NO_ERROR:
            raise self.error or DebugError(f"{job.trial} failed: {outcome.reason}")

    def _train_one(self, job: Job) -> Outcome:
        with at_hand(job, lambda call: call()) as (local, store):

            def send(message: dict[str, Any]) -> None:
                store()
                self._send(message)

            return train_job(local, send, self._keep)

    def _train_group(self, job: Job) -> Outcome:
        with GroupAtHand(lambda call: call()) as group:
            local = group.bring(job)
            return train_job(
                local, lambda message: group.exchange(self._exchange, message), self._keep
            )

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take in what happened to the trials of a group, and answer."""
        self._send(message)
        ends = [part["outcome"]["status"] for part in message["group"] if "outcome" in part]
        if self.error is not None and not set(ends) <= set(NO_ERROR):
            raise self.error
        return self.coordinator.answer(WORKER) or {"stop": [], "jobs": []}

    def _send(self, message: dict[str, Any]) -> None:
        """Take in a report of the train function."""
        for callback in self.callbacks:
            callback.on_tick(self.coordinator.controller)
        if not self.coordinator.heard(WORKER, {KEY: [message]}):
            raise TrialStopped

    def _keep(self, error: BaseException) -> None:
        self.error = error
