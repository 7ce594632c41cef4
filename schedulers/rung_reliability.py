"""Skip the first rungs if their ranking does not predict that of the next rung (`grace: auto`).

PASHA (Bohdal et al., ICLR 2023) and Hyper-Tune (Li et al., VLDB 2022) compare the rankings of the
same trials at neighbouring rungs, too. Here some trials are probes: they pass an unproven rung
without being compared there. Once `PROBES` of them have reached the next rung, their ranks at both
are compared by Kendall's tau, and that settles for good whether the rung is skipped. Meanwhile the
other trials are compared as usual, so a rung that predicts well is of use from the first trial on;
and the probes were not selected by the rung that they test.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations, islice

from raysweep.history import History

PROBES = 9
"""The number of probes whose ranks are compared. Measured: `benchmarks/search.md`, fifth round."""
PROBE_EVERY = 2
"""Every second trial is a probe. Measured: `benchmarks/search.md`, fifth round."""
MIN_TAU = 0.3
"""The least Kendall's tau, from -1 to 1, between the ranks at two rungs with which the lower rung
is kept. Measured: `benchmarks/search.md`, fifth round."""


def is_skipped(level: int, history: History, number: int | None = None) -> bool:
    """True if trials pass a rung without a comparison.

    That is so if its ranking does not predict that of the next rung, or as long as this is unknown,
    if trial `number` is a probe. A rung above one that is kept is never skipped: the trials that
    reach it were selected, so their ranks prove nothing about it.
    """
    index = history.levels.index(level)
    predicts = _predicts_next(history, index)
    if predicts or not _all_skipped_below(history, index):
        return False
    return predicts is False or (number is not None and _is_probe(number))


def n_probes(level: int, history: History) -> int:
    """The number of probes that passed a rung. They take no places of those compared there."""
    index = history.levels.index(level)
    if _is_last_below_full_training(history, index) or not _all_skipped_below(history, index):
        return 0
    if _predicts_next(history, index) is not None:
        return PROBES
    rung = history.rungs[level]
    return sum(_is_probe(number) and number not in rung.ended for number in rung.by_trial)


def _all_skipped_below(history: History, index: int) -> bool:
    """True if none of the rungs below predicts the next one."""
    return all(_predicts_next(history, below) is False for below in range(index))


def _predicts_next(history: History, index: int) -> bool | None:
    """Whether the ranks at a rung agree with those at the next; None with too few probes so far.

    The last rung below the full training always counts as one that does.
    """
    if _is_last_below_full_training(history, index):
        return True
    lower, upper = (
        history.rungs[level].first_losses for level in history.levels[index : index + 2]
    )
    probed = (
        (lower[number], loss)
        for number, loss in upper.items()
        if _is_probe(number) and number in lower
    )
    pairs = tuple(islice(probed, PROBES))
    if len(pairs) < PROBES:
        return None
    return kendall_tau(pairs) >= MIN_TAU


def _is_last_below_full_training(history: History, index: int) -> bool:
    return index + 1 >= len(history.levels) - 1


def _is_probe(number: int) -> bool:
    return number % PROBE_EVERY == PROBE_EVERY - 1


@lru_cache(256)
def kendall_tau(pairs: tuple[tuple[float, float], ...]) -> float:
    """Kendall's tau-a of the first and second values; 0 for fewer than two pairs.

    Two pairs that are tied in either value count as neither concordant nor discordant. It is cached
    because a settled rung is asked about again after every report.
    """
    n_pairs = len(pairs) * (len(pairs) - 1) // 2
    if n_pairs == 0:
        return 0.0
    signs = (_sign(a[0], b[0]) * _sign(a[1], b[1]) for b, a in combinations(pairs, 2))
    return sum(signs) / n_pairs


def _sign(a: float, b: float) -> int:
    """1 if `a` is the larger value, -1 if `b` is; 0 if they are equal or either is NaN.

    They may be numpy scalars, whose truth values cannot be subtracted.
    """
    if math.isnan(a) or math.isnan(b):
        return 0
    return int(a > b) - int(a < b)
