"""Two thin adapters between Ray Tune and the controller: Ray asks them what to start and whether to go on, they ask the controller.

Ray pickles both before it starts. They hold a reference to the live conductor that does not travel: nothing here is ever unpickled to
go on, because a sweep resumes from its own ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from typing import Any, TypeVar

from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raysweep.history import Status, Trial
from raysweep.trainables.runtime.job import Job
from raysweep.tune.controller import ALIKE, SweepController
from raysweep.tune.executors.gpu_sharing import Shares
from raysweep.tune.executors.ray.messages import MessageError, Outcome, Report, parse
from raysweep.tune.executors.ray.ray_worker import pack
from raysweep.tune.executors.ray.worker_failure import Lost, error_of, lost, silence

MOST_LOSSES = 3
"""A trial that loses its worker this often without a new epoch in between has itself to blame."""


MOST_REMEMBERED = 64
MOST_SPARED = 1
"""So often a trial whose worker was killed for memory is simply taken up again: it may have been another one's memory."""

T = TypeVar("T")
U = TypeVar("U")


class TrialCoordinator:
    """Which of Ray's trials trains which of ours, and what to tell the controller of it.

    `parallel`: so many trials at once, at present. `bug`: what our own code raised under Ray, whose handlers would make a failed trial of
    it; nothing is started any more then.
    """

    def __init__(
        self,
        controller: SweepController,
        job: Callable[[Trial], Job],
        parallel: int,
        tick: Callable[[], None],
        shares: Shares | None = None,
    ) -> None:
        self.controller = controller
        self.mistake = ""
        self.bug: Exception | None = None
        self.tick = tick
        self._job = job
        self.parallel = parallel
        self.shares = shares
        self._trials: dict[str, Trial] = {}
        self._silent: dict[str, float] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return (_gone, ())

    def guarded(self, call: Callable[[], T], otherwise: U) -> T | U:
        """Call; where that raises, now or before, keep the exception and give `otherwise`."""
        if self.bug is not None:
            return otherwise
        try:
            return call()
        except Exception as error:
            self.bug = error
            self.controller.stop(str(error), interrupted=True)
            return otherwise

    def propose(self, ray_id: str) -> dict[str, Any] | str | None:
        """The job for a new Ray trial; None to wait; FINISHED when the sweep is over."""
        if self.controller.done:
            return str(Searcher.FINISHED)
        if len(self._trials) >= self.parallel:
            return None
        trial = self.controller.next()
        if trial is None:
            return str(Searcher.FINISHED) if self.controller.done else None
        self._trials[ray_id] = trial
        job = self._job(trial)
        if self.shares is not None:
            job = replace(job, gpu=self.shares.give(trial))
            self.controller.noted(trial, {"share": job.gpu})
        return pack(job)

    def started(self, ray_id: str) -> None:
        self.controller.started(self._trials[ray_id])

    def heard(self, ray_id: str, result: dict[str, Any]) -> bool:
        """Take a message in; False where the trial must stop."""
        trial = self._trials.get(ray_id)
        if trial is None:
            return False
        go_on = self._take(trial, result)
        if not go_on:
            del self._trials[ray_id]
        return go_on

    def _take(self, trial: Trial, result: object) -> bool:
        """Act on a message. One that cannot be used fails its trial, whatever it holds."""
        try:
            message = parse(result)
            if isinstance(message, Report):
                message.check(
                    self.controller.sweep.metric.name, self.controller.sweep.budget.epochs
                )
        except MessageError as error:
            reason = f"its worker sent a message that cannot be used: {error}"
            return self._outcome(trial, Outcome("failed", reason))
        if isinstance(message, Outcome):
            return self._outcome(trial, message)
        return message is None or self._report(trial, message)

    def _report(self, trial: Trial, report: Report) -> bool:
        decision = self.controller.reported(
            trial, report.epoch, report.metrics, report.seconds, report.notes
        )
        if trial.status is Status.COMPLETED:
            return True  # it may have something to do after its last epoch; its outcome comes next
        if not decision.stop and self._measured(trial):
            self.controller.returned(
                trial, "its memory was measured, it goes on with its share", {"share": 0.0}
            )
            return False
        if not decision.stop and self.controller.stopping:
            self.controller.returned(trial, f"interrupted: {self.controller.stopping}")
            return False
        return not decision.stop

    def _measured(self, trial: Trial) -> bool:
        """Whether a trial that was to tell what it needs has done so."""
        if self.shares is None:
            return False
        self.shares.update(self.controller.trials)
        return self.shares.shrinks(trial)

    def silent(self, ray_id: str, seconds: float) -> None:
        """A worker has shown no sign of life for so long that it is killed; `lost` comes next."""
        self._silent[ray_id] = seconds

    def lost(self, ray_id: str, error: object) -> None:
        """A worker died, or could not be used."""
        trial, seconds = self._trials.pop(ray_id, None), self._silent.pop(ray_id, None)
        if trial is None or trial.status.ended:
            return
        logging.getLogger("ray").warning("%s lost its worker: %s", trial.id, error)
        self._taken_away(trial, lost(error) if seconds is None else silence(seconds), {})

    def _taken_away(self, trial: Trial, why: Lost, notes: dict[str, Any]) -> None:
        """A trial ended by what is not its own doing, as far as one can tell: it goes on from its
        checkpoint. If that happens again and again in one epoch, it has itself to blame."""
        if why.node:
            self.controller.returned(trial, why.reason)  # not the trial's fault, however often
            return
        losses = [*trial.notes.get("losses", []), trial.epoch]
        in_this_epoch = sum(1 for _ in takewhile(lambda epoch: epoch == trial.epoch, losses[::-1]))
        notes = notes | {"losses": losses}
        if why.out_of_memory and in_this_epoch > MOST_SPARED:
            self.controller.out_of_memory(trial, why.reason, notes)
        elif in_this_epoch >= MOST_LOSSES:
            times = f"killed {in_this_epoch} times in epoch {trial.epoch + 1}"
            self.controller.ended(trial, Status.FAILED, f"{times}: {why.reason}", notes)
        else:
            self.controller.returned(trial, f"retrying: {why.reason}", notes)

    def _outcome(self, trial: Trial, outcome: Outcome) -> bool:
        with self.controller.failing_with(outcome.trace):
            self._end(trial, outcome)
        return False

    def _end(self, trial: Trial, outcome: Outcome) -> None:
        status, reason, notes = outcome.status, outcome.reason, outcome.all_notes
        if trial.status.ended:
            self._afterwards(trial, outcome)
        elif status == "mistake" and not any(
            history.epochs for history in self.controller.histories.values()
        ):
            self.mistake = reason
            self.controller.stop(reason)
            self.controller.returned(trial, reason)
        elif status == "storage":
            self.controller.stop(reason, interrupted=True)
            self.controller.returned(trial, reason)
        elif status == "completed":
            self.controller.ended(trial, Status.COMPLETED, reason, notes)
        elif status == "oom":
            self.controller.out_of_memory(trial, reason, notes)
        elif status == "killed":
            self._taken_away(trial, lost(reason, reason), notes)
        elif status == "killed_for_memory":
            self._taken_away(trial, Lost(reason, out_of_memory=True), notes)
        elif status == "misreport":
            self._misreported(trial, reason, notes)
        else:
            self.controller.failed(trial, reason, notes)

    def _afterwards(self, trial: Trial, outcome: Outcome) -> None:
        """Note what a train function did after its last epoch, when its trial had ended."""
        if {"test", "untested"} & set(outcome.notes):
            self.controller.noted(trial, outcome.all_notes)
        elif outcome.status != "completed":
            afterwards = f"after its last epoch: {outcome.reason}"
            self.controller.noted(trial, {**outcome.all_notes, "afterwards": afterwards})

    def _misreported(self, trial: Trial, reason: str, notes: dict[str, Any]) -> None:
        """A report that cannot be used would be the same again, so the trial is not retried.

        If the first trials all misreport alike, it is the sweep that is mistaken.
        """
        self.controller.failed(trial, reason, notes, retry=False)
        if self.controller.stopping == ALIKE:
            self.mistake = reason


def forget(controller: Any) -> None:
    """Take ended trials out of Ray's lists. It keeps 20 kB of each to the end, and looks through all of them at every step."""
    old = {trial for trial in controller._trials[:-MOST_REMEMBERED] if trial.is_finished()}
    if len(old) >= MOST_REMEMBERED:
        controller._trials[:] = [trial for trial in controller._trials if trial not in old]
        for held in vars(controller).values():
            if isinstance(held, set):
                held -= old


def _gone() -> None:
    """What a pickled conductor comes back as."""


class ControllerSearcher(Searcher):  # type: ignore[misc]
    """Ray asks it for the next trial."""

    def __init__(self, coordinator: TrialCoordinator) -> None:
        super().__init__()
        self._conductor = coordinator

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        return self._conductor.guarded(
            lambda: self._conductor.propose(trial_id), str(Searcher.FINISHED)
        )

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Nothing: the scheduler hears of everything, this does not."""

    def get_state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass


class ControllerScheduler(FIFOScheduler):  # type: ignore[misc]
    """Ray asks it after every report: the only component that sees them all."""

    def __init__(self, coordinator: TrialCoordinator) -> None:
        super().__init__()
        self._conductor = coordinator

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Nobody in particular: a worker that becomes free takes the trial that was offered last.

        Ray's own answer, the oldest that waits, is the one whose worker is just starting on a machine that joined late: it would get the
        free worker, its own start would be thrown away, and so on with the next one, as long as trials are shorter than such a start.
        """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        forget(tune_controller._tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        go_on = self._conductor.guarded(
            lambda: self._conductor.heard(trial.trial_id, result), False
        )
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._conductor.guarded(lambda: self._conductor.lost(trial.trial_id, error_of(trial)), None)


class ControllerCallback(TrialProgressCallback):  # type: ignore[misc]
    """Ray tells it when a worker takes a trial up, and about ten times a second that time goes by.

    It stands in the place of Ray's own progress printer, which would hold every trial to the end.
    """

    def __init__(self, coordinator: TrialCoordinator) -> None:
        self._conductor = coordinator

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._conductor.guarded(lambda: self._conductor.started(trial.trial_id), None)

    def log_result(self, trial: Any, result: dict[str, Any], error: bool = False) -> None:
        """Nothing: who watches hears it from the ledger's events."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Nothing."""

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._conductor.guarded(self._conductor.tick, None)


__all__ = ["ControllerCallback", "ControllerScheduler", "ControllerSearcher", "TrialCoordinator"]
