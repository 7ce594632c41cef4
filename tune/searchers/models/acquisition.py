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


def log_expected_improvement(
    mean: FloatArray, deviation: FloatArray, incumbent: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The logarithm of the expected improvement over the incumbent's value, to be minimised.

    Returns it, and its derivatives by the mean and by the deviation; all (k,).
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
    return value + np.log(deviation), by_mean, by_deviation


def climb(model: GaussianProcess, x: FloatArray, count: int, incumbent: float) -> FloatArray:
    """Points of larger expected improvement near x (k, d), within the unit cube; (k, d).

    The first `count` coordinates move, and the others stay. All points climb together.
    """
    from scipy.optimize import minimize

    moving = (len(x), count)

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        points = np.concatenate([flat.reshape(moving), x[:, count:]], axis=1)
        prediction = model.predict_with_slope(points)
        value, *slopes = log_expected_improvement(prediction.mean, prediction.deviation, incumbent)
        return -float(value.sum()), -prediction.slope(*slopes)[:, :count].ravel()

    found = minimize(
        objective,
        x[:, :count].ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * (len(x) * count),
        options={"maxiter": ITERATIONS, "maxfun": ITERATIONS + 5},
    )
    return np.concatenate([found.x.reshape(moving), x[:, count:]], axis=1)
