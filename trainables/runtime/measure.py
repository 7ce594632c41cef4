"""Measures of a model that a train function may report: `run.measure.latency(model, example)`.

The model is put into evaluation mode without gradients for that, and back again afterwards. Other
trials on the same machine slow it down: a sweep whose objective is a latency should leave it to one
trial at a time (`parallel: 1`), or give each its own cores.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from raysweep.trainables.runtime.process_setup import gpu_memory, resident
from raysweep.trainables.runtime.resource_monitor import energy_counter

if TYPE_CHECKING:
    from torch import nn

MIB = 2**20
WARM_UP, REPEATS = 5, 30
"""Calls that are not counted, because they choose kernels and fill caches; and calls that are."""


ENERGY_SECONDS = 2.0
"""How long calls are repeated for their energy, because the counter of a GPU moves every 20 to 100
milliseconds."""


class MeasureError(ValueError):
    """A measure that cannot be taken here."""


class Measure:
    """Measures models on the device of a run."""

    def __init__(self, device: str) -> None:
        self._device = device

    def latency(
        self, model: nn.Module, example: Any, *, warm_up: int = WARM_UP, repeats: int = REPEATS
    ) -> float:
        """The milliseconds of one call of the model: the median of `repeats` calls.

        example: what the model is called with, on its device; a tuple is several arguments. A
        batch of 32 gives the time of the batch. Raises MeasureError for fewer than one repeat.
        """
        if repeats < 1:
            raise MeasureError(f"repeats: expected 1 or more, got {repeats}")
        seconds = []
        with _evaluating(model):
            for _ in range(warm_up):
                self._call(model, example)
            for _ in range(repeats):
                start = time.perf_counter()
                self._call(model, example)
                seconds.append(time.perf_counter() - start)
        return 1000 * statistics.median(seconds)

    def size(self, model: nn.Module) -> float:
        """The mebibytes of the model's parameters and buffers; shared ones count once."""
        tensors = {id(one): one for one in (*model.parameters(), *model.buffers())}
        return sum(one.numel() * one.element_size() for one in tensors.values()) / MIB

    def energy(
        self,
        model: nn.Module,
        example: Any,
        *,
        warm_up: int = WARM_UP,
        seconds: float = ENERGY_SECONDS,
    ) -> float:
        """The joules of one call of the model: the mean over as many as fit into `seconds`.

        They are counted by the GPU (`nvmlDeviceGetTotalEnergyConsumption`), with what it needs when
        idle and with what other programs do on it meanwhile: give the trial a GPU of its own.
        example: as in `latency`. Raises MeasureError on the CPU, without NVML's module
        (`nvidia-ml-py`), for a GPU that does not count, and if `seconds` are too few to count any.
        """
        if self._device != "cuda":
            raise MeasureError("energy: only a GPU counts it, and this trial runs on the CPU")
        try:
            joules = energy_counter()
        except ValueError as error:
            raise MeasureError(f"energy: {error}") from None
        with _evaluating(model):
            for _ in range(warm_up):
                self._call(model, example)
            start, end, calls = joules(), time.perf_counter() + seconds, 0
            while calls == 0 or time.perf_counter() < end:
                self._call(model, example)
                calls += 1
            used = joules() - start
        if used <= 0:
            raise MeasureError(f"energy: the GPU counted nothing within {seconds:g} s; take more")
        return used / calls

    def peak_memory(self) -> float:
        """The most mebibytes that torch has allocated on the trial's GPU so far.

        On the CPU, where torch does not count, it is what the process holds at this moment, Python
        and torch included. A trial that continues in another process begins to count anew.
        """
        if self._device == "cuda":
            return gpu_memory()[0] / MIB
        return resident() / MIB

    def _call(self, model: nn.Module, example: Any) -> None:
        model(*example) if isinstance(example, tuple) else model(example)
        if self._device == "cuda":
            import torch

            torch.cuda.synchronize()  # a call returns before the GPU has done its work


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each part of the model is as it was afterwards."""
    import torch

    modes = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes.items():
            part.training = training
