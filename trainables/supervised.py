"""What the shipped classifiers share: optimizers, one epoch of training, and an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainables.data import Split

EVALUATION_BATCH = 1024


def optimizer_of(config: dict[str, Any], model: nn.Module) -> torch.optim.Optimizer:
    """`optimizer: sgd` (with `momentum`, 0.9 if it is not tuned) or `adam`, with `lr` and `weight_decay` (0 if it is not tuned)."""
    decay = config.get("weight_decay", 0.0)
    if config["optimizer"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=config.get("momentum", 0.9), weight_decay=decay)
    if config["optimizer"] == "adam":
        return torch.optim.Adam(model.parameters(), lr=config["lr"], weight_decay=decay)
    raise ValueError(f"optimizer '{config['optimizer']}': expected sgd or adam")


def batches(split: Split, size: int, device: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The split in a random order, `size` at a time; the order is drawn from torch's generator, which a checkpoint carries."""
    for chosen in torch.randperm(len(split)).split(size):
        yield split.images[chosen].to(device), split.labels[chosen].to(device)


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, split: Split, batch_size: int, pieces: int, device: str) -> float:
    """One pass over the split; returns the mean loss. Each batch in `pieces` micro-batches, for one step of the optimizer."""
    model.train()
    total = torch.zeros((), device=device)
    for images, labels in batches(split, batch_size, device):
        optimizer.zero_grad(set_to_none=True)
        for part_images, part_labels in zip(images.chunk(pieces), labels.chunk(pieces), strict=True):
            loss = nn.functional.cross_entropy(model(part_images), part_labels, reduction="sum")
            (loss / len(labels)).backward()
            total += loss.detach()
        optimizer.step()
    return total.item() / len(split)


@torch.inference_mode()
def score(model: nn.Module, split: Split, device: str = "cpu") -> tuple[float, float]:
    """Mean cross-entropy and accuracy (0 .. 1) of a model on a split."""
    model.eval()
    loss, right = torch.zeros((), device=device), torch.zeros((), device=device)
    for images, labels in zip(split.images.split(EVALUATION_BATCH), split.labels.split(EVALUATION_BATCH), strict=True):
        logits = model(images.to(device))
        loss += nn.functional.cross_entropy(logits, labels.to(device), reduction="sum")
        right += (logits.argmax(dim=1) == labels.to(device)).sum()
    return loss.item() / len(split), right.item() / len(split)
