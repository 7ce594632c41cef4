"""How much the best value of a metric can still improve, as far as its name and values tell.

A metric is taken to have a bound only if both its name and every value until now say so: values
between 0 and 1 alone say nothing, because a reward may have begun there.
"""

from __future__ import annotations

import math
import re

PARTS = "acc accuracy auc auroc dice f1 iou map miou precision recall sensitivity specificity"
"""Metrics that are at most 1, or at most 100 in percent, by the words of their names."""
DISTANCES = "bpb bpc cer err error fid loss mae mape mse perplexity ppl rmse wer"
"""Metrics that are 0 at best. `loss` is one if no value was below 0; a likelihood (`nll`) is not,
because a density may be above 1."""


def room_left(metric: str, maximize: bool, worst: float, best: float) -> float:
    """The most by which the best value can improve; inf if nothing bounds the metric.

    worst, best: the extreme values of the metric until now.
    """
    lowest, highest = (worst, best) if maximize else (best, worst)
    if lowest < 0:
        return math.inf
    if maximize and _is_named(metric, PARTS):
        return next((most - highest for most in (1.0, 100.0) if highest <= most), math.inf)
    if not maximize and _is_named(metric, DISTANCES):
        return lowest
    return math.inf


def _is_named(metric: str, names: str) -> bool:
    """True if a word of a metric's name is one of `names`: `val/acc1` is an accuracy."""
    words = re.split(r"[^a-z0-9]+", metric.lower())
    return not {*words, *(word.rstrip("0123456789") for word in words)}.isdisjoint(names.split())
