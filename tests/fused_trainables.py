"""A recipe for tests of sweeps whose trials train as one: a perceptron on a few made-up samples."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from raysweep.trainables.fused.recipe import Recipe
from raysweep.trainables.runtime.trial_process import WORKER

GENERATOR = torch.Generator().manual_seed(1)
SAMPLES = torch.randn(40, 6, generator=GENERATOR), torch.arange(40) % 3


def build(config: dict[str, Any]) -> nn.Module:
    if config.get("fails") == "build":
        raise ValueError("no such model")
    width = config.get("width", 5)
    return nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Dropout(0.2), nn.Linear(width, 3))


def loss(config: dict[str, Any], output: Tensor, batch: tuple[Tensor, ...]) -> Tensor:
    return functional.cross_entropy(output, batch[1], reduction="sum")


@torch.no_grad()
def evaluate(
    config: dict[str, Any], model: nn.Module, split: str = "validation"
) -> dict[str, float]:
    """`loss`. With `once`, a file, the first process that evaluates dies or is interrupted. With
    `prints`, trials of higher learning rates print theirs.

    It takes `seconds` for each trial, and writes into `folder` that the trial was trained: not
    where the best model is checked after the sweep, which no worker does.
    """
    time.sleep(config.get("seconds", 0))
    if "folder" in config and split == "validation" and WORKER in os.environ:
        with open(Path(config["folder"]) / repr(config["lr"]), "a") as file:
            file.write(f"{time.time()}\n")
    if config["lr"] > config.get("prints", math.inf):
        print("evaluated with", config["lr"])
    once = config.get("once")
    if once and not Path(once).exists() and config["lr"] > 0.05:
        Path(once).touch()
        if config["fails"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if config["fails"] == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        if config["fails"] == "interrupted":
            raise KeyboardInterrupt
    if config.get("fails") == "evaluate" and config["lr"] > 0.05:
        raise ZeroDivisionError("of one trial")
    return {"loss": functional.cross_entropy(model.eval()(SAMPLES[0]), SAMPLES[1]).item()}


train = Recipe(build=build, data=lambda config: SAMPLES, loss=loss, evaluate=evaluate)
