"""The budgets of studies, and the epoch budget of a comparison: how much each study may train.

Studies with equally many trials train different numbers of epochs if a scheduler stops some. With
`budget.trials` alone, the studies that trained less than the others get further trials, until all
have trained equally many epochs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from raysweep.formatting import plural
from raysweep.history import APPLIED, Event, History, Status, Trial, split_id
from raysweep.tune.sweep import Study, Sweep

HOPELESS = 10
"""A study whose last ten trials all failed gets no further trials: it would never catch up."""


def matched_epoch_budget(sweep: Sweep, histories: Mapping[str, History]) -> int | None:
    """The epochs that the study which trained most has trained in its first `budget.trials` trials.

    None as long as some of these trials have not ended, and for a sweep that needs no such budget.
    """
    trials = sweep.budget.trials
    if trials is None or not describe_budget(sweep):
        return None
    firsts = [_firsts(history, trials) for history in histories.values()]
    if not all(trial.status.ended for study in firsts for trial in study):
        return None
    return max(sum(trial.epoch - trial.start for trial in study) for study in firsts)


def _firsts(history: History, trials: int) -> list[Trial]:
    """The trials of the first so many configurations, and all that repeat them with other seeds."""
    n_repeats = len(history) - history.n_configurations
    return [trial for trial in history if trial.number < trials + n_repeats]


def allowed(past: Iterable[Event], sweep: Sweep) -> int | None:
    """The matched epoch budget that a former session with the same budget found, or None."""
    budget = sweep.budget
    for event in past:
        if event["event"] != "allowance" or event["trials"] != budget.trials:
            continue
        if event.get("length", budget.epochs) == budget.epochs:
            return int(event["epochs"])
    return None


def describe_budget(sweep: Sweep) -> list[str]:
    """What the user is told of it before the start.

    [] if there is one study only, or if `total_epochs` makes the studies equal.
    """
    trials = sweep.budget.trials
    if trials is None or sweep.budget.total_epochs is not None or len(sweep.searchers) < 2:
        return []
    return [
        f"each searcher gets {plural(trials, 'trial')}, then further ones "
        f"until all have trained equally many {sweep.budget.interval.unit}"
    ]


def is_behind(history: History, epochs: int, most: int | None) -> bool:
    """True if a study that had all its trials gets another: its `epochs` are fewer than `most`."""
    if most is None or epochs >= most:
        return False
    last = [
        history[number].status for number in range(max(0, len(history) - HOPELESS), len(history))
    ]
    return not all(status in (Status.FAILED, Status.OOM) for status in last)


def _exhausted(past: Sequence[Event]) -> set[str]:
    """The studies that had nothing left to propose, since the space was last changed."""
    found: set[str] = set()
    for event in past:
        if event["event"] == "exhausted":
            found.add(event["study"])
        elif _changes_space(event):
            found.clear()
    return found


def _changes_space(event: Event) -> bool:
    if event["event"] != "command" or event["outcome"] != APPLIED:
        return False
    return bool(event["arguments"].get("space"))


class StudyBudgets:
    """What each study of a running sweep may still propose and train.

    `exhausted`: the names of the studies whose searchers have nothing left to propose. `matched`:
    the matched epoch budget, once it is known. `running`: the ids of the trials that executors
    have. `waiting`: the trials that are queued again.
    """

    def __init__(
        self,
        sweep: Sweep,
        studies: Sequence[Study],
        histories: Mapping[str, History],
        past: Sequence[Event],
    ) -> None:
        self._budget = sweep.budget
        self._studies = studies
        self._histories = histories
        self.exhausted = _exhausted(past)
        self.matched = allowed(past, sweep)
        self.running: set[str] = set()
        self.waiting: deque[Trial] = deque()

    def follow(self, sweep: Sweep) -> None:
        """Count with the budget that the sweep has now: a person's command has extended it."""
        before, now = self._budget, sweep.budget
        if (before.trials, before.epochs) != (now.trials, now.epochs):
            self.matched = None  # it was found for fewer or shorter trials
        self._budget = sweep.budget

    @property
    def limit(self) -> int | None:
        """The epochs that a study may train, or None if there is no such limit."""
        if self.matched is not None:
            return self.matched
        return self._budget.total_epochs

    def may_extend(self, study: str) -> bool:
        """True if a study has trained fewer epochs than it may."""
        return self.limit is None or self._histories[study].epochs < self.limit

    def may_promote(self, study: str) -> bool:
        """True if a study has an epoch left that no trial in flight needs."""
        return self.limit is None or self.committed_epochs(study) < self.limit

    def is_tried_out(self, study: str) -> bool:
        """True if nothing is left to propose, and time or epochs are the budget, not trials."""
        return study in self.exhausted and self._budget.trials is None

    def proposing(self) -> list[Study]:
        """The studies that may propose: those within their budget, else those that are behind."""
        return self.within() or [
            study
            for study in self._productive()
            if is_behind(
                self._histories[study.name], self.committed_epochs(study.name), self.matched
            )
        ]

    def within(self) -> list[Study]:
        """The studies with trials (or epochs) of the budget left."""
        trials = self._budget.trials
        return [
            study
            for study in self._productive()
            if trials is None or self._histories[study.name].n_configurations < trials
        ]

    def _productive(self) -> list[Study]:
        """The studies that have configurations left to propose, and epochs left for them."""
        limit = self._budget.total_epochs
        left = [study for study in self._studies if study.name not in self.exhausted]
        if limit is None:
            return left
        return [study for study in left if self.committed_epochs(study.name) < limit]

    def spent(self, study: Study) -> int:
        """What a study has spent: trials within its budget of trials, epochs beyond it."""
        history, trials = self._histories[study.name], self._budget.trials
        if trials is not None and history.n_configurations < trials:
            return history.n_configurations
        return history.epochs

    def committed_epochs(self, study: str) -> int:
        """The epochs that a study has trained, and one for each of its trials in flight.

        Each of those will report at least once more.
        """
        return self._histories[study].epochs + self._in_flight(study)

    def is_spent(self, trial: Trial) -> bool:
        """True if the other trials of the study need all the epochs that it has left."""
        if self.limit is None:
            return False
        epochs = self._histories[trial.study].epochs
        return epochs + self._in_flight(trial.study, excluded=trial.id) >= self.limit

    def _in_flight(self, study: str, excluded: str = "") -> int:
        """The number of trials of a study that are running or waiting."""
        trials = chain(self.running, (trial.id for trial in self.waiting))
        return sum(split_id(trial)[0] == study and trial != excluded for trial in trials)
