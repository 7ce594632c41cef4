"""Several trials trained by one process, those of equal shape as one: `resources: {fuse: 32}`.

The process and the driver talk once an epoch of a group. A message holds what its trials report and
how they end, `{"group": [{"trial", "report" | "outcome"}], "said": [{"kind", "line"}]}`; the answer
says which trials stop and which new ones begin, `{"stop": [...], "jobs": [...]}`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import ModuleType
from typing import Any

from raysweep.trainables.runtime.failure import outcome_of
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.process_setup import seed_generators
from raysweep.trainables.runtime.resource_monitor import monitored
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.train_job import (
    Printing,
    make_run,
    peak_memory,
    prepare_process,
    test_metrics,
)

Message = dict[str, Any]
ALONE = "alone"
"""The status of an outcome after which the trials are to be trained one by one."""


def train_group(
    job: Job,
    exchange: Callable[[Message], Message],
    on_error: Callable[[BaseException], None] = lambda error: None,
    printing: Printing = lambda log: nullcontext(),
) -> Outcome:
    """Train the trials of a job, and those that answers bring, until none is left.

    What `exchange` raises stops the training. `on_error` gets what a trial raised. `printing` has
    each trial print to its own log. The outcome is that of the process: those of the trials are in
    its messages.
    """
    device, where = prepare_process(job)
    try:
        function, module = load(job.trainable)
    except Exception as error:
        on_error(error)
        return outcome_of(error, job.trainable, {})
    make_pool = getattr(function, "pool", None)
    if make_pool is None:
        name = job.trainable.rpartition(":")[2]
        return Outcome(ALONE, f"{name} is a train function, and not a Recipe")
    with monitored(device) as monitor:

        def send(message: Message) -> Message:
            columns, notes = monitor.read(), where | peak_memory(device)
            for part in message["group"]:
                if (report := part.get("report")) is not None:
                    report["metrics"] = columns | report["metrics"]
                    report["notes"] = report["notes"] | notes
            return exchange(message)

        group = _Group(job, module, device, send, on_error, printing)
        group.pool = make_pool(job.fuse, job.fuse_if_faster, group.say)
        return group.train()


@dataclass
class _Member:
    """A trial in training."""

    job: Job
    run: Run
    printing: Callable[[], AbstractContextManager[None]]
    """Has it print to its own log meanwhile."""


class _Group:
    """The trials of this process, what they have reported, and what it has to say of them."""

    def __init__(
        self,
        job: Job,
        module: ModuleType,
        device: str,
        send: Callable[[Message], Message],
        on_error: Callable[[BaseException], None],
        printing: Printing,
    ) -> None:
        self.pool: Any = None
        """Trains the trials (`trainables/fused/pool.py`)."""
        self._job = job
        self._module = module
        self._device = device
        self._send = send
        self._on_error = on_error
        self._printing = printing
        self._members: dict[str, _Member] = {}
        self._parts: list[Message] = []
        self._said: list[Message] = []

    def say(self, kind: str, line: str) -> None:
        """Have the driver say how the trials are trained."""
        self._said.append({"kind": kind, "line": line})

    def train(self) -> Outcome:
        """Train until no trial is left."""
        for job in (replace(self._job, others=[]), *map(read_job, self._job.others)):
            self._take(job)
        try:
            while self._members or self._parts:
                self._exchange()
                if self._members and not self._train_epoch():
                    break
            return self._outcome
        finally:
            for trial in list(self._members):
                with suppress(Exception):  # why it ends is known already
                    self._remove(trial)

    _outcome = Outcome("completed", "no trial of its group was left")
    """How the process ends."""

    def _train_epoch(self) -> bool:
        """Train an epoch of some of the trials. False if that failed for no single one of them."""
        try:
            ends = self.pool.train()
        except Exception as error:
            self._on_error(error)
            self._outcome = outcome_of(error, self._job.trainable, {})
            return False
        for member in list(self._members.values()):
            if member.run in ends:
                self._note_end(member, ends[member.run])
        return True

    def _take(self, job: Job) -> None:
        """Begin with a trial."""
        # As in a process of its own: building its model draws what it would draw there.
        seed_generators(job.seed)
        run = make_run(job, lambda report: self._report(job.trial, report), self._device)
        printing: Callable[[], AbstractContextManager[None]] = partial(self._printing, job.log)
        if job.log == self._job.log:
            printing = nullcontext  # the process prints there anyway
        member = self._members[job.trial] = _Member(job, run, printing)
        try:
            with printing():
                self.pool.add(job.config, run, printing)
        except (Exception, SystemExit) as error:
            self._note_end(member, error)

    def _report(self, trial: str, report: Message) -> None:
        self._parts.append({"trial": trial, "report": report})

    def _note_end(self, member: _Member, error: BaseException | None) -> None:
        """Note how a trial ended, if it has: with what it raised, or after its last epoch."""
        job, run = member.job, member.run
        if error is None and not run.complete:
            return
        notes = run.notes | peak_memory(self._device)
        if run.complete:
            with member.printing():
                notes |= test_metrics(job, run, self._module, self._device)
        reason = f"the train function returned after {run.interval.at(run.epoch)}"
        outcome = Outcome("completed", reason, notes=notes)
        if error is not None:
            self._on_error(error)
            outcome = outcome_of(error, job.trainable, notes)
        self._parts.append({"trial": job.trial, "outcome": asdict(outcome)})
        self._remove(job.trial)

    def _exchange(self) -> None:
        """Tell the driver what happened, and do what it answers."""
        if not self._parts:
            return
        message = {"group": self._parts, "said": self._said}
        self._parts, self._said = [], []
        answer = self._send(message)
        for trial in answer["stop"]:
            self._remove(trial)
        for fields in answer["jobs"]:
            self._take(read_job(fields))

    def _remove(self, trial: str) -> None:
        if (member := self._members.pop(trial, None)) is not None:
            self.pool.remove(member.run)
            if member.job.log != self._job.log:
                _remove_empty(member.job.log)


def _remove_empty(log: str) -> None:
    """Remove the log of a trial that has printed nothing."""
    with suppress(OSError):
        if os.path.isfile(log) and os.path.getsize(log) == 0:
            os.unlink(log)
