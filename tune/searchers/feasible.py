"""Whether a proposal would go wrong as its neighbours did: ran out of memory, diverged, failed."""

from __future__ import annotations

import numpy as np

from raysweep.tune.searchers.models.dataset import FloatArray, Observed

NEIGHBOURS = 3


def goes_wrong(seen: Observed, point: FloatArray) -> bool:
    """Whether most of the NEIGHBOURS nearest trials of which something is known went wrong. `point`: in the unit cube, NaN where inactive.

    A parameter that only one of the two has is as far as can be.
    """
    if int((seen.failed & seen.known).sum()) <= NEIGHBOURS // 2:
        return False
    apart = np.abs(seen.units[seen.known] - point)
    apart[np.isnan(apart)] = 1.0
    apart[np.isnan(seen.units[seen.known]) & np.isnan(point)] = 0.0
    nearest = np.argsort((apart**2).sum(axis=1), kind="stable")[:NEIGHBOURS]
    return bool(seen.failed[seen.known][nearest].sum() > NEIGHBOURS // 2)
