"""The first rung chosen from the data: one at the start that says nothing of the next stops nobody.

After PASHA (Bohdal et al., ICLR 2023) and Hyper-Tune (Li et al., VLDB 2022), which compare the ranks at neighbouring rungs.
"""

from __future__ import annotations

import math
from itertools import islice

from results.history import History

PROBES = 9
"""So many trials pass a rung unjudged, to be compared at the next one."""
AGREEMENT = 0.3
"""The least Kendall's tau between the ranks at two rungs at which the lower one may stop trials."""


def passed_over(level: int, history: History) -> bool:
    """Whether a rung stops nobody: it is the first, or all below it were found to say little, and it was not yet found to say enough.

    The first `PROBES` arrivals at the next rung decide, once and for all. A rung above one that judges, judges: those who reach it were
    chosen, and their ranks there prove nothing.
    """
    place = history.levels.index(level)
    return not says_enough(history, place) and all(says_enough(history, i) is False for i in range(place))


def says_enough(history: History, place: int) -> bool | None:
    """Whether the ranks at a rung agree with those at the next one; None while too few have reached that. The last but one always does."""
    if place + 1 >= len(history.levels) - 1:
        return True
    lower, upper = (history.rungs[history.levels[i]].by_trial for i in (place, place + 1))
    both = [(lower[number], loss) for number, loss in islice(upper.items(), PROBES) if number in lower]
    return tau(both) >= AGREEMENT if len(both) == PROBES else None


def tau(pairs: list[tuple[float, float]]) -> float:
    """Kendall's tau-a, where a pair tied in either counts as neither; 0 where there are no two."""
    count = len(pairs) * (len(pairs) - 1) // 2
    agree = sum(_sign(a[0], b[0]) * _sign(a[1], b[1]) for i, a in enumerate(pairs) for b in pairs[:i])
    return agree / count if count else 0.0


def _sign(a: float, b: float) -> int:
    return 0 if a == b or math.isnan(a) or math.isnan(b) else 1 if a > b else -1
