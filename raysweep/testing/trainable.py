"""`check_trainable`: does a train function keep the contract that a sweep relies on?"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from raysweep.trainables.runtime import checkpoint, process_setup
from raysweep.trainables.runtime.evaluate import missing_functions
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.run import Metrics, Objective, ReportError, Run

TrainFunction = Callable[[dict[str, Any], Run], None]


def check_trainable(
    trainable: str | TrainFunction,
    config: dict[str, Any],
    metric: str,
    *,
    goal: Literal["minimize", "maximize"] = "minimize",
    epochs: int = 3,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> None:
    """Train with a configuration on the CPU, and check that the train function keeps its contract:

    - it reports `metric` in each epoch;
    - it gives the same numbers for the same seed;
    - stopped before the last epoch and resumed, it gives the numbers of an uninterrupted training;
    - if its module has `build(config)` and `evaluate(config, model, split)`, the model of the best
      epoch gives the metrics of that epoch back, up to a relative difference of `tolerance`.

    `trainable` is a function, or a reference as in a sweep's file (`path/to/train.py:train`). It is
    trained three times for `epochs`, at least 2. The global random-number generators are seeded.

    Raises AssertionError with a sentence that says what is wrong. What the train function raises is
    raised as it is.
    """
    if epochs < 2:
        raise ValueError(f"epochs {epochs}: expected 2 or more, to stop a training in between")
    check = _Check(
        *_resolve(trainable), config, Objective(metric, goal == "maximize"), epochs, seed
    )
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        first, second, resumed = (Path(scratch, name) for name in ("first", "second", "resumed"))
        expected = check.train(first)
        if len(expected) != epochs:
            raise AssertionError(f"the train function reported {len(expected)} of {epochs} epochs")
        _compare(expected, check.train(second), "a second training with the same seed")
        stopped = check.train(resumed, stop_after=epochs - 1)
        _compare(expected[:-1], stopped, "a training that is stopped before the last epoch")
        _compare(expected[-1:], check.train(resumed, known_epoch=epochs - 1), "a resumed training")
        if not missing_functions(check.module):
            check.evaluate_best(first, tolerance)


class _Stopped(BaseException):
    """Stops a training, as a worker does. It is no Exception: train functions catch those."""


@dataclass(frozen=True)
class _Check:
    train_function: TrainFunction
    module: ModuleType
    config: dict[str, Any]
    objective: Objective
    epochs: int
    seed: int

    def train(self, folder: Path, stop_after: int = 0, known_epoch: int = 0) -> list[Metrics]:
        """Train as a worker would. Returns the metrics of each epoch that is reported."""
        process_setup.seed_generators(self.seed)
        received: list[Metrics] = []

        def receive(message: dict[str, Any]) -> None:
            received.append(message["metrics"])
            if message["epoch"] == stop_after:
                raise _Stopped

        # The very class that a worker uses, so that checkpoints and resuming are the real ones.
        run = Run(
            self.epochs,
            receive,
            seed=self.seed,
            folder=folder,
            objective=self.objective,
            known_epoch=known_epoch,
        )
        try:
            with suppress(_Stopped):
                # A copy, because a train function may change its configuration.
                self.train_function(dict(self.config), run)
        except ReportError as error:
            raise AssertionError(str(error)) from error
        return received

    def evaluate_best(self, folder: Path, tolerance: float) -> None:
        """Compare the metrics of the best epoch with those of its model, built anew."""
        name = self.objective.name
        if not (folder / checkpoint.BEST).exists():
            raise AssertionError(f"{name} is not finite in any epoch, so there is no best model")
        content = checkpoint.load(folder / checkpoint.BEST)
        if "model_state_dict" not in content:
            raise AssertionError("the checkpoint has no model: call run.epochs(model=model, ...)")
        model = self.module.build(dict(self.config))
        model.load_state_dict(content["model_state_dict"])
        metrics = self.module.evaluate(dict(self.config), model, split="validation")
        if name not in metrics:
            raise AssertionError(f"evaluate(...) gives {', '.join(metrics)}, but not {name}")
        reported = content["metrics"]
        # The sweep's metric must be there; of others, those that both name are compared.
        for key in metrics.keys() & reported.keys():
            value = float(metrics[key])
            if not math.isclose(value, reported[key], rel_tol=tolerance):
                raise AssertionError(
                    f"evaluate(...) gives {key} {value!r} for the model of the best epoch, "
                    f"which reported {reported[key]!r}"
                )


def _resolve(trainable: str | TrainFunction) -> tuple[TrainFunction, ModuleType]:
    if isinstance(trainable, str):
        return load(trainable)
    return trainable, sys.modules[trainable.__module__]


def _compare(expected: list[Metrics], found: list[Metrics], what: str) -> None:
    if len(found) != len(expected):
        raise AssertionError(f"{what} reported {len(found)} epochs instead of {len(expected)}")
    for before, now in zip(expected, found, strict=True):
        for name in before.keys() | now.keys():
            # As text, so that NaN equals NaN.
            if repr(before.get(name)) != repr(now.get(name)):
                raise AssertionError(
                    f"{what} gave {name} {now.get(name)!r} instead of {before.get(name)!r}"
                )
