"""A Gaussian process over configurations and the rungs where they were seen, in plain numpy.

Between configurations: Matern 5/2, with a length scale for each dimension, and a rest that a trial keeps. Between rungs: `agreement` to the
power of how far apart they are (autoregressive of order one, as Kennedy and O'Hagan, Biometrika 2000, in its stationary form). So what a
trial was at its first rung says something of its last, and less the less rungs agree; and what is peculiar to a trial at one rung
mostly is at the next, so that a trial seen at three rungs does not count as three.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from raysweep.tune.searchers.models.dataset import FloatArray, IntArray

ROOT5, SQRT2PI = 5**0.5, (2 * np.pi) ** 0.5
NUGGET = 1e-6
ALONE = 0.1
"""What an observation has of its own, beside what its trial has, where there are several rungs: not fitted."""
STEPS = 20
"""How many steps the search for the scales may take."""


def one_thread() -> AbstractContextManager[Any]:
    """Within it linear algebra runs on one thread: matrices this small take 25 times the processor time on many, on a busy machine."""
    limited: AbstractContextManager[Any] = _controller().limit(limits=1)
    return limited


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  its library must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@dataclass(frozen=True)
class Scales:
    """What the marginal likelihood chooses. Variances are parts of the signal's.

    lengths: (dimensions,). noise: the variance of what a trial has of its own. agreement: 0 .. 1, the correlation between neighbouring
    rungs. alone: the variance of what each observation has of its own.
    """

    lengths: FloatArray
    noise: float
    agreement: float = 1.0
    alone: float = 0.0


@dataclass(frozen=True)
class Seen:
    """n observations of some trials.

    points: (trials, dimensions). trial: (n,), whose each observation is. place: (n,), the index of the rung where it was made.
    """

    points: FloatArray
    trial: IntArray
    place: IntArray

    def between(self) -> FloatArray:
        """(n, n): how many rungs apart two observations are."""
        return np.asarray(np.abs(self.place[:, None] - self.place), dtype=np.float64)

    def same(self) -> FloatArray:
        """(n, n): 1 where two observations are one trial's."""
        return np.asarray(self.trial[:, None] == self.trial, dtype=np.float64)

    @property
    def alone(self) -> float:
        """The variance of what each observation has of its own. At a single rung the trial's own is all there is."""
        return ALONE if self.place.any() else 0.0


@dataclass(frozen=True)
class Process:
    """A process that has seen trials at `points`, (trials, dimensions) in units of the length scales: n observations, as in `Seen`.

    It speaks of the highest rung that it has seen, `top`. Means and deviations are of standardized values.
    """

    scales: Scales
    points: FloatArray
    trial: IntArray
    place: IntArray
    top: int
    lower: FloatArray
    """(n, n): the Cholesky factor of the kernel matrix with noise."""
    white: FloatArray
    """(n,): the factor's solution for the values."""
    amplitude: float

    @cached_property
    def weights(self) -> FloatArray:
        """(trials,): the weights of the points in the mean."""
        from scipy.linalg import solve_triangular

        weights = solve_triangular(
            self.lower, self.white, lower=True, trans=1, check_finite=False
        ) * self._agreeing(self.top)
        return np.asarray(np.bincount(self.trial, weights, len(self.points)), dtype=np.float64)

    def at(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the noiseless function at the top, both (candidates,)."""
        solved = self._solved(points / self.scales.lengths, self.top)
        left = np.maximum(1.0 - np.einsum("ij,ij->j", solved, solved), 1e-12)
        return solved.T @ self.white, np.sqrt(self.amplitude * left)

    def ends(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of where each trial that was seen stands at the top, with what it has of its own; both (trials,)."""
        from scipy.linalg import solve_triangular

        every = np.arange(len(self.points))
        shared = kernel(self.points, self.points)[self.trial] + self.scales.noise * (
            self.trial[:, None] == every
        )
        across = shared * self._agreeing(self.top)[:, None]
        solved = np.asarray(solve_triangular(self.lower, across, lower=True, check_finite=False))
        left = np.maximum(1.0 + self.scales.noise - np.einsum("ij,ij->j", solved, solved), 1e-12)
        return solved.T @ self.white, np.sqrt(self.amplitude * left)

    def believing(self, points: FloatArray) -> Process:
        """The process as if its own means had been seen at `points`, at the first rung (the kriging believer).

        It is less unsure there, and unchanged in its means.
        """
        if not len(points):
            return self
        scaled = points / self.scales.lengths
        across = self._solved(scaled, 0)
        own = kernel(scaled, scaled) + (self.scales.noise + self.scales.alone) * np.eye(len(points))
        corner = np.linalg.cholesky(own - across.T @ across + NUGGET * np.eye(len(points)))
        lower = np.block([[self.lower, np.zeros(across.shape)], [across.T, corner]])
        white = np.concatenate([self.white, np.zeros(len(points))])
        trial = np.concatenate([self.trial, len(self.points) + np.arange(len(points))])
        place = np.concatenate([self.place, np.zeros(len(points), np.int64)])
        return Process(
            self.scales,
            np.concatenate([self.points, scaled]),
            trial,
            place,
            self.top,
            lower,
            white,
            self.amplitude,
        )

    def _solved(self, scaled: FloatArray, place: int) -> FloatArray:
        """(n, candidates): the factor's solution for the correlations with points at a rung."""
        from scipy.linalg import solve_triangular

        across = kernel(self.points, scaled)[self.trial] * self._agreeing(place)[:, None]
        return np.asarray(solve_triangular(self.lower, across, lower=True, check_finite=False))

    def _agreeing(self, place: int) -> FloatArray:
        """(n,): the correlations of the observations' rungs with another one."""
        return np.asarray(self.scales.agreement ** np.abs(self.place - place), dtype=np.float64)


def kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    """Matern 5/2 between rows of `a` and of `b`, both in units of the length scales."""
    apart, near = _parts(a, b)
    out: FloatArray = (1.0 + apart + apart * apart / 3.0) * near
    return out


def squares(a: FloatArray, b: FloatArray) -> FloatArray:
    """Squared distances between rows of `a` and of `b`, to rounding."""
    out: FloatArray = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
    return out


def _parts(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """sqrt(5) times the distances, and exp(- that)."""
    apart = ROOT5 * np.sqrt(np.maximum(squares(a, b), 0.0))
    return apart, np.exp(-apart)


def expected_improvement(model: Process, points: FloatArray, bar: float, closer: int) -> FloatArray:
    """How far below `bar` the function is expected to lie at each point; -inf for all but the `closer` points of least mean."""
    from scipy.special import ndtr

    means = kernel(points / model.scales.lengths, model.points) @ model.weights
    some = np.argsort(means, kind="stable")[:closer]
    mean, deviation = model.at(points[some])
    z = (bar - mean) / deviation
    merit = np.full(len(points), -np.inf)
    merit[some] = deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / SQRT2PI) - 1e-9 * mean
    return merit


def process(scales: Scales, seen: Seen, values: FloatArray) -> Process:
    """The process that has seen `values`, (n,)."""
    from scipy.linalg import solve_triangular

    scaled = seen.points / scales.lengths
    smooth = kernel(scaled, scaled)[seen.trial[:, None], seen.trial]
    matrix = (smooth + scales.noise * seen.same()) * scales.agreement ** seen.between()
    matrix[np.diag_indices_from(matrix)] += scales.alone + NUGGET
    lower: FloatArray = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    white = solve_triangular(lower, values, lower=True, check_finite=False)
    return Process(
        scales,
        scaled,
        seen.trial,
        seen.place,
        int(seen.place.max()),
        lower,
        white,
        float(white @ white) / len(values),
    )


def fit(seen: Seen, values: FloatArray) -> Scales:
    """The scales that make the values likeliest, under a prior that keeps what the data do not decide where it usually is."""
    from scipy.optimize import minimize

    count, between, same = seen.points.shape[1], seen.between(), seen.same()
    usual = np.concatenate(
        [np.full(count, np.log(0.5) + 0.5 * np.log(count)), [np.log(0.1), np.log(-np.log(0.85))]]
    )

    def target(theta: FloatArray) -> tuple[float, FloatArray]:
        value, slope = _unlikely(theta, seen, between, same, values)
        off = theta - usual
        return value + 0.5 * float(off @ off), slope + off

    bounds = [(np.log(0.03), np.log(50.0))] * count + [
        (np.log(1e-4), np.log(10.0)),
        (np.log(1e-4), np.log(3.0)),
    ]
    found = minimize(
        target,
        usual,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": STEPS, "maxfun": STEPS + 5},
    )
    *lengths, noise, falls = np.exp(found.x)
    return Scales(np.array(lengths), float(noise), float(np.exp(-falls)), seen.alone)


def _unlikely(
    theta: FloatArray, seen: Seen, between: FloatArray, same: FloatArray, values: FloatArray
) -> tuple[float, FloatArray]:
    """The negative logarithm of the marginal likelihood, the amplitude at its best, and its slope.

    theta: the logarithms of the lengths, of the noise, and of how fast the agreement falls from rung to rung.
    """
    n = len(values)
    *lengths, noise, falls = np.exp(theta)
    scaled = seen.points[seen.trial] / lengths
    apart, near = _parts(scaled, scaled)
    smooth, agreeing = (1.0 + apart + apart * apart / 3.0) * near, np.exp(-falls * between)
    matrix = (smooth + noise * same) * agreeing
    rungs = matrix * between
    matrix[np.diag_indices_from(matrix)] += seen.alone + NUGGET
    lower = np.linalg.cholesky(matrix)
    inverse = np.linalg.inv(matrix)
    weights = inverse @ values
    amplitude = max(float(values @ weights) / n, 1e-12)
    slack = inverse - np.outer(weights, weights) / amplitude
    share = slack * ((5.0 / 3.0) * (1.0 + apart) * near) * agreeing
    by_length = share.sum(axis=1) @ (scaled * scaled) - np.einsum(
        "aj,ab,bj->j", scaled, share, scaled, optimize=True
    )
    by_noise = 0.5 * noise * float((slack * same * agreeing).sum())
    by_falls = -0.5 * falls * float((slack * rungs).sum())
    value = 0.5 * n * np.log(amplitude) + float(np.log(np.diag(lower)).sum())
    return value, np.concatenate([by_length, [by_noise, by_falls]])
