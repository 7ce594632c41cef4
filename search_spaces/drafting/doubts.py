"""Why the metric that was guessed may not say how good a trial is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.search_spaces.drafting.metric_guess import Guess
from raysweep.search_spaces.drafting.printed_metrics import group_name

AVERAGED = 10
"""Lines of single batches whose mean is compared: single ones say little."""


@dataclass(frozen=True)
class Doubt:
    """comment: beside the metric's name. warning: what the user has to know or to do."""

    comment: str
    warning: str


def doubt(found: Sequence[Guess]) -> Doubt | None:
    """The doubt about the first of the metrics that were found; None without one."""
    if not found:
        return None
    name = group_name(found[0].name)
    if found[0].of_gan:
        return Doubt(
            "FILL IN: a GAN's loss says nothing of its samples",
            f"{name} is the loss of one of two networks that compete, as in a GAN, and says "
            "nothing of how good the samples are: let the program print a measure of them, such "
            "as the FID, and fill it in as metric.name",
        )
    if found[0].of_batch:
        return Doubt(
            "of single batches",
            f"{name} is printed for single batches: the mean of the last {AVERAGED} lines is "
            "taken. A line after each epoch, best of a validation, would say more",
        )
    return None
