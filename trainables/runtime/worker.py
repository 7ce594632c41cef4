"""Trains one trial after the other, each in a process of its own. Knows nothing of Ray.

The worker itself trains nothing. So it can always say that it is alive, however long an epoch
takes; it can end a training at once; and it can tell how a process ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from raysweep.text_limits import visible
from raysweep.trainables.runtime.attempt import Job
from raysweep.trainables.runtime.failure import outcome_of_exit
from raysweep.trainables.runtime.memory_kills import kernel_kills
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.progress import Progress
from raysweep.trainables.runtime.resource_monitor import gpu_watch
from raysweep.trainables.runtime.template import CONTINUE
from raysweep.trainables.runtime.trial_process import (
    BEAT_SECONDS,
    LEAVE_SECONDS,
    Beat,
    ForkRefused,
    Message,
    Template,
    TemplateDied,
    TrialProcess,
)

CLEAN_UP_SECONDS = 45.0
"""How long a train function may take to clean up when it is stopped. Ray Tune gives the worker
60 s (TUNE_FUNCTION_THREAD_TIMEOUT_S in `tune/executors/ray/executor.py`)."""
STACK_SECONDS = 2.0
"""How long a process that hangs has to write where it hangs."""
LOG_LINES = 20
LOG_BYTES = 16384
CRASH = "Fatal Python error"
"""How `faulthandler` begins what it writes when a process crashes."""
CRASH_LINES = 30


class TrainingBug(RuntimeError):
    """This project's own code raised in a trial's process; with its traceback."""


@dataclass
class Worker:
    """Has a template, and forks a process from it for each trial."""

    template: Template | None = None
    learns: bool = True
    """Whether the template imports what trials turned out to need."""
    imports_module: bool = True
    isolates: bool = False
    """Whether nothing is imported before a fork, because it turned out not to be safe."""

    def train(self, job: Job, send: Callable[[Message], None], beat: Beat) -> Outcome:
        """Train. `send` gets the report of each epoch; what it raises stops the training.

        `beat` is called every few seconds while there is nothing else to say.
        """
        log, kills = Log(Path(job.log)), kernel_kills()
        try:
            process = self._forked(replace(job, isolate=job.isolate or self.isolates), beat)
            outcome = self._trained(process, job, send, beat, log)
        finally:
            log.close()
        return outcome or outcome_of_exit(process.status, log.end(), kernel_kills() > kills)

    def close(self) -> None:
        """End the template, and a trial that it may have."""
        if self.template is not None:
            self.template.close()
            self.template = None

    def _forked(self, job: Job, beat: Beat) -> TrialProcess:
        """The process of a trial, from a template that is started if there is none.

        If forking is refused, or the template dies of what it imports, another one imports less.
        """
        while True:
            if self.template is None:
                self.template = Template.started(job.environment, self.imports_module)
            try:
                return self.template.fork(job, beat)
            except (ForkRefused, TemplateDied):
                learned = self.template.has_learned
                self.close()
                if job.isolate:
                    raise
                job = self._with_less(job, learned)

    def _with_less(self, job: Job, learned: bool) -> Job:
        """The job for a template that does not import what may have been to blame."""
        if self.learns and learned:
            self.learns = False
        elif self.imports_module:
            self.imports_module = False
        else:
            self.isolates = True
        return replace(job, isolate=self.isolates)

    def _trained(
        self, process: TrialProcess, job: Job, send: Callable[[Message], None], beat: Beat, log: Log
    ) -> Outcome | None:
        """What the trial's process said at last; None if it ended without a word."""
        try:
            return _conducted(process, job, send, beat, log)
        except TemplateDied:  # somebody killed it, and the trial with it
            self.close()
            process.status = -signal.SIGKILL
            return None
        finally:
            process.close()
            if self.template is not None and self.learns:
                self.template.learned = process.imported


def _conducted(
    process: TrialProcess, job: Job, send: Callable[[Message], None], beat: Beat, log: Log
) -> Outcome | None:
    """Pass reports on to `send` until the process says how it ends, or ends without a word."""
    progress = Progress(process.pid, job.hang_after, gpu_watch(job.gpu > 0 and job.hang_after > 0))
    while True:
        message = process.hear(BEAT_SECONDS)
        if message is None and process.status is not None:
            return None
        if message is None:
            with _ended_if_raised(process, signal.SIGTERM):
                beat()
            if progress.hangs():
                return _hanging(process, job, beat, log)
        elif "report" in message:
            progress.reported()
            with _ended_if_raised(process):
                send(_from_here(message["report"]))
            process.answer(CONTINUE)
        else:
            return _last(process, message, beat)


@contextmanager
def _ended_if_raised(process: TrialProcess, number: int | None = None) -> Iterator[None]:
    """End the process if the body raises, which means that nobody wants the training any more.

    One that waits for an answer is told, and cleans up. Another one gets the signal.
    """
    try:
        yield
    except BaseException:
        process.answer("stop")
        if number is not None:
            process.kill(number)
        process.end(CLEAN_UP_SECONDS, _nothing)
        raise


def _last(process: TrialProcess, message: Message, beat: Beat) -> Outcome:
    """The outcome, when its process has ended, or was ended."""
    killed = process.end(LEAVE_SECONDS, beat)
    if "bug" in message:
        raise TrainingBug(message["bug"])
    outcome = Outcome(**message["outcome"])
    if not killed:
        return outcome
    text = f"its process did not end within {LEAVE_SECONDS:.0f} s, and was killed"
    return replace(outcome, notes=outcome.notes | {"ending": text})


def _hanging(process: TrialProcess, job: Job, beat: Beat, log: Log) -> Outcome:
    """End a process that makes no progress, once it has written its stacks to its log."""
    process.kill(signal.SIGABRT)
    process.end(STACK_SECONDS, beat)
    reason = f"no report, no CPU or GPU time and no input or output for {job.hang_after:.0f} s"
    return Outcome("failed", reason, log.end())


def _from_here(report: Message) -> Message:
    """A report with the process that its trial's process was forked for."""
    return report | {"notes": report.get("notes", {}) | {"worker": os.getpid()}}


def _nothing() -> None:
    """Nobody hears any more."""


@dataclass
class Log:
    """The file that a trial's process prints to: what this attempt has added to it."""

    path: Path
    _begin: int = field(init=False)

    def __post_init__(self) -> None:
        self._begin = self._size()

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def end(self) -> str:
        """The last lines; of a line that was written over, as progress bars are, the last state.

        If the process crashed, the lines from there on, which begin with where it was.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(max(self._begin, self._size() - LOG_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        lines = [line.rpartition("\r")[2] or line for line in text.rstrip().split("\n")]
        crashes = [i for i, line in enumerate(lines) if line.startswith(CRASH)]
        last = lines[crashes[-1] :][:CRASH_LINES] if crashes else lines[-LOG_LINES:]
        return visible("\n".join(line.rstrip() for line in last))

    def close(self) -> None:
        """Remove the file if nothing was printed."""
        with contextlib.suppress(OSError):
            if os.path.isfile(self.path) and self._size() == 0:
                self.path.unlink()
