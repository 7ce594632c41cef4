"""The history of a study: its trials and what they reported, as searchers and schedulers read it.

A `History` holds the trials of one study (one searcher with one search seed) in the order in which
they were proposed. It changes only through `add`, `start`, `record`, `close` and `audit`, or
through `apply`, which takes an event of the ledger. These keep its rungs and totals up to date, so
that no question is answered by a search through all reports.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from raysweep import repeats
from raysweep.repeats import REPEATS

Config = dict[str, Any]
"""A configuration: plain bool, int, float and str values, never numpy scalars.

A parameter with a dotted name, such as `model.width`, lies in a nested dictionary.
"""

Event = dict[str, Any]
"""A line of a ledger: `event` says what happened and `time` when, in Unix seconds."""


APPLIED, REFUSED = "applied", "refused"
"""The outcomes of a person's command, in its event."""


class Status(StrEnum):
    """The state of a trial.

    A trial that is `WAITING` was proposed but is not running: it is yet to be started, or to be
    continued after a retry or a promotion.
    """

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"
    OOM = "oom"

    @property
    def ended(self) -> bool:
        """True if the trial trains no more, unless it is promoted."""
        return self not in (Status.WAITING, Status.RUNNING)

    @property
    def succeeded(self) -> bool:
        """True if the trial ended without an error, at its last epoch or by early stopping."""
        return self in (Status.COMPLETED, Status.STOPPED)


@dataclass(frozen=True, slots=True)
class Report:
    """What a trial reported after an epoch.

    loss: less is better; never NaN, because a NaN counts as inf. metrics: all values that were
    reported, by name. seconds: the training time of the trial so far. time: in Unix seconds.
    losses, excesses: of a sweep with several metrics, the loss of each objective, and how far the
    other metrics lie beyond their limits (`raysweep/objectives.py`).
    """

    epoch: int
    loss: float
    metrics: Mapping[str, float]
    seconds: float = 0.0
    time: float = 0.0
    losses: tuple[float, ...] = ()
    excesses: tuple[float, ...] = ()

    @property
    def feasible(self) -> bool:
        """True if all limits are kept, as they are where there is none."""
        return all(excess <= 0 for excess in self.excesses)

    @property
    def is_finite(self) -> bool:
        """True if the losses of all objectives are finite."""
        return math.isfinite(self.loss) and all(map(math.isfinite, self.losses))

    def is_better(self, other: Report | None) -> bool:
        """True if the loss is less; one that keeps all limits beats every one that does not.

        One that lacks a finite value of an objective is behind all that have them.
        """
        if other is None:
            return True
        if self.is_finite is not other.is_finite:
            return self.is_finite
        if self.feasible is not other.feasible:
            return self.feasible
        return self.loss < other.loss

    def is_new_best(self, best: Report | None) -> bool:
        """True if it is better than the best one of a history, for which it must be feasible."""
        return self.is_finite and self.feasible and self.is_better(best)


@dataclass(slots=True)
class Trial:
    """A configuration, and what was reported for it.

    number: counts within the study, from 0. seed: of the training. attempts: how often a worker has
    started it. reason: why it has its status, as tables show it. best: the report with the least
    loss of those that keep all limits, else of all; the first one if no loss is finite.
    """

    number: int
    study: str
    config: Config
    seed: int
    reports: list[Report] = field(default_factory=list)
    status: Status = Status.WAITING
    reason: str = ""
    attempts: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    """What else is known: node, device, peak memory, traceback, start and end (Unix seconds)."""
    best: Report | None = None

    @property
    def id(self) -> str:
        """The trial's name in the sweep, such as `bohb-7`."""
        return f"{self.study}-{self.number}"

    @property
    def epoch(self) -> int:
        """The last epoch reported; before the first, that at which it began."""
        return self.reports[-1].epoch if self.reports else self.start

    @property
    def start(self) -> int:
        """The epoch of the checkpoint that it began with: that of its parent, or 0."""
        if self.reports and "parent" in self.notes:
            return self.reports[0].epoch - 1
        start: int = self.notes.get("from", 0)
        return start

    @property
    def is_remembered(self) -> bool:
        """True for a first configuration of `auto` that earlier runs suggest."""
        return bool(self.notes.get("memory") == "first configuration")

    @property
    def loss(self) -> float:
        """The last reported loss; inf before the first."""
        return self.reports[-1].loss if self.reports else math.inf


class Rung:
    """The trials that reached an epoch at which trials are compared.

    level: the epoch. losses: of all its trials, ascending. by_trial: the losses by trial number.
    paused: loss and number of the trials that a scheduler stopped there, ascending; they may be
    promoted. ended: the numbers of all trials that ended there. outcomes: of a sweep with several
    metrics, the losses and the excesses by trial number.
    """

    def __init__(self, level: int) -> None:
        self.level = level
        self.losses: list[float] = []
        self.by_trial: dict[int, float] = {}
        self.paused: list[tuple[float, int]] = []
        self.ended: set[int] = set()
        self.outcomes: dict[int, tuple[tuple[float, ...], tuple[float, ...]]] = {}

    def __len__(self) -> int:
        return len(self.losses)

    def add(self, number: int, report: Report) -> None:
        """Record that a trial reached the rung with a report."""
        self.by_trial[number] = report.loss
        insort(self.losses, report.loss)
        if report.losses:
            self.outcomes[number] = (report.losses, report.excesses)

    @property
    def first_losses(self) -> Mapping[int, float]:
        """The losses by trial number; with several metrics those of the first objective."""
        if not self.outcomes:
            return self.by_trial
        return {number: losses[0] for number, (losses, _) in self.outcomes.items()}

    @property
    def n_promoted(self) -> int:
        """The number of trials that continued past the rung, or are still being compared there."""
        return len(self.losses) - len(self.ended)

    def end(self, number: int, status: Status, final: bool = False) -> None:
        """Record that a trial ended at the rung. If it was stopped, it is paused there.

        `final`: it is not to be promoted, even if it was paused there before.
        """
        self.leave(number)
        self.ended.add(number)
        if status is Status.STOPPED and not final:
            insort(self.paused, (self.by_trial[number], number))

    def leave(self, number: int) -> None:
        """Record that a trial that ended at the rung is to continue."""
        self.ended.discard(number)
        if self.is_paused(number):
            del self.paused[self._paused_index(number)]

    def is_paused(self, number: int) -> bool:
        """True if a trial was stopped at the rung and has not been promoted since."""
        if number not in self.by_trial:
            return False
        index = self._paused_index(number)
        return index < len(self.paused) and self.paused[index][1] == number

    def _paused_index(self, number: int) -> int:
        """Where a trial of the rung is in `paused`, or would be."""
        return bisect_left(self.paused, (self.by_trial[number], number))

    def rank(self, loss: float) -> int:
        """The number of losses at the rung that are strictly less than `loss`."""
        return bisect_left(self.losses, loss)


class History:
    """The trials of a study.

    levels: the epochs at which trials are compared, ascending; the last one is the full training.
    rungs: by level. running, failed: the numbers of the trials that run, and of those that failed,
    diverged or ran out of memory and began with no checkpoint of another trial. epochs: trained by
    all trials. is_timed: time is what ends the sweep, so searchers may weigh it.

    A trial counts at a rung with its first report at or after the rung's epoch and before that of
    the next rung. So a trial that reports seldom is not added to rungs that it has long passed.
    A trial that began with another one's checkpoint (the note `parent`) counts at no rung: what it
    reports is not what its configuration reaches in so many epochs. Nor does one that repeats a
    configuration with another seed (the note `repeats`): `repeats` has their numbers, by that of
    the first trial of the configuration.
    """

    def __init__(
        self, levels: tuple[int, ...] = (), maximize: bool = False, is_timed: bool = False
    ) -> None:
        self.levels = levels
        self.is_timed = is_timed
        self._sign = -1.0 if maximize else 1.0
        self.rungs = {level: Rung(level) for level in levels}
        self.running: set[int] = set()
        self.failed: set[int] = set()
        self.epochs = 0
        self.repeats: dict[int, list[int]] = {}
        self._best: tuple[Trial, Report] | None = None
        self._chosen: tuple[Trial, Report] | None = None
        self._trained: list[Trial] | None = None
        self._trials: list[Trial] = []
        self._reported: list[int] = []

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    @property
    def n_configurations(self) -> int:
        """The number of trials without those that repeat a configuration with another seed."""
        return len(self._trials) - sum(map(len, self.repeats.values()))

    @property
    def trained(self) -> list[Trial]:
        """The first trials of configurations that were trained to the end of the budget."""
        if self._trained is None:
            self._trained = [trial for trial in self._trials if repeats.is_trained(trial, self)]
        return self._trained

    @property
    def best(self) -> tuple[Trial, Report] | None:
        """The trial and the report with the least finite loss that keeps all limits; None before.

        Once configurations are repeated with other seeds, it is the best report of the one that is
        best by the means over its seeds (`repeats.py`).
        """
        if not self.repeats:
            return self._best
        if self._chosen is None:
            trial = repeats.chosen(self)
            if trial is None or trial.best is None:
                return self._best
            self._chosen = (trial, trial.best)
        return self._chosen

    @property
    def n_objectives(self) -> int:
        """How many losses a report has; 1 before the first report."""
        return len(self._first_losses) or 1

    @property
    def has_several(self) -> bool:
        """True if reports are of a sweep with several metrics; False before the first report."""
        return bool(self._first_losses)

    @property
    def _first_losses(self) -> tuple[float, ...]:
        if not self._reported:
            return ()
        return self._trials[self._reported[0]].reports[0].losses

    def show(self, loss: float) -> str:
        """A loss as the user's metric, with four significant digits."""
        return f"{self._sign * loss:.4g}"

    def level_of(self, epoch: int) -> int | None:
        """The highest level at or below an epoch; None below the first."""
        count = bisect_right(self.levels, epoch)
        return self.levels[count - 1] if count else None

    def add(self, trial: Trial) -> None:
        """Append a proposed trial. Raises ValueError if its number is not the next one."""
        if trial.number != len(self._trials):
            raise ValueError(
                f"trial {trial.id} does not follow trial number {len(self._trials) - 1}"
            )
        self._trials.append(trial)
        if REPEATS in trial.notes:
            self.repeats.setdefault(trial.notes[REPEATS], []).append(trial.number)

    def start(self, number: int) -> None:
        """Record that a worker started a trial."""
        trial = self._trials[number]
        self._set_status(trial, Status.RUNNING)
        trial.attempts += 1
        self.running.add(number)

    def record(self, number: int, report: Report) -> bool:
        """Append a report of a trial. Returns False, without effect, if its epoch is not new."""
        trial = self._trials[number]
        if report.epoch <= trial.epoch:
            return False
        previous = trial.epoch
        is_child = "parent" in trial.notes
        if is_child and not trial.reports:
            previous = report.epoch - 1  # the file may be of a later epoch than was known
        trial.reports.append(report)
        self._reported.append(number)
        self.epochs += report.epoch - previous
        is_repeat = REPEATS in trial.notes
        if "audited" not in trial.notes and not is_child and not is_repeat:
            self._compare(number, report, previous)
        if report.is_better(trial.best):
            trial.best = report
        if not is_repeat and report.is_new_best(self._best and self._best[1]):
            self._best = (trial, report)
        return True

    def close(self, number: int, status: Status, reason: str = "", *, final: bool = False) -> None:
        """End a trial; or, with the status WAITING, let it continue when a worker is free.

        `final`: no scheduler may promote it later.
        """
        trial = self._trials[number]
        self._set_status(trial, status, reason)
        self.running.discard(number)
        self._chosen = self._trained = None
        rung = self.last_rung(trial)
        if rung is None or "audited" in trial.notes:
            return
        if status.ended:
            rung.end(number, status, final)
        else:
            rung.leave(number)

    def last_rung(self, trial: Trial) -> Rung | None:
        """The rung at which a trial was compared last; None if it was compared at none."""
        rung = self.rungs.get(self.level_of(trial.epoch) or 0)
        return rung if rung is not None and trial.number in rung.by_trial else None

    def with_levels(self, levels: tuple[int, ...]) -> History:
        """This history as it would be if trials had been compared at these epochs all along.

        The trials are the same objects, so this history is not to be used any more.
        """
        other = History(levels, self._sign < 0, self.is_timed)
        other._trials, other._reported = self._trials, self._reported
        other.running, other.failed = self.running, self.failed
        other.epochs, other._best = self.epochs, self._best
        other.repeats = self.repeats
        counts = [0] * len(self._trials)
        for number in self._reported:
            trial, index = self._trials[number], counts[number]
            counts[number] += 1
            if "parent" in trial.notes or REPEATS in trial.notes:
                continue
            previous = trial.reports[index - 1].epoch if index else 0
            if previous < trial.notes.get("audited", {}).get("epoch", math.inf):
                other._compare(number, trial.reports[index], previous)
        for trial in self._trials:
            other._end_at_rung(trial)
        return other

    def only(self, numbers: Iterable[int]) -> History:
        """A history of copies of some of the trials, numbered anew in their order.

        It is what it would be if the other trials had never been; but a configuration that was
        repeated has the mean losses over its seeds, whose number is in the note `seeds`.
        """
        new = {number: index for index, number in enumerate(sorted(numbers))}
        other = History(self.levels, self._sign < 0, self.is_timed)
        for number, index in new.items():
            other._trials.append(self._copied(self._trials[number], index))
        other._reported = [new[number] for number in self._reported if number in new]
        other.running = {new[number] for number in self.running if number in new}
        other.failed = {new[number] for number in self.failed if number in new}
        other.epochs = sum(trial.epoch - trial.start for trial in other._trials if trial.reports)
        other._best = other._find_best()
        return other.with_levels(self.levels)

    def _copied(self, trial: Trial, number: int) -> Trial:
        """A copy of a trial with another number, and the mean losses over its seeds."""
        copied = replace(trial, number=number, reports=list(trial.reports), notes=dict(trial.notes))
        if trial.number in self.repeats:
            copied.reports = repeats.averaged(self, trial)
            copied.notes["seeds"] = len(repeats.seeds_of(self, trial))
            copied.best = None
            for report in copied.reports:
                copied.best = report if report.is_better(copied.best) else copied.best
        return copied

    def _find_best(self) -> tuple[Trial, Report] | None:
        """The first trial and report with the least finite loss; None if there is none."""
        counts: Counter[int] = Counter()
        best: tuple[Trial, Report] | None = None
        for number in self._reported:
            trial = self._trials[number]
            report = trial.reports[counts[number]]
            counts[number] += 1
            if report.is_new_best(best and best[1]):
                best = (trial, report)
        return best

    def _compare(self, number: int, report: Report, previous: int) -> None:
        """Count a report at the rung that the trial has reached with it, if it has reached one."""
        level = self.level_of(report.epoch)
        if level is not None and level > previous:
            self.rungs[level].add(number, report)

    def _end_at_rung(self, trial: Trial) -> None:
        """Record where a trial has ended, or continues under audit."""
        if "audited" in trial.notes:
            self._end_audited(trial.number, trial.notes["audited"]["epoch"])
            return
        rung = self.last_rung(trial)
        if rung is not None and trial.status.ended:
            rung.end(trial.number, trial.status, bool(trial.notes.get("by_hand")))

    def reopen(self, number: int) -> None:
        """Undo `close` for a trial that runs."""
        trial = self._trials[number]
        self.close(number, Status.WAITING)
        self._set_status(trial, Status.RUNNING)
        self.running.add(number)

    def _set_status(self, trial: Trial, status: Status, reason: str = "") -> None:
        trial.status, trial.reason = status, reason
        is_own = "parent" not in trial.notes and REPEATS not in trial.notes
        if status.ended and not status.succeeded and is_own:
            self.failed.add(trial.number)
        else:
            self.failed.discard(trial.number)

    def audit(self, number: int) -> None:
        """Record that a trial continues under audit only: at its last rung it counts as ended."""
        self._end_audited(number, self._trials[number].epoch)

    def _end_audited(self, number: int, epoch: int) -> None:
        level = self.level_of(epoch)
        if level is not None and number in self.rungs[level].by_trial:
            self.rungs[level].ended.add(number)


def apply(event: Event, histories: Mapping[str, History]) -> None:
    """Change the histories as an event of the ledger says.

    histories: by study. An event that is about no trial changes nothing.
    """
    kind = event["event"]
    if kind == "proposed":
        study, number = event["study"], event["number"]
        notes = dict(event.get("notes", {}))
        histories[study].add(Trial(number, study, event["config"], event["seed"], notes=notes))
        return
    if kind == "command":
        _command(event, histories)
        return
    if kind not in ("started", "reported", "ended", "returned", "promoted", "noted"):
        return
    study, number = split_id(event["trial"])
    history = histories[study]
    trial = history[number]
    trial.notes.update(event.get("notes", {}))
    if "audited" in event.get("notes", {}):
        history.audit(number)
    if kind == "started":
        trial.notes.setdefault("started", event["time"])
        history.start(number)
    elif kind == "reported":
        history.record(
            number,
            Report(
                event["epoch"],
                event["loss"],
                event["metrics"],
                event["seconds"],
                event["time"],
                tuple(event.get("losses", ())),
                tuple(event.get("excesses", ())),
            ),
        )
    elif kind == "ended":
        trial.notes["ended"] = event["time"]
        trial.notes.pop("asked", None)
        final = bool(event.get("notes", {}).get("by_hand"))
        history.close(number, Status(event["status"]), event["reason"], final=final)
    elif kind in ("returned", "promoted"):
        history.close(number, Status.WAITING, event["reason"])


def _command(event: Event, histories: Mapping[str, History]) -> None:
    """Change a trial as a person's command says; the state of the sweep is `Steering`."""
    trial_id = event["arguments"].get("trial")
    if event["outcome"] != APPLIED:
        return
    if "epochs" in event:
        _lengthen(event["epochs"], histories)
    if not trial_id or "config" in event["arguments"]:
        return
    study, number = split_id(trial_id)
    trial = histories[study][number]
    trial.notes.update(event.get("notes", {}))
    if event["command"] in ("continue", "retry") and trial.status.ended:
        histories[study].close(number, Status.WAITING, event["reason"])


def _lengthen(epochs: int, histories: Mapping[str, History]) -> None:
    """Let all trials train so many epochs, also those that a person gave fewer before."""
    for history in histories.values():
        for trial in history:
            if trial.notes.get("epochs", epochs) < epochs:
                del trial.notes["epochs"]


def split_id(trial_id: str) -> tuple[str, int]:
    """Split the name of a trial into its study and its number: `bohb.1-27` is 27 of `bohb.1`."""
    study, _, number = trial_id.rpartition("-")
    return study, int(number)


def seconds_spent(events: Iterable[Event]) -> float:
    """The seconds that earlier sessions ran, each from its `opened` event to its last one.

    They are summed from event to event. A step back in time counts as zero seconds, because a
    machine's clock may have been set back.
    """
    total, last = 0.0, None
    for event in events:
        if event["event"] == "opened":
            last = event["time"]
        elif last is not None:
            total += max(0.0, event["time"] - last)
            last = event["time"]
    return total
