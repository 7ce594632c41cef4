"""A Gaussian process with a Matern 5/2 kernel, a length scale for each dimension and a noise, in plain numpy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from tune.searchers.observed import Floats

ROOT5, SQRT2PI = 5**0.5, (2 * np.pi) ** 0.5
NUGGET = 1e-6
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
    """What the marginal likelihood chooses. lengths: (dimensions,). noise: its variance, as a part of the signal's."""

    lengths: Floats
    noise: float


@dataclass(frozen=True)
class Process:
    """A process that has seen `points`, (n, dimensions) in units of the length scales. Means and deviations are of standardized values."""

    scales: Scales
    points: Floats
    lower: Floats
    """(n, n): the Cholesky factor of the kernel matrix with noise."""
    white: Floats
    """(n,): the factor's solution for the values."""
    amplitude: float

    @cached_property
    def weights(self) -> Floats:
        """(n,): the weights of the points in the mean."""
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(self.lower, self.white, lower=True, trans=1, check_finite=False))

    def at(self, points: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noiseless function, both (candidates,)."""
        from scipy.linalg import solve_triangular

        solved = solve_triangular(self.lower, kernel(self.points, points / self.scales.lengths), lower=True, check_finite=False)
        left = np.maximum(1.0 - np.einsum("ij,ij->j", solved, solved), 1e-12)
        return solved.T @ self.white, np.sqrt(self.amplitude * left)

    def believing(self, points: Floats) -> Process:
        """The process as if its own means had been seen at `points`: certain there, unchanged in its means (the kriging believer)."""
        from scipy.linalg import solve_triangular

        if not len(points):
            return self
        scaled = points / self.scales.lengths
        across = solve_triangular(self.lower, kernel(self.points, scaled), lower=True, check_finite=False)
        own = kernel(scaled, scaled) + (self.scales.noise + NUGGET) * np.eye(len(points))
        corner = np.linalg.cholesky(own - across.T @ across + NUGGET * np.eye(len(points)))
        lower = np.block([[self.lower, np.zeros(across.shape)], [across.T, corner]])
        white = np.concatenate([self.white, np.zeros(len(points))])
        return Process(self.scales, np.concatenate([self.points, scaled]), lower, white, self.amplitude)


def kernel(a: Floats, b: Floats) -> Floats:
    """Matern 5/2 between rows of `a` and of `b`, both in units of the length scales."""
    apart, near = _parts(a, b)
    out: Floats = (1.0 + apart + apart * apart / 3.0) * near
    return out


def squares(a: Floats, b: Floats) -> Floats:
    """Squared distances between rows of `a` and of `b`, to rounding."""
    out: Floats = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
    return out


def _parts(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """sqrt(5) times the distances, and exp(- that)."""
    apart = ROOT5 * np.sqrt(np.maximum(squares(a, b), 0.0))
    return apart, np.exp(-apart)


def expected_improvement(model: Process, points: Floats, bar: float, closer: int) -> Floats:
    """How far below `bar` the function is expected to lie at each point; -inf for all but the `closer` points of least mean."""
    from scipy.special import ndtr

    means = kernel(points / model.scales.lengths, model.points) @ model.weights
    some = np.argsort(means, kind="stable")[:closer]
    mean, deviation = model.at(points[some])
    z = (bar - mean) / deviation
    merit = np.full(len(points), -np.inf)
    merit[some] = deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / SQRT2PI) - 1e-9 * mean
    return merit


def process(scales: Scales, points: Floats, values: Floats) -> Process:
    """The process that has seen `values`, (n,), at `points`, (n, dimensions)."""
    from scipy.linalg import solve_triangular

    scaled = points / scales.lengths
    matrix = kernel(scaled, scaled)
    matrix[np.diag_indices_from(matrix)] += scales.noise + NUGGET
    lower: Floats = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
    white = solve_triangular(lower, values, lower=True, check_finite=False)
    return Process(scales, scaled, lower, white, float(white @ white) / len(values))


def fit(points: Floats, values: Floats) -> Scales:
    """The scales that make the values likeliest, under a prior that keeps what the data do not decide where it usually is."""
    from scipy.optimize import minimize

    count = points.shape[1]
    usual = np.concatenate([np.full(count, np.log(0.5) + 0.5 * np.log(count)), [np.log(0.1)]])
    wide = np.concatenate([np.full(count, 1.0), [1.0]])

    def target(theta: Floats) -> tuple[float, Floats]:
        value, slope = _unlikely(theta, points, values)
        off = (theta - usual) / wide
        return value + 0.5 * float(off @ off), slope + off / wide

    bounds = [(np.log(0.03), np.log(50.0))] * count + [(np.log(1e-4), np.log(10.0))]
    found = minimize(target, usual, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS, "maxfun": STEPS + 5})
    return Scales(np.exp(found.x[:-1]), float(np.exp(found.x[-1])))


def _unlikely(theta: Floats, points: Floats, values: Floats) -> tuple[float, Floats]:
    """The negative logarithm of the marginal likelihood, the amplitude at its best, and its slope. theta: logarithms of the scales."""
    n = len(values)
    scaled = points / np.exp(theta[:-1])
    apart, near = _parts(scaled, scaled)
    matrix = (1.0 + apart + apart * apart / 3.0) * near
    noise = float(np.exp(theta[-1]))
    matrix[np.diag_indices_from(matrix)] += noise + NUGGET
    lower = np.linalg.cholesky(matrix)
    inverse = np.linalg.inv(matrix)
    weights = inverse @ values
    amplitude = max(float(values @ weights) / n, 1e-12)
    slack = inverse - np.outer(weights, weights) / amplitude
    share = slack * ((5.0 / 3.0) * (1.0 + apart) * near)
    lengths = share.sum(axis=1) @ (scaled * scaled) - np.einsum("aj,ab,bj->j", scaled, share, scaled, optimize=True)
    value = 0.5 * n * np.log(amplitude) + float(np.log(np.diag(lower)).sum())
    return value, np.concatenate([lengths, [0.5 * noise * float(np.trace(slack))]])
