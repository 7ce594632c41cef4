"""Which report a record belongs to, from the position that a script says, or from counting."""

from __future__ import annotations

import time
from collections.abc import Callable

from raysweep.report_interval import ReportInterval
from raysweep.trainables.runtime.script.records import Record

BEFORE = 0
"""The number for what was said before the first step. Reports count from 1."""


class Numbering:
    """Gives each record the number of its report.

    `known`: the reports that earlier attempts have sent; `resumed`: the script continues behind
    them. `from_zero`: it is known to count its epochs from 0.
    """

    def __init__(
        self,
        interval: ReportInterval,
        *,
        known: int = 0,
        resumed: bool = False,
        from_zero: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.from_zero = from_zero
        self.has_positions = interval.unit == "seconds"
        """True once the script has said a position."""
        self._interval = interval
        self._clock = clock
        self._began = clock()
        self._behind = 0
        """What the script does not train again: positions that it does not say begin here."""
        if resumed:
            self._behind = known
        self._known = known
        self._current = self._measured = self._behind
        self._last = BEFORE
        self._is_epoch_zero = False

    @property
    def current(self) -> int:
        """The last report of which something was said."""
        if self._interval.unit == "seconds":
            return self._elapsed()
        return self._current

    def number(self, record: Record, has_metric: bool) -> int | None:
        """The number of a record's report, or `BEFORE`; None if it names none and has no metric."""
        if self._interval.unit == "seconds":
            return self._elapsed()
        if record.position is None:
            return self._counted(has_metric)
        self.has_positions = True
        position = record.position
        if record.counted:
            position = self._from_one(position, has_metric)
        number = max(BEFORE, self._interval.report(position))
        self._last = number
        # A jump without the metric may be no position: {"epoch": 100} among printed settings.
        if has_metric or number <= max(self._current, self._known) + 1:
            self._current = max(self._current, number)
        if has_metric:
            self._measured = max(self._measured, number)
        return number

    def _elapsed(self) -> int:
        elapsed = self._interval.position(self._behind) + self._clock() - self._began
        return max(1, self._interval.report(elapsed))

    def _from_one(self, epoch: float, has_metric: bool) -> float:
        """An epoch that is counted from 1.

        A script counts from 0 if the first value of its metric is of epoch 0. Other numbers at 0
        prove nothing: loggers write settings and a model's graph there.
        """
        if epoch == 0 and self._measured == self._behind and not self.from_zero:
            self.from_zero, self._is_epoch_zero = has_metric, not has_metric
        elif epoch != 0:
            self._is_epoch_zero = False
        if self.from_zero:
            return epoch + 1
        return epoch

    def _counted(self, has_metric: bool) -> int | None:
        """The number of a record without a position."""
        if not has_metric:
            return None
        if self.has_positions and self._interval.unit != "epochs":
            return self._last
        if self._is_epoch_zero:
            self.from_zero, self._is_epoch_zero = True, False
        # A line of an epoch may come before or after the line that has its number.
        self._current = self._measured = max(self._current, self._measured + 1)
        return self._current
