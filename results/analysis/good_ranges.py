"""Where the best trials lie: the good range of each parameter, and bounds that they touch.

    n trials with a finite value, k of them the best (a tenth, at least BEST)
    places (n,)  a parameter's values on its own scale: 0 at the lower bound, 1 at the upper one

Both statements are tested, because the best of any trials lie somewhere. A range is named if k
trials drawn at random from all n seldom lie as close together. A bound is named if so many of
the best would seldom lie at this end of a scale on which all places are as likely.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.formatting import number
from raysweep.history import Trial
from raysweep.results.storage.tables import best_loss, flatten

MIN_TRIALS = 20
"""With fewer trials nothing is said: the best of them are too few."""
BEST = 5
"""The least number of trials that count as the best ones."""
END = 0.05
"""The part of a scale that counts as its end."""
MIN_TOUCHING = 3
"""The least number of the best trials at an end of the scale for it to be named."""
ALPHA = 0.05
"""The probability of a false statement about a good range, over all parameters together."""
ALPHA_BOUND = 0.01
"""The same of a statement about one bound."""
DRAWS = 4000
"""Random draws of k trials: ALPHA divided by 20 parameters is still ten of them."""
WIDER = 0.5
"""How much wider a linear range becomes at a bound that is touched, as a part of its width."""
DECADE = 10.0
"""The factor by which a logarithmic range grows at a bound that is touched."""


@dataclass(frozen=True)
class Scale:
    """A numeric parameter's range, as its file declares it.

    kind: `float` or `int`. log: False, True or "reverse" (of the distance to 1).
    """

    name: str
    kind: str
    low: float
    high: float
    log: bool | str = False
    step: float | None = None

    @classmethod
    def of(cls, name: str, entry: Any) -> Scale | None:
        """The scale of an entry of `space`; None if it declares no range of numbers."""
        if not isinstance(entry, Mapping):
            return None
        for kind in ("float", "int"):
            bounds = entry.get(kind)
            if isinstance(bounds, list) and len(bounds) == 2 and bounds[0] < bounds[1]:
                low, high = bounds
                return cls(name, kind, low, high, entry.get("log", False), entry.get("step"))
        return None

    def place(self, value: Any) -> float:
        """The position of a value, 0 to 1; NaN for a value outside of the range (`or`)."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return math.nan
        if not self.low <= value <= self.high:
            return math.nan
        low, high, here = (self._forward(x) for x in (self.low, self.high, value))
        return (here - low) / (high - low)

    def _forward(self, value: float) -> float:
        if self.log == "reverse":
            return -math.log1p(-value)
        if self.log:
            return math.log(value)
        return float(value)

    @cached_property
    def size(self) -> float:
        """The number of values; infinite for a continuous range."""
        step = self.step
        if step is None and self.kind == "int":
            step = 1
        if step is None:
            return math.inf
        return round((self.high - self.low) / step) + 1

    def widened(self, end: str) -> list[float] | None:
        """The range with more room at `low` or `high`; None if its end there is a natural one."""
        if self.log == "reverse" or (end == "low" and self.low == 0):
            return None
        bound = self._on_grid(self._beyond(end))
        if bound == getattr(self, end):
            return None
        if end == "low":
            return [bound, self.high]
        return [self.low, bound]

    def _beyond(self, end: str) -> float:
        """Where a range with more room at one end may end there."""
        if self.log and end == "low":
            bound = self.low / DECADE
            return max(bound, 1.0) if self.kind == "int" else bound
        if self.log:
            return self.high * DECADE
        more = (self.high - self.low) * WIDER
        if end == "high":
            return self.high + more
        if self.low > 0:
            return max(self.low - more, 0.0)  # most parameters mean nothing below zero
        return self.low - more

    def _on_grid(self, bound: float) -> float:
        if self.step:
            bound = self.low + math.ceil((bound - self.low) / self.step) * self.step
        if self.kind == "int":
            return round(bound)
        return float(f"{bound:.6g}")


def good_ranges(
    space: Mapping[str, Any], trials: Sequence[Trial]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The good ranges and the touched bounds of a sweep's parameters.

    A good range has `name`, `log`, `low` and `high` (or `values` of a category), `best` (k) and
    `text`. A bound has `name`, `end` (`low` or `high`), `value`, `count` (of the `best` there),
    `wider` (a range with more room, or None) and `text`. Both are empty with few trials.
    """
    known = [trial for trial in trials if math.isfinite(best_loss(trial))]
    if len(known) < MIN_TRIALS:
        return [], []
    k = max(BEST, math.ceil(len(known) / 10))
    losses = np.array([best_loss(trial) for trial in known])
    # Not `known[:k]`: of equal losses any could be among the best, so then all of them are.
    best = losses <= np.sort(losses)[k - 1]
    if best.sum() > len(known) / 2:  # nearly all have the same value, so none of them are better
        return [], []
    flats = [flatten(trial.config) for trial in known]
    names = list(dict.fromkeys(name for flat in flats for name in flat))
    differing = [name for name in names if len({repr(flat.get(name)) for flat in flats}) > 1]
    alpha = ALPHA / max(1, len(differing))
    ranges, bounds = [], []
    for name in differing:
        values = [flat.get(name) for flat in flats]
        scale = Scale.of(name, space.get(name))
        if scale is None:
            found = _good_values(name, values, best, alpha)
        else:
            places = np.array([scale.place(value) for value in values])
            found = _good_range(scale, values, places, best, alpha)
            bounds += _touched(scale, places[best])
        if found:
            ranges.append(found)
    return ranges, bounds


def _good_range(
    scale: Scale, values: Sequence[Any], places: FloatArray, best: Any, alpha: float
) -> dict[str, Any] | None:
    """The range of the best trials, if trials drawn at random would seldom be as close together."""
    known = np.isfinite(places)
    inside = places[known & best]
    if len(inside) < BEST:
        return None
    spread = inside.max() - inside.min()
    if _chance(places[known], len(inside), lambda drawn: np.ptp(drawn, axis=1) <= spread) > alpha:
        return None
    good = [value for value, is_good in zip(values, known & best, strict=True) if is_good]
    low, high = min(good), max(good)
    text = (
        f"{scale.name}: the best {int(best.sum())} of {len(places)} trials lie between "
        f"{number(low, 3)} and {number(high, 3)}"
    )
    if len(inside) < best.sum():
        text += f" ({len(inside)} of them have this parameter)"
    found = {"name": scale.name, "log": bool(scale.log), "low": low, "high": high}
    return found | {"best": int(best.sum()), "text": text}


def _good_values(
    name: str, values: Sequence[Any], best: Any, alpha: float
) -> dict[str, Any] | None:
    """The category that most of the best trials have, if random trials seldom had it as often."""
    texts = np.array([str(value) for value in values])
    labels, counts = np.unique(texts[best], return_counts=True)
    label, count = labels[counts.argmax()], int(counts.max())
    is_label = (texts == label).astype(float)
    k = int(best.sum())
    chance = _chance(is_label, k, lambda drawn: drawn.sum(axis=1) >= count)
    # A category counts as good if at least half of the best trials have it.
    if chance > alpha / len(set(texts)) or count * 2 < k:
        return None
    text = (
        f"{name}: {count} of the best {k} trials have {label}, "
        f"and {is_label.mean():.0%} of all trials"
    )
    return {"name": name, "values": [str(label)], "best": k, "text": text}


def _chance(values: FloatArray, count: int, holds: Any) -> float:
    """The fraction of draws of `count` values without replacement for which `holds`."""
    rng = np.random.default_rng(0)
    # The first `count` of a random order are a draw without replacement.
    order = np.argpartition(rng.random((DRAWS, len(values))), count - 1, axis=1)[:, :count]
    return float((1 + holds(values[order]).sum()) / (1 + DRAWS))


def _touched(scale: Scale, places: FloatArray) -> list[dict[str, Any]]:
    """The bounds at which more of the best trials lie than chance explains."""
    known = places[np.isfinite(places)]
    found = []
    for end in ("low", "high"):
        is_near = {"low": known <= END, "high": known >= 1 - END}[end]
        count = int(is_near.sum())
        chance = max(END, 1 / scale.size)
        if count < MIN_TOUCHING or _tail(count, len(known), chance) > ALPHA_BOUND:
            continue
        wider = scale.widened(end)
        bound = number(getattr(scale, end), 6)
        which = {"low": "lower", "high": "upper"}[end]
        text = (
            f"{scale.name}: {count} of the best {len(known)} trials touch the {which} bound, "
            f"{bound}; better values may lie beyond it"
        )
        if wider is None:
            text = text.partition(";")[0]
        found.append(
            {"name": scale.name, "kind": scale.kind, "end": end, "count": count}
            | {"best": len(known), "value": getattr(scale, end), "wider": wider, "text": text}
        )
    return found


def _tail(count: int, n: int, chance: float) -> float:
    """The probability of at least `count` hits in n independent tries."""
    terms = (math.comb(n, i) * chance**i * (1 - chance) ** (n - i) for i in range(count, n + 1))
    return sum(terms)
