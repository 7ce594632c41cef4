"""Whether an earlier run tells anything here, which the sweep's own trials decide.

What the model of a run expects of the sweep's trials is a regressor of what was observed of them,
by generalised least squares: their residuals are correlated as the process of `auto` says. So that
two smooth functions rise together here and there, as they do by chance, is no surprise. A run
passes if its slope is clearly above zero, considering how many runs there are. Those that pass
become the mean function of the process, weighted by how well they did, with a slope of at most one;
what they do not explain, the process learns. As in RGPE (Feurer, Letham and Bakshy, "Scalable
meta-learning for Bayesian optimization using ranking-weighted Gaussian process ensembles", 2018), a
run is dropped if it does not order the sweep's trials, and quantiles stand in for losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.tune.searchers.memory.surrogates import Surrogate
from raysweep.tune.searchers.models.gaussian_process import (
    GaussianProcess,
    Hyperparameters,
    Observations,
)

CHANCE = 0.1
"""The probability that any of the runs passes if none has to do with this sweep."""
LEAST = 6
"""So many observations decide at least."""
MOST_USED = 2
"""At most so many runs are used at a time, the best ones, because each takes time."""


@dataclass(frozen=True)
class PriorMean:
    """What the runs that passed expect, as the mean function of a process.

    surrogates: of the best of them. weights: of these, all 0 or more. passed: the names of all
    runs that passed, the best one first.
    """

    surrogates: tuple[Surrogate, ...]
    weights: tuple[float, ...]
    passed: tuple[str, ...]

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


NOTHING = PriorMean((), (), ())


def judged(
    surrogates: Sequence[Surrogate],
    hyperparameters: Hyperparameters,
    observations: Observations,
    y: FloatArray,
) -> PriorMean:
    """The mean function that n observations bear out.

    hyperparameters: of the process without any mean function. y: (n,), less is better.
    """
    if len(y) < LEAST or not len(surrogates):
        return NOTHING
    process = GaussianProcess.condition(hyperparameters, observations, y)
    expected = np.array([one(observations.x)[observations.trial_index] for one in surrogates])
    whitened = _centred(process, np.vstack([y, expected]))
    slopes = [_slope(whitened[0], row) for row in whitened[1:]]
    scores = np.array([slope / error for slope, error in slopes])
    passed = [
        i for i in np.argsort(-scores, kind="stable") if scores[i] > _limit(len(y), len(surrogates))
    ]
    if not passed:
        return NOTHING
    used = passed[:MOST_USED]
    weights = scores[used] ** 2 / (scores[used] ** 2).sum()
    slope, _ = _slope(whitened[0], weights @ whitened[1:][used])
    weights = weights * min(max(slope, 0.0), 1.0)
    return PriorMean(
        tuple(surrogates[i] for i in used),
        tuple(weights.tolist()),
        tuple(surrogates[i].source.run for i in passed),
    )


def _limit(n: int, count: int) -> float:
    """The slope over its standard error that one of `count` unrelated runs exceeds by CHANCE.

    It is the quantile of Student's distribution, with Bonferroni's correction.
    """
    from scipy.special import stdtrit

    return float(stdtrit(n - 2, 1 - CHANCE / count))


def _centred(process: GaussianProcess, rows: FloatArray) -> FloatArray:
    """The rows (k, n), whitened by the covariance of the process, without a constant part."""
    from scipy.linalg import solve_triangular

    rows = np.vstack([np.ones(rows.shape[1]), rows])
    solved = solve_triangular(process.cholesky, rows.T, lower=True, check_finite=False).T
    constant, others = solved[0], solved[1:]
    shares = others @ constant / (constant @ constant)
    return np.asarray(others - shares[:, None] * constant, dtype=np.float64)


def _slope(y: FloatArray, x: FloatArray) -> tuple[float, float]:
    """The slope of y on x, both (n,) and without a constant part, and its standard error."""
    square = max(float(x @ x), 1e-12)
    slope = float(x @ y) / square
    rest = y - slope * x
    return slope, max(float(np.sqrt(rest @ rest / (len(y) - 2) / square)), 1e-12)
