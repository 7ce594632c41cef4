"""A module and its data on the command line of Lightning."""

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.cli import LightningCLI
from torch.utils.data import DataLoader, TensorDataset


class Line(LightningModule):
    def __init__(self, width: int = 16, learning_rate: float = 1e-2, activation: str = "relu"):
        super().__init__()
        self.save_hyperparameters()
        act = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]
        self.net = torch.nn.Sequential(
            torch.nn.Linear(1, width), act(), torch.nn.Linear(width, 1)
        )

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = torch.nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self.net(x), y), prog_bar=True)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate)


class Points(LightningDataModule):
    def __init__(self, batch_size: int = 32):
        super().__init__()
        x = torch.linspace(-1, 1, 256).unsqueeze(1)
        self.points, self.batch_size = TensorDataset(x, x**2), batch_size

    def train_dataloader(self):
        return DataLoader(self.points, self.batch_size, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.points, 64)


if __name__ == "__main__":
    LightningCLI(Line, Points, save_config_callback=None)
