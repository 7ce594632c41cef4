"""Functions in place of trainings, to search without early stopping.

DEVELOP are those on which `searcher: auto` was chosen; JUDGE are others, which judge it. Each has
its own instance for each seed: the place of the optimum, the order of values and the tables are
drawn from the seed. The least loss is 0, or near it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from raysweep.history import Config
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal
from raysweep.search_spaces.language.space import Space

Rng = np.random.Generator
Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Function:
    """A function to minimise.

    loss: without noise. noise: the standard deviation of what is added to an observation.
    outliers: the part of the observations that are far too high. fails: whether a configuration
    ends without a loss.
    """

    space: Space
    loss: Callable[[Config], float]
    noise: float = 0.0
    outliers: float = 0.0
    fails: Callable[[Config], bool] = lambda config: False

    def observe(self, config: Config, rng: Rng) -> float:
        """What a trial reports; NaN if it fails."""
        if self.fails(config):
            return math.nan
        error = self.noise * float(rng.normal())
        wrong = 1e3 * float(rng.exponential()) if rng.random() < self.outliers else 0.0
        return self.loss(config) + error + wrong


Make = Callable[[Rng], Function]


# Functions of the unit cube, by their usual names (https://www.sfu.ca/~ssurjano/optimization.html),
# whose optimum is moved to a place of [0.15, 0.85] in each dimension.


def sphere(z: Vector) -> float:
    return float(np.square(z).sum())


def ellipsoid(z: Vector) -> float:
    return float((np.square(z) * np.geomspace(1, 100, len(z))).sum())


def rosenbrock(z: Vector) -> float:
    y = 0.5 * z + 1
    return float((100 * np.square(y[1:] - np.square(y[:-1])) + np.square(1 - y[:-1])).sum())


def rastrigin(z: Vector) -> float:
    return float((np.square(z) + 3 * (1 - np.cos(2 * np.pi * z))).sum())


def ackley(z: Vector) -> float:
    y = 6 * z
    spread = math.sqrt(float(np.square(y).mean()))
    waves = float(np.cos(2 * np.pi * y).mean())
    return 20 - 20 * math.exp(-0.2 * spread) + math.e - math.exp(waves)


def griewank(z: Vector) -> float:
    y = 20 * z
    divisors = np.sqrt(np.arange(1, len(y) + 1))
    return float(np.square(y).sum() / 400 + 1 - np.prod(np.cos(y / divisors)))


def levy(z: Vector) -> float:
    w = 1 + z / 2
    middle = np.square(w[:-1] - 1) * (1 + 10 * np.square(np.sin(np.pi * w[:-1] + 1)))
    last = (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    return float(math.sin(math.pi * w[0]) ** 2 + middle.sum() + last)


def zakharov(z: Vector) -> float:
    weighted = float((0.5 * np.arange(1, len(z) + 1) * z).sum())
    return float(np.square(z).sum() + 0.1 * weighted**2 + 0.01 * weighted**4)


def ridge(z: Vector) -> float:
    """A valley with a sharp bottom: the absolute values."""
    return float(np.abs(z).sum())


def steps(z: Vector) -> float:
    """A staircase, flat nearly everywhere."""
    return float(np.floor(np.abs(3 * z) + 0.5).sum())


def cube(f: Callable[[Vector], float], dims: int, used: int | None = None, **more: Any) -> Make:
    """A function of `used` of the dimensions of the unit cube, with a span of 5 on each axis."""

    def make(rng: Rng) -> Function:
        names = [f"x{i}" for i in range(dims)]
        axes = rng.permutation(dims)[: used or dims]
        centre = rng.uniform(0.15, 0.85, len(axes))

        def loss(config: Config) -> float:
            x = np.array([config[names[i]] for i in axes])
            return f(5.0 * (x - centre))

        settings = dict(more)
        if settings.pop("fails", False):
            corner = rng.random(dims) < 0.5

            def fails(config: Config) -> bool:
                """In the half of the cube beyond a slanted plane."""
                x = np.array([config[name] for name in names])
                return bool(np.where(corner, x, 1 - x).mean() > 0.55)

            settings["fails"] = fails
        return Function(Space({name: Float(0.0, 1.0) for name in names}), loss, **settings)

    return make


# Published test functions with places of their own.


def branin(rng: Rng) -> Function:
    def loss(config: Config) -> float:
        x, y = 15 * config["x"] - 5, 15 * config["y"]
        bowl = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
        return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.397887)

    return Function(Space({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)}), loss)


ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
A6 = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
P6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def hartmann6(rng: Rng, noise: float = 0.0) -> Function:
    order = rng.permutation(6)

    def loss(config: Config) -> float:
        x = np.array([config[f"x{i}"] for i in order])
        return 3.32237 - float(ALPHA @ np.exp(-(A6 * np.square(x - P6)).sum(axis=1)))

    return Function(Space({f"x{i}": Float(0.0, 1.0) for i in range(6)}), loss, noise=noise)


# Spaces as trainings have them.


def network(rng: Rng) -> Function:
    """Seven parameters of a small network: scales, whole numbers, steps and a choice."""
    space = Space(
        {
            "lr": Float(1e-5, 1.0, log=True),
            "decay": Float(1e-7, 1e-1, log=True),
            "width": Int(8, 512, log=True),
            "layers": Int(1, 6),
            "dropout": Float(0.0, 0.8, step=0.1),
            "batch": Ordinal((16, 32, 64, 128, 256)),
            "activation": Choice(("relu", "gelu", "tanh", "elu")),
        }
    )
    best_lr, best_size = rng.uniform(-3.5, -1.5), rng.uniform(6, 9)
    penalty = dict(zip(("relu", "gelu", "tanh", "elu"), rng.permutation(4) * 0.05, strict=True))
    best_dropout = rng.uniform(0.1, 0.6)

    def loss(config: Config) -> float:
        size = math.log2(config["width"]) + 0.5 * config["layers"]
        lr = math.log10(config["lr"]) + 0.15 * (size - best_size)
        lr -= 0.2 * math.log2(config["batch"] / 64)
        too_high = max(0.0, lr - best_lr)
        found = 0.1 * (lr - best_lr) ** 2 + 0.3 * too_high**2 + 0.03 * (size - best_size) ** 2
        found += 0.01 * (math.log10(config["decay"]) + 4) ** 2
        found += 0.3 * (config["dropout"] - best_dropout) ** 2
        return float(found + penalty[config["activation"]])

    return Function(space, loss)


def boosting(rng: Rng) -> Function:
    """Eight parameters of boosted trees, with noise as of a small validation set."""
    space = Space(
        {
            "eta": Float(1e-3, 1.0, log=True),
            "trees": Int(10, 2000, log=True),
            "depth": Int(1, 15),
            "subsample": Float(0.1, 1.0),
            "columns": Float(0.1, 1.0),
            "l1": Float(1e-3, 1e3, log=True),
            "l2": Float(1e-3, 1e3, log=True),
            "booster": Choice(("tree", "linear", "dart")),
        }
    )
    work, depth, l2 = rng.uniform(0.7, 1.8), rng.uniform(3, 9), rng.uniform(-1, 2)

    def loss(config: Config) -> float:
        done = math.log10(config["eta"] * config["trees"])
        linear = config["booster"] == "linear"
        fit = 0.15 * (done - work) ** 2 + 0.05 * max(0.0, math.log10(config["eta"]) + 1) ** 2
        shape = 0.1 if linear else 0.004 * (config["depth"] - depth) ** 2
        shape += 0.1 * (config["subsample"] - 0.8) ** 2 + 0.05 * (config["columns"] - 0.6) ** 2
        reg = 0.01 * (math.log10(config["l2"]) - l2) ** 2
        reg += 0.01 * max(0.0, math.log10(config["l1"])) ** 2
        return float(fit + shape + reg + 0.02 * (config["booster"] == "dart"))

    return Function(space, loss, noise=0.01)


def optimizers(rng: Rng) -> Function:
    """One optimizer of three, each with parameters of its own."""
    kinds = ("sgd", "adam", "lion")
    space = Space(
        {
            "optimizer": Choice(kinds),
            "lr": Float(1e-5, 1.0, log=True),
            "momentum": Float(0.0, 0.99),
            "nesterov": Choice((True, False)),
            "beta1": Float(0.5, 0.99),
            "beta2": Float(0.9, 0.9999, log="reverse"),
            "decay": Float(1e-6, 1.0, log=True),
        },
        conditions={
            "momentum": lambda flat: bool(flat["optimizer"] == "sgd"),
            "nesterov": lambda flat: bool(flat["optimizer"] == "sgd"),
            "beta1": lambda flat: bool(flat["optimizer"] != "sgd"),
            "beta2": lambda flat: bool(flat["optimizer"] == "adam"),
        },
    )
    floors = dict(zip(kinds, rng.permutation([0.0, 0.05, 0.1]), strict=True))
    rates = dict(zip(kinds, rng.uniform(-4, -1, 3), strict=True))
    decay = rng.uniform(-5, -1)

    def loss(config: Config) -> float:
        kind = config["optimizer"]
        found = floors[kind] + 0.02 * (math.log10(config["decay"]) - decay) ** 2
        rate = math.log10(config["lr"])
        if kind == "sgd":
            rate -= math.log10(1 - config["momentum"]) - 1
            found += 0.02 * (not config["nesterov"])
        else:
            found += 0.5 * (config["beta1"] - 0.85) ** 2
        if kind == "adam":
            found += 0.02 * (math.log10(1 - config["beta2"]) + 2.5) ** 2
        return float(found + 0.1 * (rate - rates[kind]) ** 2)

    return Function(space, loss)


def pipelines(rng: Rng) -> Function:
    """A method of four, with a preprocessing, and a second layer of conditions below them."""
    kinds = ("forest", "svm", "net", "linear")
    space = Space(
        {
            "scale": Choice(("none", "unit", "rank")),
            "method": Choice(kinds),
            "C": Float(1e-3, 1e3, log=True),
            "kernel": Choice(("rbf", "poly", "linear")),
            "gamma": Float(1e-4, 1e1, log=True),
            "degree": Int(2, 5),
            "depth": Int(2, 30),
            "features": Float(0.05, 1.0),
            "lr": Float(1e-5, 1e-1, log=True),
            "units": Int(8, 256, log=True),
        },
        conditions={
            "C": lambda flat: flat["method"] in ("svm", "linear"),
            "kernel": lambda flat: bool(flat["method"] == "svm"),
            "gamma": lambda flat: flat.get("kernel") in ("rbf", "poly"),
            "degree": lambda flat: flat.get("kernel") == "poly",
            "depth": lambda flat: bool(flat["method"] == "forest"),
            "features": lambda flat: bool(flat["method"] == "forest"),
            "lr": lambda flat: bool(flat["method"] == "net"),
            "units": lambda flat: bool(flat["method"] == "net"),
        },
    )
    floors = dict(zip(kinds, rng.permutation([0.0, 0.04, 0.08, 0.2]), strict=True))
    c, gamma, lr = rng.uniform(-1, 2), rng.uniform(-3, 0), rng.uniform(-4, -2)

    def loss(config: Config) -> float:
        found = floors[config["method"]] + 0.03 * (config["scale"] != "unit")
        if "C" in config:
            found += 0.04 * (math.log10(config["C"]) - c) ** 2
        if "gamma" in config:
            found += 0.05 * (math.log10(config["gamma"]) - gamma) ** 2
        elif config.get("kernel") == "linear":
            found += 0.1
        if "degree" in config:
            found += 0.02 * abs(config["degree"] - 3) + 0.02
        if "depth" in config:
            found += 0.001 * (config["depth"] - 14) ** 2 + (config["features"] - 0.4) ** 2 * 0.5
        if "lr" in config:
            found += 0.1 * (math.log10(config["lr"]) - lr) ** 2
            found += 0.02 * (math.log2(config["units"]) - 6) ** 2
        return float(found)

    return Function(space, loss)


def choices(rng: Rng, count: int, values: int, pairs: float, ordered: bool = False) -> Function:
    """A choice for each of `count` places; each value and some pairs of values cost something."""
    names = [f"c{i}" for i in range(count)]
    letters = tuple("abcdefgh"[:values])
    kind: Any = Ordinal if ordered else Choice
    own = rng.gamma(1.0, 1.0, (count, values))
    if ordered:
        own = np.abs(np.arange(values) - rng.integers(values, size=(count, 1))) * 0.5 + 0.2 * own
    between = pairs * rng.gamma(1.0, 1.0, (count, count, values, values))
    planted = rng.integers(values, size=count)
    own[np.arange(count), planted] = 0.0
    for i in range(count):
        between[i, :, planted[i]] = 0.0

    def loss(config: Config) -> float:
        at = [letters.index(config[name]) for name in names]
        single = sum(own[i, value] for i, value in enumerate(at))
        double = sum(between[i, i - 1, at[i], at[i - 1]] for i in range(count))
        return float(single + double)

    return Function(Space({name: kind(letters) for name in names}), loss)


def scales(rng: Rng, dims: int) -> Function:
    """Positive numbers over ten powers of ten, with a narrow optimum and a wall beyond it."""
    names = [f"s{i}" for i in range(dims)]
    best = rng.uniform(-6, 0, dims)

    def loss(config: Config) -> float:
        off = np.array([math.log10(config[name]) for name in names]) - best
        return float((np.sqrt(1 + np.square(off)) - 1 + 0.5 * np.maximum(off, 0) ** 2).sum())

    return Function(Space({name: Float(1e-8, 1e2, log=True) for name in names}), loss)


def cliff(rng: Rng) -> Function:
    """A loss that explodes by powers of ten where two rates are too large together."""
    names = ("lr", "rate", "decay", "clip")
    best = rng.uniform(-4, -2, 4)

    def loss(config: Config) -> float:
        off = np.array([math.log10(config[name]) for name in names]) - best
        beyond = max(0.0, float(off[0] + off[1]) - 0.5)
        return float(0.1 * np.square(off).sum() + math.expm1(min(5 * beyond, 25.0)))

    return Function(Space({name: Float(1e-6, 1.0, log=True) for name in names}), loss)


DEVELOP: dict[str, Make] = {
    "sphere 8": cube(sphere, 8),
    "sphere 24": cube(sphere, 24),
    "rosenbrock 5": cube(rosenbrock, 5),
    "rastrigin 4": cube(rastrigin, 4),
    "ackley 10": cube(ackley, 10),
    "ridge 6": cube(ridge, 6),
    "40 of which 4 matter": cube(sphere, 40, used=4),
    "noisy ellipsoid 6": cube(ellipsoid, 6, noise=5.0),
    "very noisy sphere 4": cube(sphere, 4, noise=5.0),
    "very noisy levy 5": cube(levy, 5, noise=5.0),
    "outliers, zakharov 5": cube(zakharov, 5, outliers=0.07),
    "failures, sphere 6": cube(sphere, 6, fails=True),
    "network (mixed)": network,
    "optimizers (conditional)": optimizers,
    "7 choices of 4": partial(choices, count=7, values=4, pairs=0.5),
    "6 scales": partial(scales, dims=6),
    "finite, 5 ordinals of 4": partial(choices, count=5, values=4, pairs=0.3, ordered=True),
}
JUDGE: dict[str, Make] = {
    "branin 2": branin,
    "hartmann 6": hartmann6,
    "levy 8": cube(levy, 8),
    "griewank 3": cube(griewank, 3),
    "zakharov 10": cube(zakharov, 10),
    "rosenbrock 12": cube(rosenbrock, 12),
    "ackley 20": cube(ackley, 20),
    "ellipsoid 20": cube(ellipsoid, 20),
    "rastrigin 30": cube(rastrigin, 30),
    "60 of which 5 matter": cube(ellipsoid, 60, used=5),
    "staircase 7": cube(steps, 7),
    "noisy hartmann 6": partial(hartmann6, noise=0.3),
    "outliers, levy 6": cube(levy, 6, outliers=0.07),
    "failures, ridge 8": cube(ridge, 8, fails=True),
    "boosting (mixed, noisy)": boosting,
    "pipelines (conditional)": pipelines,
    "10 choices of 3": partial(choices, count=10, values=3, pairs=0.5),
    "3 scales": partial(scales, dims=3),
    "cliff 4": cliff,
    "finite, 4 choices of 4": partial(choices, count=4, values=4, pairs=0.5),
}
