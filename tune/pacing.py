"""How fast a running sweep improves, found again from time to time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raysweep.forecast import Pace, pace
from raysweep.history import History

GROWTH = 1.05
"""The pace is found again when there are so many times as many reports, which keeps it cheap."""


class Pacing:
    """The pace of a sweep whose sessions began at `opened`, in Unix seconds."""

    def __init__(self, opened: Sequence[float]) -> None:
        self._opened = opened
        self._reports = 0
        self._pace: Pace | None = None

    def follow(self, histories: Mapping[str, History]) -> Pace | None:
        """The pace by the reports that there are now, or by most of them."""
        reports = sum(history.epochs for history in histories.values())
        if reports > self._reports and reports >= GROWTH * self._reports:
            self._reports, self._pace = reports, pace(histories.values(), self._opened)
        return self._pace
