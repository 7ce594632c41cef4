"""A run as the server holds it in memory: its histories, to which events are applied as they come.

Each change has a version, and each trial the version of its last change, so that a client that
knows a version is sent what came after it and nothing else.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.fronts import Point
from raysweep.history import APPLIED, Event, History, Status, Trial, apply
from raysweep.report_interval import ReportInterval
from raysweep.results.storage.front import is_candidate, point
from raysweep.results.storage.old_versions import translate_sweep
from raysweep.results.storage.run_directory import SWEEP, BestEpoch, RunDirectory, best_of
from raysweep.results.views.html.page_data import (
    Data,
    curve,
    run_data,
    trial_columns,
)
from raysweep.results.views.html.parameter_data import parameters
from raysweep.schedulers.no_stopping import NoStopping
from raysweep.shown_status import shown_status
from raysweep.steering import Steering
from raysweep.tune.load import budget_of
from raysweep.tune.searchers.random_grid import Random
from raysweep.tune.seldom import Seldom
from raysweep.tune.serve.body import Body
from raysweep.tune.sweep import Metric, Sweep

PARAMETERS_SECONDS = 20.0
"""How long, in seconds, the kinds of the parameters are kept while trials are added."""
NOT_YET: Data = {
    "incumbents": {},
    "findings": [],
    "ranking": [],
    "forecast": [],
    "importance": {"why": "it is being computed"},
    "ranges": [],
    "bounds": [],
    "next": [],
    "winner": None,
    "retrainings": [],
    "retrainingFindings": [],
    "stoppingAudit": None,
    "simulation": None,
}
"""The analyses of a run before they were made for the first time."""


class LiveRun:
    """What the events of a ledger have led to so far.

    version: grows with each change, and is never one that an earlier server or an earlier run of
    this name gave. trials: in the order in which they were proposed. improvements: the number of
    reports before each new best value, and that value. points: with several objectives, the number
    of reports before each trial's new best one, and its losses. longest_gap: the most seconds
    between two events of one session.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Microseconds: no ledger has a million events a second, so that versions stay ahead.
        self.first_version = self.version = time.time_ns() // 1_000
        self.histories: dict[str, History] = {}
        self.steering = Steering()
        self.trials: list[Trial] = []
        self.events: list[Event] = []
        """All events but the reports, which the histories hold."""
        self.last: Event | None = None
        self.n_reports = 0
        self.improvements: list[tuple[int, float]] = []
        self.points: list[tuple[int, Point]] = []
        self.front: Seldom[Data] = Seldom()
        self.seconds = 0.0
        self.training_began: float | None = None
        self.longest_gap = 0.0
        self._levels: tuple[int, ...] = ()
        self._time: float | None = None
        self._index: dict[str, int] = {}
        self._changed: list[int] = []
        self._analyses: Data = {}
        self._analysed: dict[str, int] = {}
        self._parameters: tuple[float, int, Sequence[Data]] = (-math.inf, 0, ())
        self._files = RunDirectory(path)
        self.encoded: tuple[object, Body] = (None, Body(b""))
        """The last answer with all data, and what it was made of."""

    @property
    def interval(self) -> ReportInterval:
        """What lies between two reports of a trial, and in which unit."""
        return self._files.interval

    def apply(self, events: Iterable[Event]) -> None:
        """Take in the next events of the ledger."""
        for event in events:
            self._apply(event)

    def index(self, trial_id: str) -> int | None:
        """The place of a trial in `trials`; None if there is no such trial."""
        return self._index.get(trial_id)

    def directory(self) -> RunDirectory:
        """The run as the functions of the page read it."""
        events = list(self.events)
        if self.last is not None and self.last["event"] == "reported":
            events.append(self.last)
        parts: dict[str, Any] = {
            "sweep": self._files.sweep,
            "environment": self._files.environment,
            "events": events,
            "histories": self.histories,
            "steering": self.steering,
        }
        parts |= best_part(self.path, self.histories, self._files.metric)
        return RunDirectory.followed(self.path, **parts)

    @property
    def may_promote(self) -> bool:
        """True if trials that the scheduler stopped are paused, because they may be promoted."""
        return self.directory().may_promote

    def statuses(self) -> Counter[str]:
        """How many trials have which status."""
        may_promote = self.may_promote
        return Counter(shown_status(trial, may_promote) for trial in self.trials)

    def data(self, live: bool) -> Data:
        """What the page shows, with the last analyses that were made."""
        return {**NOT_YET, **self._analyses, **run_data(self.directory(), live)}

    def changes(self, after: int) -> Data | None:
        """What changed after a version; None if that version is not known here."""
        if not self.first_version <= after <= self.version:
            return None
        places = [i for i, version in enumerate(self._changed) if version > after]
        found: Data = {"trials": self._rows(places), "curves": self._curves(places)}
        new = [name for name, version in self._analysed.items() if version > after]
        if new:
            found["analyses"] = {name: self._analyses[name] for name in new}
        return found

    def analysed(self, analyses: Data) -> None:
        """Take in new analyses. Those that are as they were before are no change."""
        known = {**NOT_YET, **self._analyses}
        changed = [name for name in analyses if known.get(name) != analyses[name]]
        self._analyses |= analyses
        if changed:
            self.version += 1
            self._analysed |= dict.fromkeys(changed, self.version)

    def _apply(self, event: Event) -> None:
        kind = event["event"]
        if kind == "proposed":
            self.histories.setdefault(event["study"], History(self._levels))
        apply(event, self.histories)
        self._follow_levels(event)
        self.steering.apply(event)
        self._count_time(event)
        self.version += 1
        if kind == "proposed":
            self._add(self.histories[event["study"]][event["number"]])
        elif kind == "reported":
            self._count_report(event)
        name = event.get("trial") or event.get("arguments", {}).get("trial")
        if (place := self._index.get(name)) is not None:
            self._changed[place] = self.version
        if kind in ("opened", "closed"):
            self._change_paused()
        self.last = event
        if kind != "reported":
            self.events.append(event)

    def _follow_levels(self, event: Event) -> None:
        """Know what a full training is, where the best is chosen among the fully trained.

        Otherwise there are no rungs: only schedulers and the analyses, in their own process, need
        them.
        """
        if event["event"] != "opened" and event.get("outcome") != APPLIED:
            return
        levels = tuple(event.get("levels", self._levels))[-1:]
        if self._files.sweep.get("seeds_per_trial") is not None and levels != self._levels:
            self._levels = levels
            for name, history in self.histories.items():
                self.histories[name] = history.with_levels(levels)

    def _change_paused(self) -> None:
        """Count paused and waiting trials as changed.

        When the sweep ends they are stopped or do not continue, or the reverse.
        """
        for place, trial in enumerate(self.trials):
            if trial.status in (Status.STOPPED, Status.WAITING):
                self._changed[place] = self.version

    def _add(self, trial: Trial) -> None:
        self._index[trial.id] = len(self.trials)
        self.trials.append(trial)
        self._changed.append(self.version)

    def _count_time(self, event: Event) -> None:
        """Add the time since the last event, unless a session begins; as `seconds_spent` does."""
        if event["event"] != "opened" and self._time is not None:
            passed = max(0.0, event["time"] - self._time)
            self.seconds += passed
            self.longest_gap = max(self.longest_gap, passed)
        elif event["event"] != "opened":
            return
        self._time = event["time"]

    def _count_report(self, event: Event) -> None:
        self.n_reports += 1
        if self.training_began is None:
            self.training_began = max(0.0, self.seconds - event["seconds"])
        found = best_of(self.histories)
        objectives = self._files.objectives
        if objectives and objectives.has_front:
            trial = self.trials[self._index[event["trial"]]]
            if is_candidate(trial) and trial.best and trial.best is trial.reports[-1]:
                self.points.append((self.n_reports, point(trial.best)))
        if found and found[0].id == event["trial"] and found[1].epoch == event["epoch"]:
            value = found[1].metrics.get(self._files.metric, math.nan)
            self.improvements.append((self.n_reports, value))

    def _rows(self, places: Sequence[int]) -> list[Data]:
        """Rows of the table of trials, each with its place in it."""
        if not places:
            return []
        trials = [self.trials[i] for i in places]
        columns = trial_columns(self.directory(), trials, self._kinds())
        config = columns.pop("config")
        rows = []
        for row, i in enumerate(places):
            cells = {name: values[row] for name, values in columns.items()}
            values = {name: values[row] for name, values in config.items()}
            rows.append({"index": i, **cells, "config": values})
        return rows

    def _curves(self, places: Sequence[int]) -> Data:
        metric = self._files.metric
        return {str(i): curve(self.trials[i], metric) for i in places}

    def _kinds(self) -> Sequence[Data]:
        """The parameters that differ, looked at again from time to time: that reads all trials."""
        made, count, found = self._parameters
        if count != len(self.trials) and time.monotonic() - made > PARAMETERS_SECONDS:
            found = parameters(self._files.sweep.get("space", {}), self.trials)
            self._parameters = (time.monotonic(), len(self.trials), found)
        return found

    @cached_property
    def planned(self) -> Sweep | None:
        """The budget and the studies of its file; None if that file cannot be used here.

        The searchers and the scheduler are others: those of the file may be somebody's own code,
        which is not run only because a person looks at the run.
        """
        from raysweep.search_spaces.convert.any_file import read

        try:
            said = read(str(self.path / SWEEP), (), translate_sweep)
        except UserError:
            return None
        named = self._files.sweep.get("searcher")
        count = len(named) if isinstance(named, list) else 1
        return Sweep(
            trainable=str(said.content.trainable),
            metric=Metric(self.metric, said.content.metric.goal),
            searchers={f"searcher {i}": Random() for i in range(count)},
            scheduler=NoStopping(),
            budget=budget_of(said.content.budget),
            space=said.space,
            seeds=said.content.seeds,
        )

    @property
    def sweep(self) -> dict[str, Any]:
        """The resolved specification. Raises RunError if it cannot be read."""
        return self._files.sweep

    @property
    def metric(self) -> str:
        return self._files.metric

    @property
    def maximize(self) -> bool:
        return self._files.maximize


def best_part(path: Path, histories: Mapping[str, History], metric: str) -> dict[str, BestEpoch]:
    """The `best` of a run, if there is one, with its checkpoint if that is on this machine.

    From object storage it would be downloaded to be looked at.
    """
    found = best_of(histories)
    if found is None:
        return {}
    trial, report = found
    checkpoint: Path | None = path / "trials" / trial.id / "best.pt"
    if checkpoint and not checkpoint.is_file():
        checkpoint = None
    return {"best": BestEpoch(trial, report, report.metrics.get(metric, math.nan), checkpoint)}
