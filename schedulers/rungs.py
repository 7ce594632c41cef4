"""What schedulers share: the epochs of rungs, the order of promotion, quantiles of losses."""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import merge

from raysweep.history import History, Rung, Trial
from raysweep.schedulers.base import Ranking


def geometric(first: int, eta: float, epochs: int) -> tuple[int, ...]:
    """The epochs `first`, `first * eta`, `first * eta**2`, ... below `epochs`, then `epochs`.

    They are multiplied up rather than computed from a logarithm: `log(243, 3)` is just below 5, so
    that the highest rung of 243 epochs would be missing.
    """
    levels: list[int] = []
    level = float(first)
    while round(level) < epochs:
        levels.append(round(level))
        level *= eta
    return (*dict.fromkeys(levels), epochs)


def just_reached(trial: Trial, history: History) -> int | None:
    """The rung that the trial has reached with its last report; None if it reached none."""
    level = history.level_of(trial.epoch)
    previous_epoch = trial.reports[-2].epoch if len(trial.reports) > 1 else 0
    if level is None or level <= previous_epoch:
        return None
    return level


def promotion_order(
    rung: Rung, ranking: Ranking | None = None, joining: int | None = None
) -> Iterator[int]:
    """The trials paused at a rung, by number, in the order in which they are promoted.

    Trials with an expected final loss (`ranking`) come first, sorted by it; the others follow by
    their losses at the rung. A trial whose loss at the rung is not finite is never promoted.
    `joining`: a trial that is being judged at the rung, ordered as if it were paused there.
    """
    expected = ranking() if ranking else {}
    ranked = sorted(
        (expected_loss, number)
        for number, expected_loss in expected.items()
        if number == joining or rung.is_paused(number)
    )
    for _, number in ranked:
        if math.isfinite(rung.by_trial[number]):
            yield number
    joined = [] if joining is None else [(rung.by_trial[joining], joining)]
    for loss, number in merge(rung.paused, joined):
        if number not in expected and math.isfinite(loss):
            yield number


def quantile_of_others(rung: Rung, own_loss: float, fraction_worse: float) -> float:
    """The loss that a fraction of a rung's other trials exceeds, interpolated; inf without others.

    `own_loss`: the loss at the rung of the trial that is compared, which is left out.

    It is computed from negated losses as `numpy.percentile` does it, to the last bit, so that ties
    are decided as in Ray. An infinite loss is not interpolated with, because diverged trials would
    raise the threshold.
    """
    n_others = len(rung) - 1
    if n_others < 1:
        return math.inf
    own_index = rung.rank(own_loss)

    def negated_loss(place: int) -> float:
        """Of the other trials; the worst has place 0."""
        index = n_others - 1 - min(place, n_others - 1)
        return -rung.losses[index + (index >= own_index)]

    position = (n_others - 1) * (fraction_worse * 100 / 100)
    below = int(position)
    weight = position - below
    lower, upper = negated_loss(below), negated_loss(below + 1)
    if weight == 0.0:
        return -lower
    if math.isinf(lower):
        return -upper
    if weight < 0.5:
        return -(lower + (upper - lower) * weight)
    return -(upper - (upper - lower) * (1 - weight))
