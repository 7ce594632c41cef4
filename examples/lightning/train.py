"""A PyTorch Lightning module as a sweep, through a callback of ten lines. Needs: pip install lightning"""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from raysweep.trainables.common.datasets import load
from raysweep.trainables.runtime.run import Run


class Report(lightning.Callback):
    """Reports what was logged after each validation; weights and optimizer come back where a trial is taken up again."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.epochs = self.run.epochs(model=module, optimizer=trainer.optimizers[0])
        trainer.should_stop = next(self.epochs, None) is None

    def on_validation_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        self.run.report(
            **{
                name: value
                for name, value in trainer.callback_metrics.items()
                if name.startswith("val_")
            }
        )
        trainer.should_stop = next(self.epochs, None) is None


class Classifier(lightning.LightningModule):
    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def training_step(self, batch: list[Tensor], i: int) -> Tensor:
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], i: int) -> None:
        answers = self.layers(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(answers, batch[1]))
        self.log("val_accuracy", (answers.argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def build(config: dict[str, Any]) -> Classifier:
    return Classifier(config["width"], config["lr"])


def evaluate(
    config: dict[str, Any], model: Classifier, split: str = "validation"
) -> dict[str, float]:
    held = load("digits").split(split)
    with torch.inference_mode():
        right = model.layers(held.images).argmax(dim=1) == held.labels
    return {
        "val_accuracy" if split == "validation" else f"{split}_accuracy": right.float()
        .mean()
        .item()
    }


def train(config: dict[str, Any], run: Run) -> None:
    """Loaders with generators of their own: Lightning begins the first one before a trial that goes on has its random numbers back."""
    digits, module = load("digits"), build(config)
    data, held = (
        TensorDataset(split.images, split.labels) for split in (digits.train, digits.validation)
    )
    batches = DataLoader(
        data, config["batch_size"], sampler=RandomSampler(data), generator=torch.Generator()
    )
    held_out = DataLoader(held, 1024, generator=torch.Generator())
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(
        max_epochs=-1, num_sanity_val_steps=0, accelerator="auto", callbacks=[Report(run)], **quiet
    )
    trainer.fit(module, batches, held_out)
