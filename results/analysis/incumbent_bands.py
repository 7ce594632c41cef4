"""Best value so far with its interval, by searcher: what the page draws of a comparison. Numbers that JSON lacks become null."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from raysweep.results.analysis.compare import Comparison
from raysweep.results.analysis.incumbents import places
from raysweep.results.analysis.statistics import interval

Data = dict[str, Any]
DIGITS = 6


def bands(comparison: Comparison) -> Data:
    """For each searcher the mean of the best value so far, and its interval over seeds; and where searchers are compared."""
    drawn = {label: _band(comparison, label) for label in comparison.labels}
    return {"horizon": plain(comparison.horizon), "searchers": drawn}


def _band(comparison: Comparison, label: str) -> Data:
    """A searcher's own curve, as far as all of its seeds went; null before its first finite value."""
    studies = [study for study in comparison.studies if study.label == label]
    at = places(min(study.total for study in studies))
    rows = np.array([study.at(at) for study in studies])
    seen = np.isfinite(rows).all(axis=0)
    rows = np.minimum(rows[:, seen], comparison.ceiling)
    low, high = interval(rows) if rows.size else (rows[0], rows[0])
    if comparison.maximize:
        rows, low, high = -rows, -high, -low
    band = {"spent": at[seen], "mean": rows.mean(axis=0), "low": low, "high": high}
    return {name: _numbers(values) for name, values in band.items()} | {"seeds": len(studies)}


def plain(value: Any) -> Any:
    """A value as JSON has it, with at most DIGITS digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int) else str(value)


def _numbers(values: Iterable[float]) -> list[Any]:
    return [plain(float(value)) for value in values]
