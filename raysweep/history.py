"""What happened, as a list of trials that searchers and schedulers read.

A `History` holds the trials of one study (one searcher with one search seed) in the order in which they were proposed. It is only ever
changed through `add`, `start`, `record`, `close` and `audit` (or `apply`, which takes an event of the ledger), so that its look-ups stay
up to date and cheap: nothing here scans the list for a report.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Config = dict[str, Any]
"""A configuration: plain bool, int, float and str, nested where the YAML file nests. Never a numpy scalar."""

Event = dict[str, Any]
"""One line of a ledger: `event` says what happened, `time` when (Unix seconds)."""


class Status(StrEnum):
    """Where a trial stands. `WAITING` is proposed but not running: not yet started, or to be taken up again."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"
    OOM = "oom"

    @property
    def ended(self) -> bool:
        return self not in (Status.WAITING, Status.RUNNING)

    @property
    def succeeded(self) -> bool:
        return self in (Status.COMPLETED, Status.STOPPED)


@dataclass(frozen=True, slots=True)
class Report:
    """One epoch of one trial. `loss`: less is better, never NaN (a NaN counts as inf). `seconds`: training time of the trial so far."""

    epoch: int
    loss: float
    metrics: Mapping[str, float]
    seconds: float = 0.0
    time: float = 0.0


@dataclass(slots=True)
class Trial:
    """A configuration and what it reported. `number` counts within the study, from 0; `seed` seeds its training."""

    number: int
    study: str
    config: Config
    seed: int
    reports: list[Report] = field(default_factory=list)
    status: Status = Status.WAITING
    reason: str = ""
    attempts: int = 0
    notes: dict[str, Any] = field(default_factory=dict)
    """What else is known of it: node, device, peak memory, traceback, times of start and end (Unix seconds)."""
    best: Report | None = None

    @property
    def id(self) -> str:
        return f"{self.study}-{self.number}"

    @property
    def epoch(self) -> int:
        """The last epoch reported; 0 before the first."""
        return self.reports[-1].epoch if self.reports else 0

    @property
    def loss(self) -> float:
        """The last reported loss; inf before the first."""
        return self.reports[-1].loss if self.reports else math.inf


class Rung:
    """The losses of the trials that reached one level, sorted, and each trial's own.

    `paused`: loss and number of those that were stopped right there, sorted; they may be taken up again. `ended`: all that ended there.
    """

    def __init__(self, level: int) -> None:
        self.level = level
        self.losses: list[float] = []
        self.by_trial: dict[int, float] = {}
        self.paused: list[tuple[float, int]] = []
        self.ended: set[int] = set()

    def __len__(self) -> int:
        return len(self.losses)

    def add(self, number: int, loss: float) -> None:
        self.by_trial[number] = loss
        insort(self.losses, loss)

    @property
    def n_promoted(self) -> int:
        """How many of its trials did not end there: they train on, or did."""
        return len(self.losses) - len(self.ended)

    def end(self, number: int, status: Status) -> None:
        """A trial that is here ended; where it was stopped, it rests."""
        self.ended.add(number)
        if status is Status.STOPPED:
            insort(self.paused, (self.by_trial[number], number))

    def leave(self, number: int) -> None:
        """A trial that ended here is taken up again."""
        self.ended.discard(number)
        if self.is_paused(number):
            del self.paused[bisect_left(self.paused, (self.by_trial[number], number))]

    def is_paused(self, number: int) -> bool:
        """Whether a trial was stopped right there, and may be taken up again."""
        one = (self.by_trial.get(number, math.nan), number)
        place = bisect_left(self.paused, one)
        return self.paused[place : place + 1] == [one]

    def rank(self, loss: float) -> int:
        """How many recorded losses are strictly better than `loss`."""
        return bisect_left(self.losses, loss)

    def worse(self, loss: float) -> int:
        """How many recorded losses are strictly worse than `loss`."""
        return len(self.losses) - bisect_right(self.losses, loss)


class History:
    """The trials of one study. `levels`: the epochs at which trials are compared, ascending; the last is the full training.

    A trial's value at a level is its first report at or after that level and before the next one, so that a trial that reports
    seldom is never back-filled into a rung that it has long passed. `wrong`: the trials that diverged, failed or ran out of memory.
    """

    def __init__(self, levels: tuple[int, ...] = (), maximize: bool = False) -> None:
        self.levels = levels
        self._sign = -1.0 if maximize else 1.0
        self.rungs = {level: Rung(level) for level in levels}
        self.running: set[int] = set()
        self.failed: set[int] = set()
        self.epochs = 0
        self.best: tuple[Trial, Report] | None = None
        self._trials: list[Trial] = []

    def __len__(self) -> int:
        return len(self._trials)

    def __iter__(self) -> Iterator[Trial]:
        return iter(self._trials)

    def __getitem__(self, number: int) -> Trial:
        return self._trials[number]

    def show(self, loss: float) -> str:
        """A loss as the user's metric, in four digits."""
        return f"{self._sign * loss:.4g}"

    def level_of(self, epoch: int) -> int | None:
        """The highest level that `epoch` has reached; None below the first."""
        place = bisect_right(self.levels, epoch)
        return self.levels[place - 1] if place else None

    def add(self, trial: Trial) -> None:
        """Append a proposed trial. Its number must be the next one."""
        if trial.number != len(self._trials):
            raise ValueError(
                f"trial {trial.id} does not follow trial number {len(self._trials) - 1}"
            )
        self._trials.append(trial)

    def start(self, number: int) -> None:
        trial = self._trials[number]
        self._becomes(trial, Status.RUNNING)
        trial.attempts += 1
        self.running.add(number)

    def record(self, number: int, report: Report) -> bool:
        """Append a report; False, and nothing changed, where its epoch is not later than the last one."""
        trial = self._trials[number]
        if report.epoch <= trial.epoch:
            return False
        previous = trial.epoch
        trial.reports.append(report)
        self.epochs += report.epoch - previous
        level = self.level_of(report.epoch)
        if level is not None and level > previous and "audited" not in trial.notes:
            self.rungs[level].add(number, report.loss)
        if trial.best is None or report.loss < trial.best.loss:
            trial.best = report
        if math.isfinite(report.loss) and (self.best is None or report.loss < self.best[1].loss):
            self.best = (trial, report)
        return True

    def close(self, number: int, status: Status, reason: str = "") -> None:
        """End a trial, or (status WAITING) put it back so that it is taken up again."""
        trial = self._trials[number]
        self._becomes(trial, status, reason)
        self.running.discard(number)
        rung = self.rungs.get(self.level_of(trial.epoch) or 0)
        if rung is None or number not in rung.by_trial or "audited" in trial.notes:
            return
        if status.ended:
            rung.end(number, status)
        else:
            rung.leave(number)

    def _becomes(self, trial: Trial, status: Status, reason: str = "") -> None:
        trial.status, trial.reason = status, reason
        (self.failed.add if status.ended and not status.succeeded else self.failed.discard)(
            trial.number
        )

    def audit(self, number: int) -> None:
        """A trial goes on to be observed only: for the rung where it was to stop it has ended."""
        level = self.level_of(self._trials[number].epoch)
        if level is not None and number in self.rungs[level].by_trial:
            self.rungs[level].ended.add(number)


def apply(event: Event, histories: Mapping[str, History]) -> None:
    """Change the histories by what one event says. Events that are not about a trial change nothing."""
    kind = event["event"]
    if kind == "proposed":
        study, number = event["study"], event["number"]
        histories[study].add(Trial(number, study, event["config"], event["seed"]))
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
                event["epoch"], event["loss"], event["metrics"], event["seconds"], event["time"]
            ),
        )
    elif kind == "ended":
        trial.notes["ended"] = event["time"]
        history.close(number, Status(event["status"]), event["reason"])
    elif kind in ("returned", "promoted"):
        history.close(number, Status.WAITING, event["reason"])


def split_id(trial_id: str) -> tuple[str, int]:
    """`"bohb.1-27"` as `("bohb.1", 27)`."""
    study, _, number = trial_id.rpartition("-")
    return study, int(number)


def seconds_spent(events: Iterable[Event]) -> float:
    """The seconds that former sessions ran, each from its `opened` event to its last one.

    They are summed from event to event, because a machine's clock may have been set back in between: such a step counts as no time.
    """
    total, last = 0.0, None
    for event in events:
        if event["event"] == "opened":
            last = event["time"]
        elif last is not None:
            total += max(0.0, event["time"] - last)
            last = event["time"]
    return total
