"""When nothing more belongs to a report, although nothing of the next one has come."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from raysweep.report_interval import ReportInterval
from raysweep.trainables.runtime.metrics import Metrics

SETTLE_SECONDS = 1.0
"""How long nothing may come until a report is complete that has all that earlier ones had. Lines of
the same epoch are printed within milliseconds."""
FIRST_SETTLE_SECONDS = 30.0
"""The same, while it is not known how often the metric comes in an epoch."""


@dataclass
class Draft:
    """A report that is not sent yet.

    `first` and `position`: where the first and the last value of the metric came. `values`: how
    many came. `last`: the last of them. `touched`: when something came last. `is_closed`: nothing
    more can belong to it.
    """

    metrics: Metrics = field(default_factory=dict)
    first: float = 0.0
    position: float = 0.0
    values: int = 0
    last: float | None = None
    touched: float = 0.0
    is_closed: bool = False


class Settling:
    """Learns from a script's reports where in their intervals they end."""

    def __init__(self, interval: ReportInterval) -> None:
        self.has_amounts = interval.unit != "epochs"
        """True if a position at the end of an interval is behind all others of it. A whole number
        of an epoch is not: batches of epoch 3 come before its validation."""
        self._interval = interval
        self._most_values = 0
        self._distance = 0.0

    def sent(self, number: int, draft: Draft) -> None:
        """Learn from a report that was complete."""
        self._most_values = max(self._most_values, draft.values)
        self._distance = self._interval.position(number) - draft.position

    def seconds(self, number: int, draft: Draft) -> float:
        """How long nothing must come until the report is complete; inf for however long."""
        distance = self._interval.position(number) - draft.position
        if self.has_amounts and distance <= self._count_from_zero():
            return SETTLE_SECONDS
        if self._most_values == 1 and draft.values == 1 and distance <= self._distance:
            return SETTLE_SECONDS
        if self.has_amounts or distance > 0:
            return math.inf
        if 0 < self._most_values <= draft.values:
            return SETTLE_SECONDS
        return FIRST_SETTLE_SECONDS

    def _count_from_zero(self) -> float:
        """The distance of the last step of an interval, if steps are counted from 0."""
        if self._interval.unit in ("steps", "samples") and self._interval.every > 1:
            return 1.0
        return 0.0
