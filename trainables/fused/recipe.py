"""A training in parts, from which a trial is trained alone or, with others, as one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.trainables.common.classification import Batch, Learner, make_optimizer
from raysweep.trainables.common.precision import Precision
from raysweep.trainables.fused.configuration import Known
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.tensorboard import Board

Config = dict[str, Any]
TOLERANCE = 1e-2
"""How much the sum of a loss over two halves of a batch may differ from that over the whole. It is
wide because half precision is coarse; the mean in place of the sum is off by a half."""
CHECKED_SAMPLES = 8
"""So few that they fit into memory, whatever the size of a batch."""
EXPECTED = 'expected the sum of the losses of a batch: reduction="sum"'


class RecipeError(ValueError):
    """A part of a recipe that returns something else than it should."""


@dataclass(frozen=True)
class Recipe:
    """A train function, made of the parts of a training. Every part gets the configuration first.

        train = Recipe(build=build, data=data, loss=loss, evaluate=evaluate)

    build: `build(config)`, the untrained model.
    data: `data(config)`, the training samples as a tuple of tensors, of shape (n, ...) each: the
        model's inputs, then what the loss needs, such as labels. It should return the same tensors
        to all trials that train on the same samples.
    loss: `loss(config, output, batch)`, the sum of the losses of a batch, a tensor of shape ().
        `batch` is a tuple as `data` returns it. Trials that are trained as one share a call: there,
        the numbers in `config` that they differ in are tensors of shape ().
    evaluate: `evaluate(config, model)`, the metrics of an epoch.
    optimizer: `optimizer(config, parameters)`; the configuration's `optimizer`, `lr`, `momentum`
        and so on by default (`make_optimizer`).
    schedule: `schedule(config, part)`, the factor on the learning rates when `part` of the
        training, 0 .. 1, is over.
    augment: `augment(config, inputs)`, changed inputs of a batch.
    draw: `draw(config, model, board)` shows the model in TensorBoard after each epoch.

    It reads `batch_size`, `precision` (fp32 by default) and `gradient_clip` (the largest norm of
    the gradients, None by default) from the configuration. Each epoch is reported with
    `train_loss`, the mean loss of its batches, and with the metrics of `evaluate`.
    """

    build: Callable[[Config], nn.Module]
    data: Callable[[Config], Batch]
    loss: Callable[[Config, Tensor, Batch], Tensor]
    evaluate: Callable[[Config, nn.Module], dict[str, float]]
    optimizer: Callable[[Config, Any], torch.optim.Optimizer] = make_optimizer
    schedule: Callable[[Config, float], float] | None = None
    augment: Callable[[Config, Tensor], Tensor] | None = None
    draw: Callable[[Config, nn.Module, Board], None] | None = None

    def __call__(self, config: Config, run: Run) -> None:
        """Train alone, and report after each epoch."""
        config = Known(config)
        learner, samples = self.learner(config, run), self.data(config)
        self.check(config, learner, samples)
        # What is named here is in the checkpoint, from which an interrupted trial continues.
        for _ in run.epochs(**learner.state):
            self.report(config, learner, self.train_epoch(config, learner, samples))

    def pool(self, wanted: int, if_faster: bool, say: Callable[[str, str], None]) -> Any:
        """What trains several trials in this process (`trainables/fused/pool.py`)."""
        from raysweep.trainables.fused.pool import Pool  # it imports this module

        return Pool(self, wanted, if_faster, say)

    def learner(self, config: Config, run: Run) -> Learner:
        """The model in training, its weights drawn from torch's generator."""
        model = self.build(config).to(run.device)
        schedule, clip = self.schedule, config.get("gradient_clip")
        return Learner(
            model,
            self.optimizer(config, model.parameters()),
            Precision(config.get("precision", "fp32"), run.device),
            config["batch_size"],
            run,
            loss=lambda output, batch: self.loss(config, output, batch),
            gradient_clip=None if clip is None else float(clip),
            schedule=None if schedule is None else lambda part: schedule(config, part),
        )

    def train_epoch(
        self, config: Config, learner: Learner, samples: Batch, most_steps: int | None = None
    ) -> float:
        """Train an epoch alone, or so many steps of it. Returns the mean loss."""
        augment = self.augment
        if augment is None:
            return learner.train_epoch(samples, None, most_steps)
        return learner.train_epoch(samples, lambda inputs: augment(config, inputs), most_steps)

    def report(self, config: Config, learner: Learner, train_loss: float) -> None:
        """Evaluate and report the epoch."""
        if self.draw is not None:
            self.draw(config, learner.model, learner.run.board)
        learner.run.report(train_loss=train_loss, **self.evaluate(config, learner.model))

    @torch.no_grad()
    def check(self, config: Config, learner: Learner, samples: Batch) -> None:
        """Raise RecipeError if the loss of a batch is not the sum over its samples.

        The mean, which torch's functions return by default, would make every step too small.
        """
        batch = tuple(part[:CHECKED_SAMPLES].to(learner.run.device) for part in samples)
        learner.model.eval()  # it draws no random number, and changes no statistic
        with learner.precision.autocast():
            output = learner.model(batch[0])
            whole = self.loss(config, output, batch)
            if whole.dim():
                raise RecipeError(f"the loss has the shape {tuple(whole.shape)}; {EXPECTED}")
            half = len(batch[0]) // 2
            if not half or not isinstance(output, Tensor):
                return
            summed = sum(
                self.loss(config, output[part], tuple(tensor[part] for tensor in batch)).item()
                for part in (slice(half), slice(half, None))
            )
        if not math.isfinite(summed):
            return
        if not math.isclose(summed, whole.item(), rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            raise RecipeError(f"the loss of a batch is not that of its halves; {EXPECTED}")
