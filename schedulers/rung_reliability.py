"""The first rung chosen from the data: one at the start that says nothing of the next stops nobody.

After PASHA (Bohdal et al., ICLR 2023) and Hyper-Tune (Li et al., VLDB 2022), which compare the ranks at neighbouring rungs. Here every
second trial passes such a rung unjudged until enough of these are compared; the others are judged meanwhile. So a rung that says enough is
used from the first trial on, and those compared were not chosen by it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import islice

from raysweep.history import History

PROBES = 9
"""So many trials that passed a rung unjudged are compared at the next one."""
EVERY = 2
"""One of so many trials passes unjudged until then (`benchmarks/search.md`, fifth round)."""
AGREEMENT = 0.3
"""The least Kendall's tau between the ranks at two rungs at which the lower one may stop trials."""


def is_skipped(level: int, history: History, number: int | None = None) -> bool:
    """Whether a rung judges nobody, for it was found to say too little; or not this trial, for that is not known yet and it is to tell.

    Once and for all, `PROBES` trials decide. A rung above one that judges, judges: those who reach it were chosen, and their ranks there
    prove nothing.
    """
    place = history.levels.index(level)
    enough = _says_enough(history, place)
    return (
        not enough
        and _open(history, place)
        and (enough is False or (number is not None and _tells(number)))
    )


def n_probes(level: int, history: History) -> int:
    """How many went on from a rung to tell whether it says enough: they take nobody's place there."""
    place = history.levels.index(level)
    if place + 1 >= len(history.levels) - 1 or not _open(history, place):
        return 0
    if _says_enough(history, place) is not None:
        return PROBES
    rung = history.rungs[level]
    return sum(_tells(number) and number not in rung.ended for number in rung.by_trial)


def _open(history: History, place: int) -> bool:
    """Whether all rungs below were found to say too little."""
    return all(_says_enough(history, i) is False for i in range(place))


def _says_enough(history: History, place: int) -> bool | None:
    """Whether the ranks at a rung agree with those at the next one; None while too few have reached that. The last but one always does."""
    if place + 1 >= len(history.levels) - 1:
        return True
    lower, upper = (history.rungs[history.levels[i]].by_trial for i in (place, place + 1))
    told = (
        (lower[number], loss)
        for number, loss in upper.items()
        if _tells(number) and number in lower
    )
    both = tuple(islice(told, PROBES))
    return tau(both) >= AGREEMENT if len(both) == PROBES else None


def _tells(number: int) -> bool:
    return number % EVERY == EVERY - 1


@lru_cache(256)
def tau(pairs: tuple[tuple[float, float], ...]) -> float:
    """Kendall's tau-a, where a pair tied in either counts as neither; 0 where there are no two."""
    count = len(pairs) * (len(pairs) - 1) // 2
    agree = sum(
        _sign(a[0], b[0]) * _sign(a[1], b[1]) for i, a in enumerate(pairs) for b in pairs[:i]
    )
    return agree / count if count else 0.0


def _sign(a: float, b: float) -> int:
    return 0 if a == b or math.isnan(a) or math.isnan(b) else 1 if a > b else -1
