"""Handwritten digits as a LightningDataModule."""

import torch
from lightning import LightningDataModule
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class DigitsDataModule(LightningDataModule):
    def __init__(self, batch_size=64, num_workers=0):
        super().__init__()
        self.save_hyperparameters(logger=False)

    def setup(self, stage=None):
        images, labels = load_digits(return_X_y=True)
        images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
        self.data_train = TensorDataset(images[500:], labels[500:])
        self.data_val = TensorDataset(images[:500], labels[:500])

    def train_dataloader(self):
        return DataLoader(
            self.data_train,
            batch_size=self.hparams.batch_size,
            num_workers=self.hparams.num_workers,
            shuffle=True,
        )

    def val_dataloader(self):
        return DataLoader(
            self.data_val,
            batch_size=self.hparams.batch_size,
            num_workers=self.hparams.num_workers,
        )
