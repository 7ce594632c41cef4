"""The mean incumbent of each searcher with its interval: what the page draws of a comparison.

Numbers that JSON lacks become null.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.results.analysis.compare import Comparison
from raysweep.results.analysis.incumbents import budget_grid
from raysweep.results.analysis.statistics import interval

Data = dict[str, Any]
DIGITS = 6
"""Significant digits of a number in the page: more than any plot shows, a third of the bytes."""


def incumbent_bands(comparison: Comparison) -> Data:
    """For each searcher its mean incumbent and the interval over seeds; and the common budget."""
    bands = {label: _band(comparison, label) for label in comparison.labels}
    return {"budget": plain(comparison.budget), "searchers": bands}


def plain(value: Any) -> Any:
    """A value as JSON has it, with at most DIGITS significant digits."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.{DIGITS}g}")
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)


def _band(comparison: Comparison, label: str) -> Data:
    """A searcher's band, from the first finite value to the least budget of its seeds."""
    studies = [study for study in comparison.studies if study.label == label]
    budgets = budget_grid(min(study.total for study in studies))
    rows = np.array([study.loss_at(budgets) for study in studies])
    # A mean exists from where each seed has a finite value.
    is_finite = np.isfinite(rows).all(axis=0)
    rows = np.minimum(rows[:, is_finite], comparison.ceiling)
    low, high = rows[0], rows[0]
    if rows.size:
        low, high = interval(rows)
    if comparison.maximize:
        # The page shows the user's metric, of which the least loss is the largest value.
        rows, low, high = -rows, -high, -low
    band = {"spent": budgets[is_finite], "mean": rows.mean(axis=0), "low": low, "high": high}
    return {name: _numbers(values) for name, values in band.items()} | {"seeds": len(studies)}


def _numbers(values: FloatArray) -> list[Any]:
    return [plain(float(value)) for value in values]
