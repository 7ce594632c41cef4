"""The statistics of a comparison: intervals, tests and how many seeds a difference would take. Arrays in, numbers out; no global state.

Values are one number for each search seed. With the five or ten seeds one can afford, the usual percentile bootstrap is far too narrow
and a paired test may be unable to reach any level; both are answered here rather than ignored (see `interval` and `p_value`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

RESAMPLES = 4000
MOST_EXACT = 12
"""Up to so many pairs all sign flips are tried, beyond it RESAMPLES random ones."""
MOST_SPLITS = 5000
POWER = 0.8
WIDEST = 2.0
FEWEST = 5
"""With fewer seeds an interval says nothing; the range is shown instead."""


def interval(values: Array, level: float = 0.95, seed: int = 0) -> tuple[Array, Array]:
    """Bootstrap interval of the mean over the first axis, shape values.shape[1:]; with fewer than FEWEST rows their range.

    The bootstrap-t interval (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12.5). Where nearly all seeds agree
    a resample may have no spread at all: its t counts as at most WIDEST times as far out as Student's.
    """
    count = len(values)
    if count < FEWEST:
        return values.min(axis=0), values.max(axis=0)
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(count)
    low, high = np.quantile(
        _resampled_t(values, mean, level, seed), [0.5 - level / 2, 0.5 + level / 2], axis=0
    )
    return mean - high * error, mean - low * error


def _resampled_t(values: Array, mean: Array, level: float, seed: int) -> Array:
    """(mean of a resample - mean) / standard error of the resample, shape (RESAMPLES, *values.shape[1:])."""
    count, centred = len(values), values - mean
    shares = _shares(count, seed, RESAMPLES)
    shift = np.tensordot(shares, centred, axes=1)
    spread = np.tensordot(shares, centred**2, axes=1) - shift**2
    error = np.sqrt(np.maximum(spread, 0.0) / (count - 1))
    most = WIDEST * _student(count, level)
    near = np.abs(shift) < most * error
    return np.asarray(
        np.where(near, shift / np.where(near, error, 1.0), most * np.sign(shift)), dtype=np.float64
    )


def resampled_means(values: Array, seed: int = 0, resamples: int = RESAMPLES) -> Array:
    """Means of rows drawn with replacement, shape (resamples, *values.shape[1:]). The same seed draws the same rows."""
    return np.tensordot(_shares(len(values), seed, resamples), values, axes=1)


def _shares(count: int, seed: int, resamples: int) -> Array:
    """How much of each resample is which row."""
    return (
        np.random.default_rng([seed, count]).multinomial(count, [1 / count] * count, size=resamples)
        / count
    )


@lru_cache
def _student(count: int, level: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, count - 1))


def paired_p(differences: Array) -> Array:
    """Two-sided p-values of the sign-flip test that differences, shape (..., n), are as often below zero as above, by their mean."""
    signs = _signs(differences.shape[-1])
    observed = np.abs(differences.sum(axis=-1))
    flipped = np.abs(differences @ signs.T)
    hits = (flipped >= observed[..., None] * (1 - 1e-12)).sum(axis=-1)
    return np.asarray(hits / len(signs), dtype=np.float64)


def unpaired_p(a: Array, b: Array) -> Array:
    """Two-sided p-values of the permutation test that a and b, both of shape (..., n), come from one distribution, by their means."""
    count = a.shape[-1]
    both = np.concatenate([a, b], axis=-1)
    splits = _splits(count)
    observed = np.abs(a.sum(axis=-1) - b.sum(axis=-1))
    moved = np.abs(both @ splits.T)
    hits = (moved >= observed[..., None] * (1 - 1e-12)).sum(axis=-1)
    return np.asarray(hits / len(splits), dtype=np.float64)


@lru_cache(maxsize=8)
def _signs(count: int) -> Array:
    """Rows of +-1: all 2**count, or that of the data and random ones, so that the test stays valid."""
    if count <= MOST_EXACT:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    drawn = np.random.default_rng(count).integers(0, 2, size=(RESAMPLES - 1, count))
    return 1.0 - 2.0 * np.vstack([np.zeros((1, count)), drawn])


@lru_cache(maxsize=8)
def _splits(count: int) -> Array:
    """Rows of +-1 with as many of each: all ways to split 2 * count values, or that of the data and random ones."""
    from itertools import combinations

    first = np.concatenate([np.ones(count), -np.ones(count)])
    if math.comb(2 * count, count) > MOST_SPLITS:
        rng = np.random.default_rng(count)
        return np.vstack([first, rng.permuted(np.tile(first, (RESAMPLES - 1, 1)), axis=1)])
    rows = -np.ones((math.comb(2 * count, count), 2 * count))
    for row, chosen in enumerate(combinations(range(2 * count), count)):
        rows[row, list(chosen)] = 1.0
    return rows


@dataclass(frozen=True)
class PValue:
    """A p-value, how it was found, and the least that so few seeds could have given."""

    p: float
    kind: str
    least: float


def p_value(a: Array, b: Array, level: float) -> PValue:
    """Compare two searchers over the same n seeds: paired where pairs can reach `level` at all, else unpaired.

    Which of the two is used depends on n and `level` alone, never on the values. Pairs share training seeds, not luck of search: treating
    them as unpaired loses little, while five pairs could never fall below p = 2/32.
    """
    count = len(a)
    if 2.0 ** (1 - count) <= level:
        return PValue(float(paired_p(a - b)), "paired permutation", 2.0 ** (1 - count))
    return PValue(float(unpaired_p(a, b)), "permutation", 2 / math.comb(2 * count, count))


def holm(p: list[float]) -> list[float]:
    """P-values corrected for their number: S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979)."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = highest
    return corrected


def best_probabilities(values: Array, seed: int = 0) -> Array:
    """For values (searcher, seed), less is better: how often each searcher's mean is the least when seeds are drawn again. Sums to 1."""
    means = resampled_means(values.T, seed)
    least = means <= means.min(axis=1, keepdims=True) + 1e-12 * np.abs(means).max(initial=1e-300)
    return np.asarray((least / least.sum(axis=1, keepdims=True)).mean(axis=0), dtype=np.float64)


def seeds_needed(a: Array, b: Array, level: float) -> int | None:
    """About how many seeds would show the difference that a and b have, four times out of five; None where there is none to show.

    Normal approximation with Guenther's correction (W. C. Guenther, "Sample Size Formulas for Normal Theory T Tests", 1981).
    """
    differences = a - b
    effect, spread = (
        abs(float(differences.mean())),
        float(differences.std(ddof=1)) if len(a) > 1 else 0.0,
    )
    if effect == 0.0 or spread == 0.0:
        return None
    normal = NormalDist()
    reach = normal.inv_cdf(1 - level / 2)
    needed = ((reach + normal.inv_cdf(POWER)) * spread / effect) ** 2 + reach**2 / 2
    return max(math.ceil(needed), math.ceil(1 - math.log2(level)))
