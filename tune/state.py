"""The state of a sweep, as its ledger says: histories, budgets and what commands have changed.

It changes by events alone. Each is written first (`Log.write`), then applied by the functions that
also rebuild the state from a ledger (`raysweep.history.apply`, `raysweep.steering`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from raysweep.history import Config, Event, History, Trial, apply, split_id
from raysweep.repeats import REPEATS
from raysweep.schedulers.base import Ranking
from raysweep.search_spaces.language.space import Space
from raysweep.tune import recall
from raysweep.tune.budget import StudyBudgets
from raysweep.tune.searched import Inside
from raysweep.tune.searchers.memory.memory import Assessment
from raysweep.tune.steered import steered, steering_of
from raysweep.tune.sweep import (
    GuardingSearcher,
    RankingSearcher,
    RememberingSearcher,
    Study,
    Sweep,
    trial_seed,
)

if TYPE_CHECKING:
    from raysweep.tune.controller import SweepController


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


class SweepState:
    """What is known of a sweep, and how an event changes it.

    file: what the file says. sweep: that with what people's commands have changed since. stopping:
    why nothing more is started; "" if something is. interrupted: something from outside ends the
    session. ended_before: why a former session ended the sweep, if this one trains only what a
    person asked for. happened: called with each event once it has changed the state.
    """

    def __init__(
        self,
        sweep: Sweep,
        past: list[Event],
        clock: Callable[[], float],
        write: Callable[[Event], None],
        happened: Callable[[Event], None],
    ) -> None:
        self.file = sweep
        self.steering = steering_of(sweep, past)
        self.sweep = sweep = steered(sweep, self.steering)
        studies = {study.name: study for study in sweep.studies()}
        self.studies = recall.remember(studies, past)
        self.histories = {
            name: History(sweep.levels(), sweep.metric.goal == "maximize", sweep.budget.is_timed)
            for name in self.studies
        }
        self.rankings: dict[str, Ranking] = {}
        self.stopping = ""
        self.interrupted = False
        self.ended_before = ""
        self.budgets = StudyBudgets(sweep, list(self.studies.values()), self.histories, past)
        self._inside: dict[str, Inside] = {}
        self._assessments = {
            event["study"]: Assessment(tuple(event["used"]), tuple(event["dropped"]))
            for event in past
            if event["event"] == "memory"
        }
        self._dropped_priors: dict[str, list[str]] = {
            event["study"]: event["dropped"] for event in past if event["event"] == "priors"
        }
        self._clock, self._write, self._happened = clock, write, happened
        self.packed: Event | None = None
        """The last event that says how many processes share a GPU."""
        for event in past:
            apply(event, self.histories)
            if event["event"] == "packed":
                self.packed = event
        self._search_in_space()

    @property
    def trials(self) -> Iterator[Trial]:
        return chain.from_iterable(self.histories.values())

    def trial(self, trial_id: str) -> Trial:
        study, number = split_id(trial_id)
        return self.histories[study][number]

    def epochs_of(self, trial: Trial) -> int:
        """The epochs that a trial may train: those of the budget, or what a person set for it."""
        return int(trial.notes.get("epochs") or self.sweep.budget.epochs)

    def follow_commands(self) -> Sweep:
        """Change the sweep as the last command says, and return what it was before."""
        before, self.sweep = self.sweep, steered(self.file, self.steering)
        if self.sweep.budget.epochs != before.budget.epochs:
            self._compare_at(self.sweep.levels())
        elif self.sweep.space is not before.space:
            self._search_in_space()
        if self.sweep.space is not before.space:
            self.budgets.exhausted.clear()
        self.budgets.follow(self.sweep)
        return before

    def _compare_at(self, levels: tuple[int, ...]) -> None:
        """Compare trials at other epochs, now that they train longer."""
        for name, history in self.histories.items():
            self.histories[name] = history.with_levels(levels)
        self._search_in_space()

    def _search_in_space(self) -> None:
        """Let the searchers read the trials inside of the space, if a command has changed it.

        Where configurations are repeated, they read the means over the seeds known by now.
        """
        if self.steering.space or self.sweep.most_seeds > 1:
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

    def suggest(self, study: Study) -> Config | None:
        """The next configuration of a study's searcher."""
        return study.searcher.suggest(*self._asked(study))

    def _asked(self, study: Study) -> tuple[Space, History, int]:
        """What a study's searcher is asked with: space, history and seed."""
        history, inside = self.histories[study.name], self._inside.get(study.name)
        if inside is None:
            return self.sweep.space, history, study.seed
        return inside.space, inside.history, inside.seed(study, history.n_configurations)

    def remembered(self, study: Study, config: Config) -> dict[str, str]:
        """The notes of a proposal just made about what it owes to earlier runs.

        What the study has decided about these is written to the ledger when it changes.
        """
        searcher = study.searcher
        if not isinstance(searcher, RememberingSearcher):
            return {}
        space, history, seed = self._asked(study)
        assessment = searcher.assessment(space, history)
        if assessment is not None and self._assessments.get(study.name) != assessment:
            self._assessments[study.name] = assessment
            said = {"used": list(assessment.used), "dropped": list(assessment.dropped)}
            self.happen({"event": "memory", "study": study.name, **said})
        origin = searcher.origin(space, history, seed, config)
        return {"memory": origin} if origin else {}

    def tell_dropped_priors(self, study: Study) -> None:
        """Write down which priors a study's searcher has dropped, when that changes."""
        searcher = study.searcher
        if not isinstance(searcher, GuardingSearcher):
            return
        space, history, _ = self._asked(study)
        dropped = list(searcher.dropped_priors(space, history))
        if dropped != self._dropped_priors.get(study.name, []):
            self._dropped_priors[study.name] = dropped
            self.happen({"event": "priors", "study": study.name, "dropped": dropped})

    def add(self, study: Study, config: Config, notes: Mapping[str, Any] | None = None) -> Trial:
        """A new trial of the study, with this configuration."""
        history = self.histories[study.name]
        number = len(history)
        event: Event = {"event": "proposed", "study": study.name, "number": number}
        event |= {"config": config, "seed": trial_seed(study.seed, number)}
        if notes:
            event["notes"] = dict(notes)
        self.happen(event)
        return history[number]

    def happen(self, event: Event) -> None:
        """Write an event, then let it take effect."""
        event["time"] = self._clock()
        self._write(event)
        apply(event, self.histories)
        for inside in self._inside.values():
            inside.apply(event)
        self.steering.apply(event)
        if event["event"] == "ended" and REPEATS in self.trial(event["trial"]).notes:
            self._search_in_space()
        self._happened(event)
