"""What a memory of five earlier sweeps gives a sixth: small networks on images, really trained.

    RAYSWEEP_DATA_ROOT=FOLDER python benchmarks/memory_images.py --storage FOLDER [--seeds 10]

Five sweeps of `mlp:train` come first: two on digits, three on FashionMNIST with few images. The
sixth has more images of FashionMNIST. It runs with each seed twice, with `memory: none` and with a
memory of the five. Both train one trial after the other in this process. Runs that lie in the
storage are not trained again, so what was interrupted continues.

The table has the best validation accuracy after so many epochs of training, means over the seeds
with their standard errors, and the difference within the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import raysweep as rs
from raysweep.arrays import FloatArray
from raysweep.results.storage import ledger

SPACE: dict[str, Any] = {
    "lr": rs.Float(1e-4, 1.0, log=True),
    "layers": rs.Int(1, 4),
    "width": rs.Int(16, 256, log=True),
    "dropout": rs.Float(0, 0.5),
    "batch_size": rs.Ordinal([32, 64, 128, 256]),
    "optimizer": rs.Choice(["sgd", "adam"]),
    "weight_decay": rs.Float(1e-6, 1e-2, log=True),
}
EARLIER: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits"},
    "digits-600": {"data": "digits", "train_size": 600},
    "fashion-500": {"data": "fashion_mnist", "train_size": 500},
    "fashion-800": {"data": "fashion_mnist", "train_size": 800},
    "fashion-1200": {"data": "fashion_mnist", "train_size": 1200},
}
SIXTH = {"data": "fashion_mnist", "train_size": 2400}
BUDGET = {"trials": 24, "epochs": 9}
READ_AT = (9, 18, 36, 54)
"""The epochs of training, over all trials, after which the best accuracy is read."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--storage", type=Path, required=True, help="the folder of the runs")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    earlier = options.storage / "earlier"
    for seed, (name, constants) in enumerate(EARLIER.items()):
        accuracies(earlier / name, constants, 100 + seed, "none")
    without, remembering = [], []
    for seed in range(options.seeds):
        place = options.storage / f"without-{seed}"
        without.append(accuracies(place, SIXTH, seed, "none"))
        place = options.storage / f"remembering-{seed}"
        remembering.append(accuracies(place, SIXTH, seed, [str(earlier.resolve())]))
    print(table(np.array(without), np.array(remembering)))


def accuracies(place: Path, constants: Mapping[str, Any], seed: int, memory: Any) -> list[float]:
    """The best accuracy at each of READ_AT of a sweep, which is run unless it has ended."""
    if not place.is_dir():
        sweep = rs.Sweep(
            trainable="mlp:train",
            space=SPACE | dict(constants),
            metric={"name": "val_accuracy", "goal": "maximize"},
            budget=BUDGET,
            seed=seed,
            memory=memory,
        )
        sweep.run(name=place.name, storage=place.parent, executor="debug", quiet=True)
    losses = [event["loss"] for event in ledger.read(place) if event["event"] == "reported"]
    best = -np.minimum.accumulate(losses)
    return [float(best[min(epochs, len(best)) - 1]) for epochs in READ_AT]


def table(without: FloatArray, remembering: FloatArray) -> str:
    """The accuracies, (seeds, READ_AT), as rows of Markdown."""
    rows = [
        f"| epochs trained | without, {len(without)} seeds | with memory | difference | ahead in |",
        "| --- | --- | --- | --- | --- |",
    ]
    for column, epochs in enumerate(READ_AT):
        one, other = without[:, column], remembering[:, column]
        ahead = f"{int((other > one).sum())}, behind in {int((other < one).sum())}"
        rows.append(
            f"| {epochs} | {shown(one)} | {shown(other)} | {shown(other - one)} | {ahead} |"
        )
    return "\n".join(rows)


def shown(values: FloatArray) -> str:
    """The mean and its standard error."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.4f} ± {error:.4f}"


if __name__ == "__main__":
    main()
