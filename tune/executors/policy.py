"""What an executor tells the controller about the workers that train its trials. Knows no Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from raysweep.formatting import plural
from raysweep.history import Status, Trial
from raysweep.trainables.runtime.job import Job
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.devices import Devices
from raysweep.tune.executors.fusing import MAKES_WAY, Fusing, trains_alone
from raysweep.tune.executors.gpu_packing import GpuPacking
from raysweep.tune.executors.messages import Group, MessageError, Outcome, Report, parse
from raysweep.tune.limits import SAME_FAILURE
from raysweep.tune.retries import WorkerFailure, worker_failure

MACHINE_LEAVES = "its machine is about to go"
OUT_OF_MEMORY = ("oom", "killed_for_memory")
EACH_TRIALS = ("killed", "mistake", "storage")
"""Ends of a process that say the same of each of its trials."""


@dataclass(frozen=True)
class Assigned:
    """A trial that a worker has, and how many epochs it is to train."""

    trial: Trial
    epochs: int


class TrialCoordinator:
    """Knows which worker trains which trials, and what each of its messages means.

    Workers are called by any name that the executor chooses. At most `parallel` of them train at
    once; an executor may change that number while it runs, and so may a person's command, which
    only lowers it here: an executor that can train more than it began with follows
    `controller.sweep.parallel` itself. A worker trains one trial, or if the sweep says `fuse` some
    as one; the controller does not know of that. `packing` sets each worker's GPU
    fraction; without it the jobs stay as `make_job` makes them. `leaving`: the workers whose
    machines are about to go; an executor sets it. Their trials continue elsewhere after the epoch.
    `devices`: the kinds of GPU that trials need; those that wait for one keep no other trial from
    starting, up to as many as may train at once.
    """

    def __init__(
        self,
        controller: SweepController,
        make_job: Callable[[Trial], Job],
        parallel: int = 1,
        packing: GpuPacking | None = None,
        devices: Devices | None = None,
    ) -> None:
        self.controller = controller
        self.parallel = parallel
        self.packing = packing
        self.devices = devices
        self.fusing = Fusing(controller)
        self.leaving: frozenset[str] = frozenset()
        self._make_job = make_job
        self._assigned: dict[str, dict[str, Assigned]] = {}
        self._fused: set[str] = set()
        """The workers that were told to train several trials as one, if they can."""
        self._answers: dict[str, dict[str, Any]] = {}
        self._silent_seconds: dict[str, float] = {}

    def next_job(self, worker: str) -> Job | None:
        """The job for a free worker, or None if there is none at present.

        `controller.done` tells whether there will be one later.
        """
        if self._n_placed >= self.limit:
            return None
        lanes = self.fusing.lanes(self.limit)
        job = self._assign(worker)
        if job is None or lanes == 1:
            self._fused.discard(worker)
            return job
        self._fused.add(worker)
        others = [asdict(other) for other in self._fill(worker, lanes)]
        if_faster = self.controller.sweep.resources.auto_fuse
        return replace(job, fuse=lanes, fuse_if_faster=if_faster, others=others)

    def _fill(self, worker: str, lanes: int) -> list[Job]:
        """The jobs of further trials for a worker that is to have so many."""
        jobs: list[Job] = []
        while self._has_room(worker, lanes) and (job := self._assign(worker)) is not None:
            jobs.append(job)
        return jobs

    def _has_room(self, worker: str, lanes: int) -> bool:
        """True if a worker may get one more trial."""
        trials = self.trials_of(worker)
        if len(trials) >= lanes:
            return False
        first = self.controller.upcoming.first_waiting()
        return self.fusing.may_share([*trials, *([first] if first is not None else [])])

    def _assign(self, worker: str) -> Job | None:
        """The job of the next trial, which the worker gets; None if there is none at present."""
        trial = self.controller.next()
        if trial is None:
            return None
        job = self._make_job(trial)
        self._assigned.setdefault(worker, {})[trial.id] = Assigned(trial, job.epochs)
        if self.packing is not None:
            job = replace(job, gpu=self.packing.give(worker, trial))
            self.controller.noted(trial, {"share": job.gpu})
        if self.devices is not None:
            job = replace(job, accelerator=self.devices.of(trial))
        return job

    @property
    def limit(self) -> int:
        """The most workers that train at once."""
        wanted = self.controller.sweep.parallel
        return self.parallel if wanted is None else min(self.parallel, wanted)

    @property
    def _n_placed(self) -> int:
        """How many workers train, or soon do, on machines that stay.

        Without those that wait for a kind of GPU. No place is counted on a machine that leaves.
        """
        staying = sum(worker not in self.leaving for worker in self._assigned)
        return staying - min(self.limit, sum(self._waiting.values()))

    @property
    def _waiting(self) -> Counter[str]:
        """How many trials wait for each kind of GPU that all in use train others."""
        if self.devices is None:
            return Counter()
        given = [part.trial for parts in self._assigned.values() for part in parts.values()]
        return self.devices.waiting(given)

    def waiting_for_a_kind(self, workers: Sequence[str]) -> list[str]:
        """Those of these workers, none of which trains yet, whose kind of GPU is short.

        Whoever frees a GPU of that kind should give it to the first of them.
        """
        kinds = self._waiting
        if self.devices is None or not kinds:
            return []
        trials = [(worker, trial) for worker in workers for trial in self.trials_of(worker)]
        return [worker for worker, trial in trials if self.devices.of(trial) in kinds]

    @property
    def needs_no_idle_worker(self) -> bool:
        """True if a command limits the trials at once, and so many train: idle workers can go."""
        limited = self.controller.steering.parallel is not None
        return limited and self._n_placed >= self.limit

    def started(self, worker: str) -> None:
        """The worker has begun its trials."""
        for trial in self.trials_of(worker):
            self.controller.started(trial)

    def trials_of(self, worker: str) -> list[Trial]:
        """The trials that the worker trains."""
        return [assigned.trial for assigned in self._assigned.get(worker, {}).values()]

    def heard(self, worker: str, message: object) -> bool:
        """Act on a worker's message; False if the worker must stop its trials."""
        if worker not in self._assigned:
            return False
        try:
            parsed = parse(message)
        except MessageError as error:
            parsed = _unusable(error)
        if isinstance(parsed, Group):
            self._receive_group(worker, parsed)
        elif isinstance(parsed, Outcome):
            self._end_worker(worker, parsed)
        elif parsed is not None or len(self._assigned[worker]) == 1:
            for trial_id in list(self._assigned[worker]):
                self._receive(worker, trial_id, parsed)
        if self._assigned[worker]:
            return True
        self._forget(worker)
        return False

    def give_back(self) -> list[str]:
        """Take the trials back that no worker has begun, if the session is interrupted.

        Returns their workers, which the executor is to end: a worker may take minutes to be ready,
        and would only hear then that there is nothing to do.
        """
        if not self.controller.interrupted:
            return []
        waiting = [
            worker
            for worker in self._assigned
            if all(trial.status is Status.WAITING for trial in self.trials_of(worker))
        ]
        for worker in waiting:
            for trial in self.trials_of(worker):
                self.controller.returned(trial, f"interrupted: {self.controller.stopping}")
            self._forget(worker)
        return waiting

    def _forget(self, worker: str) -> None:
        """The worker has no trials any more."""
        self._assigned.pop(worker, None)
        if self.packing is not None:
            self.packing.ended(worker)

    def answer(self, worker: str) -> dict[str, Any] | None:
        """What the worker is to do after its last message was heard; None for a single trial."""
        return self._answers.pop(worker, None)

    def silent(self, worker: str, seconds: float) -> None:
        """The worker showed no sign of life for so long that it is killed. `lost` comes next."""
        self._silent_seconds[worker] = seconds

    def lost(self, worker: str, failure: WorkerFailure) -> None:
        """The worker died, or could not be used."""
        trials = self.trials_of(worker)
        self._forget(worker)
        self._answers.pop(worker, None)
        seconds = self._silent_seconds.pop(worker, None)
        if seconds is not None:
            reason = f"no sign of life from its worker for {seconds:.0f} s, so it was killed"
            failure = WorkerFailure(reason)
        for trial in trials:
            if not trial.status.ended:
                self.controller.worker_failed(trial, failure)

    def _receive_group(self, worker: str, group: Group) -> None:
        """Act on what happened to the trials of a worker, and give it others for those that end."""
        stopped = []
        for kind, line in group.said:
            self.fusing.heard(kind, line)
        for trial_id, part in group.parts:
            if trial_id in self._assigned[worker]:
                message = _unusable(part) if isinstance(part, MessageError) else part
                self._receive(worker, trial_id, message)
            if trial_id not in self._assigned[worker]:
                stopped.append(trial_id)
        jobs = self._refill(worker)
        self._answers[worker] = {"stop": stopped, "jobs": [asdict(job) for job in jobs]}

    def _refill(self, worker: str) -> list[Job]:
        """The jobs of new trials for a worker with less than it should have. They begin at once."""
        lanes = self.fusing.lanes(self.limit)
        if lanes == 1 or self._n_placed > self.limit or worker in self.leaving:
            return []
        if self.packing is not None and self.packing.is_outdated(worker):
            return []
        jobs = self._fill(worker, lanes)
        for job in jobs:
            self.controller.started(self._assigned[worker][job.trial].trial)
        return jobs

    def _receive(self, worker: str, trial_id: str, message: Report | Outcome | None) -> None:
        """Act on a message of a trial, which leaves the worker if it is not to continue there.

        A report that cannot be used fails its trial, whatever it holds.
        """
        assigned = self._assigned[worker][trial_id]
        trial = assigned.trial
        if isinstance(message, Report):
            try:
                for name in self.controller.sweep.metric_names:
                    message.check(name, self.controller.epochs_of(trial))
            except MessageError as error:
                message = _unusable(error)
        if isinstance(message, Outcome):
            with self.controller.failing_with(message.trace):
                self._end(trial, message, assigned.epochs)
            continues = False
        elif message is None:  # a sign of life
            continues = not self.controller.stop_by_hand(trial)
        else:
            continues = self._report(worker, trial, message) and not self._leaves(worker, trial)
        if not continues:
            del self._assigned[worker][trial_id]

    def _leaves(self, worker: str, trial: Trial) -> bool:
        """True if a trial was taken from a worker whose machine is about to go."""
        if worker not in self.leaving or trial.status is Status.COMPLETED:
            return False
        self.controller.returned(trial, MACHINE_LEAVES)
        return True

    def _end_worker(self, worker: str, outcome: Outcome) -> None:
        """Act on how a worker's process ended by itself.

        What happened to several trials at once is no fault of one of them.
        """
        assigned = list(self._assigned[worker].values())
        self._assigned[worker] = {}
        going = [part.trial for part in assigned if not part.trial.status.ended]
        if outcome.status == "alone" and worker not in self._fused:
            outcome = _unusable(MessageError("it trains alone, and says that it cannot else"))
        if outcome.status == "alone":
            self.fusing.stop(outcome.reason)
        elif len(going) < 2 or outcome.status in EACH_TRIALS:
            with self.controller.failing_with(outcome.trace):
                for part in assigned:
                    self._end(part.trial, outcome, part.epochs)
            return
        elif outcome.status in OUT_OF_MEMORY:
            self.fusing.too_large(len(going))
        elif outcome.status != "completed":
            self.fusing.stop(outcome.reason)
        for trial in going:
            self.controller.returned(trial, f"{len(going)} trials as one: {outcome.reason}")

    def _report(self, worker: str, trial: Trial, report: Report) -> bool:
        before = trial.reports[-1].seconds if trial.reports else 0.0
        decision = self.controller.reported(
            trial, report.epoch, report.metrics, report.seconds, report.notes
        )
        if self.packing is not None:
            self.packing.reported(worker, trial, report.seconds - before)
        if trial.status is Status.COMPLETED:
            return True  # it may do something after its last epoch; its outcome comes next
        if decision.stop:
            return False
        if self.packing is not None and self.packing.is_outdated(worker):
            self.controller.returned(trial, self.packing.reason, {"share": 0.0})
            return False
        if self._n_placed > self.limit:
            self.controller.returned(trial, f"at most {plural(self.limit, 'trial')} at once")
            return False
        if self._makes_way(worker):
            self.controller.returned(trial, MAKES_WAY)
            return False
        return not self.controller.hold(trial)

    def _makes_way(self, worker: str) -> bool:
        """True if a worker of several trials is to go on with the first one that waits, alone.

        It would wait until the others have ended, or keep them waiting until it has.
        """
        first = self.controller.upcoming.first_waiting()
        return worker in self._fused and first is not None and trains_alone(first)

    def _end(self, trial: Trial, outcome: Outcome, epochs: int) -> None:
        """Act on how an attempt ended by itself. `epochs`: how many it was to train."""
        status, reason, notes = outcome.status, outcome.reason, outcome.all_notes
        if trial.status.ended:
            self._note_afterwards(trial, outcome)
        elif status == "mistake" and not self._any_epochs():
            self.controller.mistake = reason
            self.controller.stop(reason)
            self.controller.returned(trial, reason)
        elif status == "storage":
            self.controller.stop(reason, interrupted=True)
            self.controller.returned(trial, reason)
        elif status == "completed" and epochs <= trial.epoch < self.controller.epochs_of(trial):
            self.controller.returned(trial, "it is to train longer now")
        elif status == "completed":
            self.controller.ended(trial, Status.COMPLETED, reason, notes)
        elif status == "oom":
            self.controller.out_of_memory(trial, reason, notes)
        elif status == "killed":
            self.controller.worker_failed(trial, worker_failure(reason, otherwise=reason), notes)
        elif status == "killed_for_memory":
            failure = WorkerFailure(reason, out_of_memory=True)
            self.controller.worker_failed(trial, failure, notes)
        elif status == "misreport" or (status == "fails_again" and not self._any_epochs()):
            self._failed_for_good(trial, reason, notes)
        else:
            self.controller.failed(trial, reason, notes)

    def _any_epochs(self) -> bool:
        return any(history.epochs for history in self.controller.histories.values())

    def _note_afterwards(self, trial: Trial, outcome: Outcome) -> None:
        """Record what a train function did after its last epoch, when its trial had ended."""
        if {"test", "untested"} & set(outcome.notes):
            self.controller.noted(trial, outcome.all_notes)
        elif outcome.status != "completed":
            afterwards = f"after its last epoch: {outcome.reason}"
            self.controller.noted(trial, {**outcome.all_notes, "afterwards": afterwards})

    def _failed_for_good(self, trial: Trial, reason: str, notes: dict[str, Any]) -> None:
        """End a trial whose retry would end alike: its report cannot be used, or it cannot begin.

        If the first trials all do so in the same way, the mistake is the sweep's.
        """
        self.controller.failed(trial, reason, notes, retry=False)
        if self.controller.stopping == SAME_FAILURE:
            self.controller.mistake = reason


def _unusable(error: MessageError) -> Outcome:
    """The outcome of a trial whose worker sent something that cannot be used."""
    return Outcome("failed", f"its worker sent a message that cannot be used: {error}")
