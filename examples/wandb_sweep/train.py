"""A program for W&B sweeps, which knows nothing of raysweep. It runs as it is, without the network.

Its parameters are in `wandb.config`, and what it logs is reported.
"""

import torch
import wandb
from sklearn.datasets import load_digits
from torch import nn

DEFAULTS = {"lr": 0.1, "batch_size": 32, "epochs": 4, "optimizer": {"momentum": 0.9}}


def load_data():
    images, labels = load_digits(return_X_y=True)
    x, y = torch.tensor(images, dtype=torch.float32) / 16, torch.tensor(labels)
    return x[:1400], y[:1400], x[1400:], y[1400:]


def main():
    run = wandb.init(project="digits", config=DEFAULTS)
    config = wandb.config
    torch.manual_seed(0)
    x, y, x_val, y_val = load_data()
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    wandb.watch(model)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config.lr, momentum=config.optimizer["momentum"]
    )
    best = 0.0
    for epoch in range(config.epochs):
        for batch in torch.randperm(len(x)).split(config.batch_size):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(x_val).argmax(1) == y_val).float().mean()
        best = max(best, accuracy.item())
        wandb.log({"epoch": epoch, "train": {"loss": loss.item()}, "val": {"accuracy": accuracy}})
    run.summary["best_accuracy"] = best
    wandb.finish()


if __name__ == "__main__":
    main()
