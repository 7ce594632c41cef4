"""How many processes share a GPU under `gpu: auto`: as many as still raise the throughput.

The number is doubled, as far as memory allows, while that trains more epochs an hour over all
processes. The first time it does not, the number halfway back is tried, and the best one is kept.
It decides from what trials report, and touches no device.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from raysweep.formatting import plural

LEAST_GAIN = 1.05
"""Factor on the throughput for which more processes are kept: less may be noise."""
ENOUGH = 3
"""Epochs that are timed of one number of processes, and of each of half of them one."""
SLOWED = 1.5
"""Factor on the epochs of its neighbours for which a trial is said to slow them."""
SLOWED_EPOCHS = 2
"""Epochs of each neighbour that are compared, before the trial began and since."""


@dataclass(frozen=True)
class Epoch:
    """A timed epoch. `place`: its GPU. `processes`: how many shared that throughout.

    `is_first`: of an attempt, so that it holds what a process does once. `utilization`, 0 .. 1, is
    that of the whole device; None if it is not known.
    """

    trial: str
    place: str
    seconds: float
    processes: int
    is_first: bool = False
    utilization: float | None = None


@dataclass
class EpochTimes:
    """Epochs of one number of processes: seconds by trial, and how busy the device was."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    utilization: list[float] = field(default_factory=list)

    def is_enough(self, processes: int) -> bool:
        count = sum(map(len, self.seconds.values()))
        return count >= ENOUGH and len(self.seconds) >= processes / 2


class Packing:
    """The number of processes for each GPU, `level`, and what is learned of it.

    `settled`: nothing more is tried. `level` is the number that was best, then.
    """

    def __init__(self, level: int = 1, settled: bool = False) -> None:
        self.level, self.best = level, level
        self.settled = settled
        self._before_best = level
        self._timed: dict[tuple[int, bool], EpochTimes] = defaultdict(EpochTimes)
        self._between: list[int] | None = None
        """Numbers that are still to be tried once one was too large; None before."""

    def add(self, epoch: Epoch) -> None:
        """Take in an epoch of a trial."""
        timed = self._timed[epoch.processes, epoch.is_first]
        timed.seconds[epoch.trial].append(epoch.seconds)
        if epoch.utilization is not None:
            timed.utilization.append(epoch.utilization)

    def decide(self, most: int) -> str:
        """Change the number if enough is known. Returns a line that says so, or "".

        most: as many processes as memory holds.
        """
        if self.settled:
            return ""
        if self.level == self.best:
            said = "a process alone on a GPU was timed"
            return self._raise(most, said) if self._is_timed() else ""
        gain = self.gain(self.best, self.level)
        if gain is None:
            return ""
        said = f"{self.level} processes on a GPU train {gain:.2f} times as much as {self.best}"
        tried, is_better = self.level, gain >= LEAST_GAIN
        if is_better:
            self._before_best, self.best = self.best, tried
        if self._between is None and is_better:
            return self._raise(most, said)
        if self._between is None:
            self._between = self._numbers_between(tried)
        elif is_better:
            self._between = []
        if not self._between:
            return self._settle(said)
        return self._try(self._between.pop(0), said, tried)

    def _numbers_between(self, too_large: int) -> list[int]:
        """Halfway to the number that was too large, then halfway to the one before the best."""
        known = {self._before_best, self.best, too_large}
        halves = [(self.best + too_large) // 2, (self._before_best + self.best) // 2]
        return [number for number in halves if number not in known]

    def gain(self, few: int, many: int) -> float | None:
        """How many times as many epochs an hour `many` processes train as `few`; None if unknown.

        The same trials are compared, if there are any: others may have larger models.
        """
        for is_first in (False, True):
            one, other = self._timed[few, is_first], self._timed[many, is_first]
            if one.is_enough(few) and other.is_enough(many):
                both = one.seconds.keys() & other.seconds.keys()
                if both:
                    ratios = [median(one.seconds[t]) / median(other.seconds[t]) for t in both]
                    return many / few * median(ratios)
                return many / few * _typical(one) / _typical(other)
        return None

    def _raise(self, most: int, said: str) -> str:
        largest = min(2 * self.level, most)
        if largest <= self.level:
            return self._settle(f"{said}, and its memory holds no more")
        return self._try(largest, said, self.level)

    def _try(self, level: int, said: str, before: int) -> str:
        busy = self._busy(before)
        self.level = level
        return f"{said}{busy}: {level} are tried"

    def _settle(self, said: str) -> str:
        self.settled, self.level = True, self.best
        return f"{said}: from now on at most {self.best} share it{self._busy(self.best)}"

    def _busy(self, processes: int) -> str:
        """How busy the device was, if that is known."""
        found = [
            part
            for is_first in (False, True)
            for part in self._timed[processes, is_first].utilization
        ]
        return f" (busy {median(found):.0%} of the time with {processes})" if found else ""

    def _is_timed(self) -> bool:
        return any(self._timed[self.level, first].is_enough(self.level) for first in (False, True))


def _typical(timed: EpochTimes) -> float:
    return median(median(seconds) for seconds in timed.seconds.values())


class Neighbours:
    """Sees a trial that slows the others on its GPU: they take longer since it began.

    Epochs are compared only while as many processes share the GPU as before.
    """

    def __init__(self) -> None:
        self._latest: dict[str, list[Epoch]] = defaultdict(list)
        self._before: dict[str, dict[str, list[Epoch]]] = {}
        """Of each trial that began: what its neighbours had taken before."""
        self._since: dict[str, dict[str, list[float]]] = {}

    def began(self, trial: str, others: Iterable[str]) -> None:
        """A trial began where the others train."""
        latest = {other: self._latest[other][-SLOWED_EPOCHS:] for other in others}
        known = {other: found for other, found in latest.items() if len(found) == SLOWED_EPOCHS}
        if known:
            self._before[trial], self._since[trial] = known, defaultdict(list)
        for one in self._before:
            if one != trial:  # what comes now may be the fault of either
                self._since[one].clear()

    def ended(self, trial: str) -> None:
        """A trial no longer trains."""
        for held in (self._latest, self._before, self._since):
            held.pop(trial, None)

    def add(self, epoch: Epoch) -> str:
        """Take in an epoch. Returns a line about a trial that slows others, or ""."""
        if epoch.is_first:
            return ""
        self._latest[epoch.trial].append(epoch)
        for trial, before in list(self._before.items()):
            known = before.get(epoch.trial)
            if known and all(
                (one.processes, one.place) == (epoch.processes, epoch.place) for one in known
            ):
                self._since[trial][epoch.trial].append(epoch.seconds)
                if line := self._judge(trial):
                    return line
        return ""

    def _judge(self, trial: str) -> str:
        before, since = self._before[trial], self._since[trial]
        timed = [other for other, found in since.items() if len(found) >= SLOWED_EPOCHS]
        if len(timed) < len(before) / 2:
            return ""
        slower = median(
            median(since[other]) / median(one.seconds for one in before[other]) for other in timed
        )
        del self._before[trial], self._since[trial]
        if slower < SLOWED:
            return ""
        return (
            f"{trial} slows the {plural(len(before), 'trial')} that share its GPU: since it began "
            f"their epochs take {slower:.1f} times as long"
        )
