"""What a sweep with several metrics optimizes: its objectives, and the limits on the others.

A metric with a limit is no objective: its values need only keep the limit. Inside, an objective is
a loss (less is better), and a limit has an excess: how far a value lies beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysweep.formatting import number

Metrics = Mapping[str, float]
REPORT_COLUMNS = ("trial", "searcher", "epoch", "seconds", "time")
"""The columns that every row of the data frame of reports has; no metric to optimize is called so,
because it would hide one of them, or be hidden by it."""
TRACKED_COLUMNS = ("status", "reason")
"""What a tracker keeps of the end of each trial beside its metrics."""


@dataclass(frozen=True)
class Objective:
    """A metric to optimize. A value that is not finite has an infinite loss."""

    name: str
    maximize: bool = False

    def loss(self, metrics: Metrics) -> float:
        value = metrics.get(self.name, math.nan)
        if not math.isfinite(value):
            return math.inf
        return -value if self.maximize else value

    def value(self, loss: float) -> float:
        """The loss as the user's metric."""
        return -loss if self.maximize else loss


@dataclass(frozen=True)
class Limit:
    """The most that a metric may be; or the least, with `at_least`."""

    name: str
    bound: float
    at_least: bool = False

    def excess(self, metrics: Metrics) -> float:
        """How far the value lies beyond the limit, which it keeps at 0 and below.

        inf for a value that is not finite, because such a value proves nothing.
        """
        value = metrics.get(self.name, math.nan)
        if not math.isfinite(value):
            return math.inf
        return self.bound - value if self.at_least else value - self.bound

    def breach(self, metrics: Metrics) -> str:
        """How metrics break the limit, in words."""
        value = number(metrics.get(self.name))
        return f"{self.name} {value} breaks its limit, at {self._side} {self.bound:g}"

    @property
    def _side(self) -> str:
        return "least" if self.at_least else "most"

    def __str__(self) -> str:
        return f"{self.name} at {self._side} {self.bound:g}"


@dataclass(frozen=True)
class Objectives:
    """The objectives of a sweep with several metrics, one to four, and its limits.

    The first objective is the one that stands for a trial where one number must: its best epoch is
    the one with the least first loss among those that keep all limits.
    """

    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()

    @classmethod
    def of(cls, sweep: Mapping[str, Any]) -> Objectives | None:
        """Those of a sweep's plain data; None if it has a single `metric`."""
        if not sweep.get("metrics"):
            return None
        return cls.read(sweep["metrics"])

    @classmethod
    def read(cls, metrics: Any) -> Objectives:
        """Those of a list of mappings with `name`, `goal` and, for a limit, `limit`."""
        objectives: list[Objective] = []
        limits: list[Limit] = []
        for entry in metrics:
            maximize = entry.get("goal") == "maximize"
            if entry.get("limit") is None:
                objectives.append(Objective(entry["name"], maximize))
            else:
                limits.append(Limit(entry["name"], entry["limit"], maximize))
        return cls(tuple(objectives), tuple(limits))

    @property
    def names(self) -> tuple[str, ...]:
        """All metrics that every report must have."""
        return (*(one.name for one in self.objectives), *(one.name for one in self.limits))

    @property
    def has_front(self) -> bool:
        """True if there are several objectives; with one, the best trial is the front."""
        return len(self.objectives) > 1

    def losses(self, metrics: Metrics) -> tuple[float, ...]:
        return tuple(objective.loss(metrics) for objective in self.objectives)

    def excesses(self, metrics: Metrics) -> tuple[float, ...]:
        return tuple(limit.excess(metrics) for limit in self.limits)

    def not_finite(self, metrics: Metrics) -> str:
        """The first of its metrics whose value is not finite; "" if all of them are."""
        for name in self.names:
            if not math.isfinite(metrics.get(name, math.nan)):
                return name
        return ""
