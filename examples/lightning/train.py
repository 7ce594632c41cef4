"""A PyTorch Lightning module in a sweep, by means of a short callback.

Needs: pip install lightning
"""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from raysweep.trainables.common.datasets import load
from raysweep.trainables.runtime.run import Run


class Report(lightning.Callback):
    """Reports what was logged after each validation.

    `run.epochs(...)` restores the module and the optimizer if the trial is resumed.
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.epochs = self.run.epochs(model=module, optimizer=trainer.optimizers[0])
        trainer.should_stop = next(self.epochs, None) is None

    def on_validation_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        logged = trainer.callback_metrics.items()
        self.run.report(**{name: value for name, value in logged if name.startswith("val_")})
        trainer.should_stop = next(self.epochs, None) is None


class Classifier(lightning.LightningModule):
    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def training_step(self, batch: list[Tensor], i: int) -> Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(self.layers(images), labels)

    def validation_step(self, batch: list[Tensor], i: int) -> None:
        images, labels = batch
        logits = self.layers(images)
        self.log("val_loss", nn.functional.cross_entropy(logits, labels))
        self.log("val_accuracy", (logits.argmax(dim=1) == labels).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def build(config: dict[str, Any]) -> Classifier:
    return Classifier(config["width"], config["lr"])


def evaluate(
    config: dict[str, Any], model: Classifier, split: str = "validation"
) -> dict[str, float]:
    data = load("digits").split(split)
    with torch.inference_mode():
        correct = model.layers(data.images).argmax(dim=1) == data.labels
    prefix = "val" if split == "validation" else split
    return {f"{prefix}_accuracy": correct.float().mean().item()}


def train(config: dict[str, Any], run: Run) -> None:
    digits = load("digits")
    training = TensorDataset(digits.train.images, digits.train.labels)
    validation = TensorDataset(digits.validation.images, digits.validation.labels)
    # The loaders have generators of their own, because Lightning starts the first epoch's loader
    # before a resumed trial has the states of the global generators back.
    training_batches = DataLoader(
        training, config["batch_size"], sampler=RandomSampler(training), generator=torch.Generator()
    )
    validation_batches = DataLoader(validation, 1024, generator=torch.Generator())
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(
        max_epochs=-1, num_sanity_val_steps=0, accelerator="auto", callbacks=[Report(run)], **quiet
    )
    trainer.fit(build(config), training_batches, validation_batches)
