"""Whether an earlier run tells anything here, which the sweep's own trials decide.

A run is used while its model orders the sweep's trials better than chance would: the guard is
Kendall's rank correlation, as ranking losses are in RGPE (Feurer, Letham and Bakshy, "Scalable
meta-learning for Bayesian optimization using ranking-weighted Gaussian process ensembles", 2018,
section 4). The runs that pass become the mean function of the process, weighted by how well they
did, and scaled as far as the trials bear it out. So what the runs do not explain, the process
learns, and a mean function that proves wrong shrinks to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.tune.searchers.memory.surrogates import Surrogate
from raysweep.tune.searchers.models.gaussian_process import Observations

CERTAINTY = 1.64
"""A run passes if its correlation is so many standard deviations above that of chance (5 %)."""
MOST_USED = 3
"""At most so many runs are used at a time, the best ones, because each takes time."""


@dataclass(frozen=True)
class PriorMean:
    """What the runs that passed expect, as the mean function of a process.

    weights: by run, all 0 or more.
    """

    surrogates: tuple[Surrogate, ...]
    weights: tuple[float, ...]

    def __call__(self, encoded: FloatArray) -> FloatArray:
        """The mean at encoded points (k, width); (k,)."""
        total = np.zeros(len(encoded))
        for surrogate, weight in zip(self.surrogates, self.weights, strict=True):
            total += weight * surrogate(encoded)
        return total

    def residual(self, observations: Observations, y: FloatArray) -> FloatArray:
        """What the values y, (n,), are beside what was expected."""
        if not self.surrogates:
            return y
        return y - self(observations.x)[observations.trial_index]

    @property
    def used(self) -> tuple[str, ...]:
        """The runs that passed, the best one first."""
        return tuple(surrogate.source.run for surrogate in self.surrogates)


NOTHING = PriorMean((), ())


def judged(surrogates: Sequence[Surrogate], encoded: FloatArray, y: FloatArray) -> PriorMean:
    """The mean function that m trials bear out.

    encoded: (m, width). y: (m,), the values that the process observed, less is better.
    """
    if len(y) < 4 or not len(surrogates):
        return NOTHING
    expected = [surrogate(encoded) for surrogate in surrogates]
    scores = np.array([kendall(values, y) for values in expected]) / _by_chance(len(y))
    passed = [i for i in np.argsort(-scores, kind="stable") if scores[i] > CERTAINTY][:MOST_USED]
    if not passed:
        return NOTHING
    weights = scores[passed] ** 2 / (scores[passed] ** 2).sum()
    mean = weights @ np.array([expected[i] for i in passed])
    weights = weights * _slope(mean, y)
    return PriorMean(tuple(surrogates[i] for i in passed), tuple(weights.tolist()))


def kendall(a: FloatArray, b: FloatArray) -> float:
    """Kendall's rank correlation of two rows of m values, in [-1, 1]; ties count as neither."""
    m = len(a)
    signs = np.sign(a[:, None] - a) * np.sign(b[:, None] - b)
    return float(signs.sum()) / (m * (m - 1))


def _by_chance(m: int) -> float:
    """The standard deviation of Kendall's correlation of m values without any relation."""
    return float(np.sqrt(2 * (2 * m + 5) / (9 * m * (m - 1))))


def _slope(mean: FloatArray, y: FloatArray) -> float:
    """How far y follows the mean, 0 to 1."""
    offset = mean - mean.mean()
    slope = float(offset @ (y - y.mean())) / max(float(offset @ offset), 1e-12)
    return min(max(slope, 0.0), 1.0)
