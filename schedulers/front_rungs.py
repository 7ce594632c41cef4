"""A history whose trials have several losses, as a scheduler that compares one loss reads it.

At each rung the loss of a trial is its place in the order of `raysweep/front_order.py`: 0 for the
first. So ASHA judges by fronts with the code that judges by a loss. Whether a rung predicts the
next one (`rung_reliability.py`) is told by the first objective alone, because places change as
trials come.

Trials that will not keep a limit, however long they train, are left out. A size or a latency is
what it is after the first epoch, while an accuracy that is to be reached may still come.
"""

from __future__ import annotations

import math
from itertools import pairwise

from raysweep.front_order import positions
from raysweep.history import History, Rung

KNOWN = 5
"""So many steps from a rung to the next one must be known before a trial is given up."""
SURPRISE = 2.0
"""A step may bring a trial nearer to its limit by this factor more than any has before."""


def compared(history: History) -> History:
    """The rungs of a history by place, without its trials; the history itself with one metric."""
    if not any(rung.outcomes for rung in history.rungs.values()):
        return history
    view, left_out = History(history.levels), hopeless(history)
    view.rungs = {level: _by_place(rung, left_out) for level, rung in history.rungs.items()}
    return view


def hopeless(history: History) -> set[int]:
    """The trials that are farther beyond a limit than training to the end may bring them back."""
    rungs = list(history.rungs.values())
    steps = [
        [before - after for before, after in zip(excesses, upper.outcomes[number][1], strict=True)]
        for lower, upper in pairwise(rungs)
        for number, (_, excesses) in lower.outcomes.items()
        if number in upper.outcomes
    ]
    if len(steps) < KNOWN:
        return set()
    largest = [max(0.0, *map(_finite, column)) for column in zip(*steps, strict=True)]
    found: set[int] = set()
    for left, rung in zip(range(len(rungs) - 1, -1, -1), rungs, strict=True):
        for number, (_, excesses) in rung.outcomes.items():
            reach = (SURPRISE * left * step for step in largest)
            is_beyond = any(e > max(0.0, r) for e, r in zip(excesses, reach, strict=True))
            (found.add if is_beyond else found.discard)(number)
    return found


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _by_place(rung: Rung, left_out: set[int]) -> Rung:
    view = Rung(rung.level)
    numbers = [number for number in rung.by_trial if number not in left_out]
    view.outcomes, view.ended = rung.outcomes, rung.ended - left_out
    places = positions(tuple(rung.outcomes[number] for number in numbers))
    view.by_trial = dict(zip(numbers, places, strict=True))
    view.losses = sorted(places)
    view.paused = sorted(
        (view.by_trial[number], number) for _, number in rung.paused if number not in left_out
    )
    return view
