"""The train function of the recorded run directories in `tests/data/runs/`.

Do not change this file, not even a comment: the interrupted run continues only if its code is the
same, and its numbers must be those that were recorded. It imports nothing of this project.
"""

from __future__ import annotations

import math
import random
import time
from typing import Any

import numpy as np
import torch


def build(config: dict[str, Any]) -> torch.nn.Linear:
    """The untrained model: one weight."""
    return torch.nn.Linear(1, 1, bias=False)


def train(config: dict[str, Any], run: Any) -> None:
    """Move the weight by numbers of every generator that a checkpoint must carry.

    If `x` is high, the training raises in its second epoch; if it is nearly as high, it diverges.
    """
    model = build(config)
    for epoch in run.epochs(model=model):
        if config["x"] > 0.9 and epoch == 2:
            raise ValueError(f"x is {config['x']}")
        step = float(torch.rand(1)) + float(np.random.rand()) + random.random() - 1.5
        with torch.no_grad():
            model.weight.mul_(0.5).add_(0.1 * step)
        loss = evaluate(config, model)["loss"]
        time.sleep(config.get("seconds", 0.0))
        run.report(loss=math.nan if 0.8 < config["x"] <= 0.9 else loss, step=step)


def evaluate(
    config: dict[str, Any], model: torch.nn.Module, split: str = "validation"
) -> dict[str, float]:
    """The loss on a split; on the test split it is a little higher."""
    weight = abs(float(next(model.parameters()).detach()))
    offset = 0.05 * config.get("y", 1.0) if config["kind"] == "curved" else 0.0
    return {"loss": (config["x"] - 0.3) ** 2 + weight + offset + (split == "test") * 0.01}
