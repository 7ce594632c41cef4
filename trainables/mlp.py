"""A multilayer perceptron for images. An epoch on `digits` takes about 0.03 s on one thread.

Needed: `data` (digits, mnist, fashion_mnist, cifar10), `layers`, `width`, `batch_size`, `optimizer`
(sgd, adam, adamw) and `lr`. Optional: `dropout`, `dropout2` (after the second hidden layer and all
others; `dropout` if it is not tuned), `momentum` and `nesterov` (of sgd), `beta1` and `beta2` (of
the others), `weight_decay`, `label_smoothing`, `gradient_clip` (the largest norm of the gradients),
`precision` (fp32, bf16, fp16), `train_size`.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from raysweep.trainables.common.classification import (
    Batch,
    compute_metrics,
    draw_image_predictions,
    summed_cross_entropy,
)
from raysweep.trainables.common.datasets import Data, fetch, load
from raysweep.trainables.fused.recipe import Recipe
from raysweep.trainables.runtime.tensorboard import Board


def load_data(config: dict[str, Any]) -> Data:
    """The data set that a configuration names. It is read once per process."""
    return load(config["data"], config.get("train_size"))


def build(config: dict[str, Any]) -> nn.Module:
    """The untrained network: `layers` hidden layers of `width` units, each with dropout."""
    data = load_data(config)
    channels, height, width = data.shape
    inputs = channels * height * width
    dropout = config.get("dropout", 0.0)
    layers: list[nn.Module] = [nn.Flatten()]
    hidden = config["width"]
    for _ in range(config["layers"]):
        layers += [nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
        inputs = hidden
        dropout = config.get("dropout2", dropout)
    layers.append(nn.Linear(inputs, data.classes))
    return nn.Sequential(*layers)


def loss(config: dict[str, Any], output: Tensor, batch: Batch) -> Tensor:
    """The sum of a batch's cross-entropies."""
    return summed_cross_entropy(output, batch, config.get("label_smoothing", 0.0))


def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a model, or with split `test`, `test_loss` and so on."""
    return compute_metrics(config, model, load_data(config).split(split), split)


def draw(config: dict[str, Any], model: nn.Module, board: Board) -> None:
    """Show the model's predictions for the validation images in TensorBoard."""
    data = load_data(config)
    draw_image_predictions(config, model, board, data, data.validation)


train = Recipe(
    build=build,
    data=lambda config: load_data(config).train.samples,
    loss=loss,
    evaluate=evaluate,
    draw=draw,
)
"""Trains, and reports after each epoch. Several trials can be trained as one."""


def prepare_data(config: dict[str, Any]) -> None:
    """Download the data set. Called on each machine before its first trial, with the constants."""
    fetch(config)


def preload(config: dict[str, Any]) -> None:
    """Load what the trials of a worker share. Called before the process of each is forked."""
    load_data(config)
