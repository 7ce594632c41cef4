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

from results import environment
from results.confirm import FOLDER as CONFIRM
from results.history import Event
from results.ledger import Ledger
from results.report import Refresher
from results.segments import StoredLedger
from results.working_copy import hold, origin, shown
from tune import changes
from tune.allowance import promise
from tune.clock import now
from tune.confirm import confirming, unconfirmed
from tune.engine.offers import offers
from tune.engine.plan import needs, plan
from tune.engine.run import Machines, check_alive, cluster, died, end_processes, train
from tune.engine.watchdog import watchdog
from tune.files import without_unfinished
from tune.folder import write_sweep
from tune.interruption import Interruption
from tune.job import job
from tune.loop import ALIKE, Loop
from tune.preflight import preflight
from tune.recorder import Recorder
from tune.screen import Observer
from tune.sweep import Sweep

GOOD, BUG, MISTAKE, NONE_SUCCEEDED, INTERRUPTED = 0, 1, 2, 3, 4
"""Exit codes. A sweep that was interrupted goes on with `--resume`."""
ALIVE_SECONDS = 1.0
SAME_SECONDS = 1.0
WAITING_SECONDS = 10.0


class SessionError(ValueError):
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
        return _session(sweep, folder, options, Recorder(folder, sweep, ledger, observer))
    except Interruption as error:
        observer.say(f"interrupted: {error}")
        return INTERRUPTED
    finally:
        ledger.close()


def former(sweep: Sweep, past: list[Event], retry_failed: bool) -> Loop:
    """The loop as the next session of a run would find it; nothing is written."""
    loop = Loop(sweep, past=past)
    loop.reopen(retry_failed)
    return loop


def _open(sweep: Sweep, folder: Path) -> Ledger | StoredLedger:
    """The ledger of a run folder in which the rest can be written as well. SessionError where it cannot."""
    ledger = None
    try:
        ledger = hold(folder)
        if not ledger.past:
            environment.write(folder)
        write_sweep(folder, sweep)
        (folder / "logs").mkdir(exist_ok=True)
    except OSError as error:
        if ledger is not None:
            ledger.close()
        raise SessionError(
            f"{shown(folder)} cannot be written: {error.strerror or error}"
        ) from None
    return ledger


def _session(sweep: Sweep, folder: Path, options: Options, recorder: Recorder) -> int:
    recorder.write({"event": "opened", "time": now(), "levels": list(sweep.levels())})
    loop = Loop(sweep, recorder, recorder.past)
    loop.reopen(options.retry_failed)
    changes.record(loop, recorder)
    mistake = ""
    try:
        if not loop.done or unconfirmed(loop, folder):
            mistake = _train(loop, folder, options, recorder)
    except Interruption as error:
        loop.stop(str(error), interrupted=True)
        recorder.observer.say(f"interrupted: {error}")
    finally:
        recorder.close(loop)
    if mistake:
        raise SessionError(mistake)
    with contextlib.suppress(Interruption):  # the next session does without it
        recorder.write(
            {
                "event": "closed",
                "time": now(),
                "reason": loop.stopping or "done",
                "interrupted": loop.interrupted,
            }
        )
    return exit_code(loop)


def _train(loop: Loop, folder: Path, options: Options, recorder: Recorder) -> str:
    page = Refresher(folder)
    with (
        _signals(loop, recorder.observer),
        contextlib.closing(page),
        without_unfinished(folder),
        cluster(
            options.machines,
            folder / "logs",
            recorder.observer.say,
            lambda: loop.stopping if loop.interrupted else "",
        ) as ray,
        _signals(loop, recorder.observer),  # again: Ray has put its own in the place of ours
        watchdog(died, partial(_abandon, recorder.observer, options.resume), INTERRUPTED),
    ):
        planned = plan(loop.sweep.resources, loop.sweep.parallel, offers(ray), options.require_gpu)
        for line in [*planned.lines, *promise(loop.sweep)]:
            recorder.observer.say(line)
        sweep, address = loop.sweep, options.machines.address
        needed = needs(planned.resources)
        if address is not None:
            sweep = replace(sweep, trainable=preflight(ray, address, sweep, where_is(folder)))

        def trained(loop: Loop, recorder: Recorder, where: Path, test: bool) -> str:
            loop.machine = socket.gethostname() if address is None else ""
            jobs = partial(
                job,
                sweep,
                where,
                planned.resources.gpu,
                test=test,
                isolate=options.machines.isolate,
            )
            tick = _ticker(loop, recorder, page, Waiting(needed, ray.available_resources))
            return train(loop, jobs, planned, tick)

        mistake = "" if loop.done else trained(loop, recorder, folder, False)
        return mistake or _confirm(loop, folder, recorder.observer, trained)


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
    search: Loop,
    folder: Path,
    observer: Observer,
    trained: Callable[[Loop, Recorder, Path, bool], str],
) -> str:
    """Train the finalists again, where that is asked for and the search came to its end."""
    if search.interrupted or not unconfirmed(search, folder):
        return ""
    observer.say(
        f"training the best again with fresh seeds, for the test split: {folder / CONFIRM}"
    )
    with confirming(search, folder, observer) as (loop, recorder), _signals(loop, observer):
        mistake = trained(loop, recorder, folder / CONFIRM, True)
    if loop.interrupted:
        search.stop(loop.stopping, interrupted=True)
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

    def look(self, loop: Loop, time: float) -> str:
        """The line to say now, at `time` in seconds; mostly ""."""
        if loop.done or any(history.running for history in loop.histories.values()):
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
    loop: Loop, recorder: Recorder, page: Refresher, waiting: Waiting
) -> Callable[[], None]:
    """What is done about ten times a second: the screen, the page.

    Once a second: is Ray alive, and does the sweep wait for others?
    """
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        recorder.tick(loop)
        page.tick()
        if time.monotonic() - last > ALIVE_SECONDS:
            last = time.monotonic()
            check_alive()
            if line := waiting.look(loop, last):
                recorder.observer.say(line)

    return tick


def exit_code(loop: Loop) -> int:
    """How the session ended, for the shell."""
    if loop.interrupted:
        return INTERRUPTED
    succeeded = any(trial.best is not None and trial.status.succeeded for trial in loop.trials)
    return GOOD if succeeded and loop.stopping != ALIKE else NONE_SUCCEEDED


@contextmanager
def _signals(loop: Loop, observer: Observer) -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM: once, running epochs end, and nothing new starts.

    Twice, the session ends at once, and is resumable as well. `timeout` and others send SIGTERM to a
    process and then to its group: what comes within SAME_SECONDS of the first one is the same request.
    """
    asked = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        again = number == signal.SIGTERM and time.monotonic() - asked < SAME_SECONDS
        if loop.interrupted and not again:
            raise KeyboardInterrupt
        if not loop.interrupted:
            asked = time.monotonic()
            loop.stop(signal.Signals(number).name, interrupted=True)
            observer.say("stopping after the running epochs; once more to end at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
