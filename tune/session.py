"""One session of a sweep: in its run folder, from what the ledger says to the end of the budget, or to an interruption."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType

from results import environment
from results.confirm import FOLDER as CONFIRM
from results.ledger import Ledger
from results.report import Refresher
from results.segments import StoredLedger
from results.working_copy import hold, origin, shown
from tune.allowance import promise
from tune.clock import now
from tune.confirm import confirming, unconfirmed
from tune.engine.offers import offers
from tune.engine.plan import plan
from tune.engine.run import Machines, check_alive, cluster, died, end_processes, train
from tune.engine.watchdog import watchdog
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


class SessionError(ValueError):
    """What a user got wrong, found at the first trial; in one line."""


@dataclass(frozen=True)
class Options:
    """How a sweep is run, as opposed to what it is."""

    machines: Machines = field(default_factory=Machines)
    require_gpu: bool = False
    retry_failed: bool = False


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
        cluster(options.machines, folder / "logs") as ray,
        _signals(loop, recorder.observer),  # again: Ray has put its own in the place of ours
        watchdog(died, partial(_abandon, recorder.observer), INTERRUPTED),
    ):
        planned = plan(loop.sweep.resources, loop.sweep.parallel, offers(ray), options.require_gpu)
        for line in [*planned.lines, *promise(loop.sweep)]:
            recorder.observer.say(line)
        sweep, address = loop.sweep, options.machines.address
        if address is not None:
            sweep = replace(sweep, trainable=preflight(ray, address, sweep, where_is(folder)))

        def trained(loop: Loop, recorder: Recorder, where: Path, test: bool) -> str:
            jobs = partial(job, sweep, where, planned.resources.gpu, test=test)
            return train(
                loop, jobs, planned, _ticker(loop, recorder, page), options.machines.isolate
            )

        mistake = "" if loop.done else trained(loop, recorder, folder, False)
        return mistake or _confirm(loop, folder, recorder.observer, trained)


def where_is(folder: Path) -> str:
    """The run folder or its URL, as every machine finds it."""
    bucket = origin(folder)
    return bucket.url if bucket else str(folder.resolve())


def _abandon(observer: Observer, why: str) -> None:
    """The last words of a driver that does not come back from a call into a dead Ray. All that it knew is in the ledger."""
    observer.close()
    observer.say(f"interrupted: {why}; the same command with --resume goes on")
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


def _ticker(loop: Loop, recorder: Recorder, page: Refresher) -> Callable[[], None]:
    """What is done about ten times a second: the screen, the page; and once a second: is Ray alive?"""
    last = time.monotonic()

    def tick() -> None:
        nonlocal last
        recorder.tick(loop)
        page.tick()
        if time.monotonic() - last > ALIVE_SECONDS:
            last = time.monotonic()
            check_alive()

    return tick


def exit_code(loop: Loop) -> int:
    """How the session ended, for the shell."""
    if loop.interrupted:
        return INTERRUPTED
    succeeded = any(trial.best is not None and trial.status.succeeded for trial in loop.trials)
    return GOOD if succeeded and loop.stopping != ALIKE else NONE_SUCCEEDED


@contextmanager
def _signals(loop: Loop, observer: Observer) -> Iterator[None]:
    """Ctrl-C (and SIGTERM) once: running epochs end, nothing new starts. Twice: the session ends at once, and is resumable as well."""

    def handle(number: int, frame: FrameType | None) -> None:
        if loop.interrupted:
            raise KeyboardInterrupt
        loop.stop(signal.Signals(number).name, interrupted=True)
        observer.say("stopping after the running epochs; once more to end at once")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
