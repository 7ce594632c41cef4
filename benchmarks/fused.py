"""What it gains to train small trials as one: `python benchmarks/fused.py`.

Three parts, each side by side in one run: how many epochs a CPU second trains, one by one and as
one; how much the curves differ; and a whole sweep both ways, with its best trial and its wall
clock. Throughput is in CPU time of a single thread, which a busy machine changes little; the wall
clock means little on one.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import raysweep as rs
from raysweep.trainables import cnn, mlp
from raysweep.trainables.fused.kernels import kernels_of
from raysweep.trainables.fused.lane import Lane
from raysweep.trainables.fused.pool import Pool
from raysweep.trainables.fused.recipe import Recipe
from raysweep.trainables.fused.stack import Stack
from raysweep.trainables.runtime.process_setup import seed_generators
from raysweep.trainables.runtime.run import Run

Config = dict[str, Any]
ROUNDS, STEPS = 7, 10
"""Steps are timed both ways in turns, and the fastest round of each counts."""
COUNTS = (2, 4, 8, 16, 32, 64)
EPOCHS, TRIALS = 5, 8
"""Of the comparison of curves."""
BASE: Config = {"data": "digits", "optimizer": "sgd", "batch_size": 32}
MLP = BASE | {"layers": 2, "width": 64}
MODELS: dict[str, tuple[Recipe, Config]] = {
    "MLP, SGD": (mlp.train, MLP),
    "MLP, Adam": (mlp.train, MLP | {"optimizer": "adam"}),
    "MLP with dropout, SGD": (mlp.train, MLP | {"dropout": 0.2}),
    "MLP, SGD, batches of 128": (mlp.train, MLP | {"batch_size": 128}),
    "small CNN, SGD": (cnn.train, BASE | {"channels": 8}),
}
EQUAL: dict[str, tuple[Recipe, Config]] = {
    "MLP, SGD with momentum": (mlp.train, MLP | {"momentum": 0.9}),
    "MLP, Adam": (mlp.train, MLP | {"optimizer": "adam"}),
    "MLP, AdamW and decay": (mlp.train, MLP | {"optimizer": "adamw", "weight_decay": 0.1}),
    "MLP, dropout": (mlp.train, MLP | {"dropout": 0.3}),
    "MLP, label smoothing and clipping": (
        mlp.train,
        MLP | {"label_smoothing": 0.1, "gradient_clip": 0.5},
    ),
    "small CNN, SGD": (cnn.train, BASE | {"channels": 8}),
    "small CNN without kinks, SGD": (
        replace(cnn.train, build=lambda config: without_kinks(cnn.build(config))),
        BASE | {"channels": 8},
    ),
}
# No learning rate at which a training hardly holds together: there a rounding error decides how it
# goes on, as it would between two machines.
SWEEP: dict[str, Any] = {
    "trainable": "mlp:train",
    "space": {
        **MLP,
        "width": rs.Choice([32, 64]),
        "lr": rs.Float(1e-3, 0.1, log=True),
        "dropout": rs.Float(0, 0.5),
        "momentum": rs.Float(0.5, 0.9),
    },
    "metric": {"name": "val_loss", "goal": "minimize"},
    "searcher": "random",
    "scheduler": "none",
}


def without_kinks(model: torch.nn.Module) -> torch.nn.Module:
    """The model with smooth parts in place of those whose gradients jump."""
    parts: list[torch.nn.Module] = []
    for part in model.children():
        if isinstance(part, torch.nn.ReLU):
            parts.append(torch.nn.Tanh())
        elif isinstance(part, torch.nn.MaxPool2d):
            parts.append(torch.nn.AvgPool2d(2))
        else:
            parts.append(part)
    return torch.nn.Sequential(*parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=32, help="of the whole sweep")
    parser.add_argument("--epochs", type=int, default=27, help="of each of its trials")
    parser.add_argument(
        "--executor", choices=["ray", "debug"], default="debug", help="debug: this process alone"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread of {platform.processor() or platform.machine()}")
    print_throughput()
    print_equality()
    print_sweeps(options.trials, options.epochs, options.executor)


def print_throughput() -> None:
    """How many times as many epochs a CPU second trains, by the number of trials."""
    print("\ntimes as many steps in a CPU second as one by one, by the number of trials")
    print(f"{'':27}{''.join(f'{count:>7}' for count in COUNTS)}   one step alone")
    for name, (recipe, config) in MODELS.items():
        gains, alone = [], 0.0
        for count in COUNTS:
            gain, alone = gain_of(lanes(recipe, config, count))
            gains.append(gain)
        print(f"{name:27}{''.join(f'{gain:>7.1f}' for gain in gains)}   {alone * 1e6:.0f} µs")


def lanes(recipe: Recipe, config: Config, count: int) -> list[Lane]:
    """Trials with learning rates of their own, at the beginning of their first epoch."""
    made: list[Lane] = []
    for seed in range(count):
        seed_generators(seed)
        run = Run(EPOCHS, ignore, seed=seed)
        lane = Lane(recipe, config | {"lr": learning_rate(config, seed)}, run, made)
        lane.begin_epoch()
        made.append(lane)
    return made


def learning_rate(config: Config, seed: int) -> float:
    scale = 0.02 if config["optimizer"] == "sgd" else 0.001
    return float(scale * (1 + seed % 5) / 3)


def gain_of(made: Sequence[Lane]) -> tuple[float, float]:
    """How many times as fast they train as one, and the CPU seconds of a step of one alone."""
    stack = Stack([lane.copy() for lane in made], kernels_of(made[0]))
    alone = made[0].copy()
    fused, single = [], []
    for _ in range(ROUNDS):
        single.append(timed(lambda: alone.train_epoch(STEPS)))
        fused.append(timed(lambda: stack.train_epoch(STEPS)))
    return min(single) * len(made) / min(fused), min(single) / STEPS


def timed(train: Callable[[], object]) -> float:
    began = time.thread_time()
    train()
    return time.thread_time() - began


def print_equality() -> None:
    """How much the losses differ between both ways, over eight trials and their epochs."""
    print(f"\nlargest relative difference of a val_loss in {EPOCHS} epochs of {TRIALS} trials")
    print(f"{'':34}{'float32':>9}{'to 1e-5':>9}{'epoch 1':>9}{'rounding':>10}{'float64':>9}")
    for name, (recipe, config) in EQUAL.items():
        alone, fused = curves(recipe, config, double=False)
        exact, exact_fused = curves(recipe, config, double=True)
        found = differences(fused, alone)
        close = int((found.amax(dim=1) < 1e-5).sum())
        columns = (
            f"{found.max():9.0e}{close:>4} of {TRIALS}{found[:, 0].max():9.0e}"
            f"{differences(alone, exact).max():10.0e}{differences(exact_fused, exact).max():9.0e}"
        )
        print(f"{name:34}{columns}")
    print("to 1e-5: the trials of which every loss agrees to that")
    print("rounding: the same for trials alone, in float32 and in float64 from equal weights")


def differences(some: Tensor, others: Tensor) -> Tensor:
    """The relative differences of losses."""
    return ((some - others) / others).abs()


def curves(recipe: Recipe, config: Config, double: bool) -> tuple[Tensor, Tensor]:
    """The losses of the trials alone and as one, each of shape (trials, epochs)."""
    torch.set_default_dtype(torch.float64 if double else torch.float32)
    made = in_precision(recipe, double)
    pool = Pool(made, TRIALS, measured=False, say=lambda kind, line: None)
    alone, fused = [], []
    for seed in range(TRIALS):
        chosen = config | {"lr": learning_rate(config, seed)}
        seed_generators(seed)
        alone.append(Run(EPOCHS, ignore, seed=seed))
        made(chosen, alone[-1])
        seed_generators(seed)
        fused.append(Run(EPOCHS, ignore, seed=seed))
        pool.add(chosen, fused[-1])
    for _ in range(EPOCHS):
        pool.train()
    torch.set_default_dtype(torch.float32)
    return losses_of(alone), losses_of(fused)


def losses_of(runs: Sequence[Run]) -> Tensor:
    losses = [[report["metrics"]["val_loss"] for report in run.reports] for run in runs]
    return torch.tensor(losses, dtype=torch.float64)


def in_precision(recipe: Recipe, double: bool) -> Recipe:
    """The recipe with the same weights and samples in double precision, if asked for."""
    if not double:
        return recipe
    data = mlp.load_data(BASE)
    train = data.train.images.double(), data.train.labels
    inputs, labels = data.validation.images.double(), data.validation.labels

    def build(config: Config) -> torch.nn.Module:
        torch.set_default_dtype(torch.float32)
        model = recipe.build(config).double()
        torch.set_default_dtype(torch.float64)
        return model

    @torch.no_grad()
    def evaluate(config: Config, model: torch.nn.Module) -> dict[str, float]:
        output = model.eval()(inputs)
        return {"val_loss": torch.nn.functional.cross_entropy(output, labels).item()}

    return Recipe(build, lambda config: train, recipe.loss, evaluate)


def print_sweeps(trials: int, epochs: int, executor: Any) -> None:
    """The same sweep one by one and as one, twice: another program may slow down one of them."""
    print(f"\na sweep of {trials} trials and {epochs} epochs, executor {executor}")
    with tempfile.TemporaryDirectory() as folder:
        for number, fuse in enumerate((1, "auto", 1, "auto")):
            sweep = rs.Sweep(
                **SWEEP, budget={"trials": trials, "epochs": epochs}, resources={"fuse": fuse}
            )
            began, cpu = time.monotonic(), time.process_time()
            run = sweep.run(
                name=f"sweep-{number}", storage=Path(folder), executor=executor, quiet=True
            )
            seconds, cpu = time.monotonic() - began, time.process_time() - cpu
            trained = float(run.trials["seconds"].sum())
            print(
                f"fuse: {fuse:<5} {seconds:6.1f} s in all, {cpu:5.1f} CPU s of this process, "
                f"{trained:6.1f} s of training; best {run.best.trial}, {run.best.value:.5f} in "
                f"epoch {run.best.epoch}"
            )


def ignore(message: dict[str, Any]) -> None:
    """What is reported is read from the runs themselves."""


if __name__ == "__main__":
    main()
