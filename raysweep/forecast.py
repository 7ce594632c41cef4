"""What more time is expected to bring a sweep: the improvement of its best value, with an interval.

What a sweep gains falls with the logarithm of its time, so the gain from now until the sweep has
run r times as long is taken to be proportional to log(r). The factor is the geometric mean of two
things that any sweep shows: how much the best value improved lately, per unit of the logarithm of
time, and how far the best trial is ahead of the fifth best. The first is what the searcher achieved
until now, the second is how densely good trials lie. Both are differences of losses, so that the
forecast does not change with the unit or the offset of the metric.

`benchmarks/forecast.py` chose the constants on recorded curves, and measures on others how often
the improvement lies within the interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.formatting import duration, number
from raysweep.history import Event, History
from raysweep.metric_bounds import room_left
from raysweep.repeats import REPEATS

EXPECTED, HIGH = 1.0, 2.44
"""The mean improvement, and the end of its 90 % interval, as multiples of the pace."""
RECENT = 0.5
"""An improvement counts as recent by exp(-u / RECENT), u units of the logarithm of time ago."""
PLACE = 5
"""The pace is known from so many trials on, and the best one is compared with that place."""
LEAST = 0.003
"""The least that both parts of the pace count, as a part of the spread: a sweep in which nothing
has happened for long may still improve."""
MIN_REPORTS = 20
"""With fewer reports nothing is forecast."""
TOLD = 10
"""A person is told of a forecast from so many trials on: with fewer, the interval is mostly as wide
as the trials lie apart."""
HORIZONS = {
    10.0: "10 seconds",
    60.0: "minute",
    600.0: "10 minutes",
    3600.0: "hour",
    14400.0: "4 hours",
    86400.0: "day",
}
"""Seconds ahead for which a person is told a forecast, and how they are called."""
FARTHEST = 2.0
"""A forecast reaches at most this many times as far as the sweep has trained."""


@dataclass(frozen=True)
class Pace:
    """How fast a sweep improves.

    seconds: how long it has trained. gain: the improvement of its best loss for each unit of the
    natural logarithm of time, in units of the metric. trials: how many have reported. best, worst:
    of all losses.
    """

    seconds: float
    gain: float
    trials: int
    best: float = -math.inf
    worst: float = math.inf

    @property
    def now(self) -> float:
        """The expected improvement in a second from now, which falls with time."""
        return EXPECTED * self.gain / self.seconds

    def told(self, metric: str, maximize: bool) -> Forecast | None:
        """What a person is told: the forecast for the longest round time that is near enough.

        Its interval ends where the metric does. None if that leaves nothing to say, because more
        than half of what is left is expected, or if too few trials are known.
        """
        near = [ahead for ahead in HORIZONS if ahead <= FARTHEST * self.seconds]
        if not near or self.trials < TOLD:
            return None
        sign = -1.0 if maximize else 1.0
        room = room_left(metric, maximize, sign * self.worst, sign * self.best)
        found = self.forecast(max(near))
        if found.expected > room / 2:
            return None
        return replace(found, high=min(found.high, room))

    def forecast(self, seconds: float) -> Forecast:
        """The improvement in the next `seconds`, which are more than zero."""
        gain = self.gain * math.log1p(seconds / self.seconds)
        return Forecast(seconds, EXPECTED * gain, HIGH * gain)


@dataclass(frozen=True)
class Forecast:
    """The improvement of the best value in the next `seconds`, in units of the metric.

    expected: the mean. high: with 90 % probability it is not more. It may always be none.
    """

    seconds: float
    expected: float
    high: float

    def sentence(self, metric: str) -> str:
        """What a person is told of it."""
        ahead = HORIZONS.get(self.seconds) or duration(self.seconds)
        return (
            f"another {ahead} is expected to improve {metric} by {number(self.expected, 2)} "
            f"(90 %: 0 to {number(self.high, 2)})"
        )


def pace(histories: Iterable[History], opened: Sequence[float] = ()) -> Pace | None:
    """The pace of a sweep; None as long as too little is known, or if it has several objectives.

    opened: when its sessions began, in Unix seconds. What lies between two of them does not count.
    """
    trials = [trial for history in histories for trial in history if REPEATS not in trial.notes]
    reports = [report for trial in trials for report in trial.reports]
    bests = sorted(
        trial.best.loss for trial in trials if trial.best and trial.best.is_new_best(None)
    )
    if len(reports) < MIN_REPORTS or len(bests) < PLACE or len(reports[0].losses) > 1:
        return None
    reports.sort(key=lambda report: report.time)
    times = np.array([report.time for report in reports])
    clock = training_clock(times, reports[0].seconds, opened)
    loss = np.array([report.loss if report.feasible else math.inf for report in reports])
    found = pace_of(clock, np.minimum.accumulate(loss), np.array(bests))
    finite = [report.loss for report in reports if math.isfinite(report.loss)]
    return found and replace(found, best=min(finite), worst=max(finite))


def training_clock(times: FloatArray, first: float, opened: Sequence[float] = ()) -> FloatArray:
    """Seconds of training until each report, (n,), without what lies between sessions.

    times: of the reports, (n,), ascending, in Unix seconds. first: what the first one took.
    """
    before = np.concatenate([[times[0] - first], times[:-1]])
    began = np.concatenate([[-math.inf], np.sort(np.asarray(opened, dtype=np.float64))])
    session = began[np.searchsorted(began, times, side="right") - 1]
    passed: FloatArray = np.cumsum(times - np.maximum(before, session))
    return passed


def pace_of(clock: FloatArray, best: FloatArray, bests: FloatArray) -> Pace | None:
    """The pace, from what it is made of; None if all trials are equal.

    clock: seconds of training until each report, (n,), ascending. best: the best loss by then,
    (n,); inf before the first finite one. bests: that of each trial, `PLACE` or more, ascending.
    """
    spread = float(np.median(bests) - bests[0])
    if clock[-1] <= 0 or not math.isfinite(spread) or spread <= 0:
        return None
    known = np.isfinite(best)  # the first value improves on nothing
    drops = -np.diff(best[known])
    weights = (clock[known][1:] / clock[-1]) ** (1 / RECENT) / RECENT
    recent = float(drops @ weights) + LEAST * spread
    ahead = float(bests[PLACE - 1] - bests[0]) + LEAST * spread
    return Pace(float(clock[-1]), math.sqrt(recent * ahead), len(bests))


def opened(events: Iterable[Event]) -> list[float]:
    """When the sessions of a run began."""
    return [event["time"] for event in events if event["event"] == "opened"]
