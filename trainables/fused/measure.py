"""Measures what it gains to train trials as one, and checks that it changes nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch

from raysweep.trainables.fused.kernels import Kernels
from raysweep.trainables.fused.lane import Lane
from raysweep.trainables.fused.shape import CannotFuse
from raysweep.trainables.fused.stack import Stack

ROUNDS, STEPS = 4, 5
"""Steps are timed both ways in turns, and the fastest round counts: another program on the machine
may slow down one or the other. Fewer steps if an epoch has fewer."""
CHECKED_STEPS = 2
"""Steps of which the losses are compared: the second shows what the first one's update did."""
TOLERANCES = {"fp32": 1e-3, "bf16": 5e-2}
"""How much the losses may differ, relative to them. Rounding alone makes less than a tenth of it:
sums are added up in another order."""


def gain_of(lanes: Sequence[Lane], kernels: Kernels) -> float:
    """How many times as fast the lanes train as one, as one by one.

    It trains copies of them. Raises CannotFuse if they cannot be trained as one, or if their losses
    would differ.
    """
    stack = Stack([lane.copy() for lane in lanes], kernels)
    stack.check_forward()
    alone = [lane.copy() for lane in lanes]
    _compare(lanes, stack.train_epoch(CHECKED_STEPS), alone)
    clock = _clock(lanes[0])
    as_one, one_by_one = math.inf, math.inf
    for _ in range(ROUNDS):
        # One of the lanes is timed for all: they are alike.
        one_by_one = min(one_by_one, _timed(lambda: alone[0].train_epoch(STEPS), clock))
        as_one = min(as_one, _timed(lambda: stack.train_epoch(STEPS), clock))
    return one_by_one * len(lanes) / as_one


def _clock(lane: Lane) -> Callable[[], float]:
    """CPU time, which other programs do not lengthen, if all is computed by this thread."""
    if lane.run.device == "cpu" and torch.get_num_threads() == 1:
        return time.thread_time
    return time.perf_counter


def _timed(train: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    train()  # its losses come back as numbers, so a GPU has computed them
    return clock() - began


def _compare(lanes: Sequence[Lane], fused: Sequence[float], alone: Sequence[Lane]) -> None:
    """Raise CannotFuse if the first losses are not those of trials that train alone."""
    tolerance = TOLERANCES[lanes[0].learner.precision.name]
    for loss, lane in zip(fused, alone, strict=True):
        expected = lane.train_epoch(CHECKED_STEPS)
        if math.isfinite(expected) and not math.isclose(loss, expected, rel_tol=tolerance):
            raise CannotFuse(
                f"the first losses differ: {loss:.6g} as one, {expected:.6g} alone; the model or "
                "its loss does something else for several trials"
            )
