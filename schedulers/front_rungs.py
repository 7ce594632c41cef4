"""A history whose trials have several losses, as a scheduler that compares one loss reads it.

At each rung the loss of a trial is its place in the order of `raysweep/front_order.py`: 0 for the
first. So ASHA judges by fronts with the code that judges by a loss. Whether a rung predicts the
next one (`rung_reliability.py`) is told by the first objective alone, because places change as
trials come.
"""

from __future__ import annotations

from raysweep.front_order import positions
from raysweep.history import History, Rung


def compared(history: History) -> History:
    """The rungs of a history by place, without its trials; the history itself with one metric."""
    if not any(rung.outcomes for rung in history.rungs.values()):
        return history
    view = History(history.levels)
    view.rungs = {level: _by_place(rung) for level, rung in history.rungs.items()}
    return view


def _by_place(rung: Rung) -> Rung:
    view = Rung(rung.level)
    view.outcomes, view.ended = rung.outcomes, rung.ended
    places = positions(tuple(rung.outcomes[number] for number in rung.by_trial))
    view.by_trial = dict(zip(rung.by_trial, places, strict=True))
    view.losses = sorted(places)
    view.paused = sorted((view.by_trial[number], number) for _, number in rung.paused)
    return view
