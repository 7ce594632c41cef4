"""What an executor tells the controller about the workers that train its trials. Knows no Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from raysweep.formatting import plural
from raysweep.history import Status, Trial
from raysweep.trainables.runtime.job import Job
from raysweep.tune.controller import SweepController
from raysweep.tune.executors.gpu_sharing import Shares
from raysweep.tune.executors.messages import MessageError, Outcome, Report, parse
from raysweep.tune.limits import SAME_FAILURE
from raysweep.tune.retries import WorkerFailure, worker_failure


class TrialCoordinator:
    """Knows which worker trains which trial, and what each of its messages means.

    Workers are called by any name that the executor chooses. At most `parallel` trials train at
    once; an executor may change that number while it runs, and so may a person's command, which
    only lowers it here: an executor that can train more than it began with follows
    `controller.sweep.parallel` itself. `gpu_sharing` sets each job's GPU
    fraction; without it the jobs stay as `make_job` makes them.
    """

    def __init__(
        self,
        controller: SweepController,
        make_job: Callable[[Trial], Job],
        parallel: int = 1,
        gpu_sharing: Shares | None = None,
    ) -> None:
        self.controller = controller
        self.parallel = parallel
        self.gpu_sharing = gpu_sharing
        self._make_job = make_job
        self._trials: dict[str, Trial] = {}
        self._epochs: dict[str, int] = {}
        self._silent_seconds: dict[str, float] = {}

    def next_job(self, worker: str) -> Job | None:
        """The job for a free worker, or None if there is none at present.

        `controller.done` tells whether there will be one later.
        """
        if len(self._trials) >= self.limit:
            return None
        trial = self.controller.next()
        if trial is None:
            return None
        self._trials[worker] = trial
        job = self._make_job(trial)
        self._epochs[worker] = job.epochs
        if self.gpu_sharing is not None:
            job = replace(job, gpu=self.gpu_sharing.give(trial))
            self.controller.noted(trial, {"share": job.gpu})
        return job

    @property
    def limit(self) -> int:
        """The most trials at once."""
        wanted = self.controller.sweep.parallel
        return self.parallel if wanted is None else min(self.parallel, wanted)

    @property
    def needs_no_idle_worker(self) -> bool:
        """True if a command limits the trials at once, and so many train: idle workers can go."""
        return self.controller.steering.parallel is not None and len(self._trials) >= self.limit

    def started(self, worker: str) -> None:
        """The worker has begun its trial."""
        self.controller.started(self._trials[worker])

    def trial_of(self, worker: str) -> Trial | None:
        """The trial that the worker trains."""
        return self._trials.get(worker)

    def heard(self, worker: str, message: object) -> bool:
        """Act on a worker's message; False if the worker must stop its trial."""
        trial = self._trials.get(worker)
        if trial is None:
            return False
        continues = self._receive(worker, trial, message)
        if not continues:
            del self._trials[worker]
        return continues

    def silent(self, worker: str, seconds: float) -> None:
        """The worker showed no sign of life for so long that it is killed. `lost` comes next."""
        self._silent_seconds[worker] = seconds

    def lost(self, worker: str, failure: WorkerFailure) -> None:
        """The worker died, or could not be used."""
        trial = self._trials.pop(worker, None)
        seconds = self._silent_seconds.pop(worker, None)
        if trial is None or trial.status.ended:
            return
        if seconds is not None:
            reason = f"no sign of life from its worker for {seconds:.0f} s, so it was killed"
            failure = WorkerFailure(reason)
        self.controller.worker_failed(trial, failure)

    def _receive(self, worker: str, trial: Trial, content: object) -> bool:
        """Act on a message. One that cannot be used fails its trial, whatever it holds."""
        sweep = self.controller.sweep
        try:
            message = parse(content)
            if isinstance(message, Report):
                for name in sweep.metric_names:
                    message.check(name, self.controller.epochs_of(trial))
        except MessageError as error:
            reason = f"its worker sent a message that cannot be used: {error}"
            message = Outcome("failed", reason)
        if isinstance(message, Outcome):
            with self.controller.failing_with(message.trace):
                self._end(trial, message, self._epochs[worker])
            return False
        if message is None:  # a sign of life
            return not self.controller.stop_by_hand(trial)
        return self._report(trial, message)

    def _report(self, trial: Trial, report: Report) -> bool:
        decision = self.controller.reported(
            trial, report.epoch, report.metrics, report.seconds, report.notes
        )
        if trial.status is Status.COMPLETED:
            return True  # it may do something after its last epoch; its outcome comes next
        if decision.stop:
            return False
        if self._is_measured(trial):
            reason = "its memory was measured, so it continues with its GPU fraction"
            self.controller.returned(trial, reason, {"share": 0.0})
            return False
        if len(self._trials) > self.limit:
            self.controller.returned(trial, f"at most {plural(self.limit, 'trial')} at once")
            return False
        return not self.controller.hold(trial)

    def _is_measured(self, trial: Trial) -> bool:
        """True if the trial was given a whole GPU to measure its memory, and has done so."""
        if self.gpu_sharing is None:
            return False
        self.gpu_sharing.update(self.controller.trials)
        return self.gpu_sharing.shrinks(trial)

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
        elif status == "misreport":
            self._misreported(trial, reason, notes)
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

    def _misreported(self, trial: Trial, reason: str, notes: dict[str, Any]) -> None:
        """End a trial whose report cannot be used: a retry would report the same.

        If the first trials all do so in the same way, the mistake is the sweep's.
        """
        self.controller.failed(trial, reason, notes, retry=False)
        if self.controller.stopping == SAME_FAILURE:
            self.controller.mistake = reason
