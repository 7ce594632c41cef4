"""Says what a sweep waits for: the resources that others use, or a worker that starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raysweep.tune.callbacks.base import WAITING
from raysweep.tune.controller import SweepController

WAITING_SECONDS = 10.0
"""Seconds without a running trial after which it is said: the start of a worker takes less."""


class WaitingNotice:
    """Says once what a sweep waits for, when no trial has started for a while.

    `needed`: what a trial needs, in Ray's names. `available`: what the cluster has free.
    """

    def __init__(
        self, needed: Mapping[str, float], available: Callable[[], Mapping[str, float]]
    ) -> None:
        self._needed = needed
        self._available = available
        self._since: float | None = None
        self._said = False

    def look(self, controller: SweepController, time: float, placed: int = 0) -> str:
        """The line to say now, at `time` in seconds; mostly "".

        placed: the number of the sweep's own workers that hold what others are not blamed for.
        """
        if controller.done or any(history.running for history in controller.histories.values()):
            self._since, self._said = None, False
            return ""
        if self._since is None:
            self._since = time
        if self._said or time - self._since < WAITING_SECONDS:
            return ""
        free = self._available()
        lacking = [name for name, count in self._needed.items() if free.get(name, 0.0) < count]
        self._said = True
        if placed or not lacking:
            return f"{WAITING}a worker to start: it imports torch and your code first"
        wanted = ", ".join(f"{self._needed[name]:g} {name}" for name in lacking)
        left = ", ".join(f"{free.get(name, 0.0):g} {name}" for name in lacking)
        return f"{WAITING}{wanted}: others use the cluster, {left} free at present"
