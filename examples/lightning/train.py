"""A PyTorch Lightning module as a sweep, through a callback of ten lines. Needs: pip install lightning"""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trainables.data import load
from trainables.run import Run


class Report(lightning.Callback):
    """Reports what was logged after each validation; weights and optimizer come back where a trial is taken up again."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.epochs = self.run.epochs(model=module, optimizer=trainer.optimizers[0])
        trainer.should_stop = next(self.epochs, None) is None

    def on_validation_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        self.run.report(**{name: value for name, value in trainer.callback_metrics.items() if name.startswith("val_")})
        trainer.should_stop = next(self.epochs, None) is None


class Classifier(lightning.LightningModule):
    def __init__(self, width: int, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def training_step(self, batch: list[Tensor], i: int) -> Tensor:
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: list[Tensor], i: int) -> None:
        self.log("val_accuracy", (self.layers(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=self.lr)


def train(config: dict[str, Any], run: Run) -> None:
    digits, module = load("digits"), Classifier(config["width"], config["lr"])
    batches = DataLoader(TensorDataset(digits.train.images, digits.train.labels), config["batch_size"], shuffle=True)
    held_out = DataLoader(TensorDataset(digits.validation.images, digits.validation.labels), 1024)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=-1, num_sanity_val_steps=0, accelerator="auto", callbacks=[Report(run)], **quiet)
    trainer.fit(module, batches, held_out)
