"""What `run.measure` says of a model."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from raysweep.trainables.runtime.measure import Measure, MeasureError
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


class NVMLError(Exception):
    """What NVML raises."""


class Nvml:
    """A module in the shape of NVML with a GPU that uses two joules in each call of a model."""

    NVMLError = NVMLError
    __spec__ = object()

    def __init__(self, model: Counting, counts: bool = True) -> None:
        self._model, self._counts = model, counts

    def nvmlInit(self) -> None:  # noqa: N802
        """There is a driver."""

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index != 3:
            raise NVMLError("not found")
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        if not self._counts:
            raise NVMLError("Not Supported")
        return 5000 + 2000 * len(self._model.calls)  # millijoules


def energy(
    monkeypatch: pytest.MonkeyPatch, module: Any, model: Counting, device: str = "3", **how: Any
) -> float:
    """That of a model on a simulated GPU."""
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", device)
    return Measure("cuda").energy(model, torch.ones(2, 4), **{"seconds": 0.01} | how)


def test_an_energy_is_that_of_the_calls_after_the_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counting()
    assert energy(monkeypatch, Nvml(model), model, warm_up=3) == pytest.approx(2.0)
    assert len(model.calls) > 3
    assert set(model.calls) == {(False, False)}
    assert model.training


def test_where_there_is_no_energy_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counting()
    with pytest.raises(MeasureError, match="energy: only a GPU counts it, and this trial runs on"):
        Measure("cpu").energy(model, torch.ones(2, 4))
    with pytest.raises(MeasureError, match="does not count its energy: Not Supported"):
        energy(monkeypatch, Nvml(model, counts=False), model)
    with pytest.raises(MeasureError, match="energy: NVML does not know this GPU"):
        energy(monkeypatch, Nvml(model), model, device="0")
    idle = Nvml(Counting())  # it counts no call of this model
    with pytest.raises(MeasureError, match=r"counted nothing within 0.01 s; take more"):
        energy(monkeypatch, idle, model)
    assert model.training


def test_energy_needs_the_module_of_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    with pytest.raises(MeasureError, match="energy: it needs NVML's module: pip install nvidia-ml"):
        Measure("cuda").energy(Counting(), torch.ones(2, 4))
