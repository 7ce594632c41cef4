"""A pretrained backbone of torchvision and a new head: how much of the backbone is trained, when, and how fast.

Tuned: `freeze_until` (so many of the backbone's stages stay as they are: 19 is the whole of mobilenet_v2, 5 of resnet18), `head_lr`,
`backbone_lr` (only where something is unfrozen), `head_epochs` (epochs before the unfreezing), `augment` (none, shift, affine; only where
something is unfrozen), `dropout`, `batch_size`, `optimizer`, `weight_decay`, `precision`. Constants: `backbone` (mobilenet_v2, resnet18),
`weights` (none, imagenet, one of torchvision's names, a file), `image_size`, `data`, `train_size`.

What the frozen stages make of the images is computed once and shared by all trials of a machine. With one thread on 1,498 digits at 64 x 64
that takes 6 s; 30 epochs of a head on them then take 0.4 s, an epoch with the last five stages unfrozen 1.5 s.
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
    drawn_images,
    metrics_of,
    optimizer_of,
)
from raysweep.trainables.common.datasets import Data, Split, fetch, load
from raysweep.trainables.common.precision import Precision
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board

BATCH = 128
"""Images at once where nothing is trained."""
MOST_FEATURES = 256 * 1024**2
"""Numbers per split that are kept of the frozen stages; where there are more, they are computed batch by batch."""


class Network(nn.Module):
    """Stages of a backbone, and a head. The first `frozen` stages neither learn nor adapt their statistics."""

    def __init__(self, stages: list[nn.Module], head: nn.Module, size: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = head
        self.size = size
        self.frozen = 0

    def freeze(self, count: int) -> None:
        self.frozen = count
        for i, stage in enumerate(self.stages):
            stage.requires_grad_(i >= count)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        for stage in self.stages[: self.frozen]:
            stage.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.after(self.before(images))

    def before(self, images: Tensor) -> Tensor:
        """What the frozen stages make of the images."""
        with torch.no_grad():
            x = interpolate(
                images, size=(self.size, self.size), mode="bilinear", align_corners=False
            ).expand(-1, 3, -1, -1)
            for stage in self.stages[: self.frozen]:
                x = stage(x)
        return self._pooled(x) if self.frozen == len(self.stages) else x

    def after(self, x: Tensor) -> Tensor:
        """The rest: the stages that learn, and the head."""
        for stage in self.stages[self.frozen :]:
            x = stage(x)
        result: Tensor = self.head(self._pooled(x))
        return result

    def _pooled(self, x: Tensor) -> Tensor:
        return adaptive_avg_pool2d(x, 1).flatten(1) if x.dim() == 4 else x


class Rest(nn.Module):
    """What of a network follows its frozen stages, as a model of its own over their features."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.after(x)


def build(config: dict[str, Any]) -> Network:
    """The untrained network, its backbone random."""
    return _network(config, "none")


def _network(config: dict[str, Any], weights: str) -> Network:
    name = config.get("backbone", "mobilenet_v2")
    stages = backbones.stages(name, weights)
    if not 0 <= config["freeze_until"] <= len(stages):
        raise ValueError(f"freeze_until {config['freeze_until']}: {name} has {len(stages)} stages")
    head = nn.Sequential(
        nn.Dropout(config.get("dropout", 0.0)),
        nn.Linear(backbones.known(name).width, _data(config).classes),
    )
    return Network(stages, head, config["image_size"])


def _data(config: dict[str, Any]) -> Data:
    return load(config["data"], config.get("train_size"))


def prepare_data(config: dict[str, Any]) -> None:
    """Called on each machine of a cluster before the first trial, with the space's constants: the data set is fetched."""
    fetch(config)


def preload(config: dict[str, Any]) -> None:
    """Load what the trials of a worker share: called before the process of each is forked."""
    _data(config)


def train(config: dict[str, Any], run: Run) -> None:
    """Train the head, then what is unfrozen with it; report after each epoch."""
    network = _network(config, config["weights"])
    learner = replace(
        Learner.of(config | {"lr": config["head_lr"]}, network, run),
        optimizer=_optimizer(config, network),
    )
    prepared: Prepared | None = None
    for epoch in run.epochs(**learner.state):
        alone = epoch <= config.get("head_epochs", 0)
        if prepared is None or epoch == config.get("head_epochs", 0) + 1:
            network.freeze(len(network.stages) if alone else config["freeze_until"])
            prepared = Prepared(
                config, network, learner.precision, alone or config.get("augment", "none") == "none"
            )
        loss = replace(learner, model=prepared.model).epoch(
            prepared.split("train"), prepared.augment
        )
        drawn_images(
            config, prepared.model, run.board, _data(config), prepared.split("validation"), BATCH
        )
        run.report(
            train_loss=loss,
            **metrics_of(config, prepared.model, prepared.split("validation"), "validation", BATCH),
        )


def _optimizer(config: dict[str, Any], network: Network) -> torch.optim.Optimizer:
    """Head and backbone learn at rates of their own; a stage that is frozen has no gradient, and is left alone."""
    groups: list[dict[str, Any]] = [{"params": network.head.parameters()}]
    if config["freeze_until"] < len(network.stages):
        groups.append(
            {
                "params": network.stages[config["freeze_until"] :].parameters(),
                "lr": config["backbone_lr"],
            }
        )
    return optimizer_of(config | {"lr": config["head_lr"]}, groups)


class Prepared:
    """What to train on as the network is frozen now: the features of its frozen stages where they can be kept, else the images."""

    def __init__(
        self, config: dict[str, Any], network: Network, precision: Precision, same: bool
    ) -> None:
        self._data, self._network, self._precision = _data(config), network, precision
        self._weights = config["weights"]
        self._splits: dict[str, Split] = {}
        self._kept = same and network.frozen > 0 and self._numbers() <= MOST_FEATURES
        self.model: nn.Module = Rest(network) if self._kept else network
        self.augment: Callable[[Tensor], Tensor] | None = (
            None if same else partial(AUGMENTS[config["augment"]])
        )

    def split(self, name: str) -> Split:
        if name not in self._splits:
            split = self._data.split(name)
            self._splits[name] = (
                Split(self._features(split.images), split.labels) if self._kept else split
            )
        return self._splits[name]

    def _features(self, images: Tensor) -> Tensor:
        if self._weights == "none":
            return self._compute(images)
        frozen = self._network.stages[: self._network.frozen]
        name = feature_cache.key(frozen, images, self._network.size, self._precision.name, BATCH)
        return feature_cache.shared(name, lambda: self._compute(images))

    @torch.inference_mode()
    def _compute(self, images: Tensor) -> Tensor:
        self._network.eval()
        device = next(self._network.parameters()).device
        with self._precision.autocast():
            return torch.cat(
                [self._network.before(part.to(device)).cpu() for part in images.split(BATCH)]
            ).clone()

    def _numbers(self) -> int:
        """How many there would be for the training images."""
        with torch.inference_mode():
            self._network.eval()
            device = next(self._network.parameters()).device
            return self._network.before(self._data.train.images[:1].to(device)).numel() * len(
                self._data.train
            )


def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a trained network, or with split `test`, `test_loss` and `test_accuracy`."""
    return metrics_of(config, model, _data(config).split(split), split, BATCH)


def draw(config: dict[str, Any], model: nn.Module, board: Board) -> None:
    """Show what the network takes the validation images for."""
    drawn_images(config, model, board, _data(config), _data(config).validation, BATCH)


def _moved(images: Tensor, turn: float, zoom: float, shift: float) -> Tensor:
    """Each image turned (radians), zoomed and shifted (of its width) by a draw of its own, up to these in either direction."""
    draws = torch.rand(4, len(images), device="cpu") * 2 - 1
    angle, scale = draws[0] * turn, 1 + draws[1] * zoom
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack(
        [cosine, -sine, draws[2] * shift * 2, sine, cosine, draws[3] * shift * 2], dim=1
    )
    grid = affine_grid(
        rows.reshape(-1, 2, 3).to(images.device), list(images.shape), align_corners=False
    )
    return grid_sample(images, grid, padding_mode="border", align_corners=False)


AUGMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "shift": partial(_moved, turn=0.0, zoom=0.0, shift=0.1),
    "affine": partial(_moved, turn=0.2, zoom=0.1, shift=0.1),
}
