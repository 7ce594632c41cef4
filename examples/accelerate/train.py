"""A script with Accelerate in a sweep, by means of a tracker.

By hand: python train.py --lr 0.01. With several processes: accelerate launch train.py --lr 0.01.
Needs: pip install raysweep[accelerate]
"""

import argparse
import os
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from tqdm.auto import tqdm

from raysweep.integrations.accelerate import Report


def loaders(batch_size: int) -> tuple[DataLoader, DataLoader]:
    images, labels = load_digits(return_X_y=True)
    pixels = torch.tensor(images / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    data = TensorDataset(pixels, torch.tensor(labels))
    training, validation = random_split(data, [1497, 300], torch.Generator().manual_seed(0))
    return DataLoader(training, batch_size, shuffle=True), DataLoader(validation, 300)


def build(channels: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(channels * 16, 10),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=int(os.environ.get("RAYSWEEP_EPOCHS", "5")))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("RAYSWEEP_SEED", "0")))
    args = parser.parse_args()

    accelerator = Accelerator(log_with=[Report("val_accuracy")])
    accelerator.init_trackers("digits", config=vars(args))
    set_seed(args.seed % 2**32)
    training, validation = loaders(args.batch_size)
    model = build(args.channels, args.dropout)
    optimizer = torch.optim.AdamW(model.parameters(), args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(training))
    model, optimizer, training, validation, schedule = accelerator.prepare(
        model, optimizer, training, validation, schedule
    )
    progress = tqdm(range(args.epochs), disable=not accelerator.is_local_main_process)
    for epoch in progress:
        model.train()
        for images, labels in training:
            loss = nn.functional.cross_entropy(model(images), labels)
            accelerator.backward(loss)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        model.eval()
        correct, count = 0, 0
        for images, labels in validation:
            with torch.inference_mode():
                predicted = model(images).argmax(dim=-1)
            predicted, labels = accelerator.gather_for_metrics((predicted, labels))
            correct, count = correct + int((predicted == labels).sum()), count + len(labels)
        accelerator.log({"train_loss": loss.item(), "val_accuracy": correct / count}, step=epoch)
        accelerator.print(f"epoch {epoch}: accuracy {correct / count:.3f}")
    folder = Path(os.environ.get("RAYSWEEP_FOLDER", "."))
    accelerator.save_model(model, folder)
    accelerator.end_training()


if __name__ == "__main__":
    main()
