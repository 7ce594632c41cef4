"""A model in two stages on two GPUs, if it is too large for a single one: `resources: {gpu: 2}`.

Without a GPU both stages are on the CPU.
"""

from typing import Any

import torch
from torch import Tensor, nn

from raysweep.trainables.common.datasets import load
from raysweep.trainables.runtime.run import Run


class TwoStages(nn.Module):
    def __init__(self, width: int, first: str, second: str) -> None:
        super().__init__()
        self.devices = first, second
        self.first = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        ).to(first)
        self.second = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)).to(
            second
        )

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.to(self.devices[0]))
        logits: Tensor = self.second(hidden.to(self.devices[1]))
        return logits


def build(config: dict[str, Any], first: str = "cpu", second: str = "cpu") -> TwoStages:
    return TwoStages(config["width"], first, second)


def evaluate(
    config: dict[str, Any], model: TwoStages, split: str = "validation"
) -> dict[str, float]:
    data = load("digits").split(split)
    model.eval()
    with torch.inference_mode():
        correct = model(data.images).argmax(dim=1).cpu() == data.labels
    prefix = "val" if split == "validation" else split
    return {f"{prefix}_accuracy": correct.float().mean().item()}


def train(config: dict[str, Any], run: Run) -> None:
    first = second = "cpu"
    if run.device == "cuda":
        # With a single GPU, both stages are on it.
        first, second = "cuda:0", f"cuda:{min(1, torch.cuda.device_count() - 1)}"
    model = build(config, first, second)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    data = load("digits").train
    for _ in run.epochs(model=model, optimizer=optimizer):
        model.train()
        for batch in run.shuffled(len(data)).split(config["batch_size"]):
            optimizer.zero_grad()
            logits = model(data.images[batch])
            nn.functional.cross_entropy(logits, data.labels[batch].to(second)).backward()
            optimizer.step()
        run.report(**evaluate(config, model))
