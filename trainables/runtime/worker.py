"""Trains one trial after the other, each in a process of its own. Knows nothing of Ray.

The worker itself trains nothing. So it can always say that it is alive, however long an epoch
takes, end a training at once, and report how a process ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raysweep.text_limits import visible
from raysweep.trainables.runtime.failure import outcome_of_exit
from raysweep.trainables.runtime.job import Job
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
"""How long a process that hangs has to write its stacks to its log."""
LOG_LINES = 20
"""How many of the last lines of a log are kept with an outcome."""
LOG_BYTES = 16384
"""How much of the end of a log is read for that."""
CRASH = "Fatal Python error"
"""How `faulthandler` begins what it writes when a process crashes."""
CRASH_LINES = 30
"""How many lines are kept from there on."""


class TrainingBug(RuntimeError):
    """This project's own code raised in a trial's process. The message is the traceback."""


@dataclass
class Worker:
    """Has a template, and forks a process from it for each trial."""

    template: Template | None = None
    learns: bool = True
    """True if the template imports what trials turned out to need."""
    imports_module: bool = True
    """True if the template imports the train function's module."""
    isolates: bool = False
    """True if nothing is imported before a fork, because that turned out not to be safe."""

    def train(self, job: Job, send: Callable[[Message], Any], beat: Beat) -> Outcome:
        """Train. `send` gets the report of each epoch; what it raises stops the training.

        For several trials in one process, it returns the answer to their reports.

        `beat` is called every few seconds while there is no report.
        """
        log, kills = Log(Path(job.log)), kernel_kills()
        try:
            process = self._fork(replace(job, isolate=job.isolate or self.isolates), beat)
            outcome = self._follow(process, job, send, beat, log)
        finally:
            log.close()
        return outcome or outcome_of_exit(process.status, log.end(), kernel_kills() > kills)

    def close(self) -> None:
        """End the template, and the trial that it may have."""
        if self.template is not None:
            self.template.close()
            self.template = None

    def _fork(self, job: Job, beat: Beat) -> TrialProcess:
        """Fork the process of a trial, from a template that is started if there is none.

        If forking is refused, or the template dies of what it imports, another template is started
        that imports less.
        """
        while True:
            if self.template is None:
                self.template = Template.started(job.environment, self.imports_module)
            try:
                return self.template.fork(job, beat)
            except (ForkRefused, TemplateDied):
                # An import may have started a thread, used the GPU, or crashed the template.
                learned = self.template.has_learned
                self.close()
                if job.isolate:
                    raise
                job = self._import_less(job, learned)
            except BaseException:
                # `beat` raised, because the trial is to be stopped. The template would still answer
                # this request, and its answer would be taken for that to the next one.
                self.close()
                raise

    def _import_less(self, job: Job, learned: bool) -> Job:
        """The job for a template that does not import what may have been to blame."""
        if self.learns and learned:
            self.learns = False
        elif self.imports_module:
            self.imports_module = False
        else:
            self.isolates = True
        return replace(job, isolate=self.isolates)

    def _follow(
        self, process: TrialProcess, job: Job, send: Callable[[Message], Any], beat: Beat, log: Log
    ) -> Outcome | None:
        """The outcome that the trial's process sent; None if it ended without one."""
        try:
            return _pass_on_reports(process, job, send, beat, log)
        except TemplateDied:  # it was killed, and the trial with it
            self.close()
            process.status = -signal.SIGKILL
            return None
        finally:
            process.close()
            # The next trial will probably import the same, and then need not wait for it.
            if self.template is not None and self.learns:
                self.template.learned = process.imported


def _pass_on_reports(
    process: TrialProcess, job: Job, send: Callable[[Message], Any], beat: Beat, log: Log
) -> Outcome | None:
    """Pass reports on to `send` until the process sends its outcome, or ends without one."""
    progress = Progress(process.pid, job.hang_after, gpu_watch(job.gpu > 0 and job.hang_after > 0))
    while True:
        message = process.hear(BEAT_SECONDS)
        if message is None and process.status is not None:
            return None
        if message is None:
            with _ending_if_raised(process, signal.SIGTERM):
                beat()
            # Asked only in silence: a process that reports does not hang.
            if progress.hangs():
                return _end_hanging(process, job, beat, log)
        elif "report" in message:
            progress.reported()
            with _ending_if_raised(process):
                answer = send(_with_worker(message["report"]))
            process.answer(CONTINUE if answer is None else json.dumps(answer))
        else:
            return _read_outcome(process, message, beat)


@contextmanager
def _ending_if_raised(process: TrialProcess, number: int | None = None) -> Iterator[None]:
    """End the process if the body raises, which means that the training is to be stopped.

    A process that waits for an answer to its report reads `stop`, and cleans up. Otherwise it gets
    the signal `number`.
    """
    try:
        yield
    except BaseException:
        process.answer("stop")
        if number is not None:
            process.kill(number)
        process.end(CLEAN_UP_SECONDS, _nothing)
        raise


def _read_outcome(process: TrialProcess, message: Message, beat: Beat) -> Outcome:
    """The outcome in a last message, once its process has ended or was killed."""
    killed = process.end(LEAVE_SECONDS, beat)
    if "bug" in message:
        raise TrainingBug(message["bug"])
    outcome = Outcome(**message["outcome"])
    if not killed:
        return outcome
    text = f"its process did not end within {LEAVE_SECONDS:.0f} s, and was killed"
    return replace(outcome, notes=outcome.notes | {"ending": text})


def _end_hanging(process: TrialProcess, job: Job, beat: Beat, log: Log) -> Outcome:
    """End a process that makes no progress, once it has written its stacks to its log."""
    # faulthandler, which the trial's process has enabled, writes all stacks on this signal.
    process.kill(signal.SIGABRT)
    process.end(STACK_SECONDS, beat)
    reason = f"no report, no CPU or GPU time and no input or output for {job.hang_after:.0f} s"
    return Outcome("failed", reason, log.end())


def _with_worker(report: Message) -> Message:
    """A report, or each of those of a group, with the process id of this worker."""
    if "group" in report:
        for part in report["group"]:
            if "report" in part:
                part["report"] = _with_worker(part["report"])
        return report
    return report | {"notes": report.get("notes", {}) | {"worker": os.getpid()}}


def _nothing() -> None:
    """No `beat` is needed: the trial is not wanted any more."""


@dataclass
class Log:
    """What this attempt has added to the file that a trial's process prints to."""

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
        """The last lines; if the process crashed, those of the stacks that it wrote then.

        Of a line that was overwritten, as by a progress bar, the last state counts.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(max(self._begin, self._size() - LOG_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        # A progress bar overwrites its line with carriage returns; the last state is what was seen.
        lines = [line.rpartition("\r")[2] or line for line in text.rstrip().split("\n")]
        crashes = [i for i, line in enumerate(lines) if line.startswith(CRASH)]
        kept = lines[-LOG_LINES:]
        if crashes:
            kept = lines[crashes[-1] :][:CRASH_LINES]
        return visible("\n".join(line.rstrip() for line in kept))

    def close(self) -> None:
        """Remove the file if nothing was printed."""
        with contextlib.suppress(OSError):
            if os.path.isfile(self.path) and self._size() == 0:
                self.path.unlink()
