"""The project's data."""

import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset


class DigitsDataLoader(DataLoader):
    """Handwritten digits; `split_validation` gives the part that was held out."""

    def __init__(self, batch_size: int, validation_split: float) -> None:
        images, labels = load_digits(return_X_y=True)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        x, y = torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(labels)[order]
        held = int(len(y) * validation_split)
        self.held = TensorDataset(x[:held], y[:held])
        super().__init__(TensorDataset(x[held:], y[held:]), batch_size, shuffle=True)

    def split_validation(self) -> DataLoader:
        return DataLoader(self.held, batch_size=256)
