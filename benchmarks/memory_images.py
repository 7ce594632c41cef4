"""What a memory of five earlier sweeps gives a sixth: small networks on images, really trained.

    RAYSWEEP_DATA_ROOT=FOLDER python benchmarks/memory_images.py --storage FOLDER [--seeds 10]

Five sweeps of `mlp:train` come first: two on digits, three on FashionMNIST with few images. The
sixth has more images of FashionMNIST. It runs with each seed twice, with `memory: none` and with a
memory of the five. Both train one trial after the other in this process. Runs that lie in the
storage are not trained again, so what was interrupted continues.

The table has the best validation accuracy after so many epochs of training, of which 86 are the
end: means over the seeds with their standard errors, and the difference within the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import raysweep as rs
from raysweep.arrays import FloatArray
from raysweep.results.storage import ledger
from raysweep.results.storage.run_directory import RunDirectory

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
READ_AT = (9, 18, 36, 54, 86)
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
    print(table(without, remembering))
    print(caught_up(without, remembering))


def accuracies(place: Path, constants: Mapping[str, Any], seed: int, memory: Any) -> FloatArray:
    """The best accuracy after each epoch of a sweep, which is run unless it lies there."""
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
    if RunDirectory(place).end_reason is None:
        raise SystemExit(f"{place} has not ended: remove it, and it is trained again")
    losses = [event["loss"] for event in ledger.read(place) if event["event"] == "reported"]
    return -np.minimum.accumulate(np.array(losses, np.float64))


def table(without: Sequence[FloatArray], remembering: Sequence[FloatArray]) -> str:
    """The best accuracies of the runs, one of each seed, as rows of Markdown."""
    rows = [
        f"| epochs trained | without, {len(without)} seeds | with memory | difference | ahead in |",
        "| --- | --- | --- | --- | --- |",
    ]
    for epochs in READ_AT:
        one, other = (
            np.array([curve[min(epochs, len(curve)) - 1] for curve in curves])
            for curves in (without, remembering)
        )
        ahead = f"{int((other > one).sum())}, behind in {int((other < one).sum())}"
        rows.append(
            f"| {epochs} | {shown(one)} | {shown(other)} | {shown(other - one)} | {ahead} |"
        )
    return "\n".join(rows)


def caught_up(without: Sequence[FloatArray], remembering: Sequence[FloatArray]) -> str:
    """How soon the memory gives what the run without it ended with, in a sentence."""
    needed = []
    for one, other in zip(without, remembering, strict=True):
        reached = np.flatnonzero(other >= one[-1])
        needed.append(int(reached[0]) + 1 if len(reached) else len(one) + 1)
    never = sum(epochs > len(one) for epochs, one in zip(needed, without, strict=True))
    return (
        f"\nwith memory, what the run without ended with is there after a median of "
        f"{np.median(needed):g} epochs of {len(without[0])}; "
        f"never in {never} of {len(needed)} seeds"
    )


def shown(values: FloatArray) -> str:
    """The mean and its standard error."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{values.mean():.4f} ± {error:.4f}"


if __name__ == "__main__":
    main()
