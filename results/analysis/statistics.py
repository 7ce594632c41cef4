"""The statistics of a comparison: confidence intervals, tests, and the seeds a difference needs.

Functions take arrays, return numbers and keep no global state. Values are one number per search
seed. A sweep can rarely afford more than five or ten seeds. With so few, the usual percentile
bootstrap is far too narrow, and a paired permutation test may be unable to reach any significance
level; `interval` and `p_value` deal with both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from raysweep.arrays import FloatArray

RESAMPLES = 4000
"""Resamples of a bootstrap or a random permutation test. The standard error of a probability near
0.05 is then 0.003."""
MAX_EXACT_PAIRS = 12
"""Up to this many pairs all 2**n sign flips are enumerated, above it RESAMPLES random flips."""
MAX_EXACT_SPLITS = 5000
"""Up to this many ways to split two samples all are enumerated: with up to 7 seeds each."""
TIE_TOLERANCE = 1e-12
"""Relative difference, from rounding, up to which two test statistics count as equal."""
POWER = 0.8
"""The probability with which `seeds_needed` seeds would show a difference of the observed size."""
MAX_T_RATIO = 2.0
"""The largest t of a resample, as a multiple of Student's quantile. See `interval`."""
MIN_SEEDS = 5
"""With fewer seeds a confidence interval says nothing, and the range is given instead."""


def interval(
    values: FloatArray, level: float = 0.95, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Confidence interval of the mean over the first axis: low and high, (values.shape[1:],).

    With fewer than MIN_SEEDS rows it is their range. Otherwise it is the bootstrap-t interval
    (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, section 12.5). If nearly
    all seeds agree, a resample may have no spread at all and an infinite t; t is therefore limited
    to MAX_T_RATIO times Student's quantile.
    """
    n = len(values)
    if n < MIN_SEEDS:
        return values.min(axis=0), values.max(axis=0)
    mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(n)
    quantiles = [0.5 - level / 2, 0.5 + level / 2]
    low, high = np.quantile(_resampled_t(values, mean, level, seed), quantiles, axis=0)
    # The high quantile of t gives the low end, and the other way round: t is shift over error.
    return mean - high * error, mean - low * error


def interval_name(n: int) -> str:
    """What `interval` gives for n seeds, as tables and sentences call it."""
    if n < MIN_SEEDS:
        return "range"
    return "95 % interval"


def _resampled_t(values: FloatArray, mean: FloatArray, level: float, seed: int) -> FloatArray:
    """t of each resample, (RESAMPLES, *values.shape[1:]): its shift over its standard error."""
    n, centred = len(values), values - mean
    weights = _resample_weights(n, seed, RESAMPLES)
    shift = np.tensordot(weights, centred, axes=1)
    variance = np.tensordot(weights, centred**2, axes=1) - shift**2
    error = np.sqrt(np.maximum(variance, 0.0) / (n - 1))
    limit = MAX_T_RATIO * _student_quantile(n, level)
    is_within = np.abs(shift) < limit * error
    t = np.where(is_within, shift / np.where(is_within, error, 1.0), limit * np.sign(shift))
    return np.asarray(t, dtype=np.float64)


def resampled_means(values: FloatArray, seed: int = 0, resamples: int = RESAMPLES) -> FloatArray:
    """Means of rows drawn with replacement, (resamples, *values.shape[1:]).

    The same seed draws the same rows.
    """
    return np.tensordot(_resample_weights(len(values), seed, resamples), values, axes=1)


def _resample_weights(n: int, seed: int, resamples: int) -> FloatArray:
    """The weight of each row in each resample, (resamples, n); each resample sums to 1."""
    # Drawing the counts at once is faster than drawing rows, and the mean needs no more.
    rng = np.random.default_rng([seed, n])
    return rng.multinomial(n, [1 / n] * n, size=resamples) / n


@lru_cache
def _student_quantile(n: int, level: float) -> float:
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 2, n - 1))


# The two tests below are those of `scipy.stats.permutation_test`, and a test holds them to its
# exact p-values. They are written out because that function takes one pair of samples at a time,
# and because its random permutations differ: the p-values of runs that exist would change.


def paired_p(differences: FloatArray) -> FloatArray:
    """Two-sided p-values of the sign-flip permutation test on the mean, (...,).

    differences: (..., n). The null hypothesis is that they are symmetric about 0.
    """
    signs = _sign_flips(differences.shape[-1])
    observed = np.abs(differences.sum(axis=-1))
    flipped = np.abs(differences @ signs.T)
    as_extreme = flipped >= observed[..., None] * (1 - TIE_TOLERANCE)
    return np.asarray(as_extreme.sum(axis=-1) / len(signs), dtype=np.float64)


def unpaired_p(a: FloatArray, b: FloatArray) -> FloatArray:
    """Two-sided p-values of the permutation test on the difference of means, (...,).

    a, b: (..., n). The null hypothesis is that both come from one distribution.
    """
    n = a.shape[-1]
    pooled = np.concatenate([a, b], axis=-1)
    splits = _splits(n)
    observed = np.abs(a.sum(axis=-1) - b.sum(axis=-1))
    permuted = np.abs(pooled @ splits.T)
    as_extreme = permuted >= observed[..., None] * (1 - TIE_TOLERANCE)
    return np.asarray(as_extreme.sum(axis=-1) / len(splits), dtype=np.float64)


@lru_cache(maxsize=8)
def _sign_flips(n: int) -> FloatArray:
    """Rows of +-1, (flips, n): all 2**n, or random rows and, to keep the test valid, all ones."""
    if n <= MAX_EXACT_PAIRS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.asarray(1.0 - 2.0 * bits, dtype=np.float64)
    bits = np.random.default_rng(n).integers(0, 2, size=(RESAMPLES - 1, n))
    return 1.0 - 2.0 * np.vstack([np.zeros((1, n)), bits])


@lru_cache(maxsize=8)
def _splits(n: int) -> FloatArray:
    """Rows with n times +1 and n times -1, (splits, 2 n).

    They are all ways to split 2 n values in two halves, or random ones and the observed one.
    """
    from itertools import combinations

    observed = np.concatenate([np.ones(n), -np.ones(n)])
    if math.comb(2 * n, n) > MAX_EXACT_SPLITS:
        rng = np.random.default_rng(n)
        return np.vstack([observed, rng.permuted(np.tile(observed, (RESAMPLES - 1, 1)), axis=1)])
    rows = -np.ones((math.comb(2 * n, n), 2 * n))
    for row, chosen in enumerate(combinations(range(2 * n), n)):
        rows[row, list(chosen)] = 1.0
    return rows


@dataclass(frozen=True)
class PValue:
    """A p-value, the kind of its test, and the least p-value possible with this many seeds."""

    p: float
    kind: str
    least: float


def p_value(a: FloatArray, b: FloatArray, alpha: float) -> PValue:
    """Test whether two searchers differ, over the same n seeds; a, b: (n,).

    The test is paired if n pairs can reach the significance level `alpha` at all, else unpaired:
    five pairs never give less than 2/32. The choice depends on n and `alpha` alone, never on the
    values. What pairs share is the training seeds, not the luck of the search, so treating them as
    unpaired loses little.
    """
    n = len(a)
    least_paired = 2.0 ** (1 - n)  # two of the 2**n sign flips: the observed one and its opposite
    if least_paired <= alpha:
        return PValue(float(paired_p(a - b)), "paired permutation", least_paired)
    return PValue(float(unpaired_p(a, b)), "permutation", 2 / math.comb(2 * n, n))


def holm(p: list[float]) -> list[float]:
    """Correct p-values for multiple testing.

    S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979). The tests compare it
    with statsmodels, which is too heavy a dependency for these six lines.
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, highest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        # A corrected p-value is never below that of a smaller p-value.
        highest = max(highest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = highest
    return corrected


def best_probabilities(values: FloatArray, seed: int = 0) -> FloatArray:
    """How often each searcher has the least mean if the seeds are resampled, (searchers,).

    values: (searchers, seeds), less is better. Ties are divided; the result sums to 1.
    """
    means = resampled_means(values.T, seed)
    # Relative to the largest mean; 1e-300 keeps the tolerance above 0 if all means are 0.
    tolerance = TIE_TOLERANCE * np.abs(means).max(initial=1e-300)
    is_least = means <= means.min(axis=1, keepdims=True) + tolerance
    probabilities = (is_least / is_least.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(probabilities, dtype=np.float64)


def seeds_needed(a: FloatArray, b: FloatArray, alpha: float) -> int | None:
    """The seeds with which a difference as between a and b is shown with probability POWER.

    None if there is no difference or no spread. Normal approximation with Guenther's correction
    (W. C. Guenther, "Sample Size Formulas for Normal Theory T Tests", 1981).
    """
    if len(a) < 2:
        return None
    differences = a - b
    effect, spread = abs(float(differences.mean())), float(differences.std(ddof=1))
    if effect == 0.0 or spread == 0.0:
        return None
    normal = NormalDist()
    z = normal.inv_cdf(1 - alpha / 2)
    needed = ((z + normal.inv_cdf(POWER)) * spread / effect) ** 2 + z**2 / 2
    least = math.ceil(1 - math.log2(alpha))  # with fewer pairs the paired test cannot reach alpha
    return max(math.ceil(needed), least)
