"""A pretrained backbone of torchvision and a new head: how much of the backbone to train, and how.

Tuned: `freeze_until` (how many of the backbone's stages stay frozen: 19 are all of mobilenet_v2, 5
all of resnet18), `head_lr`, `head_epochs` (epochs in which only the head is trained), `dropout`,
`batch_size`, `optimizer`, `weight_decay`, `precision`; and if any stage is trained, `backbone_lr`
and `augment` (none, shift, affine). Constants: `backbone` (mobilenet_v2, resnet18), `weights`
(none, imagenet, one of torchvision's names, a file), `image_size`, `data`, `train_size`.

What the frozen stages make of the images is computed once, and shared by all trials of a machine.
On one thread, with 1,498 digits at 64 x 64 pixels, that takes 6 s. 30 epochs of a head on these
features then take 0.4 s, and an epoch that trains the last five stages too takes 1.5 s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, affine_grid, grid_sample, interpolate

from raysweep.trainables.common import backbones, feature_cache
from raysweep.trainables.common.classification import (
    Learner,
    compute_metrics,
    draw_image_predictions,
    make_optimizer,
)
from raysweep.trainables.common.datasets import Data, Split, fetch, load
from raysweep.trainables.common.precision import Precision
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board

EVALUATION_BATCH = 128
"""Images per batch where no gradients are needed."""
MOST_KEPT_NUMBERS = 256 * 1024**2
"""The most numbers per split that are kept as features: 1 GiB in float32. If a frozen stage makes
more of them, they are computed batch by batch instead."""


class Network(nn.Module):
    """Stages of a backbone, and a head. The first `frozen` stages are constant."""

    def __init__(self, stages: list[nn.Module], head: nn.Module, image_size: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.image_size = image_size
        self.frozen = 0

    def freeze(self, count: int) -> None:
        self.frozen = count
        for i, stage in enumerate(self.stages):
            stage.requires_grad_(i >= count)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        # In training mode, batch normalization would adapt the statistics of frozen stages.
        for stage in self.stages[: self.frozen]:
            stage.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_trained(self.forward_frozen(images))

    def forward_frozen(self, images: Tensor) -> Tensor:
        """The features that the frozen stages make of images (n, 1 or 3, height, width)."""
        size = (self.image_size, self.image_size)
        with torch.no_grad():
            x = interpolate(images, size=size, mode="bilinear", align_corners=False)
            x = x.expand(-1, 3, -1, -1)  # backbones take colour images
            for stage in self.stages[: self.frozen]:
                x = stage(x)
        if self.frozen == len(self.stages):
            return self._pool(x)
        return x

    def forward_trained(self, x: Tensor) -> Tensor:
        """The logits, given the features of the frozen stages."""
        for stage in self.stages[self.frozen :]:
            x = stage(x)
        logits: Tensor = self.head(self._pool(x))
        return logits

    def _pool(self, x: Tensor) -> Tensor:
        """The mean over height and width, unless it was taken already."""
        if x.dim() == 4:
            return adaptive_avg_pool2d(x, 1).flatten(1)
        return x


class TrainedPart(nn.Module):
    """The part of a network after its frozen stages, as a model of their features."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        return self.network.forward_trained(features)


def load_data(config: dict[str, Any]) -> Data:
    """The data set that a configuration names. It is read once per process."""
    return load(config["data"], config.get("train_size"))


def build(config: dict[str, Any]) -> Network:
    """The untrained network, with a random backbone: its weights come from a checkpoint."""
    return build_with_weights(config, "none")


def build_with_weights(config: dict[str, Any], weights: str) -> Network:
    """The network with a backbone of these weights, and a new head."""
    name = config.get("backbone", "mobilenet_v2")
    stages = backbones.stages(name, weights)
    if not 0 <= config["freeze_until"] <= len(stages):
        raise ValueError(f"freeze_until {config['freeze_until']}: {name} has {len(stages)} stages")
    head = nn.Sequential(
        nn.Dropout(config.get("dropout", 0.0)),
        nn.Linear(backbones.find_backbone(name).width, load_data(config).classes),
    )
    return Network(stages, head, config["image_size"])


def train(config: dict[str, Any], run: Run) -> None:
    """Train the head alone for `head_epochs`, then with what is not frozen."""
    network = build_with_weights(config, config["weights"])
    learner = Learner.from_config(config | {"lr": config["head_lr"]}, network, run)
    learner = replace(learner, optimizer=make_optimizer_of_parts(config, network))
    head_epochs = config.get("head_epochs", 0)
    inputs: Inputs | None = None
    # What is named here is in the checkpoint, from which an interrupted trial continues.
    for epoch in run.epochs(**learner.state):
        head_only = epoch <= head_epochs
        if inputs is None or epoch == head_epochs + 1:
            frozen, augment = config["freeze_until"], config.get("augment", "none")
            if head_only:  # the features of all stages are computed once, from unchanged images
                frozen, augment = len(network.stages), "none"
            network.freeze(frozen)
            inputs = Inputs(config, network, learner.precision, augment)
        # A learner of its own, because the model and its gradients may be those of a part.
        part_learner = replace(learner, model=inputs.model)
        train_loss = part_learner.train_epoch(inputs.split("train").samples, inputs.augment)
        validation = inputs.split("validation")
        draw_image_predictions(
            config, inputs.model, run.board, load_data(config), validation, EVALUATION_BATCH
        )
        metrics = compute_metrics(config, inputs.model, validation, "validation", EVALUATION_BATCH)
        run.report(train_loss=train_loss, **metrics)


def make_optimizer_of_parts(config: dict[str, Any], network: Network) -> torch.optim.Optimizer:
    """An optimizer with a learning rate for the head and another one for the backbone.

    Stages that are frozen at first have no gradients then, so the optimizer leaves them alone.
    """
    groups: list[dict[str, Any]] = [{"params": network.head.parameters()}]
    if config["freeze_until"] < len(network.stages):
        trained_stages = network.stages[config["freeze_until"] :]
        groups.append({"params": trained_stages.parameters(), "lr": config["backbone_lr"]})
    return make_optimizer(config | {"lr": config["head_lr"]}, groups)


class Inputs:
    """What to train on while certain stages are frozen.

    These are the features of the frozen stages and the part of the network behind them, if the
    features are always the same and few enough to keep. Else they are the images and the network.
    """

    def __init__(
        self, config: dict[str, Any], network: Network, precision: Precision, augment: str
    ) -> None:
        self._data = load_data(config)
        self._network, self._precision = network, precision
        self._weights = config["weights"]
        self._splits: dict[str, Split] = {}
        self.augment: Callable[[Tensor], Tensor] | None = None
        if augment != "none":
            self.augment = AUGMENTATIONS[augment]
        self._keeps_features = (
            self.augment is None
            and network.frozen > 0
            and self._count_numbers() <= MOST_KEPT_NUMBERS
        )
        self.model: nn.Module = network
        if self._keeps_features:
            self.model = TrainedPart(network)

    def split(self, name: str) -> Split:
        """`train` or `validation`, as `model` takes it."""
        if name not in self._splits:
            split = self._data.split(name)
            if self._keeps_features:
                split = Split(self._features(split.images), split.labels)
            self._splits[name] = split
        return self._splits[name]

    def _features(self, images: Tensor) -> Tensor:
        if self._weights == "none":
            return self._compute_features(images)  # no other trial has the same random weights
        key = feature_cache.key(
            self._network.stages[: self._network.frozen],
            images,
            self._network.image_size,
            self._precision.name,
            EVALUATION_BATCH,
        )
        return feature_cache.load_or_compute(key, lambda: self._compute_features(images))

    @torch.inference_mode()
    def _compute_features(self, images: Tensor) -> Tensor:
        self._network.eval()
        device = next(self._network.parameters()).device
        with self._precision.autocast():
            features = [
                self._network.forward_frozen(batch.to(device)).cpu()
                for batch in images.split(EVALUATION_BATCH)
            ]
        return torch.cat(features).clone()

    @torch.inference_mode()
    def _count_numbers(self) -> int:
        """How many numbers the features of all training images have."""
        self._network.eval()
        device = next(self._network.parameters()).device
        features_of_first = self._network.forward_frozen(self._data.train.images[:1].to(device))
        return features_of_first.numel() * len(self._data.train)


def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a model, or with split `test`, `test_loss` and so on."""
    return compute_metrics(config, model, load_data(config).split(split), split, EVALUATION_BATCH)


def draw(config: dict[str, Any], model: nn.Module, board: Board) -> None:
    """Show the model's predictions for the validation images in TensorBoard."""
    data = load_data(config)
    draw_image_predictions(config, model, board, data, data.validation, EVALUATION_BATCH)


def prepare_data(config: dict[str, Any]) -> None:
    """Download the data set. Called on each machine before its first trial, with the constants."""
    fetch(config)


def preload(config: dict[str, Any]) -> None:
    """Load what the trials of a worker share. Called before the process of each is forked."""
    load_data(config)


def move_randomly(images: Tensor, turn: float, zoom: float, shift: float) -> Tensor:
    """Turn, zoom and shift each image (n, channels, height, width) by random amounts of its own.

    `turn` (in radians), `zoom` (of its size) and `shift` (of its width and height) are the largest
    amounts in either direction.
    """
    # Drawn on the CPU, whose generator is seeded and in the checkpoint whatever the device is.
    amounts = torch.rand(4, len(images), device="cpu") * 2 - 1
    angle, scale = amounts[0] * turn, 1 + amounts[1] * zoom
    # affine_grid's coordinates are -1 .. 1, so that the width of an image is 2.
    shift_x, shift_y = amounts[2] * shift * 2, amounts[3] * shift * 2
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    matrices = torch.stack([cosine, -sine, shift_x, sine, cosine, shift_y], dim=1).reshape(-1, 2, 3)
    grid = affine_grid(matrices.to(images.device), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


AUGMENTATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "shift": partial(move_randomly, turn=0.0, zoom=0.0, shift=0.1),
    "affine": partial(move_randomly, turn=0.2, zoom=0.1, shift=0.1),
}
