"""A small convolutional network for images. On `digits`, with one thread, an epoch takes about 0.1 s.

Tuned: `lr`, `channels`, `batch_size`, `optimizer` (sgd, adam), `precision` (fp32, bf16, fp16). Constants: `data` (digits, mnist,
fashion_mnist, cifar10), `train_size`.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from raysweep.trainables.common.classification import Learner, drawn_images, metrics_of
from raysweep.trainables.common.datasets import fetch, load
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board


def build(config: dict[str, Any]) -> nn.Module:
    """The untrained network."""
    data = load(config["data"], config.get("train_size"))
    channels, _, _ = data.shape
    width = config["channels"]
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * width, data.classes),
    )


def prepare_data(config: dict[str, Any]) -> None:
    """Called on each machine of a cluster before the first trial, with the space's constants: the data set is fetched."""
    fetch(config)


def preload(config: dict[str, Any]) -> None:
    """Load what the trials of a worker share: called before the process of each is forked."""
    load(config["data"], config.get("train_size"))


def train(config: dict[str, Any], run: Run) -> None:
    """Train, and report after each epoch."""
    data = load(config["data"], config.get("train_size"))
    learner = Learner.of(config, build(config), run)
    for _ in run.epochs(**learner.state):
        train_loss = learner.epoch(data.train)
        draw(config, learner.model, run.board)
        run.report(train_loss=train_loss, **evaluate(config, learner.model))


def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a trained network, or with split `test`, `test_loss` and `test_accuracy`."""
    return metrics_of(
        config, model, load(config["data"], config.get("train_size")).split(split), split
    )


def draw(config: dict[str, Any], model: nn.Module, board: Board) -> None:
    """Show what the network takes the validation images for."""
    data = load(config["data"], config.get("train_size"))
    drawn_images(config, model, board, data, data.validation)
