"""Values as a row of bars, for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable

BARS = "▁▂▃▄▅▆▇█"


def spark(values: Iterable[float]) -> str:
    """Values as a row of bars, with a gap for each that is not finite."""
    values = list(values)
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = 0.0  # equal values are a row of the lowest bars
    if high > low:
        scale = (len(BARS) - 1) / (high - low)
    bars = {value: BARS[round((value - low) * scale)] for value in finite}
    return "".join(bars.get(value, " ") for value in values)
