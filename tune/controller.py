"""The controller of a sweep: what to train next, what a report means, and when a trial ends.

Executors (Ray's workers, the simulated clock, this process) call its methods and obey. Every
change is written as an event first (`Log.write`), then applied by the function that also rebuilds
the histories from a ledger (`raysweep.history.apply`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from raysweep.clock import now
from raysweep.errors import naming_component
from raysweep.final_reasons import DONE, final_reasons
from raysweep.forecast import Pace, opened
from raysweep.history import Event, History, Status, Trial
from raysweep.repeats import REPEATS
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.steering import STOPPED_BY_HAND, Steering
from raysweep.tune import limits, restoring, retries
from raysweep.tune.pacing import Pacing
from raysweep.tune.retries import GiveUp, Retry, WorkerFailure
from raysweep.tune.state import Checkpoints, Log, NoLog, SweepState
from raysweep.tune.sweep import Study, Sweep
from raysweep.tune.sweep_time import SweepTime
from raysweep.tune.upcoming import Upcoming

if TYPE_CHECKING:
    from raysweep.trainables.runtime.job import Job

DAMAGED = "damaged_checkpoint"
"""The note of a trial that restarted because its checkpoint was damaged; its value says how."""


class SweepController:
    """Takes in what happens to the trials of a sweep, and decides what follows.

    `state` is what is known of the sweep, and `upcoming` decides what is trained next. `past` holds
    the events of former sessions. `make_job` turns a trial into the job that a worker trains, and
    `checkpoints` are those of the trials; an executor that trains nothing, as the simulated one,
    does without them.
    """

    def __init__(
        self,
        sweep: Sweep,
        log: Log | None = None,
        past: Iterable[Event] = (),
        clock: Callable[[], float] = now,
        make_job: Callable[[Trial], Job] | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        past = list(past)
        self._log = log = log or NoLog()
        self._time = SweepTime(clock, past)
        self._pacing = Pacing([*opened(past), clock()])
        happened = partial(log.applied, controller=self)
        self.state = SweepState(sweep, past, clock, log.write, happened)
        self.upcoming = Upcoming(self.state)
        self._out_of_time = False
        self.left_running: set[str] = set()
        """The trials that were in an epoch when the former session ended."""
        self.mistake = ""
        """What the user got wrong, in one line, if the first trial showed it."""
        self.traceback = ""
        self.machine = ""
        """The name of the machine that trains, if it is the only one."""
        self._make_job = make_job
        self.checkpoints = checkpoints
        restoring.restore(self, past)

    @property
    def sweep(self) -> Sweep:
        """What the file says, with what people's commands have changed since."""
        return self.state.sweep

    @property
    def steering(self) -> Steering:
        """What people's commands have led to."""
        return self.state.steering

    @property
    def studies(self) -> Mapping[str, Study]:
        return self.state.studies

    @property
    def histories(self) -> Mapping[str, History]:
        return self.state.histories

    @property
    def rankings(self) -> Mapping[str, Ranking]:
        """What the searchers that predict losses expect of the trials, by study."""
        return self.state.rankings

    @property
    def stopping(self) -> str:
        """Why nothing more is started; "" if something is."""
        return self.state.stopping

    @property
    def interrupted(self) -> bool:
        """True if something from outside ends the session, and not the sweep's own settings."""
        return self.state.interrupted

    @property
    def ended_before(self) -> str:
        """Why a former session ended the sweep, if this one trains only what a person asked for."""
        return self.state.ended_before

    @property
    def has_ended(self) -> bool:
        """True if the sweep has ended, rather than been interrupted or paused."""
        return self.done and not (self.interrupted or self.paused)

    @property
    def may_promote(self) -> bool:
        """True if the scheduler may still promote a trial that it stopped."""
        return self.sweep.scheduler.promotes and not self.ended_before and not self.has_ended

    @property
    def final_reasons(self) -> Mapping[str, str]:
        """Why unfinished trials do not continue, by their names, once the sweep has ended."""
        if not self.has_ended:
            return {}
        interval, promotes = self.sweep.budget.interval, self.sweep.scheduler.promotes
        return final_reasons(self.histories.values(), interval, self.stopping or DONE, promotes)

    def reopen(self, failed: bool) -> None:
        """Queue the trials that ended only because the budget was smaller then.

        With `failed`, also those that failed or ran out of memory.
        """
        restoring.reopen(self, failed)

    def say(self, line: str) -> None:
        self._log.say(line)

    def make_job(self, trial: Trial) -> Job:
        """The job that trains `trial`, or the rest of it."""
        if self._make_job is None:
            raise RuntimeError("this controller was made without make_job")
        return self._make_job(trial)

    def epochs_of(self, trial: Trial) -> int:
        return self.state.epochs_of(trial)

    def obey(self, event: Event) -> None:
        """Record a person's command (`tune/commands.py`), and let it take effect."""
        self.state.happen(event)
        if self.state.follow_commands().budget == self.sweep.budget:
            return
        if self._out_of_time and not self.interrupted:
            self._out_of_time, self.state.stopping = False, ""
        restoring.reopen_limited(self)

    def requeue(self, trial: Trial) -> None:
        """Queue a trial that a command has reopened."""
        if trial.status is Status.WAITING and not self.is_in_flight(trial):
            self.state.budgets.waiting.append(trial)

    def is_in_flight(self, trial: Trial) -> bool:
        """True if an executor has the trial, or if it is queued."""
        return trial.id in self.state.budgets.running or trial in self.state.budgets.waiting

    def stop_by_hand(self, trial: Trial) -> bool:
        """End a trial if a person stopped it and it has come to the end of its epoch by now.

        Returns True if the trial has ended. A paused trial is not promoted any more.
        """
        last = trial.notes.get("stop")
        if last is None or trial.epoch < last or trial.notes.get("by_hand"):
            return False
        if trial in self.state.budgets.waiting:
            self.state.budgets.waiting.remove(trial)
        self.ended(trial, Status.STOPPED, STOPPED_BY_HAND, {"by_hand": True})
        return True

    def hold(self, trial: Trial) -> bool:
        """Queue a trial that has reported and would continue, if the sweep stops or is paused."""
        if self.stopping:
            self.returned(trial, f"interrupted: {self.stopping}")
        elif self.steering.paused:
            self.returned(trial, "the sweep is paused")
        return not self.is_running(trial)

    def is_running(self, trial: Trial) -> bool:
        return trial.id in self.state.budgets.running

    def is_in_epoch(self, trial: Trial) -> bool:
        """True if the trial trains an epoch, or will train again the one that a kill cut off."""
        return self.is_running(trial) or trial.id in self.left_running

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """Start nothing more, and let running trials end after their next report.

        `interrupted`: something from outside ends the session, and not the sweep's own settings.
        """
        if not self.stopping:
            self.state.stopping, self.state.interrupted = reason, interrupted

    @property
    def seconds(self) -> float:
        """How long the sweep has run, former sessions included."""
        return self._time.seconds

    @property
    def training_seconds(self) -> float:
        """Seconds since the first epoch that was reported began; 0 before the first report."""
        return self._time.training_seconds

    @property
    def pace(self) -> Pace | None:
        """How fast the best value improves; None of several metrics, or if it is not known yet."""
        return self._pacing.follow(self.histories)

    @property
    def exhausted(self) -> bool:
        """True if no searcher has anything left to propose."""
        return self.state.budgets.exhausted >= self.studies.keys()

    @property
    def trials(self) -> Iterator[Trial]:
        return self.state.trials

    def trial(self, trial_id: str) -> Trial:
        return self.state.trial(trial_id)

    def next(self) -> Trial | None:
        """The trial to start now, or None if there is none at present."""
        self.check_time()
        return self.upcoming.next()

    def settle(self) -> None:
        """Fix the matched epoch budget as soon as it is known."""
        self.upcoming.settle()

    @property
    def done(self) -> bool:
        """True if no trial is running, and none will be started any more, or while it is paused."""
        return self.upcoming.done

    @property
    def paused(self) -> bool:
        """True if nothing runs only because the sweep is paused."""
        return self.upcoming.paused

    def started(self, trial: Trial) -> None:
        self.left_running.discard(trial.id)
        event: Event = {"event": "started", "trial": trial.id}
        if self.machine:
            event["notes"] = {"node": self.machine}
        self.state.happen(event)

    def reported(
        self,
        trial: Trial,
        epoch: int,
        metrics: Mapping[str, float],
        seconds: float,
        notes: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Record a report, and decide whether the trial continues.

        A report of an epoch that is known already counts once: a trial whose checkpoint is gone
        trains its first epochs again.
        """
        notes = notes or {}
        if DAMAGED in notes and trial.notes.get(DAMAGED) != notes[DAMAGED]:
            self.noted(trial, {DAMAGED: notes[DAMAGED]})  # once
        if epoch <= trial.epoch:
            return CONTINUE
        event = {
            "event": "reported",
            "trial": trial.id,
            "epoch": epoch,
            "loss": self.sweep.metric.loss(metrics[self.sweep.metric.name]),
            "metrics": dict(metrics),
            "seconds": seconds,
        }
        if objectives := self.sweep.objectives:
            event["losses"] = list(objectives.losses(metrics))
            event["excesses"] = list(objectives.excesses(metrics))
        self._time.reported(seconds)
        if notes and any(trial.notes.get(name) != value for name, value in notes.items()):
            event["notes"] = dict(notes)
        self.state.happen(event)
        decision = self.judge(trial)
        self._check_limits(trial)
        return decision

    def judge(self, trial: Trial) -> Decision:
        """Decide whether a trial continues after its last report, and end it if it does not."""
        interval = self.sweep.budget.interval
        if diverged := self._not_finite(trial):
            reason = f"{interval.at(trial.epoch)}: {diverged} is not finite"
            return self._stop(trial, Status.DIVERGED, reason)
        if trial.epoch >= self.epochs_of(trial):
            reason = f"trained all {interval.trained(trial.epoch)}"
            return self._stop(trial, Status.COMPLETED, reason, limited=True)
        if self.stop_by_hand(trial):
            return Decision(True, STOPPED_BY_HAND)
        if trial.notes.get("epochs") or trial.notes.get("parent"):
            return CONTINUE  # a person decided that it trains so long, whatever a scheduler says
        decision = self._scheduled(trial)
        if decision.stop and self.upcoming.is_promoted_at_once(trial):
            return CONTINUE
        if decision.stop:
            # A scheduler counts reports, as everything else does; the user's unit may be another.
            own = decision.reason.removeprefix(f"epoch {trial.epoch}: ")
            reason = decision.reason
            if own != reason:
                reason = f"{interval.at(trial.epoch)}: {own}"
            return self._stop(trial, Status.STOPPED, reason + self._broken_limits(trial))
        if decision.audited:
            self.noted(trial, {"audited": {"epoch": trial.epoch, "reason": decision.reason}})
        if self.state.budgets.is_spent(trial) and not trial.notes.get("asked"):
            spent = interval.trained(self.state.budgets.limit or 0)
            reason = f"{interval.at(trial.epoch)}: the {spent} of {trial.study} are spent"
            return self._stop(trial, Status.STOPPED, reason, limited=True)
        return CONTINUE

    def _scheduled(self, trial: Trial) -> Decision:
        """What the scheduler decides. A repeat of a configuration is trained to its end."""
        if REPEATS in trial.notes:
            return CONTINUE
        with naming_component(
            f"the scheduler {type(self.sweep.scheduler).__name__}",
            f"judging {trial.id} after epoch {trial.epoch}",
        ):
            return self.sweep.scheduler.decide(
                trial, self.histories[trial.study], self.rankings.get(trial.study)
            )

    def _broken_limits(self, trial: Trial) -> str:
        """The end of a reason that names the limits which the last report breaks; "" without."""
        limits = self.sweep.objectives.limits if self.sweep.objectives else ()
        metrics = trial.reports[-1].metrics
        broken = [limit.breach(metrics) for limit in limits if limit.excess(metrics) > 0]
        return f"; {', '.join(broken)}" if broken else ""

    def _not_finite(self, trial: Trial) -> str:
        """The metric of the last report that is not finite; "" if none that counts is."""
        if self.sweep.objectives:
            return self.sweep.objectives.not_finite(trial.reports[-1].metrics)
        return "" if math.isfinite(trial.loss) else self.sweep.metric.name

    def ended(
        self, trial: Trial, status: Status, reason: str, notes: Mapping[str, Any] | None = None
    ) -> None:
        event: Event = {
            "event": "ended",
            "trial": trial.id,
            "status": str(status),
            "reason": reason,
        }
        if notes:
            event["notes"] = dict(notes)
        self.state.budgets.running.discard(trial.id)
        self.state.happen(event)
        self.settle()

    def failed(
        self, trial: Trial, reason: str, notes: Mapping[str, Any], retry: bool = True
    ) -> None:
        """The user's code failed. Without `retry` the trial ends, whatever `sweep.retries` is."""
        allowed_retries = self.sweep.retries if retry else 0
        self._follow(trial, retries.after_failure(trial, reason, notes, allowed_retries))
        if trial.status is Status.FAILED and limits.failed_alike(self.trials):
            self.stop(limits.SAME_FAILURE)

    def out_of_memory(self, trial: Trial, reason: str, notes: Mapping[str, Any]) -> None:
        """The trial ran out of memory."""
        self._follow(trial, retries.after_out_of_memory(trial, reason, notes, self.sweep.on_oom))

    def worker_failed(
        self, trial: Trial, failure: WorkerFailure, notes: Mapping[str, Any] | None = None
    ) -> None:
        """The trial's worker died, or could not be used.

        What ends the session from outside, as a queue does, may end the workers with it: a trial
        is not blamed for that.
        """
        if self.interrupted:
            self.returned(trial, f"interrupted: {self.stopping}")
            return
        on_oom, interval = self.sweep.on_oom, self.sweep.budget.interval
        rule = retries.after_worker_failure(trial, failure, notes or {}, on_oom, interval)
        self._follow(trial, rule)

    def _follow(self, trial: Trial, rule: Retry | GiveUp) -> None:
        """Do what a retry rule says."""
        if isinstance(rule, Retry):
            self.returned(trial, rule.reason, rule.notes)
        else:
            self.ended(trial, rule.status, rule.reason, rule.notes)
            if not self.ended_before:
                self.check_hopeless()
                self.check_worth()

    @contextmanager
    def failing_with(self, traceback: str) -> Iterator[None]:
        """Attribute what happens in the body to an error.

        The log finds the whole traceback in `traceback`; the notes, which are kept in memory and
        in the ledger, hold a part of it.
        """
        self.traceback = traceback
        try:
            yield
        finally:
            self.traceback = ""

    def returned(self, trial: Trial, reason: str, notes: Mapping[str, Any] | None = None) -> None:
        """Queue a trial again; it continues from its last checkpoint."""
        event: Event = {"event": "returned", "trial": trial.id, "reason": reason}
        if notes:
            event["notes"] = dict(notes)
        self.state.budgets.running.discard(trial.id)
        self.state.happen(event)
        if not self.stop_by_hand(trial):
            self.state.budgets.waiting.append(trial)

    def packed(self, processes: int, settled: bool, reason: str) -> None:
        """Record and say how many processes share a GPU from now on."""
        event: Event = {"event": "packed", "processes": processes, "settled": settled}
        self.state.happen(event | {"reason": reason})
        self.say(f"gpu: auto: {reason}")

    def noted(self, trial: Trial, notes: Mapping[str, Any]) -> None:
        """Record facts about a trial."""
        self.state.happen({"event": "noted", "trial": trial.id, "notes": dict(notes)})

    def _stop(self, trial: Trial, status: Status, reason: str, limited: bool = False) -> Decision:
        """End a trial. `limited`: it would have continued with a larger budget."""
        self.ended(trial, status, reason, {"limited": True} if limited else None)
        return Decision(True, reason)

    def _check_limits(self, trial: Trial) -> None:
        """Stop the sweep if its target, plateau, worth or the end of its time is reached."""
        if not self.ended_before:
            self.check_target(trial, trial.loss)
            if trial.status.ended:
                self.check_plateau()
            self.check_worth()
        self.check_time()

    def check_target(self, trial: Trial, loss: float) -> None:
        """Stop the sweep if a loss reaches its target."""
        if reason := limits.target_reached(self.sweep, trial, loss):
            self.stop(reason)

    def check_plateau(self) -> None:
        """Stop the sweep if its plateau is reached."""
        if reason := limits.plateau_reached(self.sweep, self.histories):
            self.stop(reason)

    def check_hopeless(self) -> None:
        """Stop the sweep if trials only fail, each before its first report."""
        if reason := limits.hopeless(self.sweep, self.histories):
            self.stop(reason)

    def check_worth(self) -> None:
        """Stop the sweep if its best value is expected to improve too slowly."""
        if reason := limits.worth_reached(self.sweep, self.pace, self.histories):
            self.stop(reason)

    def check_time(self) -> None:
        """Stop the sweep if its time is spent."""
        limit = self.sweep.budget.seconds
        if limit is not None and self.seconds >= limit and not self.stopping:
            self._out_of_time = True
            self.stop(f"the {limit:g} seconds of the budget are spent")
