"""Which trials pass the first rung without being compared there (`grace: auto`).

A rung may mislead: what is good after one epoch need not be good in the end. Here some trials are
probes: they pass the first rung uncompared, and are compared from the next one on. They test the
rung, as PASHA (Bohdal et al., ICLR 2023) and Hyper-Tune (Li et al., VLDB 2022) compare the rankings
of the same trials at neighbouring rungs; but probes were not selected by the rung that they test.
Once `PROBES` of them have reached the next rung, their ranks at both are compared by Kendall's tau,
and that settles for good whether all trials skip the rung. Meanwhile the other trials are compared
as usual, so a rung that predicts well is of use from the first trial on.

Under a searcher that forecasts how trials end, probes go on after that (`lasting`): every second
trial passes. These are two brackets of Hyperband (Li et al., JMLR 2018) that share their rungs.
Such a searcher would otherwise see at the higher rungs only what the first one let through. Where
all that begins well ends alike, it would believe that nothing is better.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations, islice

from raysweep.history import History

PROBES = 9
"""The number of probes whose ranks are compared. Measured: `benchmarks/search.md`, fifth round."""
PROBE_EVERY = 2
"""Every second trial is a probe. Measured: `benchmarks/search.md`, fifth and seventh round."""
MIN_TAU = 0.3
"""The least Kendall's tau, from -1 to 1, between the ranks at two rungs with which the lower rung
is kept. Measured: `benchmarks/search.md`, fifth round."""


def is_skipped(
    level: int, history: History, number: int | None = None, *, lasting: bool = False
) -> bool:
    """True if trials pass a rung without a comparison.

    That is so if its ranking does not predict that of the next rung; or, as long as this is unknown
    or the probes are `lasting`, if trial `number` is one that passes. A rung above one that is kept
    is never skipped: the trials that reach it were selected, so their ranks prove nothing about it.
    Nor is the last rung below the full training.
    """
    index = history.levels.index(level)
    if not _is_tested(history, index):
        return False
    predicts = _predicts_next(history, index)
    if predicts is False:
        return True
    lasting = lasting and index == 0
    return number is not None and (lasting or predicts is None) and _is_probe(number)


def n_probes(level: int, history: History, *, lasting: bool = False) -> int:
    """The number of probes that passed a rung. They take no places of those compared there."""
    index = history.levels.index(level)
    if not _is_tested(history, index):
        return 0
    lasting = lasting and index == 0
    if _predicts_next(history, index) is not None and not lasting:
        return PROBES
    rung = history.rungs[level]
    return sum(_is_probe(number) and number not in rung.ended for number in rung.by_trial)


def _is_tested(history: History, index: int) -> bool:
    """True for the first rung that is not skipped, unless it is the last below full training."""
    if index + 1 >= len(history.levels) - 1:
        return False
    return all(_predicts_next(history, below) is False for below in range(index))


def _predicts_next(history: History, index: int) -> bool | None:
    """Whether the ranks at a rung agree with those at the next; None with too few probes so far."""
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
