"""How much of the space of losses the front of a study beats, as it trains.

The hypervolume is measured in a box that all studies share: from the best value of each objective
that any of them has found to a point a little behind their common front. So it lies between 0 and
1, and those of several studies can be compared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysweep.fronts import Point, front, hypervolume, reference
from raysweep.history import History, Report, Trial
from raysweep.results.storage.front import point, points_of


@dataclass(frozen=True)
class Box:
    """From the best of each loss (`ideal`) to the reference point of the hypervolume."""

    ideal: Point
    reference: Point

    @classmethod
    def of(cls, points: Iterable[Point]) -> Box | None:
        """The box of all these points; None without one."""
        known = list(points)
        if not known:
            return None
        ideal = tuple(min(losses) for losses in zip(*known, strict=True))
        return cls(ideal, reference(known))

    def fraction(self, points: Iterable[Point]) -> float:
        """The part of the box that the points dominate, from 0 to 1."""
        sides = [worst - best for best, worst in zip(self.ideal, self.reference, strict=True)]
        scaled = [
            tuple((x - low) / side for x, low, side in zip(one, self.ideal, sides, strict=True))
            for one in points
        ]
        return hypervolume(scaled, (1.0,) * len(sides))


def shared_box(histories: Iterable[History]) -> Box | None:
    """The box of several studies; None as long as no trial keeps the limits."""
    return Box.of(one for history in histories for one in points_of(history))


def front_volume(trials: Iterable[Trial]) -> float:
    """The part of the front's own box that it dominates; 0 without a front."""
    points = points_of(trials)
    box = Box.of(points)
    return box.fraction(points) if box else 0.0


def volumes_so_far(points: Sequence[tuple[int, Point]], counts: Iterable[int]) -> list[float]:
    """The part of the box of all points that those known by then dominate, for each count.

    points: each with the count at which it became known, ascending, as `counts` are. There is no
    value for counts before the first point.
    """
    box = Box.of(one for _, one in points)
    if box is None:
        return []
    known: list[Point] = []
    found: list[float] = []
    taken = 0
    for count in counts:
        end = bisect_right(points, count, lo=taken, key=lambda one: one[0])
        if end > taken:
            known += [one for _, one in points[taken:end]]
            known, taken = [known[i] for i in front(known)], end
            found.append(box.fraction(known))
        elif found:
            found.append(found[-1])
    return found


def has_several(histories: Mapping[str, History]) -> bool:
    """True if the trials have several objectives."""
    return any(history.n_objectives > 1 for history in histories.values())


class Growing:
    """The hypervolume of a study whose reports come one by one."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._best: dict[int, Report] = {}
        self.value = 0.0

    def add(self, trial: Trial, report: Report) -> float:
        """Take in a report, and return the hypervolume of what is known by now."""
        before = self._best.get(trial.number)
        if report.is_new_best(before):
            self._best[trial.number] = report
            points = [point(best) for best in self._best.values()]
            self.value = self._box.fraction([points[i] for i in front(points)])
        return self.value
