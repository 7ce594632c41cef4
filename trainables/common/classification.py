"""What the shipped classifiers share: optimizers, an epoch of training, and an evaluation."""

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
"""Samples per batch where no gradients are needed."""
DRAWN_SAMPLES = 512
"""Predictions for at most so many samples are drawn while a training waits for it."""
SHOWN_IMAGES = 20
"""Images in the picture of predictions: five rows of four."""


Batch = tuple[Tensor, ...]
"""The samples of a batch: the model's inputs, then what the loss compares its outputs with."""


def make_optimizer(config: dict[str, Any], parameters: Any) -> torch.optim.Optimizer:
    """The optimizer that a configuration names: `sgd`, `adam` or `adamw`, with `lr`.

    All have `weight_decay` (0). `sgd` has `momentum` (0.9 if it is not tuned) and `nesterov`; the
    others have `beta1` (0.9) and `beta2` (0.999).
    """
    decay = config.get("weight_decay", 0.0)
    if config["optimizer"] == "sgd":
        momentum, nesterov = config.get("momentum", 0.9), config.get("nesterov", False)
        return torch.optim.SGD(
            parameters, lr=config["lr"], momentum=momentum, nesterov=nesterov, weight_decay=decay
        )
    betas = (config.get("beta1", 0.9), config.get("beta2", 0.999))
    if config["optimizer"] == "adam":
        return torch.optim.Adam(parameters, lr=config["lr"], betas=betas, weight_decay=decay)
    if config["optimizer"] == "adamw":
        return torch.optim.AdamW(parameters, lr=config["lr"], betas=betas, weight_decay=decay)
    raise ValueError(f"optimizer '{config['optimizer']}': expected sgd, adam or adamw")


def summed_cross_entropy(
    output: Tensor, batch: Batch, label_smoothing: float | Tensor = 0.0
) -> Tensor:
    """The sum of a batch's cross-entropies, given its logits (n, classes) and its labels (n,).

    `label_smoothing`, 0 .. 1, is a tensor of shape () if several models with different ones are
    trained as one, which torch's own function does not take.
    """
    cross_entropy = nn.functional.cross_entropy
    if not isinstance(label_smoothing, Tensor):
        return cross_entropy(output, batch[1], reduction="sum", label_smoothing=label_smoothing)
    if output.dtype in (torch.bfloat16, torch.float16):
        output = output.float()  # a sum over many samples loses digits in half precision
    likely = output.log_softmax(dim=1)
    labels = nn.functional.nll_loss(likely, batch[1], reduction="sum")
    uniform = (-likely.sum(dim=1)).sum()
    return (1 - label_smoothing) * labels + uniform * (label_smoothing / output.shape[1])


@dataclass
class Learner:
    """A model in training, by one process or by several.

    `loss(output, batch)` sums over the samples of a batch. `gradient_clip`: gradients are scaled
    down to this norm; None for never. `schedule`: gives the factor on the learning rates for a
    part of the training, 0 .. 1, that is over.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    precision: Precision
    batch_size: int
    run: Run
    loss: Callable[[Tensor, Batch], Tensor] = summed_cross_entropy
    gradient_clip: float | None = None
    schedule: Callable[[float], float] | None = None

    @staticmethod
    def from_config(config: dict[str, Any], model: nn.Module, run: Run) -> Learner:
        """A learner with the configuration's optimizer, `batch_size` and `precision` (or fp32)."""
        model = model.to(run.device)
        optimizer = make_optimizer(config, model.parameters())
        precision = Precision(config.get("precision", "fp32"), run.device)
        return Learner(model, optimizer, precision, config["batch_size"], run)

    @property
    def state(self) -> dict[str, Any]:
        """What must survive an interruption, for `run.epochs(**learner.state)`."""
        return {"model": self.model, "optimizer": self.optimizer, **self.precision.state}

    @cached_property
    def wrapped_model(self) -> nn.Module:
        """The model whose gradients are averaged over the processes of the trial."""
        return self.run.process_group.wrap(self.model)

    def train_epoch(
        self,
        samples: Batch,
        augment: Callable[[Tensor], Tensor] | None = None,
        most_steps: int | None = None,
    ) -> float:
        """Train once on each of the samples, in a random order. Returns the mean loss.

        `most_steps`: end after so many batches, for a measurement.
        """
        self.model.train()
        total_loss = torch.zeros((), device=self.run.device)
        count = len(samples[0])
        orders = self.run.shuffled(count).split(self.batch_size)[:most_steps]
        for i, order in enumerate(orders):
            # With several processes, each of them trains on its shard of every batch.
            shard = self.run.process_group.shard(order)
            inputs, *others = (part[shard].to(self.run.device) for part in samples)
            if augment is not None:
                inputs = augment(inputs)
            self.set_learning_rates(i * self.batch_size / count)
            total_loss += self.step((inputs, *others), len(order))
        self.run.board.histograms(self.model)
        return self.run.process_group.mean(total_loss) / count

    def set_learning_rates(self, part: float) -> None:
        """Follow the schedule, when `part` of this epoch, 0 .. 1, is over."""
        if self.schedule is None:
            return
        factor = self.schedule((self.run.epoch - 1 + part) / self.run.total_epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def step(self, batch: Batch, batch_size: int) -> Tensor:
        """One step of the optimizer on this process's shard of a batch of `batch_size` samples.

        A batch that does not fit into memory is split into `run.accumulation` micro-batches, whose
        gradients add up. Returns the sum of the losses, weighted so that its mean over the
        processes is the sum over the batch.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total_loss = torch.zeros((), device=self.run.device)
        weight = self.run.process_group.loss_weight(batch_size)
        for micro_batch in zip(*map(self._split, batch), strict=True):
            with self.precision.autocast():
                output = self.wrapped_model(micro_batch[0])
                loss = self.loss(output, micro_batch) * weight
            # Divided by the whole batch, so that the micro-batches' gradients add up to its mean.
            self.precision.backward(loss / batch_size)
            total_loss += loss.detach()  # a tensor: `.item()` would wait for the GPU at each step
        self.precision.step(self.optimizer, self.gradient_clip)
        return total_loss

    def _split(self, part: Tensor) -> tuple[Tensor, ...]:
        if self.run.process_group.world_size > 1:
            # Each process must have the same number of micro-batches, even if some are empty:
            # each backward pass waits for those of the other processes.
            return part.tensor_split(self.run.accumulation)
        return part.chunk(self.run.accumulation)


@torch.inference_mode()
def score(
    model: nn.Module, split: Split, precision: str = "fp32", batch: int = EVALUATION_BATCH
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy (0 .. 1) of a model on a split, `batch` samples at a time."""
    model.eval()
    device = next(model.parameters()).device
    loss, correct = torch.zeros((), device=device), torch.zeros((), device=device)
    for images, labels in zip(split.images.split(batch), split.labels.split(batch), strict=True):
        labels = labels.to(device)
        with Precision(precision, device.type).autocast():
            logits = model(images.to(device))
        # In float32: a sum over many samples loses digits in half precision.
        loss += nn.functional.cross_entropy(logits.float(), labels, reduction="sum")
        correct += (logits.argmax(dim=1) == labels).sum()
    return loss.item() / len(split), correct.item() / len(split)


def compute_metrics(
    config: dict[str, Any], model: nn.Module, split: Split, name: str, batch: int = EVALUATION_BATCH
) -> dict[str, float]:
    """`val_loss` and `val_accuracy` of a model on the split named `validation`.

    On `test` they are called `test_loss` and `test_accuracy`.
    """
    loss, accuracy = score(model, split, config.get("precision", "fp32"), batch)
    prefix = "val" if name == "validation" else name
    return {f"{prefix}_loss": loss, f"{prefix}_accuracy": accuracy}


@torch.inference_mode()
def predict(
    model: nn.Module, inputs: Tensor, precision: str = "fp32", batch: int = EVALUATION_BATCH
) -> Tensor:
    """The class that a model predicts for each input, of shape (n,)."""
    model.eval()
    device = next(model.parameters()).device
    with Precision(precision, device.type).autocast():
        predictions = [model(part.to(device)).argmax(dim=1).cpu() for part in inputs.split(batch)]
    return torch.cat(predictions)


def draw_predictions(
    board: Board,
    predict_first: Callable[[int], Tensor],
    labels: Tensor,
    names: Sequence[str],
    images: Tensor | None = None,
) -> None:
    """Show a confusion matrix, and of images some with their predictions, wrong ones first.

    `predict_first(n)` predicts the first n samples. Nothing is predicted if the board has no time.
    """
    count = len(labels)
    if board.hurried:
        count = min(count, DRAWN_SAMPLES)
    # Both pictures may be due, or only one of them, or none: predict at most once.
    predictions = cache(lambda: predict_first(count))
    board.images("confusion", lambda: figures.confusion(labels[:count], predictions(), names))
    if images is not None:
        board.images(
            "predictions",
            lambda: _draw_images(images[:count], labels[:count], predictions(), names),
        )


def _draw_images(
    images: Tensor, labels: Tensor, predictions: Tensor, names: Sequence[str]
) -> Tensor:
    wrong_first = (predictions == labels).int().argsort(stable=True)[:SHOWN_IMAGES]
    return figures.predictions(
        images[wrong_first], labels[wrong_first], predictions[wrong_first], names
    )


def draw_image_predictions(
    config: dict[str, Any],
    model: nn.Module,
    board: Board,
    data: Data,
    inputs: Split,
    batch: int = EVALUATION_BATCH,
) -> None:
    """Show the predictions for the validation images of `data`.

    `inputs` is what the model takes: these images, or the features that a network made of them.
    """
    precision = config.get("precision", "fp32")

    def predict_first(count: int) -> Tensor:
        return predict(model, inputs.images[:count], precision, batch)

    names = [str(label) for label in range(data.classes)]
    draw_predictions(board, predict_first, inputs.labels, names, data.validation.images)
