"""The trials that a process has in training: those of equal shape as one, the others in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

from raysweep.trainables.fused.configuration import separating
from raysweep.trainables.fused.kernels import Kernels, kernels_of
from raysweep.trainables.fused.lane import Lane, Printing
from raysweep.trainables.fused.measure import gain_of
from raysweep.trainables.fused.recipe import Config, Recipe
from raysweep.trainables.fused.shape import CannotFuse, Shape, differences, shape_of
from raysweep.trainables.fused.stack import Stack
from raysweep.trainables.runtime.run import Run

Say = Callable[[str, str], None]
MEASURED_AGAIN = 2
"""What trials gain as one is measured again once they are so many times as many, or as few."""
ENOUGH = 8
"""Trials of a shape that gain nothing as one, if they are so many, will not gain if there are a few
more. A worker that is to have fewer has little to lose."""
NAMED = 3
"""Differences of shapes that a line names."""


@dataclass
class Group:
    """Lanes of one shape, and how they are trained."""

    kernels: Kernels
    lanes: list[Lane] = field(default_factory=list)
    refused: bool = False
    """True if they cannot be trained as one."""
    gain: float = 0.0
    """How many times as fast they train as one; 0 before that is measured."""
    measured: int = 0
    """How many lanes there were then."""
    best: float = 0.0
    """The largest gain that was measured with ENOUGH lanes; 0 before."""
    seen: int = 0
    """How many lanes there have been."""
    stack: Stack | None = None

    def measure(self, lanes: Sequence[Lane]) -> None:
        """Measure the gain. Raises CannotFuse."""
        self.gain, self.measured = gain_of(lanes, self.kernels), len(lanes)
        if self.measured >= ENOUGH:
            self.best = max(self.best, self.gain)


class Pool:
    """Trains trials of a recipe, all of them epoch by epoch.

    `measured`: trials are trained as one only while that is faster; else whenever it is possible.
    `wanted`: how many trials it is to have, if there are so many. `say` gets each decision and a
    line: `together`, `apart` or `refused` for trials of one shape, which does not concern those of
    others; `none` if no trials of this sweep gain by it, as far as can be seen.
    """

    def __init__(self, recipe: Recipe, wanted: int, measured: bool, say: Say) -> None:
        self._recipe = recipe
        self._wanted = wanted
        self._measured = measured
        self._say = say
        self._groups: dict[Shape, Group] = {}

    def add(self, config: Config, run: Run, printing: Printing = nullcontext) -> None:
        """Take in a trial. The global generators are to be those with which it begins.

        `printing`: what has it print to its own log. Raises what the recipe raises.
        """
        others = [lane for group in self._groups.values() for lane in group.lanes]
        lane = Lane(self._recipe, config, run, others, printing)
        try:
            shape, refused = shape_of(lane), False
        except CannotFuse as error:
            self._refuse(str(error))
            shape, refused = (("trial", run.trial),), True
        group = self._groups.setdefault(shape, Group(kernels_of(lane), refused=refused))
        group.lanes.append(lane)
        group.seen += 1

    def remove(self, run: Run) -> None:
        """Leave out a trial, at the end of an epoch."""
        for group in self._groups.values():
            for lane in [lane for lane in group.lanes if lane.run is run]:
                group.lanes.remove(lane)
                lane.close()
            if not group.lanes:
                group.stack = None

    def train(self) -> dict[Run, BaseException | None]:
        """Train the next group for an epoch, in which each trial reports.

        Returns its trials: with what was raised in one of them, or with None if it reported, or
        ended before because it has no epoch left. Raises what cannot be put down to one of them.
        """
        shape = next(shape for shape, group in self._groups.items() if group.lanes)
        group = self._groups[shape] = self._groups.pop(shape)  # the others come first next time
        ends: dict[Run, BaseException | None] = {lane.run: None for lane in group.lanes}
        lanes = [lane for lane in group.lanes if _attempt(ends, lane, lane.begin_epoch)]
        if self._is_one(group, lanes):
            self._train_as_one(group, lanes, ends)
        else:
            group.stack = None
            for lane in lanes:
                _attempt(ends, lane, lambda lane=lane: _train_alone(lane))  # type: ignore[misc]
        self._look_for_use()
        return ends

    def _train_as_one(
        self, group: Group, lanes: Sequence[Lane], ends: dict[Run, BaseException | None]
    ) -> None:
        if group.stack is None or group.stack.lanes != lanes:
            group.stack = Stack(lanes, group.kernels)
        began = time.perf_counter()
        losses = group.stack.train_epoch()
        seconds = (time.perf_counter() - began) / len(lanes)
        for lane, loss in zip(lanes, losses, strict=True):
            _attempt(ends, lane, partial(lane.report, loss, seconds))

    def _is_one(self, group: Group, lanes: Sequence[Lane]) -> bool:
        """True if the lanes are to be trained as one. Measured anew when their number changed."""
        if group.refused or len(lanes) < 2:
            return False
        if self._is_to_be_measured(group, len(lanes)):
            try:
                group.measure(lanes)
            except CannotFuse as error:
                group.refused = True
                self._refuse(str(error))
                return False
            self._announce(group)
        return self._gains(group)

    def _look_for_use(self) -> None:
        """Say so if no trials are trained as one although there are many.

        That some shapes gain nothing says little of those that are still to come.
        """
        count = sum(len(group.lanes) for group in self._groups.values())
        if self._wanted < ENOUGH or count < self._wanted / 2:
            return
        if all(self._is_useless(group) for group in self._groups.values()):
            self._say("none", f"{count} trials gain nothing by training together")
        elif all(group.seen == 1 for group in self._groups.values()):
            self._say("none", f"no two of {count} trials have the same shape{self._differing()}")

    def _is_useless(self, group: Group) -> bool:
        """True if trials of this shape gain nothing as one, however many they are."""
        return group.refused or (self._measured and 0 < group.best <= 1)

    def _differing(self) -> str:
        return f"; they differ in {_named(differences(list(self._groups)))}"

    def _gains(self, group: Group) -> bool:
        return not self._measured or group.gain > 1

    def _is_to_be_measured(self, group: Group, count: int) -> bool:
        if not group.measured:
            return True
        few, many = sorted((group.measured, count))
        return self._measured and many >= MEASURED_AGAIN * few

    def _announce(self, group: Group) -> None:
        trials = f"{group.measured} trials of one shape"
        others = self._others_than(group)
        longer = f"{1 / group.gain:.2f} times as long"
        if group.gain > 1:
            self._say(
                "together", f"{trials} train {group.gain:.1f} times as fast as one by one{others}"
            )
        elif self._gains(group):
            line = f"{trials} train together, which takes {longer} as one by one"
            self._say("together", f"{line}{others}")
        else:
            line = f"{trials} train one by one, because together they would take {longer}"
            self._say("apart", f"{line}{others}")

    def _others_than(self, group: Group) -> str:
        """How many trials are not in this group, and in what they differ, as a part of a line."""
        shapes = [shape for shape, one in self._groups.items() if one.lanes and not one.refused]
        others = sum(len(self._groups[shape].lanes) for shape in shapes) - len(group.lanes)
        if not others:
            return ""
        differ = f"{others} others differ" if others > 1 else "1 other differs"
        keys = separating([[lane.config for lane in self._groups[shape].lanes] for shape in shapes])
        return f"; {differ} in {_named(keys or differences(shapes))}"

    def _refuse(self, why: str) -> None:
        self._say("refused", f"trials train one by one: {why}")


def _named(differing: Sequence[str]) -> str:
    return ", ".join(differing[:NAMED]) + (", ..." if len(differing) > NAMED else "")


def _train_alone(lane: Lane) -> bool:
    began = time.perf_counter()
    loss = lane.train_epoch()
    lane.report(loss, time.perf_counter() - began)
    return True


def _attempt(
    ends: dict[Run, BaseException | None], lane: Lane, step: Callable[[], bool | None]
) -> bool:
    """Take a step of one trial alone. What it raises ends that trial, and no other."""
    try:
        return bool(step())
    except (Exception, SystemExit) as error:
        ends[lane.run] = error
        return False
