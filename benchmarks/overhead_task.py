"""The short training of `overhead.py`: three epochs of a small network, milliseconds each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EPOCHS = 3


def epochs(config: dict[str, Any]) -> Iterator[float]:
    """Train, and yield a loss after each epoch."""
    import torch

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"])
    data, target = torch.rand(1024, 64), torch.randint(10, (1024,))
    for epoch in range(1, EPOCHS + 1):
        for batch in range(0, 1024, 64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(
                model(data[batch : batch + 64]), target[batch : batch + 64]
            ).backward()
            optimizer.step()
        # The same losses for all trials, so that ASHA stops none, and each system trains the same.
        yield 1 / epoch


def train(config: dict[str, Any], run: Any) -> None:
    """As raysweep trains it."""
    losses = epochs(config)
    for _ in run.epochs():
        loss = next(losses)
        mark(config["marks"])
        run.report(loss=loss)


def train_printing(config: dict[str, Any], run: Any) -> None:
    """The same, with what people's train functions do besides: print, log, warn, show progress."""
    import logging
    import sys
    import warnings

    from tqdm import tqdm

    logging.basicConfig(level=logging.INFO)
    losses = epochs(config)
    for epoch in run.epochs():
        print(f"epoch {epoch} begins")
        loss = next(losses)
        for _ in tqdm(range(10), desc=f"epoch {epoch}"):
            pass
        logging.getLogger("train").info("loss %g", loss)
        warnings.warn("a library says so", stacklevel=1)
        print("to stderr", file=sys.stderr)
        mark(config["marks"])
        run.report(loss=loss)


def plain(config: dict[str, Any]) -> None:
    """As Ray Tune's documentation shows it: a function trainable that reports."""
    from ray import tune

    for loss in epochs(config):
        mark(config["marks"])
        tune.report({"loss": loss})


def mark(path: str) -> None:
    """Note the time of a report."""
    with open(path, "a") as file:
        file.write(f"{time.time()}\n")


def marks(path: Path) -> list[float]:
    return sorted(float(line) for line in path.read_text().split())
