"""What the shipped classifiers share: optimizers, one epoch of training in a precision, and an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.trainables.common import figures
from raysweep.trainables.common.datasets import Data, Split
from raysweep.trainables.common.precision import Precision
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board

EVALUATION_BATCH = 1024
SAMPLE = 512
SHOWN = 20
"""Images in the picture of what they were taken for."""


def optimizer_of(config: dict[str, Any], parameters: Any) -> torch.optim.Optimizer:
    """`optimizer: sgd` (with `momentum`, 0.9 if it is not tuned, and `nesterov`) or `adam`; with `lr` and `weight_decay` (or 0)."""
    decay = config.get("weight_decay", 0.0)
    if config["optimizer"] == "sgd":
        momentum, nesterov = config.get("momentum", 0.9), config.get("nesterov", False)
        return torch.optim.SGD(
            parameters, lr=config["lr"], momentum=momentum, nesterov=nesterov, weight_decay=decay
        )
    if config["optimizer"] == "adam":
        return torch.optim.Adam(parameters, lr=config["lr"], weight_decay=decay)
    raise ValueError(f"optimizer '{config['optimizer']}': expected sgd or adam")


@dataclass
class Learner:
    """A model in training, alone or by several processes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    batch_size: int
    run: Run

    @staticmethod
    def of(config: dict[str, Any], model: nn.Module, run: Run) -> Learner:
        """By `optimizer` and its rates, `batch_size` and `precision` (fp32 if it is not tuned)."""
        model = model.to(run.device)
        precision = Precision(config.get("precision", "fp32"), run.device)
        return Learner(
            model, optimizer_of(config, model.parameters()), precision, config["batch_size"], run
        )

    @property
    def state(self) -> dict[str, Any]:
        """What must survive an interruption, for `run.epochs(**learner.state)`."""
        return {"model": self.model, "optimizer": self.optimizer, **self.precision.state}

    @cached_property
    def spread(self) -> nn.Module:
        """The model, its gradients averaged over the processes of the trial."""
        return self.run.process_group.wrap(self.model)

    def epoch(self, split: Split, augment: Callable[[Tensor], Tensor] | None = None) -> float:
        """One pass over the split in a random order; returns the mean loss."""
        self.model.train()
        total = torch.zeros((), device=self.run.device)
        for chosen in self.run.shuffled(len(split)).split(self.batch_size):
            mine = self.run.process_group.shard(chosen)
            images, labels = (
                split.images[mine].to(self.run.device),
                split.labels[mine].to(self.run.device),
            )
            total += self.step(augment(images) if augment else images, labels, len(chosen))
        self.run.board.histograms(self.model)
        return self.run.process_group.mean(total) / len(split)

    def step(self, images: Tensor, labels: Tensor, size: int) -> Tensor:
        """One step of the optimizer on this process's share of a batch of `size`, in micro-batches where it does not fit into memory whole.

        Returns the sum of the losses, weighted so that its mean over the processes is the batch's.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total, weight = (
            torch.zeros((), device=self.run.device),
            self.run.process_group.loss_weight(size),
        )
        for part_images, part_labels in zip(
            self._pieces(images), self._pieces(labels), strict=True
        ):
            with self.precision.autocast():
                loss = (
                    nn.functional.cross_entropy(
                        self.spread(part_images), part_labels, reduction="sum"
                    )
                    * weight
                )
            self.precision.backward(loss / size)
            total += loss.detach()
        self.precision.step(self.optimizer)
        return total

    def _pieces(self, batch: Tensor) -> tuple[Tensor, ...]:
        """As many in each process, or they would wait for each other."""
        pieces = self.run.accumulation
        return (
            batch.tensor_split(pieces)
            if self.run.process_group.world_size > 1
            else batch.chunk(pieces)
        )


@torch.inference_mode()
def score(
    model: nn.Module, split: Split, precision: str = "fp32", batch: int = EVALUATION_BATCH
) -> tuple[float, float]:
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


@torch.inference_mode()
def guesses(
    model: nn.Module, images: Tensor, precision: str = "fp32", batch: int = EVALUATION_BATCH
) -> Tensor:
    """What a model takes each of these for, by its number."""
    model.eval()
    device = next(model.parameters()).device
    with Precision(precision, device.type).autocast():
        return torch.cat(
            [model(part.to(device)).argmax(dim=1).cpu() for part in images.split(batch)]
        )


def drawn(
    board: Board,
    guess: Callable[[int], Tensor],
    labels: Tensor,
    names: Sequence[str],
    images: Tensor | None = None,
) -> None:
    """Show a confusion matrix and, of images, which were taken for what: wrong ones first. Costs nothing where the board has no time.

    `guess(n)` says what the first `n` are taken for: SAMPLE at the most while a training waits.
    """
    count = min(len(labels), SAMPLE) if board.hurried else len(labels)
    taken = cache(lambda: guess(count))
    board.images("confusion", lambda: figures.confusion(labels[:count], taken(), names))
    if images is not None:
        board.images(
            "predictions", lambda: _answers(images[:count], labels[:count], taken(), names)
        )


def _answers(images: Tensor, labels: Tensor, taken: Tensor, names: Sequence[str]) -> Tensor:
    chosen = (taken == labels).int().argsort(stable=True)[:SHOWN]
    return figures.answers(images[chosen], labels[chosen], taken[chosen], names)


def drawn_images(
    config: dict[str, Any],
    model: nn.Module,
    board: Board,
    data: Data,
    split: Split,
    batch: int = EVALUATION_BATCH,
) -> None:
    """The same for the validation images of `data`, which `model` knows as those of `split`."""
    precision = config.get("precision", "fp32")
    names = [str(i) for i in range(data.classes)]
    drawn(
        board,
        lambda count: guesses(model, split.images[:count], precision, batch),
        split.labels,
        names,
        data.validation.images,
    )


def metrics_of(
    config: dict[str, Any], model: nn.Module, split: Split, name: str, batch: int = EVALUATION_BATCH
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a model on the split `validation`; on `test`, `test_loss` and `test_accuracy`."""
    loss, accuracy = score(model, split, config.get("precision", "fp32"), batch)
    prefix = "val" if name == "validation" else name
    return {f"{prefix}_loss": loss, f"{prefix}_accuracy": accuracy}
