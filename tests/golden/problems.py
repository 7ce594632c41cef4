"""Six small sweeps with formulas in place of trainings.

Each says its part of a YAML file, and how the metrics of a configuration develop by epoch. The
formulas use arithmetic and `log10` alone, and the noise comes from Python's own generator, so that
they give the same numbers on every machine. Do not change them: the recorded sequences belong to
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

Config = dict[str, Any]
Epoch = tuple[dict[str, float], float]
Curve = Callable[[Config, int], Iterator[Epoch]]


class CodeError(Exception):
    """What a train function raises when it has a bug."""


@dataclass(frozen=True)
class Problem:
    """A sweep without searcher and scheduler.

    `curves` gives a fresh curve for each replay, because some of them count how often a trial was
    started. `scheduler_options` are added where the scheduler has such an option. `comparison` says
    whether a sweep with several searchers and search seeds is recorded as well.
    """

    name: str
    yaml: str
    curves: Callable[[], Curve]
    workers: int
    scheduler_options: dict[str, Any] = field(default_factory=dict)
    comparison: bool = False


def noise(seed: int, size: float) -> Iterator[float]:
    """Endless noise, even between -size and size."""
    generator = Random(seed)
    while True:
        yield size * (2 * generator.random() - 1)


def optimizers(config: Config, seed: int) -> Iterator[Epoch]:
    """The loss of a small network: adam learns sooner, sgd with momentum ends lower."""
    sgd = config["optimizer"] == "sgd"
    momentum = config.get("momentum", 0.0)
    best = -1.0 - momentum if sgd else -2.5
    floor = 0.1 * (math.log10(config["lr"]) - best) ** 2 + (0.1 - 0.08 * momentum if sgd else 0.08)
    speed = 0.4 + 0.3 * config.get("nesterov", False) if sgd else 1.0
    for epoch, error in zip(range(1, 10), noise(seed, 0.01), strict=False):
        yield {"loss": floor + 1 / (1 + speed * epoch) + error}, 1.0 if sgd else 1.5


OPTIMIZERS = Problem(
    "optimizers",
    """
metric: {name: loss, goal: minimize}
budget: {epochs: 9, total_epochs: 140}
seed: 3
space:
  lr: {float: [1e-5, 1.0], log: true}
  optimizer: {choice: [sgd, adam]}
  momentum: {float: [0.0, 0.99], when: {optimizer: sgd}}
  nesterov: {choice: [false, true], when: momentum >= 0.5}
""",
    lambda: optimizers,
    workers=4,
)


def layers(config: Config, seed: int) -> Iterator[Epoch]:
    """The error of a network of one to four layers; large ones learn slowly and are slow."""
    size = config["layers"] * config["width"]
    decay = config["weight_decay"]
    dropout = config["dropout"] + config.get("dropout2", 0.0)
    fit = abs(math.log10(size) - 2.0) + 0.1 * abs(math.log10(decay) + 4 if decay else 1.5)
    floor = 0.2 + 0.3 * fit + 0.1 * abs(dropout - 0.4) + (config.get("skip") == "concat") * 0.02
    for epoch, error in zip(range(1, 28), noise(seed, 0.02), strict=False):
        yield {"error": floor + size / 256 / epoch + error}, 0.25 + size / 256


LAYERS = Problem(
    "layers",
    """
metric: {name: error, goal: minimize}
budget: {epochs: 27, trials: 30, time: 150}
seed: 11
space:
  layers: {int: [1, 4]}
  width: {int: [8, 128], log: true}
  dropout: {float: [0, 0.5], step: 0.125}
  dropout2: {float: [0, 0.5], when: layers >= 2}
  skip: {choice: [add, concat], when: layers >= 3}
  weight_decay: {float: [1e-6, 1e-2], log: true, or: [0]}
""",
    lambda: layers,
    workers=3,
)


class Faults:
    """Trainings that fail or run out of memory, once or always, or that report NaN or inf."""

    def __init__(self) -> None:
        self._starts: dict[int, int] = {}

    def __call__(self, config: Config, seed: int) -> Iterator[Epoch]:
        start = self._starts[seed] = self._starts.get(seed, 0) + 1
        kind = seed % 8
        for epoch, error in zip(range(1, 10), noise(seed, 0.01), strict=False):
            if (kind == 0 and epoch == 2 and start == 1) or (kind == 1 and epoch == 3):
                raise CodeError(f"an error in epoch {epoch}")
            if config["batch"] * config["width"] > 2048 and (kind > 4 or start < 3):
                raise MemoryError(f"a batch of {config['batch']}")
            loss = (math.log10(config["lr"]) + 2) ** 2 + 64 / config["width"] / epoch + error
            bad = config["lr"] > 0.2 and epoch > seed % 4
            yield {"loss": (math.inf if kind == 2 else math.nan) if bad else loss}, 0.5


FAULTS = Problem(
    "faults",
    """
metric: {name: loss, goal: minimize}
budget: {epochs: 9, trials: 28}
seed: 5
retries: 1
space:
  lr: {float: [1e-4, 1.0], log: true}
  batch: {ordinal: [16, 32, 64, 128]}
  width: {int: [8, 64], step: 8}
""",
    Faults,
    workers=4,
)


def accuracy(config: Config, seed: int) -> Iterator[Epoch]:
    """An accuracy in percent: who learns fast at first ends lower."""
    speed = config["lr"] / (0.02 + config["lr"])
    top = 95 - 20 * speed * speed - 40 * (config["smoothing"] - 0.1) ** 2 - 5 * config["drop"]
    for epoch, error in zip(range(1, 10), noise(seed, 0.5), strict=False):
        share = speed * epoch / (1 + speed * epoch)
        yield {"accuracy": top * (0.2 + 0.8 * share) + error, "share": share}, 1.0


ACCURACY = Problem(
    "accuracy",
    """
metric: {name: accuracy, goal: maximize, target: 77}
budget: {epochs: 9, trials: 36}
seed: 2
plateau: {trials: 24}
space:
  lr: {float: [1e-3, 1.0], log: true, around: 0.05}
  smoothing: {float: [0, 0.3]}
  drop: {float: [0, 1]}
""",
    lambda: accuracy,
    workers=5,
    scheduler_options={"audit": 0.2, "grace": 1},
)


def batches(config: Config, seed: int) -> Iterator[Epoch]:
    """A loss that depends on ordered, unordered and derived values."""
    model, batch = config["model"], config["batch"]
    kind = {"small": 0.2, "wide": 0.0, "deep": 0.1}[model["kind"]]
    rate = math.log10(config["lr"] * 32 / batch)
    floor = 0.05 * (rate + 2) ** 2 + kind + 0.02 * abs(config["warmup"] - 6) / 16
    floor += abs(math.log10(1 - config["ema"]) + 2) / 10 + (config["betas"] == [0.9, 0.99]) * 0.03
    for epoch, error in zip(range(1, 10), noise(seed, 0.01), strict=False):
        yield {"loss": floor + model["hidden"] / 256 / epoch + error}, 0.25 + 16 / batch


BATCHES = Problem(
    "batches",
    """
metric: {name: loss, goal: minimize}
budget: {epochs: 9, trials: 26}
seed: 7
space:
  batch: {ordinal: [16, 32, 64, 128, 256], around: 64}
  lr: {float: [1e-4, 1.0], log: true, points: 3}
  ema: {float: [0.9, 0.999], log: reverse, points: 2}
  betas: {choice: [[0.9, 0.99], [0.9, 0.999]]}
  model.kind: {choice: [small, wide, deep], weights: [2, 1, 1]}
  model.channels: {int: [8, 32], step: 8, points: 2}
  model.hidden: {expr: 4 * model.channels}
  warmup: {expr: "max(1, 512 // batch)"}
  data: digits
""",
    lambda: batches,
    workers=2,
    comparison=True,
)


def constraints(config: Config, seed: int) -> Iterator[Epoch]:
    """The best allowed values lie at the bound that the constraints draw."""
    a, b, heads = config["a"], config["b"], config["heads"]
    floor = (a - 0.9) ** 2 + (b - 0.8) ** 2 + 0.05 * abs(heads - 6) + 4 / config["width"]
    for epoch, error in zip(range(1, 10), noise(seed, 0.005), strict=False):
        yield {"loss": floor + (0.2 + a) / epoch + error}, 0.5 + heads / 8


CONSTRAINTS = Problem(
    "constraints",
    """
metric: {name: loss, goal: minimize}
budget: {epochs: 9, trials: 26}
seed: 13
space:
  a: {float: [0, 1]}
  b: {float: [0, 1]}
  heads: {int: [1, 8]}
  width: {int: [16, 128], step: 16, points: 4}
constraints:
  - a + b <= 1.2
  - width % heads == 0
""",
    lambda: constraints,
    workers=4,
    comparison=True,
)

PROBLEMS = {
    problem.name: problem
    for problem in (OPTIMIZERS, LAYERS, FAULTS, ACCURACY, BATCHES, CONSTRAINTS)
}
