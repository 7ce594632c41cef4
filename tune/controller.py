"""What to do next. The same for Ray's workers and for the simulated clock: both call these methods and obey.

Every change is written as an event first (`write`), then applied by the same function (`apply`) that rebuilds the histories from a ledger.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Protocol

from raysweep.clock import now
from raysweep.errors import naming_component
from raysweep.history import Event, History, Status, Trial, apply, seconds_spent, split_id
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.tune.budget import allowed, is_behind, matched_epoch_budget
from raysweep.tune.sweep import RankingSearcher, Study, Sweep, trial_seed

ALIKE = "the first trials failed alike"
ALIKE_TRIALS = 3
MOST_ACCUMULATION = 64
DAMAGED = "damaged_checkpoint"
"""The note of a trial that began again because its checkpoint was damaged: which, and how."""


class Log(Protocol):
    """Where events go: to `write` before they change anything, to `applied` afterwards."""

    def write(self, event: Event) -> None: ...

    def applied(self, event: Event, controller: SweepController) -> None: ...


class NoLog:
    """Keeps nothing."""

    def write(self, event: Event) -> None: ...

    def applied(self, event: Event, controller: SweepController) -> None: ...


class SweepController:
    """The state of a running sweep: its histories, what each of its studies may still spend, and why it is stopping, if it is."""

    def __init__(
        self,
        sweep: Sweep,
        log: Log | None = None,
        past: Iterable[Event] = (),
        clock: Callable[[], float] = now,
    ) -> None:
        past = list(past)
        self.sweep = sweep
        self.studies = {study.name: study for study in sweep.studies()}
        self.histories = {
            name: History(sweep.levels(), sweep.metric.goal == "maximize") for name in self.studies
        }
        self.rankings: dict[str, Ranking] = {
            study.name: partial(study.searcher.rank, sweep.space, self.histories[study.name])
            for study in self.studies.values()
            if isinstance(study.searcher, RankingSearcher)
        }
        self.stopping = ""
        self.interrupted = False
        self.traceback = ""
        self.machine = ""
        """The name of the machine that trains, if it is the only one."""
        self._log = log or NoLog()
        self._clock = clock
        self._began = clock() - seconds_spent(past)
        self._training_began = _training_began(past)
        self._exhausted = {event["study"] for event in past if event["event"] == "exhausted"}
        self._allowed = allowed(past, sweep)
        self._out: set[str] = set()
        for event in past:
            apply(event, self.histories)
        self._waiting: deque[Trial] = deque()
        self._waiting.extend(self._unfinished())
        self._settle()

    def _unfinished(self) -> Iterable[Trial]:
        """Trials that a former session left behind and that go on. One whose last report was never answered is answered now."""
        for history in self.histories.values():
            for trial in history:
                if trial.status.ended:
                    continue
                history.close(trial.number, Status.WAITING, trial.reason)
                if not trial.reports or not self.judge(trial).stop:
                    yield trial

    def reopen(self, failed: bool) -> None:
        """Take up again what ended only because the budget was smaller then; `failed`: and what failed or ran out of memory."""
        for trial in list(self.trials):
            room = self._limit is None or self.histories[trial.study].epochs < self._limit
            if trial.notes.get("limited") and trial.epoch < self.sweep.budget.epochs and room:
                self.returned(trial, "the budget grew", {"limited": False})
            elif failed and trial.status in (Status.FAILED, Status.OOM):
                self.returned(trial, "retried", {"failures": 0, "losses": []})
        if not failed:
            self._end_as_before()

    def _end_as_before(self) -> None:
        """Stop if a former session ended by the sweep's target, plateau or time, and nothing waits."""
        for history in self.histories.values():
            if history.best is not None:
                self._check_target(history.best[0], history.best[1].loss)
        if not self._waiting:
            self._check_plateau()
        self._check_time()

    def stop(self, reason: str, interrupted: bool = False) -> None:
        """Start nothing more, and let running trials go after their next report. `interrupted`: it was not the sweep's own end."""
        if not self.stopping:
            self.stopping, self.interrupted = reason, interrupted

    @property
    def seconds(self) -> float:
        """How long the sweep has run, former sessions included."""
        return self._clock() - self._began

    @property
    def training_seconds(self) -> float:
        """How long ago the first epoch that was reported began; 0 before the first report."""
        return self.seconds - self._training_began if self._training_began is not None else 0.0

    @property
    def exhausted(self) -> bool:
        """Whether no searcher has anything left to propose."""
        return self._exhausted >= set(self.studies)

    @property
    def trials(self) -> Iterator[Trial]:
        return chain.from_iterable(self.histories.values())

    def trial(self, trial_id: str) -> Trial:
        study, number = split_id(trial_id)
        return self.histories[study][number]

    def next(self) -> Trial | None:
        """The trial to start now: one that waits, else one promoted or new, of the study whose turn it is; None if there is none."""
        self._check_time()
        trial = None if self.stopping else self._waiting.popleft() if self._waiting else self._new()
        if trial is not None:
            self._out.add(trial.id)
        return trial

    def _new(self) -> Trial | None:
        proposing = sorted(self._open(), key=self._turn)
        for study in proposing:
            if trial := self._promote(study) or self._propose(study):
                return trial
        others = [study for study in self.studies.values() if study not in proposing]
        return next(
            filter(
                None,
                map(
                    self._promote,
                    sorted(others, key=lambda study: self.histories[study.name].epochs),
                ),
            ),
            None,
        )

    def _promote(self, study: Study) -> Trial | None:
        trial = self._promoted(study)
        if trial is not None:
            self._happen(
                {
                    "event": "promoted",
                    "trial": trial.id,
                    "reason": f"its turn to go on after epoch {trial.epoch}",
                }
            )
        return trial

    def _promoted(self, study: Study) -> Trial | None:
        """The stopped trial that goes on now, by the scheduler's word and within the study's budget."""
        history = self.histories[study.name]
        with naming_component(
            f"the scheduler {type(self.sweep.scheduler).__name__}",
            f"promoting a trial of {study.name}",
        ):
            number = self.sweep.scheduler.promote(
                history,
                self.rankings.get(study.name),
                budget_exhausted=study not in self._first(),
            )
        room = self._limit is None or self._promised(study.name) < self._limit
        return history[number] if number is not None and room else None

    def _settle(self) -> None:
        """Keep the allowance once it is known: when no trial is under way and none is promoted any more."""
        if (
            self._allowed is not None
            or self._out
            or self._waiting
            or self._first()
            or any(map(self._promoted, self.studies.values()))
        ):
            return
        found = matched_epoch_budget(self.sweep, self.histories)
        if found is not None:
            self._allowed = found
            self._happen(
                {"event": "allowance", "trials": self.sweep.budget.trials, "epochs": found}
            )

    @property
    def done(self) -> bool:
        """Nothing that `next` gave out is still under way, and nothing will be started any more."""
        if self._out:
            return False
        return bool(self.stopping) or not (
            self._waiting or self._open() or any(map(self._promoted, self.studies.values()))
        )

    def started(self, trial: Trial) -> None:
        event: Event = {"event": "started", "trial": trial.id}
        self._happen(event | {"notes": {"node": self.machine}} if self.machine else event)

    def reported(
        self,
        trial: Trial,
        epoch: int,
        metrics: Mapping[str, float],
        seconds: float,
        notes: Mapping[str, Any] | None = None,
    ) -> Decision:
        """Record a report and say whether the trial goes on.

        A report of an epoch that is already there counts once: a trial whose checkpoint is gone
        trains its first epochs again.
        """
        notes = notes or {}
        self._note_damage(trial, notes)
        if epoch <= trial.epoch:
            return CONTINUE
        loss = self.sweep.metric.loss(metrics[self.sweep.metric.name])
        event = {
            "event": "reported",
            "trial": trial.id,
            "epoch": epoch,
            "loss": loss,
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
        """Keep, once, that a trial began again because its checkpoint was damaged."""
        if DAMAGED in notes and trial.notes.get(DAMAGED) != notes[DAMAGED]:
            self.noted(trial, {DAMAGED: notes[DAMAGED]})

    def judge(self, trial: Trial) -> Decision:
        """Whether a trial goes on after its last report; ends it where it does not."""
        history, budget = self.histories[trial.study], self.sweep.budget
        if not math.isfinite(trial.loss):
            return self._stop(
                trial,
                Status.DIVERGED,
                f"epoch {trial.epoch}: {self.sweep.metric.name} is not finite",
            )
        if trial.epoch >= budget.epochs:
            return self._stop(
                trial, Status.COMPLETED, f"trained all {trial.epoch} epochs", limited=True
            )
        with naming_component(
            f"the scheduler {type(self.sweep.scheduler).__name__}",
            f"judging {trial.id} after epoch {trial.epoch}",
        ):
            decision = self.sweep.scheduler.decide(trial, history, self.rankings.get(trial.study))
        if decision.stop:
            return self._stop(trial, Status.STOPPED, decision.reason)
        if decision.audited:
            self.noted(trial, {"audited": {"epoch": trial.epoch, "reason": decision.reason}})
        if (
            self._limit is not None
            and history.epochs + self._in_flight(trial.study, trial.id) >= self._limit
        ):
            reason = f"epoch {trial.epoch}: the {self._limit} epochs of {trial.study} are spent"
            return self._stop(trial, Status.STOPPED, reason, limited=True)
        return CONTINUE

    def ended(
        self, trial: Trial, status: Status, reason: str, notes: Mapping[str, Any] | None = None
    ) -> None:
        event = {"event": "ended", "trial": trial.id, "status": str(status), "reason": reason}
        self._out.discard(trial.id)
        self._happen(event | {"notes": dict(notes)} if notes else event)
        self._settle()

    def failed(
        self, trial: Trial, reason: str, notes: Mapping[str, Any], retry: bool = True
    ) -> None:
        """The user's code failed: try again from the last checkpoint, or give the trial up.

        It is tried again as often as the sweep's `retries` say, and not at all without `retry`.
        """
        failures = trial.notes.get("failures", 0) + 1
        notes = {**notes, "failures": failures}
        if retry and failures <= self.sweep.retries:
            self.returned(trial, f"failed, retrying: {reason}", notes)
            return
        self.ended(trial, Status.FAILED, reason, notes)
        if self._failing_alike():
            self.stop(ALIKE)

    def out_of_memory(self, trial: Trial, reason: str, notes: Mapping[str, Any]) -> None:
        """Retry with smaller micro-batches if the sweep says so and the train function heeds them.

        Else the trial ends as `oom`.
        """
        known = {**trial.notes, **notes}
        accumulation = known.get("accumulation", 1)
        if known.get("share", 1.0) < 1.0:
            self.returned(
                trial, "out of memory, taken up again with a whole GPU", {**notes, "share": 1.0}
            )
        elif "accumulate" not in self.sweep.on_oom or 2 * accumulation > MOST_ACCUMULATION:
            self.ended(trial, Status.OOM, reason, notes)
        elif not known.get("accumulation_read", accumulation == 1):
            unread = "the train function does not read run.accumulation"
            self.ended(trial, Status.OOM, f"{reason} (not tried in micro-batches: {unread})", notes)
        else:
            self.returned(
                trial,
                f"out of memory, taken up again in {2 * accumulation} micro-batches",
                {**notes, "accumulation": 2 * accumulation},
            )

    @contextmanager
    def failing_with(self, traceback: str) -> Iterator[None]:
        """What happens inside is due to this error. The log finds its whole traceback in
        `traceback`: notes, which are kept in memory and in the ledger, hold a part of it."""
        self.traceback = traceback
        try:
            yield
        finally:
            self.traceback = ""

    def returned(self, trial: Trial, reason: str, notes: Mapping[str, Any] | None = None) -> None:
        """Put a trial back that lost its worker or was interrupted; it goes on from its last checkpoint."""
        event = {"event": "returned", "trial": trial.id, "reason": reason}
        self._out.discard(trial.id)
        self._happen(event | {"notes": dict(notes)} if notes else event)
        self._waiting.append(trial)

    def noted(self, trial: Trial, notes: Mapping[str, Any]) -> None:
        """Keep something about a trial."""
        self._happen({"event": "noted", "trial": trial.id, "notes": dict(notes)})

    def _stop(self, trial: Trial, status: Status, reason: str, limited: bool = False) -> Decision:
        self.ended(trial, status, reason, {"limited": True} if limited else None)
        return Decision(True, reason)

    def _failing_alike(self) -> bool:
        """Whether nothing has succeeded and the first trials that ended all failed with the same words."""
        ended = [trial for trial in self.trials if trial.status.ended]
        return (
            len(ended) >= ALIKE_TRIALS
            and all(trial.status is Status.FAILED for trial in ended)
            and len({trial.reason for trial in ended}) == 1
        )

    def _check_limits(self, trial: Trial) -> None:
        """End the sweep where the target is reached, or nothing has become better for too many trials."""
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
            _stale(history, plateau) for history in self.histories.values()
        ):
            self.stop(f"no better {self.sweep.metric.name} in the last {plateau} trials")

    def _check_time(self) -> None:
        limit = self.sweep.budget.seconds
        if limit is not None and self.seconds >= limit:
            self.stop(f"the {limit:g} seconds of the budget are spent")

    def _open(self) -> list[Study]:
        """The studies that may still propose: those with trials (or epochs) left, then those that lag behind the others."""
        return self._first() or [
            study
            for study in self._left()
            if is_behind(self.histories[study.name], self._promised(study.name), self._allowed)
        ]

    def _first(self) -> list[Study]:
        """The studies with trials (or epochs) of the budget left."""
        trials = self.sweep.budget.trials
        return [
            study
            for study in self._left()
            if trials is None or len(self.histories[study.name]) < trials
        ]

    def _left(self) -> list[Study]:
        """The studies that have something left to propose, and epochs for it."""
        most = self.sweep.budget.total_epochs
        left = [study for name, study in self.studies.items() if name not in self._exhausted]
        return (
            left if most is None else [study for study in left if self._promised(study.name) < most]
        )

    def _promised(self, study: str) -> int:
        """The epochs that a study has trained, and one for each of its trials that is under way and will report at least that."""
        return self.histories[study].epochs + self._in_flight(study)

    def _in_flight(self, study: str, but: str = "") -> int:
        """How many trials of a study are under way or wait."""
        return sum(
            split_id(one)[0] == study and one != but
            for one in chain(self._out, (trial.id for trial in self._waiting))
        )

    @property
    def _limit(self) -> int | None:
        """How many epochs a study may train; None where nothing is said of it."""
        return self.sweep.budget.total_epochs if self._allowed is None else self._allowed

    def _turn(self, study: Study) -> int:
        """Studies take turns: the one that has spent least of its budget is next."""
        history, trials = self.histories[study.name], self.sweep.budget.trials
        return len(history) if trials is not None and len(history) < trials else history.epochs

    def _propose(self, study: Study) -> Trial | None:
        history = self.histories[study.name]
        number = len(history)
        with naming_component(f"the searcher {study.name}", f"proposing {study.name}-{number}"):
            config = study.searcher.suggest(self.sweep.space, history, study.seed)
        if config is None:
            self._exhausted.add(study.name)
            self._happen({"event": "exhausted", "study": study.name})
            self._settle()
            return None
        seed = trial_seed(study.seed, number)
        self._happen(
            {
                "event": "proposed",
                "study": study.name,
                "number": number,
                "config": config,
                "seed": seed,
            }
        )
        return history[number]

    def _happen(self, event: Event) -> None:
        event["time"] = self._clock()
        self._log.write(event)
        apply(event, self.histories)
        self._log.applied(event, self)


def _training_began(past: list[Event]) -> float | None:
    """After how many seconds of a sweep its first reported epoch began; None before a report."""
    for place, event in enumerate(past):
        if event["event"] == "reported":
            return max(0.0, seconds_spent(past[: place + 1]) - float(event["seconds"]))
    return None


def _stale(history: History, trials: int) -> bool:
    """Whether the last `trials` trials that ended are all later than the best one."""
    if history.best is None:
        return len(history) - len(history.running) >= trials
    return len(history) - len(history.running) - 1 - history.best[0].number >= trials
