"""One session of a sweep: in its run folder, from what the ledger says to the end of the budget, or to an interruption."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType

from raysweep.clock import now
from raysweep.errors import SessionInterrupted, UserError
from raysweep.history import Event
from raysweep.results import environment
from raysweep.results.analysis.retraining import FOLDER as CONFIRM
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.mirror import display_path, open_ledger, origin
from raysweep.results.storage.object_ledger import StoredLedger
from raysweep.results.views.html.report import Refresher
from raysweep.tune import code_changes
from raysweep.tune.budget import describe_budget
from raysweep.tune.callbacks.checkpoint_retention import without_unfinished
from raysweep.tune.callbacks.recorder import EventRecorder
from raysweep.tune.callbacks.screen import Observer
from raysweep.tune.cluster.preflight import preflight
from raysweep.tune.controller import ALIKE, SweepController
from raysweep.tune.executors.placement import needs, plan
from raysweep.tune.executors.ray.cluster_resources import offers
from raysweep.tune.executors.ray.driver_watchdog import watchdog
from raysweep.tune.executors.ray.executor import (
    Machines,
    check_alive,
    cluster,
    died,
    end_processes,
    train,
)
from raysweep.tune.make_job import job
from raysweep.tune.retrain import confirming, unconfirmed
from raysweep.tune.run_folders import write_sweep
from raysweep.tune.sweep import Sweep

GOOD, BUG, MISTAKE, NONE_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 4
"""Exit codes. A sweep that was interrupted goes on with `--resume`."""
ALIVE_SECONDS = 1.0
SAME_SECONDS = 1.0
WAITING_SECONDS = 10.0


class SessionError(UserError):
    """What a user got wrong, found at the first trial; in one line."""


@dataclass(frozen=True)
class Options:
    """How a sweep is run, as opposed to what it is."""

    machines: Machines = field(default_factory=Machines)
    require_gpu: bool = False
    retry_failed: bool = False
    resume: str = "the same command with --resume"
    """What to type to go on with the sweep after an interruption."""


def run(sweep: Sweep, folder: Path, options: Options, observer: Observer) -> int:
    """Run a sweep, or what is left of it, and return the exit code. SessionError for a mistake that only a trial could show."""
    ledger = _open(sweep, folder)
    try:
        if ledger.torn:
            observer.say(
                "the last line of the ledger was torn off by whatever ended the last session; that event is trained again"
            )
        return _session(sweep, folder, options, EventRecorder(folder, sweep, ledger, observer))
    except SessionInterrupted as error:
        observer.say(f"interrupted: {error}")
        return INTERRUPTED
    finally:
        ledger.close()


def former(sweep: Sweep, past: list[Event], retry_failed: bool) -> SweepController:
    """The loop as the next session of a run would find it; nothing is written."""
    controller = SweepController(sweep, past=past)
    controller.reopen(retry_failed)
    return controller


def _open(sweep: Sweep, folder: Path) -> Ledger | StoredLedger:
    """The ledger of a run folder in which the rest can be written as well. SessionError where it cannot."""
    ledger = None
    try:
        ledger = open_ledger(folder)
        if not ledger.past:
            environment.write(folder)
        write_sweep(folder, sweep)
        (folder / "logs").mkdir(exist_ok=True)
    except OSError as error:
        if ledger is not None:
            ledger.close()
        raise SessionError(
            f"{display_path(folder)} cannot be written: {error.strerror or error}"
        ) from None
    return ledger


def _session(sweep: Sweep, folder: Path, options: Options, recorder: EventRecorder) -> int:
    recorder.write({"event": "opened", "time": now(), "levels": list(sweep.levels())})
    controller = SweepController(sweep, recorder, recorder.past)
    controller.reopen(options.retry_failed)
    code_changes.record(controller, recorder)
    mistake = ""
    try:
        if not controller.done or unconfirmed(controller, folder):
            mistake = _train(controller, folder, options, recorder)
    except SessionInterrupted as error:
        controller.stop(str(error), interrupted=True)
        recorder.observer.say(f"interrupted: {error}")
    finally:
        recorder.close(controller)
    if mistake:
        raise SessionError(mistake)
    with contextlib.suppress(SessionInterrupted):  # the next session does without it
        recorder.write(
            {
                "event": "closed",
                "time": now(),
                "reason": controller.stopping or "done",
                "interrupted": controller.interrupted,
            }
        )
    return exit_code(controller)


def _train(
    controller: SweepController, folder: Path, options: Options, recorder: EventRecorder
) -> str:
    page = Refresher(folder)
    with (
        _signals(controller, recorder.observer),
        contextlib.closing(page),
        without_unfinished(folder),
        cluster(
            options.machines,
            folder / "logs",
            recorder.observer.say,
            lambda: controller.stopping if controller.interrupted else "",
        ) as ray,
        _signals(controller, recorder.observer),  # again: Ray has put its own in the place of ours
        watchdog(died, partial(_abandon, recorder.observer, options.resume), INTERRUPTED),
    ):
        planned = plan(
            controller.sweep.resources, controller.sweep.parallel, offers(ray), options.require_gpu
        )
        for line in [*planned.lines, *describe_budget(controller.sweep)]:
            recorder.observer.say(line)
        sweep, address = controller.sweep, options.machines.address
        needed = needs(planned.resources)
        if address is not None:
            sweep = replace(sweep, trainable=preflight(ray, address, sweep, where_is(folder)))

        def trained(
            controller: SweepController, recorder: EventRecorder, where: Path, test: bool
        ) -> str:
            controller.machine = socket.gethostname() if address is None else ""
            jobs = partial(
                job,
                sweep,
                where,
                planned.resources.gpu,
                test=test,
                isolate=options.machines.isolate,
            )
            tick = _ticker(controller, recorder, page, Waiting(needed, ray.available_resources))
            return train(controller, jobs, planned, tick)

        mistake = "" if controller.done else trained(controller, recorder, folder, False)
        return mistake or _confirm(controller, folder, recorder.observer, trained)


def where_is(folder: Path) -> str:
    """The run folder or its URL, as every machine finds it."""
    bucket = origin(folder)
    return bucket.url if bucket else str(folder.resolve())


def _abandon(observer: Observer, resume: str, why: str) -> None:
    """The last words of a driver that does not come back from a call into a dead Ray. All that it knew is in the ledger."""
    observer.close()
    observer.say(f"interrupted: {why}; to go on:  {resume}")
    end_processes()


def _confirm(
    search: SweepController,
    folder: Path,
    observer: Observer,
    trained: Callable[[SweepController, EventRecorder, Path, bool], str],
) -> str:
    """Train the finalists again, where that is asked for and the search came to its end."""
    if search.interrupted or not unconfirmed(search, folder):
        return ""
    observer.say(
        f"training the best again with fresh seeds, for the test split: {folder / CONFIRM}"
    )
    with (
        confirming(search, folder, observer) as (controller, recorder),
        _signals(controller, observer),
    ):
        mistake = trained(controller, recorder, folder / CONFIRM, True)
    if controller.interrupted:
        search.stop(controller.stopping, interrupted=True)
    return mistake


class Waiting:
    """Says so, once, when no trial has been able to start for a while because others use the cluster."""

    def __init__(
        self, needed: Mapping[str, float], available: Callable[[], Mapping[str, float]]
    ) -> None:
        self._needed = needed
        self._available = available
        self._since: float | None = None
        self._said = False

    def look(self, controller: SweepController, time: float) -> str:
        """The line to say now, at `time` in seconds; mostly ""."""
        if controller.done or any(history.running for history in controller.histories.values()):
            self._since, self._said = None, False
            return ""
        self._since = time if self._since is None else self._since
        if self._said or time - self._since < WAITING_SECONDS:
            return ""
        free = self._available()
        lacking = [name for name, count in self._needed.items() if free.get(name, 0.0) < count]
        if not lacking:
            return ""
        self._said = True
        wanted = ", ".join(f"{self._needed[name]:g} {name}" for name in lacking)
        left = ", ".join(f"{free.get(name, 0.0):g} {name}" for name in lacking)
        return f"waiting for {wanted}: others use the cluster, {left} free at present"


def _ticker(
    controller: SweepController, recorder: EventRecorder, page: Refresher, waiting: Waiting
) -> Callable[[], None]:
    """What is done about ten times a second: the screen, the page.

    Once a second: is Ray alive, and does the sweep wait for others?
    """
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        recorder.tick(controller)
        page.tick()
        if time.monotonic() - last > ALIVE_SECONDS:
            last = time.monotonic()
            check_alive()
            if line := waiting.look(controller, last):
                recorder.observer.say(line)

    return tick


def exit_code(controller: SweepController) -> int:
    """How the session ended, for the shell."""
    if controller.interrupted:
        return INTERRUPTED
    succeeded = any(
        trial.best is not None and trial.status.succeeded for trial in controller.trials
    )
    return GOOD if succeeded and controller.stopping != ALIKE else NONE_SUCCEEDED


@contextmanager
def _signals(controller: SweepController, observer: Observer) -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM: once, running epochs end, and nothing new starts.

    Twice, the session ends at once, and is resumable as well. `timeout` and others send SIGTERM to a
    process and then to its group: what comes within SAME_SECONDS of the first one is the same request.
    """
    asked = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        again = number == signal.SIGTERM and time.monotonic() - asked < SAME_SECONDS
        if controller.interrupted and not again:
            raise KeyboardInterrupt
        if not controller.interrupted:
            asked = time.monotonic()
            controller.stop(signal.Signals(number).name, interrupted=True)
            observer.say("stopping after the running epochs; once more to end at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
