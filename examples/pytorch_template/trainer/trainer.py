"""Trains a model and prints a line of JSON after each epoch.

It saves `checkpoint.pth` and `model_best.pth`, which hold tensors and numbers, no pickled objects.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader


class MetricTracker:
    """Means over the batches of an epoch, weighted by their sizes."""

    def __init__(self, *names: str) -> None:
        self._data = pd.DataFrame(0.0, index=list(names), columns=["total", "count"])

    def update(self, name: str, value: float, count: int) -> None:
        self._data.loc[name] += [value * count, count]

    def result(self) -> dict[str, float]:
        return {
            str(name): float(mean)
            for name, mean in (self._data["total"] / self._data["count"]).items()
        }


class Trainer:
    def __init__(
        self,
        model: nn.Module,
        criterion: Callable[..., Tensor],
        metrics: list[Callable[..., float]],
        optimizer: Any,
    ) -> None:
        self.model, self.criterion, self.metrics, self.optimizer = (
            model,
            criterion,
            metrics,
            optimizer,
        )

    def train(
        self, loader: DataLoader, held: DataLoader, epochs: int, monitor: str, folder: Path
    ) -> None:
        goal, name = monitor.split()
        begin, best = self.resume(folder)
        for epoch in range(begin + 1, epochs + 1):
            for data, target in loader:
                self.optimizer.zero_grad()
                self.criterion(self.model(data), target).backward()
                self.optimizer.step()
            result = self.validate(held)
            score = result[name] if goal == "min" else -result[name]
            self.save(folder / "checkpoint.pth", epoch, min(best, score))
            if score < best:
                best = score
                self.save(folder / "model_best.pth", epoch, best)
            print(json.dumps({"epoch": epoch, **result}), flush=True)

    @torch.inference_mode()
    def validate(self, held: DataLoader) -> dict[str, float]:
        tracker = MetricTracker("val_loss", *(f"val_{metric.__name__}" for metric in self.metrics))
        for data, target in held:
            output = self.model(data)
            tracker.update("val_loss", self.criterion(output, target).item(), len(target))
            for metric in self.metrics:
                tracker.update(f"val_{metric.__name__}", metric(output, target), len(target))
        return tracker.result()

    def save(self, path: Path, epoch: int, best: float) -> None:
        state = {
            "state_dict": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        torch.save({"epoch": epoch, "monitor_best": best, **state}, path.with_suffix(".unfinished"))
        path.with_suffix(".unfinished").replace(path)

    def resume(self, folder: Path) -> tuple[int, float]:
        """Load the last checkpoint, if there is one. Returns its epoch and the best score."""
        if not (folder / "checkpoint.pth").exists():
            return 0, math.inf
        content = torch.load(folder / "checkpoint.pth", weights_only=True)
        self.model.load_state_dict(content["state_dict"])
        self.optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(content["random"])
        return content["epoch"], content["monitor_best"]
