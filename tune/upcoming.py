"""What a sweep trains next: trials that wait, enqueued configurations, promotions, proposals."""

from __future__ import annotations

from typing import Any

from raysweep.errors import naming_component
from raysweep.history import Event, Status, Trial
from raysweep.repeats import REPEATS, next_repeat
from raysweep.schedulers.base import FinishingScheduler
from raysweep.steering import Queued
from raysweep.tune.budget import matched_epoch_budget
from raysweep.tune.state import SweepState
from raysweep.tune.sweep import EndingSearcher, Study


class Upcoming:
    """Decides from the state of a sweep what is trained next, and whether anything is left."""

    def __init__(self, state: SweepState) -> None:
        self._state = state

    def next(self) -> Trial | None:
        """The trial to start now, or None if there is none at present.

        A trial that waits comes first, for it keeps its checkpoint; then a configuration that was
        enqueued, one that needs a further seed, a trial that is promoted, or a new one.
        """
        if self._state.stopping or self._state.steering.paused:
            return None
        trial = self._next_waiting() or self._next_queued()
        if trial is None and not self._state.ended_before:
            trial = self._repeat() or self._promote_or_propose()
        if trial is not None:
            self._state.budgets.running.add(trial.id)
        return trial

    def _next_waiting(self) -> Trial | None:
        trial = self.first_waiting()
        if trial is not None:
            self._state.budgets.waiting.remove(trial)
        return trial

    def first_waiting(self) -> Trial | None:
        """The first trial that is queued; after the end of the sweep, that a person asked for."""
        for trial in self._state.budgets.waiting:
            if not self._state.ended_before or trial.notes.get("asked"):
                return trial
        return None

    def _next_queued(self) -> Trial | None:
        """A new trial of the first enqueued configuration that may be trained now."""
        first = self._first_queued()
        if first is None:
            return None
        key, queued = first
        study = self._state.studies[queued.study] if queued.study else self._least_spent()
        notes: dict[str, Any] = {"enqueued": key, **queued.notes}
        if queued.asked:
            notes["asked"] = True
        return self._state.add(study, queued.config, notes)

    def _first_queued(self) -> tuple[str, Queued] | None:
        """The first enqueued configuration that may be trained. Those of the file need a budget.

        There may be thousands behind it, which are not looked at.
        """
        within: set[str] | None = None
        for key, queued in self._state.steering.queue.items():
            if queued.asked:
                return key, queued
            if within is None:
                within = self._within()
            if queued.study in within:
                return key, queued
        return None

    def _within(self) -> set[str]:
        """The studies that may train what the file enqueues."""
        if self._state.ended_before:
            return set()
        return {study.name for study in self._state.budgets.within()}

    def _least_spent(self) -> Study:
        return min(self._state.studies.values(), key=self._state.budgets.spent)

    def work_left(self, asked_only: bool = False) -> bool:
        """True if a trial is queued, or will be proposed or promoted.

        `asked_only`: whether there is one that a person asked for by a command.
        """
        if asked_only:
            return any(trial.notes.get("asked") for trial in self._state.budgets.waiting) or any(
                queued.asked for queued in self._state.steering.queue.values()
            )
        return bool(
            self._state.budgets.waiting
            or self._first_queued()
            or self._state.budgets.proposing()
            or self._any_promotable()
            or self._first_repeatable()
        )

    def _repeat(self) -> Trial | None:
        """A new trial that repeats a configuration which could be the best, with another seed."""
        first = self._first_repeatable()
        if first is None:
            return None
        study = self._state.studies[first.study]
        return self._state.add(study, first.config, {REPEATS: first.number})

    def _first_repeatable(self) -> Trial | None:
        """The trial to repeat now, of the study that has trained least and has one."""
        most, space = self._state.sweep.most_seeds, self._state.sweep.space
        budgets = self._state.budgets
        if most == 1:
            return None
        proposing = {study.name for study in budgets.proposing()}
        histories = sorted(self._state.histories.items(), key=lambda pair: pair[1].epochs)
        for name, history in histories:
            if budgets.may_promote(name):
                at_once = name not in proposing
                if found := next_repeat(history, most, at_once, space.__contains__):
                    return found
        return None

    def _promote_or_propose(self) -> Trial | None:
        """A promoted or a new trial, of the study that has spent least of its budget."""
        proposing = sorted(self._state.budgets.proposing(), key=self._state.budgets.spent)
        for study in proposing:
            if trial := self._promote(study) or self._propose(study):
                return trial
        # Also those that proposed until now: that they cannot may free places for their trials.
        for study in self._least_trained_first():
            if trial := self._promote(study):
                return trial
        return None

    def _promote(self, study: Study) -> Trial | None:
        trial = self._promotable(study)
        if trial is not None:
            at = self._state.sweep.budget.interval.at(trial.epoch)
            reason = f"promoted after {at}"
            self._state.happen({"event": "promoted", "trial": trial.id, "reason": reason})
        return trial

    def _promotable(self, study: Study) -> Trial | None:
        """The paused trial that the scheduler promotes now, if the study's budget allows it."""
        history = self._state.histories[study.name]
        scheduler, ranking = self._state.sweep.scheduler, self._state.rankings.get(study.name)
        budgets = self._state.budgets
        exhausted, tried_out = study not in budgets.within(), budgets.is_tried_out(study.name)
        with naming_component(
            f"the scheduler {type(scheduler).__name__}", f"promoting a trial of {study.name}"
        ):
            number = scheduler.promote(history, ranking, budget_exhausted=exhausted)
            if number is None and tried_out and isinstance(scheduler, FinishingScheduler):
                number = scheduler.finish(history, ranking)
        if number is None or not budgets.may_promote(study.name):
            return None
        return history[number]

    def is_promoted_at_once(self, trial: Trial) -> bool:
        """True if a trial that pauses now would be the next to start: it need not end for that.

        Its process would end, and another would load what the first one had in memory. Nothing is
        changed here: the trial is taken for paused while the question is answered.
        """
        running, history = self._state.budgets.running, self._state.histories[trial.study]
        if not self._state.sweep.scheduler.promotes or trial.id not in running:
            return False
        if self._state.stopping or self._state.steering.paused or self._state.ended_before:
            return False
        if self._state.budgets.waiting or self._first_queued() or self._first_repeatable():
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
        proposing = sorted(self._state.budgets.proposing(), key=self._state.budgets.spent)
        if proposing:
            return self._promotable(proposing[0])
        for study in self._least_trained_first():
            if trial := self._promotable(study):
                return trial
        return None

    def _least_trained_first(self) -> list[Study]:
        studies, histories = self._state.studies.values(), self._state.histories
        return sorted(studies, key=lambda study: histories[study.name].epochs)

    def _any_promotable(self) -> bool:
        return any(map(self._promotable, self._state.studies.values()))

    def settle(self) -> None:
        """Fix the matched epoch budget as soon as it is known.

        That is when no trial is running or waiting and none will be promoted.
        """
        budgets = self._state.budgets
        unsettled = (
            budgets.running or budgets.waiting or budgets.within() or self._state.steering.queue
        )
        if self._state.budgets.matched is not None or unsettled or self._any_promotable():
            return
        if self._first_repeatable():
            return
        found = matched_epoch_budget(self._state.sweep, self._state.histories)
        if found is not None:
            self._state.budgets.matched = found
            budget = self._state.sweep.budget
            event: Event = {"event": "allowance", "trials": budget.trials, "length": budget.epochs}
            self._state.happen(event | {"epochs": found})

    @property
    def done(self) -> bool:
        """True if no trial is running, and none will be started any more, or while it is paused."""
        if self._state.budgets.running:
            return False
        if self._state.stopping or self._state.steering.paused:
            return True
        return not self.work_left(asked_only=bool(self._state.ended_before))

    @property
    def paused(self) -> bool:
        """True if nothing runs only because the sweep is paused."""
        idle = not self._state.budgets.running and not self._state.stopping
        asked_only = bool(self._state.ended_before)
        return idle and self._state.steering.paused and self.work_left(asked_only)

    def _propose(self, study: Study) -> Trial | None:
        """A new trial of the study, or None if its searcher has nothing left to propose."""
        history = self._state.histories[study.name]
        number = len(history)
        with naming_component(f"the searcher {study.name}", f"proposing {study.name}-{number}"):
            config = self._state.suggest(study)
        if config is None:
            self._state.budgets.exhausted.add(study.name)
            why = study.searcher.why_ended() if isinstance(study.searcher, EndingSearcher) else {}
            self._state.happen({"event": "exhausted", "study": study.name, **why})
            self.settle()
            return None
        self._state.tell_dropped_priors(study)
        return self._state.add(study, config, self._state.remembered(study, config))
