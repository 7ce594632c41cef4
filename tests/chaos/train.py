"""A train function whose numbers reveal any generator or weight that was not restored.

It also writes down each epoch that it trains.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raysweep.trainables.runtime.run import Run


def noisy_and_written(config: dict[str, Any], run: Run) -> None:
    """A noisy bowl over x and y, with a weight that wanders."""
    model = torch.nn.Linear(1, 1)
    path = Path(config["folder"]) / run.trial
    for epoch in run.epochs(model=model):
        with open(path, "a") as file:
            file.write(json.dumps({"trial": run.trial, "epoch": epoch, "time": time.time()}) + "\n")
        time.sleep(config["seconds"])
        with torch.no_grad():
            model.weight.add_(torch.randn(1, 1) * 0.1)
        noise = float(torch.rand(1)) + float(np.random.rand()) + random.random()
        bowl = (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2
        run.report(loss=bowl + 0.05 * noise + 0.1 * float(model.weight.detach().abs()) + 1 / epoch)
