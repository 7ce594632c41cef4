"""Callbacks for training libraries, with the libraries themselves.

The same contract for each: what is reported is what was trained, a trial that is resumed gives the
numbers of one that is not, a stopped one ends, and its best epoch's model is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.run import Objective, ReportError, Run
from tests import libraries

pytestmark = [
    pytest.mark.slow,
    # The libraries' own, about loaders without workers, their coming versions and the like.
    pytest.mark.filterwarnings("ignore"),
]
METRIC = {"transformers": "eval_loss", "fastai": "valid_loss"}


def library(name: str, module: str) -> Any:
    """A library as a parameter; its tests are skipped if it is not installed."""
    absent = pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")
    return pytest.param(name, marks=absent)


LIBRARIES = [
    library(name, name) for name in ("lightning", "transformers", "accelerate", "ignite", "fastai")
]
each_library = pytest.mark.parametrize("name", LIBRARIES)
needs_lightning = pytest.mark.skipif(not find_spec("lightning"), reason="not installed")
needs_transformers = pytest.mark.skipif(not find_spec("transformers"), reason="not installed")


class Stopped(BaseException):
    """The receiver wants no more."""


def run_in(folder: Path, epochs: int = 4, stop_at: int = 0, metric: str = "val_loss") -> Run:
    def send(message: dict[str, Any]) -> None:
        if message["epoch"] == stop_at:
            raise Stopped

    return Run(epochs, send, seed=3, folder=folder, objective=Objective(metric, maximize=False))


def train(name: str, run: Run, **config: Any) -> list[dict[str, float]]:
    """Train with a library; the metrics of all of the trial's reports."""
    torch.manual_seed(3)
    getattr(libraries, name)({"lr": 0.05} | config, run)
    return [report["metrics"] for report in run.reports]


@each_library
def test_a_resumed_trial_gives_the_numbers_of_one_that_was_not_stopped(
    name: str, tmp_path: Path
) -> None:
    metric = METRIC.get(name, "val_loss")
    whole = train(name, run_in(tmp_path / "whole", metric=metric))
    with pytest.raises(Stopped):
        train(name, run_in(tmp_path / "parts", stop_at=2, metric=metric))
    resumed = run_in(tmp_path / "parts", metric=metric)
    parts = train(name, resumed)
    assert [report["epoch"] for report in resumed.reports] == [1, 2, 3, 4]
    assert [metrics[metric] for metrics in parts] == [metrics[metric] for metrics in whole]
    assert len({metrics[metric] for metrics in whole}) == 4
