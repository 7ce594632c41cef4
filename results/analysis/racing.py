"""Which finalists another one is certainly better than, however often one looks.

Finalists are trained again with the same fresh seeds, one seed after the other. After each, those
that are worse than others by more than chance explains leave the race, and cost nothing more.

Two finalists are compared by the differences of their losses under the same seeds. The evidence
against "no worse" is an e-value: a bet at fair odds against it, which multiplies its stake by 1/a
with a probability of at most a, at whatever time one looks (Grünwald, de Heide and Koolen 2024,
Safe Testing, J. R. Stat. Soc. B 86, section 4.3, has the t-test's; Ramdas et al. 2023, Statist.
Sci. 38, is a survey). It is the likelihood ratio of the t-statistic under a standardized effect and
under none, averaged over `EFFECTS`. It takes differences to be normal, whatever their variance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from raysweep.arrays import FloatArray

ALPHA = 0.05
"""The probability that any finalist leaves wrongly in the whole race is at most this."""
EFFECTS = (1.0, 2.0, 4.0)
"""Mean differences that are bet on, in standard deviations of a difference."""
SAME = 1e-12
"""A smaller deviation, relative to the mean, is rounding."""
LARGEST = 1e3
"""A larger t-statistic counts as this: the density of the noncentral t is not computed beyond."""

Losses = Mapping[str, Mapping[int, float]]
"""By finalist, the loss of each retraining by its number, to which the same seed belongs."""


def beaten(losses: Losses) -> dict[str, str]:
    """The finalists that are worse than others, each with one that is better.

    The null hypothesis of a finalist is that it is no worse than any other. The mean of its
    e-values against all others is an e-value of that, and all of them share `ALPHA`.
    """
    pairs = [(name, other) for name in losses for other in losses if name != other]
    values = e_values([differences(losses, *pair) for pair in pairs])
    evidence = dict(zip(pairs, values.tolist(), strict=True))
    found = {}
    for name in losses:
        mine = {other: evidence[name, other] for other in losses if other != name}
        if mine and np.mean(list(mine.values())) >= len(losses) / ALPHA:
            found[name] = max(mine, key=lambda other: mine[other])
    return found


def differences(losses: Losses, name: str, other: str) -> FloatArray:
    """By how much the losses of one finalist exceed those of another, (n,), in order of seeds."""
    shared = sorted(losses[name].keys() & losses[other].keys())
    return np.array([losses[name][seed] - losses[other][seed] for seed in shared])


def e_values(samples: Sequence[FloatArray]) -> FloatArray:
    """The evidence that the mean of each sample of differences is above zero; 1 is none."""
    from scipy.stats import nct, t

    found = np.ones(len(samples))
    known, statistics, sizes = [], [], []
    for place, sample in enumerate(samples):
        mean = float(sample.mean()) if len(sample) > 1 else 0.0
        deviation = float(sample.std(ddof=1)) if len(sample) > 1 else 0.0
        if deviation > SAME * abs(mean):
            known.append(place)
            statistics.append(mean / deviation * math.sqrt(len(sample)))
            sizes.append(len(sample))
        elif mean > 0:
            found[place] = math.inf  # the same with each seed: training is deterministic
    if known:
        n = np.array(sizes, dtype=np.float64)[:, None]
        at = np.clip(np.array(statistics), -LARGEST, LARGEST)[:, None]
        ratio = nct.logpdf(at, n - 1, np.sqrt(n) * np.array(EFFECTS)) - t.logpdf(at, n - 1)
        found[known] = np.exp(ratio).mean(axis=1)
    return found
