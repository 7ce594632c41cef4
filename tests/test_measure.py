"""What `run.measure` says of a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raysweep.trainables.runtime.measure import MeasureError
from raysweep.trainables.runtime.run import LocalRun


class Counting(nn.Module):
    """Counts how it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 8)
        self.drop = nn.Dropout()
        self.calls: list[tuple[bool, bool]] = []

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        self.calls.append((self.training, torch.is_grad_enabled()))
        out: torch.Tensor = self.drop(self.layer(x)) * scale
        return out


def test_a_latency_is_of_evaluation_and_leaves_the_model_as_it_was() -> None:
    model, run = Counting(), LocalRun(1)
    model.drop.eval()
    assert run.measure.latency(model, torch.ones(2, 4), warm_up=2, repeats=3) > 0
    assert model.calls == [(False, False)] * 5
    assert (model.training, model.layer.training, model.drop.training) == (True, True, False)
    run.measure.latency(model, (torch.ones(2, 4), 2.0), warm_up=0, repeats=1)
    assert len(model.calls) == 6
    with pytest.raises(MeasureError, match="repeats: expected 1 or more, got 0"):
        run.measure.latency(model, torch.ones(2, 4), repeats=0)


def test_a_model_that_raises_is_as_it_was() -> None:
    model = Counting()
    with pytest.raises(RuntimeError):
        LocalRun(1).measure.latency(model, torch.ones(2, 5))
    assert model.training


def test_a_size_counts_shared_parameters_once() -> None:
    model = nn.Sequential(nn.Linear(256, 256, bias=False), nn.BatchNorm1d(256))
    buffers = 2 * 256 * 4 + 8  # running mean and variance, and a count
    wanted = (256 * 256 * 4 + 2 * 256 * 4 + buffers) / 2**20
    assert LocalRun(1).measure.size(model) == pytest.approx(wanted)
    shared = nn.ModuleList([model[0], model[0]])
    assert LocalRun(1).measure.size(shared) == pytest.approx(0.25)


def test_memory_is_that_of_the_process_on_the_cpu() -> None:
    measure = LocalRun(1).measure
    before = measure.peak_memory()
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    assert measure.peak_memory() > before + 32
    assert held.sum() > 0
