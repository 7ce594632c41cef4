"""A Gaussian process over configurations and the rungs at which they were observed, in numpy.

Notation:

    m                   trials, in d dimensions
    n                   observations of these trials, each at one rung
    x (m, d)            the encoded configurations (`encoding.py`)
    t(i), r(i)          the trial and the rung of observation i
    y (n,)              the observed values, standardised
    k(x, x')            the Matern 5/2 kernel, with a lengthscale for each dimension
    rho                 `rung_correlation`, between neighbouring rungs, in (0, 1]
    s^2                 `signal_variance`; all other variances are given as parts of it
    K (n, n)            the covariance of the observations, divided by s^2
    L (n, n)            the lower Cholesky factor of K
    w (n,)              L^-1 y, the whitened targets

The covariance of the observations i and j is s^2 times

    (k(x_t(i), x_t(j)) + trial_noise [t(i) = t(j)]) rho^|r(i) - r(j)| + observation_noise [i = j]

Along the rungs this is an autoregressive process of order one, the stationary form of Kennedy and
O'Hagan (Biometrika 2000, section 2.1). So the value of a trial at its first rung tells something of
its value at the last, and the less so the less the rungs correlate. What is peculiar to a trial at
one rung is mostly so at the next (`trial_noise`), so a trial that was observed at three rungs does
not count as three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from raysweep.arrays import FloatArray, IntArray

SQRT5, SQRT2PI = 5**0.5, (2 * np.pi) ** 0.5
JITTER = 1e-6
"""Added to the diagonal of K so that it has a Cholesky factor. A part of the signal variance."""
OBSERVATION_NOISE = 0.1
"""The variance of an observation apart from its trial's, if there are several rungs. Not fitted."""
LEAST_VARIANCE = 1e-12
"""Of the values, which are standardised."""
MAX_ITERATIONS = 20
"""Of L-BFGS-B, which fits the hyperparameters, unless the caller says another number."""

MeanFunction = Callable[[FloatArray], FloatArray]
"""The prior mean at points (k, d), as (k,)."""


@dataclass(frozen=True)
class Hyperparameters:
    """What the marginal likelihood chooses. Variances are parts of the signal variance."""

    lengthscales: FloatArray
    """(d,)"""
    trial_noise: float
    """The variance of a trial apart from its neighbours'."""
    rung_correlation: float = 1.0
    """Between the values of a trial at neighbouring rungs, 0 to 1."""
    observation_noise: float = 0.0
    """The variance of an observation apart from its trial's."""


@dataclass(frozen=True)
class NoisePrior:
    """What is believed of the trials' noise: a normal distribution of its natural logarithm."""

    usual: float = 0.1
    """The noise at the mean of the distribution."""
    deviation: float = 1.0
    """The standard deviation of the logarithm."""


@dataclass(frozen=True)
class Observations:
    """n observations of m trials."""

    x: FloatArray
    """(m, d): the trials."""
    trial_index: IntArray
    """(n,): the trial of each observation, an index of `x`."""
    rung_index: IntArray
    """(n,): the rung of each observation."""

    def rung_distance(self) -> FloatArray:
        """(n, n): the number of rungs between two observations."""
        distance = np.abs(self.rung_index[:, None] - self.rung_index)
        return np.asarray(distance, dtype=np.float64)

    def same_trial(self) -> FloatArray:
        """(n, n): 1 if two observations are of one trial, else 0."""
        return np.asarray(self.trial_index[:, None] == self.trial_index, dtype=np.float64)

    @property
    def observation_noise(self) -> float:
        """At a single rung it could not be told from the trials' noise, so there it is 0."""
        return OBSERVATION_NOISE if self.rung_index.any() else 0.0


@dataclass(frozen=True)
class GaussianProcess:
    """The posterior given the observations.

    Predictions are of the highest observed rung. Means and standard deviations are of standardised
    values.
    """

    hyperparameters: Hyperparameters
    observations: Observations
    cholesky: FloatArray
    """L, (n, n)"""
    whitened_targets: FloatArray
    """w, (n,)"""
    signal_variance: float
    mean: MeanFunction | None = None
    """What is expected of points (k, d) before any observation; None for 0 everywhere."""

    @classmethod
    def condition(
        cls,
        hyperparameters: Hyperparameters,
        observations: Observations,
        y: FloatArray,
        mean: MeanFunction | None = None,
    ) -> GaussianProcess:
        """The posterior given the values y, (n,), of the observations."""
        from scipy.linalg import solve_triangular

        if mean is not None:
            y = y - mean(observations.x)[observations.trial_index]
        scaled = observations.x / hyperparameters.lengthscales
        trial_index = observations.trial_index
        smooth = matern52(scaled, scaled)[trial_index[:, None], trial_index]
        noise = hyperparameters.trial_noise * observations.same_trial()
        correlation = hyperparameters.rung_correlation ** observations.rung_distance()
        covariance = (smooth + noise) * correlation
        covariance[np.diag_indices_from(covariance)] += hyperparameters.observation_noise + JITTER
        cholesky = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
        whitened = solve_triangular(cholesky, y, lower=True, check_finite=False)
        # Values that are all alike would have none, and nothing could be divided by a deviation.
        signal_variance = max(float(whitened @ whitened) / len(y), LEAST_VARIANCE)
        return cls(hyperparameters, observations, cholesky, whitened, signal_variance, mean)

    def predict(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Posterior mean and standard deviation of the latent function at x (k, d); both (k,)."""
        solved = self._whitened_covariance(self._scale(x), self._top_rung)
        variance = np.maximum(1.0 - np.einsum("ij,ij->j", solved, solved), 1e-12)
        expected = self._mean_at(x) + solved.T @ self.whitened_targets
        return expected, np.sqrt(self.signal_variance * variance)

    @property
    def noise(self) -> float:
        """The standard deviation of a trial apart from its neighbours'."""
        return float(np.sqrt(self.signal_variance * self.hyperparameters.trial_noise))

    def predict_with_slope(self, x: FloatArray) -> Prediction:
        """As `predict`, with what tells how both change with x; without a mean function."""
        return Prediction(self, x)

    def predict_mean(self, x: FloatArray) -> FloatArray:
        """The posterior mean at x (k, d), as (k,); cheaper than `predict`."""
        return self._mean_at(x) + matern52(self._scale(x), self._scaled_x) @ self._mean_weights

    def predict_final(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of each trial's value at the highest rung; both (m,).

        This is the value of the trial itself, its noise included.
        """
        from scipy.linalg import solve_triangular

        trials = np.arange(len(self.observations.x))
        trial_index, noise = self.observations.trial_index, self.hyperparameters.trial_noise
        smooth = matern52(self._scaled_x, self._scaled_x)[trial_index]
        shared = smooth + noise * (trial_index[:, None] == trials)
        covariance = shared * self._correlation_with(self._top_rung)[:, None]
        solved = np.asarray(
            solve_triangular(self.cholesky, covariance, lower=True, check_finite=False)
        )
        variance = np.maximum(1.0 + noise - np.einsum("ij,ij->j", solved, solved), 1e-12)
        expected = self._mean_at(self.observations.x) + solved.T @ self.whitened_targets
        return expected, np.sqrt(self.signal_variance * variance)

    def predict_averages(self, groups: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What is expected of the averages over groups of points, (groups, points, d), jointly.

        Their posterior means, (groups,), and covariance, (groups, groups); no mean function.
        """
        count, size, width = groups.shape
        scaled = self._scale(groups.reshape(-1, width))
        solved = self._whitened_covariance(scaled, self._top_rung)
        solved = solved.reshape(-1, count, size).mean(axis=2)
        smooth = matern52(scaled, scaled).reshape(count, size, count, size).mean(axis=(1, 3))
        return solved.T @ self.whitened_targets, self.signal_variance * (smooth - solved.T @ solved)

    def fantasize(self, x: FloatArray) -> GaussianProcess:
        """Condition on the posterior mean at the pending points x (k, d), at the lowest rung.

        Kriging believer (Ginsbourger, Le Riche and Carraro 2010, section 3.2.1). The means stay as
        they are, and the standard deviation is smaller near these points.
        """
        count = len(x)
        if not count:
            return self
        scaled = self._scale(x)
        covariance = self._whitened_covariance(scaled, 0)
        noise = self.hyperparameters.trial_noise + self.hyperparameters.observation_noise
        own = matern52(scaled, scaled) + noise * np.eye(count)
        corner = np.linalg.cholesky(own - covariance.T @ covariance + JITTER * np.eye(count))
        cholesky = np.block([[self.cholesky, np.zeros(covariance.shape)], [covariance.T, corner]])
        seen = self.observations
        return replace(
            self,
            observations=Observations(
                np.concatenate([seen.x, x]),
                np.concatenate([seen.trial_index, len(seen.x) + np.arange(count)]),
                np.concatenate([seen.rung_index, np.zeros(count, np.int64)]),
            ),
            cholesky=cholesky,
            whitened_targets=np.concatenate([self.whitened_targets, np.zeros(count)]),
        )

    @cached_property
    def _mean_weights(self) -> FloatArray:
        """(m,): the weights of the trials' kernels in the posterior mean."""
        from scipy.linalg import solve_triangular

        weights = solve_triangular(
            self.cholesky, self.whitened_targets, lower=True, trans=1, check_finite=False
        ) * self._correlation_with(self._top_rung)
        summed = np.bincount(self.observations.trial_index, weights, len(self.observations.x))
        return np.asarray(summed, dtype=np.float64)

    @cached_property
    def _scaled_x(self) -> FloatArray:
        return self._scale(self.observations.x)

    @cached_property
    def _top_rung(self) -> int:
        return int(self.observations.rung_index.max())

    def _mean_at(self, x: FloatArray) -> FloatArray | float:
        return 0.0 if self.mean is None else self.mean(x)

    def _scale(self, x: FloatArray) -> FloatArray:
        scaled: FloatArray = x / self.hyperparameters.lengthscales
        return scaled

    def _whitened_covariance(self, scaled: FloatArray, rung: int) -> FloatArray:
        """(n, k): L^-1 times the covariance of the observations with k scaled points at a rung."""
        from scipy.linalg import solve_triangular

        smooth = matern52(self._scaled_x, scaled)[self.observations.trial_index]
        covariance = smooth * self._correlation_with(rung)[:, None]
        return np.asarray(
            solve_triangular(self.cholesky, covariance, lower=True, check_finite=False)
        )

    def _correlation_with(self, rung: int) -> FloatArray:
        """(n,): the correlation of the rung of each observation with another rung."""
        distance = np.abs(self.observations.rung_index - rung)
        return np.asarray(self.hyperparameters.rung_correlation**distance, dtype=np.float64)


class Prediction:
    """Posterior mean and standard deviation at x (k, d), both (k,), and their slopes."""

    def __init__(self, model: GaussianProcess, x: FloatArray) -> None:
        self._model, self._scaled = model, model._scale(x)
        self._solved = model._whitened_covariance(self._scaled, model._top_rung)
        variance = 1.0 - np.einsum("ij,ij->j", self._solved, self._solved)
        self.mean: FloatArray = self._solved.T @ model.whitened_targets
        self.deviation: FloatArray = np.sqrt(model.signal_variance * np.maximum(variance, 1e-12))

    def slope(self, by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
        """The derivative by x of a function of mean and deviation, (k, d).

        by_mean, by_deviation (k,): its derivatives by these.
        """
        from scipy.linalg import solve_triangular

        model = self._model
        # Through the whitened covariance, of which mean and variance are made: (n, k).
        by_variance = -model.signal_variance * by_deviation / self.deviation
        by_solved = model.whitened_targets[:, None] * by_mean + self._solved * by_variance
        by_observation = (
            solve_triangular(model.cholesky, by_solved, lower=True, trans=1, check_finite=False)
            * model._correlation_with(model._top_rung)[:, None]
        )
        by_trial = np.zeros((len(model.observations.x), len(by_mean)))
        np.add.at(by_trial, model.observations.trial_index, by_observation)
        distance, decay = _distance_and_decay(model._scaled_x, self._scaled)
        weights = -(5.0 / 3.0) * (1.0 + distance) * decay * by_trial
        by_scaled = weights.sum(axis=0)[:, None] * self._scaled - weights.T @ model._scaled_x
        return np.asarray(by_scaled / model.hyperparameters.lengthscales, dtype=np.float64)


def matern52(a: FloatArray, b: FloatArray) -> FloatArray:
    """The kernel between the rows of a (p, d) and b (q, d), divided by the lengthscales; (p, q)."""
    distance, decay = _distance_and_decay(a, b)
    out: FloatArray = (1.0 + distance + distance * distance / 3.0) * decay
    return out


def squared_distances(a: FloatArray, b: FloatArray) -> FloatArray:
    """The squared distances between the rows of a (p, d) and b (q, d), up to rounding; (p, q)."""
    out: FloatArray = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * (a @ b.T)
    return out


def _distance_and_decay(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """sqrt(5) times the distances, and exp(-that)."""
    distance = SQRT5 * np.sqrt(np.maximum(squared_distances(a, b), 0.0))
    return distance, np.exp(-distance)


def expected_improvement(
    model: GaussianProcess, x: FloatArray, incumbent: float, shortlist: int
) -> FloatArray:
    """The expected improvement over the incumbent's value at x (k, d); (k,).

    It is computed for the `shortlist` points of lowest mean, and -inf for the others. Where it
    vanishes, points of lower mean come first.
    """
    from scipy.special import ndtr

    lowest = np.argsort(model.predict_mean(x), kind="stable")[:shortlist]
    mean, deviation = model.predict(x[lowest])
    z = (incumbent - mean) / deviation
    improvement = np.full(len(x), -np.inf)
    improvement[lowest] = deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / SQRT2PI) - 1e-9 * mean
    return improvement


def fit(
    observations: Observations,
    y: FloatArray,
    noise_prior: NoisePrior | None = None,
    iterations: int = MAX_ITERATIONS,
) -> Hyperparameters:
    """The hyperparameters of largest posterior density.

    The prior is normal in the logarithms of the lengthscales, of the trials' noise and of
    -log(rho), with variance 1 unless `noise_prior` says otherwise. Its means are usual values, and
    decide what the data do not.
    """
    from scipy.optimize import minimize

    d = observations.x.shape[1]
    rung_distance, same_trial = observations.rung_distance(), observations.same_trial()
    believed = noise_prior or NoisePrior()
    # A lengthscale of half the diagonal of the cube, and a correlation of 0.85.
    prior = np.concatenate(
        [np.full(d, np.log(0.5) + 0.5 * np.log(d)), np.log([believed.usual, -np.log(0.85)])]
    )
    precision = np.ones(d + 2)
    precision[d] = believed.deviation**-2.0

    def objective(theta: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = _negative_log_likelihood(
            theta, observations, rung_distance, same_trial, y
        )
        offset = theta - prior
        pull = precision * offset
        return value + 0.5 * float(offset @ pull), gradient + pull

    bounds = [(np.log(0.03), np.log(50.0))] * d
    bounds += [(np.log(1e-3 * believed.usual), np.log(10.0)), (np.log(1e-4), np.log(3.0))]
    found = minimize(
        objective,
        prior,
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": iterations, "maxfun": iterations + 5},
    )
    *lengthscales, noise, decay = np.exp(found.x)
    return Hyperparameters(
        np.array(lengthscales), float(noise), float(np.exp(-decay)), observations.observation_noise
    )


def _negative_log_likelihood(
    theta: FloatArray,
    observations: Observations,
    rung_distance: FloatArray,
    same_trial: FloatArray,
    y: FloatArray,
) -> tuple[float, FloatArray]:
    """The negative log marginal likelihood, and its gradient (d + 2,).

    theta (d + 2,): the logarithms of the lengthscales, of the trials' noise and of -log(rho). The
    signal variance is the likeliest one, in closed form.
    """
    n = len(y)
    *lengthscales, noise, decay = np.exp(theta)
    scaled = observations.x[observations.trial_index] / lengthscales
    distance, kernel_decay = _distance_and_decay(scaled, scaled)
    smooth = (1.0 + distance + distance * distance / 3.0) * kernel_decay
    correlation = np.exp(-decay * rung_distance)
    covariance = (smooth + noise * same_trial) * correlation
    by_rung = covariance * rung_distance
    covariance[np.diag_indices_from(covariance)] += observations.observation_noise + JITTER
    cholesky = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(covariance)
    alpha = inverse @ y
    signal_variance = max(float(y @ alpha) / n, LEAST_VARIANCE)
    # The derivative by theta is half the trace of this matrix times that of the covariance.
    residual = inverse - np.outer(alpha, alpha) / signal_variance
    weighted = residual * ((5.0 / 3.0) * (1.0 + distance) * kernel_decay) * correlation
    by_lengthscales = weighted.sum(axis=1) @ (scaled * scaled) - np.einsum(
        "aj,ab,bj->j", scaled, weighted, scaled, optimize=True
    )
    by_noise = 0.5 * noise * float((residual * same_trial * correlation).sum())
    by_decay = -0.5 * decay * float((residual * by_rung).sum())
    value = 0.5 * n * np.log(signal_variance) + float(np.log(np.diag(cholesky)).sum())
    return value, np.concatenate([by_lengthscales, [by_noise, by_decay]])
