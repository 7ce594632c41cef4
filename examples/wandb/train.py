"""A program of a W&B sweep: it asks `wandb.config` for its hyperparameters, and logs to W&B."""

import torch
import wandb
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tqdm import tqdm

defaults = {"lr": 0.01, "width": 32, "optimizer": "sgd", "batch_size": 64, "epochs": 5}


def main():
    run = wandb.init(project="digits", config=defaults)
    config = wandb.config
    run.define_metric("val_loss", summary="min")
    images, labels = load_digits(return_X_y=True)
    images, labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    loader = DataLoader(TensorDataset(images[500:], labels[500:]), config.batch_size, shuffle=True)
    model = nn.Sequential(nn.Linear(64, config.width), nn.ReLU(), nn.Linear(config.width, 10))
    wandb.watch(model)
    kinds = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    optimizer = kinds[config.optimizer](model.parameters(), lr=config.lr)
    for epoch in range(config.epochs):
        for x, y in tqdm(loader, desc=f"epoch {epoch}"):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            wandb.log({"train_loss": loss.item()})
        with torch.no_grad():
            logits = model(images[:500])
        wandb.log(
            {
                "epoch": epoch,
                "val_loss": nn.functional.cross_entropy(logits, labels[:500]).item(),
                "val_accuracy": (logits.argmax(1) == labels[:500]).float().mean().item(),
            }
        )
    wandb.finish()


if __name__ == "__main__":
    main()
