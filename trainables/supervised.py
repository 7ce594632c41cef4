"""What the shipped classifiers share: optimizers, one epoch of training in a precision, and an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data import Split
from trainables.precision import Precision
from trainables.run import Run

EVALUATION_BATCH = 1024


def optimizer_of(config: dict[str, Any], parameters: Any) -> torch.optim.Optimizer:
    """`optimizer: sgd` (with `momentum`, 0.9 if it is not tuned, and `nesterov`) or `adam`; with `lr` and `weight_decay` (or 0)."""
    decay = config.get("weight_decay", 0.0)
    if config["optimizer"] == "sgd":
        momentum, nesterov = config.get("momentum", 0.9), config.get("nesterov", False)
        return torch.optim.SGD(parameters, lr=config["lr"], momentum=momentum, nesterov=nesterov, weight_decay=decay)
    if config["optimizer"] == "adam":
        return torch.optim.Adam(parameters, lr=config["lr"], weight_decay=decay)
    raise ValueError(f"optimizer '{config['optimizer']}': expected sgd or adam")


@dataclass
class Learner:
    """A model in training. `pieces`: micro-batches per batch, for one step of the optimizer."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    batch_size: int
    pieces: int
    device: str

    @staticmethod
    def of(config: dict[str, Any], model: nn.Module, run: Run) -> Learner:
        """By `optimizer` and its rates, `batch_size` and `precision` (fp32 if it is not tuned)."""
        model = model.to(run.device)
        precision = Precision(config.get("precision", "fp32"), run.device)
        return Learner(model, optimizer_of(config, model.parameters()), precision, config["batch_size"], run.accumulation, run.device)

    @property
    def state(self) -> dict[str, Any]:
        """What must survive an interruption, for `run.epochs(**learner.state)`."""
        return {"model": self.model, "optimizer": self.optimizer, **self.precision.state}

    def epoch(self, split: Split, augment: Callable[[Tensor], Tensor] | None = None) -> float:
        """One pass over the split in a random order; returns the mean loss."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        for images, labels in batches(split, self.batch_size, self.device):
            total += self.step(augment(images) if augment else images, labels)
        return total.item() / len(split)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step of the optimizer on a batch; returns the sum of its losses."""
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for part_images, part_labels in zip(images.chunk(self.pieces), labels.chunk(self.pieces), strict=True):
            with self.precision.autocast():
                loss = nn.functional.cross_entropy(self.model(part_images), part_labels, reduction="sum")
            self.precision.backward(loss / len(labels))
            total += loss.detach()
        self.precision.step(self.optimizer)
        return total


def batches(split: Split, size: int, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The split in a random order, `size` at a time; the order is drawn from torch's generator, which a checkpoint carries."""
    for chosen in torch.randperm(len(split)).split(size):
        yield split.images[chosen].to(device), split.labels[chosen].to(device)


@torch.inference_mode()
def score(model: nn.Module, split: Split, precision: str = "fp32", batch: int = EVALUATION_BATCH) -> tuple[float, float]:
    """Mean cross-entropy and accuracy (0 .. 1) of a model on a split, `batch` images at once."""
    model.eval()
    device = next(model.parameters()).device
    loss, right = torch.zeros((), device=device), torch.zeros((), device=device)
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        with Precision(precision, device.type).autocast():
            logits = model(images.to(device))
        loss += nn.functional.cross_entropy(logits.float(), labels.to(device), reduction="sum")
        right += (logits.argmax(dim=1) == labels.to(device)).sum()
    return loss.item() / len(split), right.item() / len(split)


def metrics_of(config: dict[str, Any], model: nn.Module, split: Split, name: str, batch: int = EVALUATION_BATCH) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a model on the split `validation`; on `test`, `test_loss` and `test_accuracy`."""
    loss, accuracy = score(model, split, config.get("precision", "fp32"), batch)
    prefix = "val" if name == "validation" else name
    return {f"{prefix}_loss": loss, f"{prefix}_accuracy": accuracy}
