"""The logarithm of the expected improvement, and how it is climbed.

Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS
2023, section 4. Far from the best points the improvement itself vanishes in rounding, and with it
its slope; its logarithm does not.
"""

from __future__ import annotations

import numpy as np

from raysweep.arrays import FloatArray
from raysweep.tune.searchers.models.gaussian_process import SQRT2PI, GaussianProcess

FAR = -5.0
"""Below so many standard deviations the improvement is computed by its asymptotic form."""
ITERATIONS = 20
"""Of L-BFGS-B, which climbs."""
DIGITS = 4
"""Digits of a coordinate that are kept. The last ones of a float64 differ between processors, and a
sweep is to propose the same on each."""


def log_expected_improvement(
    mean: FloatArray, deviation: FloatArray, incumbent: float, noise: float = 0.0
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The logarithm of the expected improvement over the incumbent's value, to be minimised.

    Returns it, and its derivatives by the mean and by the deviation; all (k,). noise: the standard
    deviation of an observation, which makes the improvement less where little is uncertain besides.
    """
    from scipy.special import erfcx, ndtr

    z = (incumbent - mean) / deviation
    far = z < FAR
    density = np.exp(-0.5 * z * z) / SQRT2PI
    below = ndtr(z)
    improvement = np.where(far, 1.0, density + z * below)
    # Far below, all three are parts of the density, which would be 0 there.
    distance = np.abs(np.where(far, z, FAR))
    mills = np.sqrt(np.pi / 2) * erfcx(distance / np.sqrt(2))
    # 1 - distance * mills loses its digits far out, where it is 1 / distance ** 2.
    part = np.where(distance > 1e3, distance**-2.0, 1 - distance * mills)
    value = np.where(far, np.log(part) - 0.5 * z * z - np.log(SQRT2PI), np.log(improvement))
    by_mean = -np.where(far, mills / part, below / improvement) / deviation
    by_deviation = np.where(far, 1 / part, density / improvement) / deviation
    informative, by_informative = _log_informative(deviation, noise)
    return value + np.log(deviation) + informative, by_mean, by_deviation + by_informative


def _log_informative(deviation: FloatArray, noise: float) -> tuple[FloatArray, FloatArray]:
    """The logarithm of the part of the improvement that is not lost in noise, and its slope.

    So a place is not tried again and again where only the noise is uncertain.

    Huang et al., "Global Optimization of Stochastic Black-Box Systems via Sequential Kriging
    Meta-Models", Journal of Global Optimization 2006, section 3.2.
    """
    total = np.hypot(deviation, noise)
    # 1 - noise / total, which would lose its digits.
    part = np.square(deviation) / (total * (total + noise))
    return np.log(part), noise * deviation / (total**3 * part)


def climb(model: GaussianProcess, x: FloatArray, count: int, incumbent: float) -> FloatArray:
    """Points of larger expected improvement near x (k, d), within the unit cube; (k, d).

    The first `count` coordinates move, and the others stay. All points climb together.
    """
    from scipy.optimize import minimize

    moving = (len(x), count)

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        points = np.concatenate([flat.reshape(moving), x[:, count:]], axis=1)
        prediction = model.predict_with_slope(points)
        value, *slopes = log_expected_improvement(
            prediction.mean, prediction.deviation, incumbent, model.noise
        )
        return -float(value.sum()), -prediction.slope(*slopes)[:, :count].ravel()

    found = minimize(
        objective,
        x[:, :count].ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * (len(x) * count),
        options={"maxiter": ITERATIONS, "maxfun": ITERATIONS + 5},
    )
    climbed = found.x.reshape(moving).round(DIGITS)
    return np.concatenate([climbed, x[:, count:]], axis=1)
