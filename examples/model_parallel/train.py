"""A model in two stages on two devices, for one too large for a single one: `resources: {gpu: 2}`. Without a GPU both are on the CPU."""

from typing import Any

import torch
from torch import Tensor, nn

from raysweep.trainables.common.datasets import load
from raysweep.trainables.runtime.run import Run


class TwoStages(nn.Module):
    def __init__(self, width: int, first: str, second: str) -> None:
        super().__init__()
        self.places = first, second
        self.first = nn.Sequential(
            nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        ).to(first)
        self.second = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10)).to(
            second
        )

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.to(self.places[0]))
        result: Tensor = self.second(hidden.to(self.places[1]))
        return result


def build(config: dict[str, Any], first: str = "cpu", second: str = "cpu") -> TwoStages:
    return TwoStages(config["width"], first, second)


def evaluate(
    config: dict[str, Any], model: TwoStages, split: str = "validation"
) -> dict[str, float]:
    held = load("digits").split(split)
    model.eval()
    with torch.inference_mode():
        right = model(held.images).argmax(dim=1).cpu() == held.labels
    return {
        "val_accuracy" if split == "validation" else f"{split}_accuracy": right.float()
        .mean()
        .item()
    }


def train(config: dict[str, Any], run: Run) -> None:
    devices = (
        ("cuda:0", f"cuda:{min(1, torch.cuda.device_count() - 1)}")
        if run.device == "cuda"
        else ("cpu", "cpu")
    )
    model = build(config, *devices)
    optimizer = torch.optim.Adam(model.parameters(), lr=config["lr"])
    data = load("digits").train
    for _ in run.epochs(model=model, optimizer=optimizer):
        model.train()
        for chosen in run.shuffled(len(data)).split(config["batch_size"]):
            optimizer.zero_grad()
            nn.functional.cross_entropy(
                model(data.images[chosen]), data.labels[chosen].to(devices[1])
            ).backward()
            optimizer.step()
        run.report(**evaluate(config, model))
