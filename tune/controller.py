"""The controller of a sweep: what to train next, what a report means, and when a trial ends.

Executors (Ray's workers, the simulated clock, this process) call its methods and obey. Every
change is written as an event first (`Log.write`), then applied by the function that also rebuilds
the histories from a ledger (`raysweep.history.apply`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from raysweep.clock import now
from raysweep.errors import naming_component
from raysweep.history import (
    APPLIED,
    Config,
    Event,
    History,
    Status,
    Trial,
    apply,
    seconds_spent,
    split_id,
)
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.steering import Queued
from raysweep.tune import retries
from raysweep.tune.budget import StudyBudgets, matched_epoch_budget
from raysweep.tune.retries import GiveUp, Retry, WorkerFailure
from raysweep.tune.searched import Inside
from raysweep.tune.steered import steered, steering_of
from raysweep.tune.sweep import RankingSearcher, Study, Sweep, trial_seed

if TYPE_CHECKING:
    from raysweep.trainables.runtime.job import Job

SAME_FAILURE = "the first trials all failed in the same way"
SAME_FAILURE_TRIALS = 3
"""Trials that must have failed with the same words before the sweep ends."""
STOPPED_BY_HAND = "stopped by hand"
DAMAGED = "damaged_checkpoint"
"""The note of a trial that restarted because its checkpoint was damaged; its value says how."""


class Log(Protocol):
    """Receives the events of a controller, and lines for the user."""

    def write(self, event: Event) -> None:
        """Called before the event changes anything."""

    def applied(self, event: Event, controller: SweepController) -> None:
        """Called after the event has changed the histories."""

    def say(self, line: str) -> None:
        """Show a line to the user."""


class Checkpoints(Protocol):
    """The checkpoints of trials, with which other trials may begin."""

    def missing(self, trial: Trial) -> str:
        """Why another trial cannot begin with the last checkpoint of this one; "" if it can."""

    def keep(self, trial: Trial, key: str) -> None:
        """Keep the last checkpoint for another trial, under a name. Raises OSError."""


class NoLog:
    """A log that keeps nothing."""

    def write(self, event: Event) -> None: ...

    def applied(self, event: Event, controller: SweepController) -> None: ...

    def say(self, line: str) -> None: ...


class SweepController:
    """The state of a running sweep: histories, remaining budgets, and why it stops, if it does.

    `sweep` is what the file says with what people's commands have changed since
    (`tune/commands.py`). `past` holds the events of former sessions. `make_job` turns a trial into
    the job that a worker trains, and `checkpoints` are those of the trials; an executor that trains
    nothing, as the simulated one, does without them.
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
        self._file = sweep
        self.steering = steering_of(sweep, past)
        self.sweep = sweep = steered(sweep, self.steering)
        self.studies = {study.name: study for study in sweep.studies()}
        self.histories = {
            name: History(sweep.levels(), sweep.metric.goal == "maximize") for name in self.studies
        }
        self._inside: dict[str, Inside] = {}
        self.rankings = self._rankings()
        self.stopping = ""
        self.interrupted = False
        self.ended_before = ""
        """Why a former session ended the sweep, if this one trains only what a person asked for."""
        self._out_of_time = False
        self._left_running: set[str] = set()
        self.mistake = ""
        """What the user got wrong, in one line, if the first trial showed it."""
        self.traceback = ""
        self.machine = ""
        """The name of the machine that trains, if it is the only one."""
        self._log = log or NoLog()
        self._make_job = make_job
        self.checkpoints = checkpoints
        self._clock = clock
        self._began = clock() - seconds_spent(past)
        self._training_began = _training_began(past)
        self._budgets = StudyBudgets(sweep, list(self.studies.values()), self.histories, past)
        for event in past:
            apply(event, self.histories)
        self._search_in_space()
        for trial in self._unfinished():
            self._budgets.waiting.append(trial)
        places = _places(past)
        self._budgets.waiting = deque(
            sorted(self._budgets.waiting, key=lambda trial: places[trial.id])
        )
        self.settle()

    def _unfinished(self) -> Iterable[Trial]:
        """The trials that a former session left unfinished.

        If the last report of such a trial was never judged, it is judged now.
        """
        for history in self.histories.values():
            for trial in history:
                if trial.status is Status.STOPPED:
                    self.stop_by_hand(trial)
                if trial.status.ended:
                    continue
                if trial.status is Status.RUNNING:
                    self._left_running.add(trial.id)
                history.close(trial.number, Status.WAITING, trial.reason)
                if not self.stop_by_hand(trial) and not (trial.reports and self.judge(trial).stop):
                    yield trial

    def reopen(self, failed: bool) -> None:
        """Queue the trials that ended only because the budget was smaller then.

        With `failed`, also those that failed or ran out of memory.
        """
        self._reopen_limited()
        for trial in list(self.trials):
            if failed and trial.status in (Status.FAILED, Status.OOM):
                self.returned(trial, "retried", retries.FORGIVEN)
        if not failed:
            self._end_as_before()

    def _reopen_limited(self) -> None:
        """Let the trials continue that ended only because the budget was smaller then."""
        for trial in list(self.trials):
            unfinished = trial.notes.get("limited") and trial.epoch < self.epochs_of(trial)
            if unfinished and trial.status.ended and self._budgets.may_extend(trial.study):
                self._reopen(trial)
        self.settle()

    def _reopen(self, trial: Trial) -> None:
        """Let a trial continue as the scheduler decides: what was its last epoch is a rung now.

        If paused trials are promoted, it waits for that beside the others of its rung.
        """
        grown, completed = {"limited": False}, trial.status is Status.COMPLETED
        history = self.histories[trial.study]
        rung, audited = history.last_rung(trial), "audited" in trial.notes
        if completed and self.sweep.scheduler.promotes and rung is not None and not audited:
            at = self.sweep.budget.interval.at(rung.level)
            self.ended(trial, Status.STOPPED, f"the budget grew: compared at {at} again", grown)
            return
        self.returned(trial, "the budget grew", grown)
        if completed and trial.reports and self.judge(trial).stop:
            self._budgets.waiting.remove(trial)

    def _end_as_before(self) -> None:
        """Stop if a former session reached the target, the plateau or the end of the time.

        What a person has asked for since is trained all the same, unless no time is left.
        """
        for history in self.histories.values():
            if history.best is not None:
                self._check_target(history.best[0], history.best[1].loss)
        if all(trial.notes.get("asked") for trial in self._budgets.waiting):
            self._check_plateau()
        if self.stopping and self._work_left(asked_only=True):
            self.ended_before, self.stopping = self.stopping, ""
        self._check_time()

    def say(self, line: str) -> None:
        """Show a line to the user."""
        self._log.say(line)

    def make_job(self, trial: Trial) -> Job:
        """The job that trains `trial`, or the rest of it."""
        if self._make_job is None:
            raise RuntimeError("this controller was made without make_job: it has no run directory")
        return self._make_job(trial)

    def epochs_of(self, trial: Trial) -> int:
        """The epochs that a trial may train: those of the budget, or what a person set for it."""
        return int(trial.notes.get("epochs") or self.sweep.budget.epochs)

    def obey(self, event: Event) -> None:
        """Record a person's command (`tune/commands.py`), and let it take effect."""
        self._happen(event)
        before, self.sweep = self.sweep, steered(self._file, self.steering)
        if self.sweep.space is not before.space and event["command"] == "set":
            self._search_in_space()
        if self.sweep.budget == before.budget:
            return
        if self.sweep.budget.epochs != before.budget.epochs:
            self._compare_at(self.sweep.levels())
        self._budgets.follow(self.sweep)
        if self._out_of_time and not self.interrupted:
            self._out_of_time, self.stopping = False, ""
        self._reopen_limited()

    def _compare_at(self, levels: tuple[int, ...]) -> None:
        """Compare trials at other epochs, now that they train longer."""
        for name, history in self.histories.items():
            self.histories[name] = history.with_levels(levels)
        self._search_in_space()

    def _search_in_space(self) -> None:
        """Let the searchers read the trials inside of the space, which a command has changed."""
        if self.steering.space:
            self._inside = {
                name: Inside.of(name, self.sweep.space, history)
                for name, history in self.histories.items()
            }
        self.rankings.update(self._rankings())

    def _rankings(self) -> dict[str, Ranking]:
        """What the searchers that predict losses expect of the trials, by study."""
        rankings: dict[str, Ranking] = {}
        for study in self.studies.values():
            searcher, inside = study.searcher, self._inside.get(study.name)
            if not isinstance(searcher, RankingSearcher):
                continue
            if inside is not None:
                rankings[study.name] = inside.ranking(searcher)
            else:
                history = self.histories[study.name]
                rankings[study.name] = partial(searcher.rank, self.sweep.space, history)
        return rankings

    def _suggest(self, study: Study) -> Config | None:
        """The next configuration of a study's searcher."""
        history, inside = self.histories[study.name], self._inside.get(study.name)
        if inside is None:
            return study.searcher.suggest(self.sweep.space, history, study.seed)
        seed = inside.seed(study, len(history))
        return study.searcher.suggest(inside.space, inside.history, seed)

    def requeue(self, trial: Trial) -> None:
        """Queue a trial that a command has reopened."""
        if trial.status is Status.WAITING and not self.is_in_flight(trial):
            self._budgets.waiting.append(trial)

    def is_in_flight(self, trial: Trial) -> bool:
        """True if an executor has the trial, or if it is queued."""
        return trial.id in self._budgets.running or trial in self._budgets.waiting

    def stop_by_hand(self, trial: Trial) -> bool:
        """End a trial if a person stopped it and it has come to the end of its epoch by now.

        Returns True if the trial has ended. A paused trial is not promoted any more.
        """
        last = trial.notes.get("stop")
        if last is None or trial.epoch < last or trial.notes.get("by_hand"):
            return False
        if trial in self._budgets.waiting:
            self._budgets.waiting.remove(trial)
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
        """True if an executor has the trial."""
        return trial.id in self._budgets.running

    def is_in_epoch(self, trial: Trial) -> bool:
        """True if the trial trains an epoch, or will train again the one that a kill cut off."""
        return self.is_running(trial) or trial.id in self._left_running

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """Start nothing more, and let running trials end after their next report.

        `interrupted`: something from outside ends the session, and not the sweep's own settings.
        """
        if not self.stopping:
            self.stopping, self.interrupted = reason, interrupted

    @property
    def seconds(self) -> float:
        """How long the sweep has run, former sessions included."""
        return self._clock() - self._began

    @property
    def training_seconds(self) -> float:
        """Seconds since the first epoch that was reported began; 0 before the first report."""
        if self._training_began is None:
            return 0.0
        return self.seconds - self._training_began

    @property
    def exhausted(self) -> bool:
        """True if no searcher has anything left to propose."""
        return self._budgets.exhausted >= set(self.studies)

    @property
    def trials(self) -> Iterator[Trial]:
        return chain.from_iterable(self.histories.values())

    def trial(self, trial_id: str) -> Trial:
        study, number = split_id(trial_id)
        return self.histories[study][number]

    def next(self) -> Trial | None:
        """The trial to start now, or None if there is none at present.

        A trial that waits comes first, for it keeps its checkpoint; then a configuration that was
        enqueued, a trial that is promoted, or a new one.
        """
        self._check_time()
        if self.stopping or self.steering.paused:
            return None
        trial = self._next_waiting() or self._next_queued()
        if trial is None and not self.ended_before:
            trial = self._promote_or_propose()
        if trial is not None:
            self._budgets.running.add(trial.id)
        return trial

    def _next_waiting(self) -> Trial | None:
        """The first trial that is queued; after the end of the sweep, that a person asked for."""
        waiting = self._budgets.waiting
        for trial in waiting:
            if not self.ended_before or trial.notes.get("asked"):
                waiting.remove(trial)
                return trial
        return None

    def _next_queued(self) -> Trial | None:
        """A new trial of the first enqueued configuration that may be trained now."""
        for key, queued in self._queued():
            study = self.studies[queued.study] if queued.study else self._least_spent()
            notes: dict[str, Any] = {"enqueued": key, **queued.notes}
            if queued.asked:
                notes["asked"] = True
            return self._add(study, queued.config, notes)
        return None

    def _queued(self) -> list[tuple[str, Queued]]:
        """The enqueued configurations that may be trained. Those of the file need a budget."""
        if not self.steering.queue:
            return []
        within = set() if self.ended_before else {study.name for study in self._budgets.within()}
        return [
            (key, queued)
            for key, queued in self.steering.queue.items()
            if queued.asked or queued.study in within
        ]

    def _least_spent(self) -> Study:
        return min(self.studies.values(), key=self._budgets.spent)

    def _work_left(self, asked_only: bool = False) -> bool:
        """True if a trial is queued, or will be proposed or promoted.

        `asked_only`: whether there is one that a person asked for by a command.
        """
        if asked_only:
            return any(trial.notes.get("asked") for trial in self._budgets.waiting) or any(
                queued.asked for queued in self.steering.queue.values()
            )
        return bool(
            self._budgets.waiting
            or self._queued()
            or self._budgets.proposing()
            or self._any_promotable()
        )

    def _promote_or_propose(self) -> Trial | None:
        """A promoted or a new trial, of the study that has spent least of its budget."""
        proposing = sorted(self._budgets.proposing(), key=self._budgets.spent)
        for study in proposing:
            if trial := self._promote(study) or self._propose(study):
                return trial
        others = [study for study in self.studies.values() if study not in proposing]
        for study in sorted(others, key=lambda study: self.histories[study.name].epochs):
            if trial := self._promote(study):
                return trial
        return None

    def _promote(self, study: Study) -> Trial | None:
        trial = self._promotable(study)
        if trial is not None:
            at = self.sweep.budget.interval.at(trial.epoch)
            reason = f"promoted after {at}"
            self._happen({"event": "promoted", "trial": trial.id, "reason": reason})
        return trial

    def _promotable(self, study: Study) -> Trial | None:
        """The paused trial that the scheduler promotes now, if the study's budget allows it."""
        history = self.histories[study.name]
        with naming_component(
            f"the scheduler {type(self.sweep.scheduler).__name__}",
            f"promoting a trial of {study.name}",
        ):
            number = self.sweep.scheduler.promote(
                history,
                self.rankings.get(study.name),
                budget_exhausted=study not in self._budgets.within(),
            )
        if number is None or not self._budgets.may_promote(study.name):
            return None
        return history[number]

    def _is_promoted_at_once(self, trial: Trial) -> bool:
        """True if a trial that pauses now would be the next to start: it need not end for that.

        Its process would end, and another would load what the first one had in memory. Nothing is
        changed here: the trial is taken for paused while the question is answered.
        """
        running, history = self._budgets.running, self.histories[trial.study]
        if not self.sweep.scheduler.promotes or trial.id not in running:
            return False
        if self.stopping or self.steering.paused or self.ended_before:
            return False
        if self._budgets.waiting or self._queued():
            return False
        history.close(trial.number, Status.STOPPED)
        running.discard(trial.id)
        try:
            return self._first_to_continue() is trial
        finally:
            history.reopen(trial.number)
            running.add(trial.id)

    def _first_to_continue(self) -> Trial | None:
        """The paused trial that `next` would promote; None if it would propose a new trial."""
        proposing = sorted(self._budgets.proposing(), key=self._budgets.spent)
        if proposing:
            return self._promotable(proposing[0])
        for study in sorted(
            self.studies.values(), key=lambda study: self.histories[study.name].epochs
        ):
            if trial := self._promotable(study):
                return trial
        return None

    def _any_promotable(self) -> bool:
        return any(map(self._promotable, self.studies.values()))

    def settle(self) -> None:
        """Fix the matched epoch budget as soon as it is known.

        That is when no trial is running or waiting and none will be promoted.
        """
        budgets = self._budgets
        unsettled = budgets.running or budgets.waiting or budgets.within() or self.steering.queue
        if self._budgets.matched is not None or unsettled or self._any_promotable():
            return
        found = matched_epoch_budget(self.sweep, self.histories)
        if found is not None:
            self._budgets.matched = found
            budget = self.sweep.budget
            event: Event = {"event": "allowance", "trials": budget.trials, "length": budget.epochs}
            self._happen(event | {"epochs": found})

    @property
    def done(self) -> bool:
        """True if no trial is running, and none will be started any more, or while it is paused."""
        if self._budgets.running:
            return False
        if self.stopping or self.steering.paused:
            return True
        return not self._work_left(asked_only=bool(self.ended_before))

    @property
    def paused(self) -> bool:
        """True if nothing runs only because the sweep is paused."""
        idle = not self._budgets.running and not self.stopping
        asked_only = bool(self.ended_before)
        return idle and self.steering.paused and self._work_left(asked_only)

    def started(self, trial: Trial) -> None:
        self._left_running.discard(trial.id)
        event: Event = {"event": "started", "trial": trial.id}
        if self.machine:
            event["notes"] = {"node": self.machine}
        self._happen(event)

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
        self._note_damage(trial, notes)
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
        if self._training_began is None:
            self._training_began = max(0.0, self.seconds - seconds)
        if notes and any(trial.notes.get(name) != value for name, value in notes.items()):
            event["notes"] = dict(notes)
        self._happen(event)
        decision = self.judge(trial)
        self._check_limits(trial)
        return decision

    def _note_damage(self, trial: Trial, notes: Mapping[str, Any]) -> None:
        """Record, once, that a trial restarted because its checkpoint was damaged."""
        if DAMAGED in notes and trial.notes.get(DAMAGED) != notes[DAMAGED]:
            self.noted(trial, {DAMAGED: notes[DAMAGED]})

    def judge(self, trial: Trial) -> Decision:
        """Decide whether a trial continues after its last report, and end it if it does not."""
        interval = self.sweep.budget.interval
        if not math.isfinite(trial.loss):
            reason = f"{interval.at(trial.epoch)}: {self.sweep.metric.name} is not finite"
            return self._stop(trial, Status.DIVERGED, reason)
        if trial.epoch >= self.epochs_of(trial):
            reason = f"trained all {interval.trained(trial.epoch)}"
            return self._stop(trial, Status.COMPLETED, reason, limited=True)
        if self.stop_by_hand(trial):
            return Decision(True, STOPPED_BY_HAND)
        if trial.notes.get("epochs") or trial.notes.get("parent"):
            return CONTINUE  # a person decided that it trains so long, whatever a scheduler says
        with naming_component(
            f"the scheduler {type(self.sweep.scheduler).__name__}",
            f"judging {trial.id} after epoch {trial.epoch}",
        ):
            decision = self.sweep.scheduler.decide(
                trial, self.histories[trial.study], self.rankings.get(trial.study)
            )
        if decision.stop and self._is_promoted_at_once(trial):
            return CONTINUE
        if decision.stop:
            # A scheduler counts reports, as everything else does; the user's unit may be another.
            own = decision.reason.removeprefix(f"epoch {trial.epoch}: ")
            reason = decision.reason
            if own != reason:
                reason = f"{interval.at(trial.epoch)}: {own}"
            return self._stop(trial, Status.STOPPED, reason)
        if decision.audited:
            self.noted(trial, {"audited": {"epoch": trial.epoch, "reason": decision.reason}})
        if self._budgets.is_spent(trial) and not trial.notes.get("asked"):
            spent = interval.trained(self._budgets.limit or 0)
            reason = f"{interval.at(trial.epoch)}: the {spent} of {trial.study} are spent"
            return self._stop(trial, Status.STOPPED, reason, limited=True)
        return CONTINUE

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
        self._budgets.running.discard(trial.id)
        self._happen(event)
        self.settle()

    def failed(
        self, trial: Trial, reason: str, notes: Mapping[str, Any], retry: bool = True
    ) -> None:
        """The user's code failed. Without `retry` the trial ends, whatever `sweep.retries` is."""
        allowed_retries = self.sweep.retries if retry else 0
        self._follow(trial, retries.after_failure(trial, reason, notes, allowed_retries))
        if trial.status is Status.FAILED and self._same_failure():
            self.stop(SAME_FAILURE)

    def out_of_memory(self, trial: Trial, reason: str, notes: Mapping[str, Any]) -> None:
        """The trial ran out of memory."""
        self._follow(trial, retries.after_out_of_memory(trial, reason, notes, self.sweep.on_oom))

    def worker_failed(
        self, trial: Trial, failure: WorkerFailure, notes: Mapping[str, Any] | None = None
    ) -> None:
        """The trial's worker died, or could not be used."""
        rule = retries.after_worker_failure(trial, failure, notes or {}, self.sweep.on_oom)
        self._follow(trial, rule)

    def _follow(self, trial: Trial, rule: Retry | GiveUp) -> None:
        """Do what a retry rule says."""
        if isinstance(rule, Retry):
            self.returned(trial, rule.reason, rule.notes)
        else:
            self.ended(trial, rule.status, rule.reason, rule.notes)

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
        self._budgets.running.discard(trial.id)
        self._happen(event)
        if not self.stop_by_hand(trial):
            self._budgets.waiting.append(trial)

    def noted(self, trial: Trial, notes: Mapping[str, Any]) -> None:
        """Record facts about a trial."""
        self._happen({"event": "noted", "trial": trial.id, "notes": dict(notes)})

    def _stop(self, trial: Trial, status: Status, reason: str, limited: bool = False) -> Decision:
        """End a trial. `limited`: it would have continued with a larger budget."""
        self.ended(trial, status, reason, {"limited": True} if limited else None)
        return Decision(True, reason)

    def _same_failure(self) -> bool:
        """True if no trial has succeeded and the first ones all failed with the same words."""
        ended = [trial for trial in self.trials if trial.status.ended]
        return (
            len(ended) >= SAME_FAILURE_TRIALS
            and all(trial.status is Status.FAILED for trial in ended)
            and len({trial.reason for trial in ended}) == 1
        )

    def _check_limits(self, trial: Trial) -> None:
        """Stop the sweep if its target, its plateau or the end of its time is reached."""
        if not self.ended_before:
            self._check_target(trial, trial.loss)
            if trial.status.ended:
                self._check_plateau()
        self._check_time()

    def _check_target(self, trial: Trial, loss: float) -> None:
        metric = self.sweep.metric
        if metric.target is not None and loss <= metric.loss(metric.target):
            self.stop(f"{trial.id} reached {metric.name} {metric.value(loss):.6g}")

    def _check_plateau(self) -> None:
        plateau = self.sweep.plateau
        if plateau is not None and all(
            _is_stale(history, plateau) for history in self.histories.values()
        ):
            self.stop(f"no better {self.sweep.metric.name} in the last {plateau} trials")

    def _check_time(self) -> None:
        limit = self.sweep.budget.seconds
        if limit is not None and self.seconds >= limit and not self.stopping:
            self._out_of_time = True
            self.stop(f"the {limit:g} seconds of the budget are spent")

    def _propose(self, study: Study) -> Trial | None:
        """A new trial of the study, or None if its searcher has nothing left to propose."""
        history = self.histories[study.name]
        number = len(history)
        with naming_component(f"the searcher {study.name}", f"proposing {study.name}-{number}"):
            config = self._suggest(study)
        if config is None:
            self._budgets.exhausted.add(study.name)
            self._happen({"event": "exhausted", "study": study.name})
            self.settle()
            return None
        return self._add(study, config)

    def _add(self, study: Study, config: Config, notes: Mapping[str, Any] | None = None) -> Trial:
        """A new trial of the study, with this configuration."""
        history = self.histories[study.name]
        number = len(history)
        event: Event = {"event": "proposed", "study": study.name, "number": number}
        event |= {"config": config, "seed": trial_seed(study.seed, number)}
        if notes:
            event["notes"] = dict(notes)
        self._happen(event)
        return history[number]

    def _happen(self, event: Event) -> None:
        """Write an event, then let it take effect."""
        event["time"] = self._clock()
        self._log.write(event)
        apply(event, self.histories)
        for inside in self._inside.values():
            inside.apply(event)
        self.steering.apply(event)
        self._log.applied(event, self)


def _places(past: list[Event]) -> dict[str, float]:
    """The order in which unfinished trials continue, by name: the place in the ledger at which each
    was queued. Those that were running come first."""
    places: dict[str, float] = {}
    for place, event in enumerate(past):
        if event["event"] == "proposed":
            places[f"{event['study']}-{event['number']}"] = place
        elif event["event"] in ("returned", "promoted"):
            places[event["trial"]] = place
        elif event["event"] == "command" and event["outcome"] == APPLIED:
            places[event["arguments"].get("trial", "")] = place
        elif event["event"] == "started":
            places[event["trial"]] = -1.0 / (1 + place)
    return places


def _training_began(past: list[Event]) -> float | None:
    """The second of the sweep in which its first reported epoch began; None before a report."""
    for index, event in enumerate(past):
        if event["event"] == "reported":
            return max(0.0, seconds_spent(past[: index + 1]) - float(event["seconds"]))
    return None


def _is_stale(history: History, trials: int) -> bool:
    """True if the last `trials` trials that ended are all later than the best one."""
    ended = len(history) - len(history.running)
    if history.best is None:
        return ended >= trials
    return ended - 1 - history.best[0].number >= trials
