"""A PyTorch Lightning module in a sweep, by means of a callback.

Needs: pip install raysweep[lightning]
"""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import raysweep as rs
from raysweep.integrations.lightning import Report
from raysweep.trainables.common.datasets import load


class Classifier(lightning.LightningModule):
    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10)
        )

    def training_step(self, batch: list[Tensor], i: int) -> Tensor:
        images, labels = batch
        loss = nn.functional.cross_entropy(self.layers(images), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

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


def train(config: dict[str, Any], run: rs.Run) -> None:
    digits = load("digits")
    training = TensorDataset(digits.train.images, digits.train.labels)
    validation = TensorDataset(digits.validation.images, digits.validation.labels)
    report = Report(run=run)
    trainer = lightning.Trainer(
        max_epochs=run.total_epochs,
        callbacks=[report],
        logger=False,
        enable_checkpointing=False,  # the callback has Lightning save with each report
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        build(config),
        DataLoader(training, config["batch_size"], shuffle=True),
        DataLoader(validation, 1024),
        ckpt_path=report.ckpt_path,
    )
