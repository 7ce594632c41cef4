"""A session: from the state in its ledger to the end of the budget, or an interruption."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType

from raysweep.errors import SessionInterrupted, UserError
from raysweep.history import Event, Status, Trial
from raysweep.trainables.runtime.job import Job
from raysweep.tune import code_changes, recall
from raysweep.tune.callbacks.base import Callback, Observer
from raysweep.tune.callbacks.checkpoint_retention import without_unfinished
from raysweep.tune.callbacks.inbox import CommandInbox
from raysweep.tune.callbacks.notify import notifiers
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.callbacks.run_files import PageFile
from raysweep.tune.callbacks.user import user_callbacks
from raysweep.tune.command_words import in_words
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.base import Executor
from raysweep.tune.executors.ray.connection import Machines
from raysweep.tune.executors.ray.executor import RayExecutor
from raysweep.tune.kept_checkpoints import TrialCheckpoints
from raysweep.tune.limits import SAME_FAILURE
from raysweep.tune.make_job import job
from raysweep.tune.retrain import is_unfinished, retraining
from raysweep.tune.run_folders import RunFolder
from raysweep.tune.script_told import untold
from raysweep.tune.steered import steered, steering_of
from raysweep.tune.sweep import Sweep

GOOD, BUG, MISTAKE, NONE_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 4
"""Exit codes. A sweep that was interrupted continues with `--resume`."""
TICK_SECONDS = 0.1
"""Seconds between two ticks of the callbacks while the sweep is paused, as while it trains."""
SAME_REQUEST_SECONDS = 1.0
"""`timeout` and others send SIGTERM to a process and then to its group, within milliseconds."""


class SessionError(UserError):
    """A mistake of the user's that only the first trial could show, in one line."""


@dataclass(frozen=True)
class Options:
    """How a sweep is run, as opposed to what it is."""

    machines: Machines = field(default_factory=Machines)
    require_gpu: bool = False
    retry_failed: bool = False
    resume: str = "the same command with --resume"
    """What to type to continue the sweep after an interruption."""


def run(
    sweep: Sweep,
    folder: Path,
    options: Options,
    observer: Observer,
    executor: Executor | None = None,
) -> int:
    """Run a sweep, or what is left of it, in its run directory, and return the exit code.

    `executor`: what trains; by default the sweep's own, else Ray as `options` describe it. Raises
    SessionError for a mistake that only a trial could show.
    """
    held = RunFolder.hold(folder, sweep)
    try:
        if held.ledger.torn:
            observer.say(
                "the last line of the ledger was torn off by whatever ended the last session; "
                "that event is trained again"
            )
        executor = executor or sweep.executor
        if executor is None:
            abandon = partial(_abandon, observer, options.resume)
            executor = RayExecutor(held, options.machines, options.require_gpu, abandon)
        callbacks = [
            PageFile(folder),
            *notifiers(sweep, folder.name, observer.say),
            *user_callbacks(sweep),
        ]
        session = Session(sweep, held, observer, callbacks)
        return session.run(executor, options.retry_failed)
    except SessionInterrupted as error:
        observer.say(f"interrupted: {error}")
        return INTERRUPTED
    finally:
        held.close()


def former(sweep: Sweep, past: list[Event], retry_failed: bool) -> SweepController:
    """The controller as the next session of a run would find it; nothing is written."""
    controller = SweepController(sweep, past=past)
    controller.reopen(retry_failed)
    return controller


@dataclass(frozen=True)
class Session:
    """What a session holds. The observer and `callbacks` follow it from beginning to end."""

    sweep: Sweep
    folder: RunFolder
    observer: Observer
    callbacks: Sequence[Callback]

    def run(self, executor: Executor, retry_failed: bool) -> int:
        """Train what is left, and return the exit code."""
        recorder = EventRecorder(self.folder, self.sweep, self.observer, self.callbacks)
        if not recorder.past:
            for line in filter(None, (self.sweep.untuned, untold(self.sweep))):
                self.observer.say(line)
        self.folder.opened(steered(self.sweep, steering_of(self.sweep, recorder.past)))

        def make_job(trial: Trial) -> Job:
            return job(controller.sweep, self.folder.path, trial)

        controller = SweepController(
            self.sweep,
            recorder,
            [*recorder.past, *self._recalled(recorder)],
            make_job=make_job,
            checkpoints=TrialCheckpoints(self.folder.path, self.sweep),
        )
        inbox = CommandInbox(self.folder, controller)
        inbox.open()
        controller.reopen(retry_failed)
        code_changes.record(controller, recorder)
        try:
            if (
                not controller.done
                or controller.paused
                or is_unfinished(controller, self.folder.path)
            ):
                self._train(controller, executor, recorder, inbox)
        except SessionInterrupted as error:
            controller.stop(str(error), interrupted=True)
            self.observer.say(f"interrupted: {error}")
        finally:
            recorder.close(controller)
            for callback in (inbox, self.observer, *self.callbacks):
                callback.close(controller)
        if controller.mistake:
            raise SessionError(controller.mistake)
        with contextlib.suppress(SessionInterrupted):  # the next session does without the event
            self.folder.closed(controller)
        if left := inbox.left():
            commands = "; ".join(map(in_words, left))
            self.observer.say(f"waits for the next session: {commands}")
        return exit_code(controller)

    def _recalled(self, recorder: EventRecorder) -> list[Event]:
        """Write down what a new sweep takes from earlier runs; [] if it takes nothing."""
        recalled = recall.recall_once(self.sweep, self.folder.path, recorder.past)
        if recalled is None:
            return []
        self.observer.say(recalled.line)
        event = recalled.event()
        recorder.write(event)
        return [event]

    def _train(
        self,
        controller: SweepController,
        executor: Executor,
        recorder: EventRecorder,
        inbox: CommandInbox,
    ) -> None:
        """Run the sweep, and train its best configurations again if it says so."""
        with (
            without_unfinished(self.folder.path),
            entered(executor),
            stopping_on_signals(controller),
        ):
            search(controller, executor, [inbox, *recorder.callbacks])
            if not controller.mistake and not controller.interrupted:
                self._retrain(controller, executor, inbox)

    def _retrain(
        self, controller: SweepController, executor: Executor, inbox: CommandInbox
    ) -> None:
        if not is_unfinished(controller, self.folder.path):
            return
        with (
            retraining(controller, self.folder.path, self.observer, self.callbacks) as again,
            stopping_on_signals(again.controller),
        ):
            executor.run(again.controller, [inbox, *again.recorder.callbacks])
        controller.mistake = again.controller.mistake
        if again.controller.interrupted:
            controller.stop(again.controller.stopping, interrupted=True)


def search(controller: SweepController, executor: Executor, callbacks: Sequence[Callback]) -> None:
    """Train until nothing is left to do. An executor ends when the sweep is paused.

    So it holds no devices then. It begins again when a command resumes the sweep.
    """
    while not controller.done or controller.paused:
        attempts = _attempts(controller)
        if not controller.done:
            executor.run(controller, callbacks)
        if controller.paused:
            _wait_until_resumed(controller, callbacks)
        elif _attempts(controller) == attempts:
            return  # the executor starts nothing, although there is something to train


def _attempts(controller: SweepController) -> int:
    """How often a trial has been started."""
    return sum(trial.attempts for trial in controller.trials)


def _wait_until_resumed(controller: SweepController, callbacks: Sequence[Callback]) -> None:
    controller.say("the sweep is paused and holds no devices; raysweep resume RUN continues it")
    while controller.paused:
        for callback in callbacks:
            callback.on_tick(controller)
        time.sleep(TICK_SECONDS)


@contextmanager
def entered(executor: Executor) -> Iterator[None]:
    """Enter an executor that is a context manager, too."""
    with ExitStack() as stack:
        if isinstance(executor, AbstractContextManager):
            stack.enter_context(executor)
        yield


def _abandon(observer: Observer, resume: str, controller: SweepController, why: str) -> None:
    """The last words of a driver that does not come back from a call into a dead Ray.

    All that it knew is in the ledger.
    """
    observer.close(controller)
    observer.say(f"interrupted: {why}; to continue:  {resume}")


def exit_code(controller: SweepController) -> int:
    """How the session ended, for the shell."""
    if controller.interrupted:
        return INTERRUPTED
    succeeded = any(
        trial.best is not None and trial.status.succeeded for trial in controller.trials
    )
    return GOOD if succeeded and controller.stopping != SAME_FAILURE else NONE_SUCCEEDED


@contextmanager
def stopping_on_signals(controller: SweepController) -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM: the first ends the sweep after the running epochs.

    The second ends the session at once; it can be resumed as well.
    """
    asked = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        same = number == signal.SIGTERM and time.monotonic() - asked < SAME_REQUEST_SECONDS
        if controller.interrupted and not same:
            raise KeyboardInterrupt
        if not controller.interrupted:
            asked = time.monotonic()
            controller.stop(signal.Signals(number).name, interrupted=True)
            runs = any(trial.status is Status.RUNNING for trial in controller.trials)
            after = " after the running epochs" if runs else ""
            controller.say(f"stopping{after}; once more to end at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
