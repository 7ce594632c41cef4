"""How a trial uses its machine, epoch by epoch: how busy its GPU is, how much of the GPU's memory
is in use, and whether the trial leaks memory.

Utilization comes from NVML, if a module for it is installed (`nvidia-ml-py`). Memory in use comes
from NVML too, or from torch without it. Without a GPU there is neither. Both are the device's:
trials that share a GPU see the same values.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

from raysweep.trainables.runtime import process_setup

UTILIZATION, MEMORY = "gpu_utilization", "gpu_memory"
COLUMNS = (UTILIZATION, MEMORY)
"""Added to a report's metrics: the mean utilization over the epoch in 0 .. 1, and the largest
number of bytes in use in any sample."""
SAMPLE_SECONDS = 0.5

# The rule for a leak. Over the last 6, 12 or 24 steps from epoch to epoch, after WARM_UP epochs,
# memory rises in each third of the steps: by LEAST_RISE_BYTES, by LEAST_RISE of what is held, and
# by LEAST_OF_STEEPEST of what it rises in the steepest third. And it never falls back by more than
# MOST_FALL of the whole rise. So a leak of 4 MiB an epoch is found after 9 epochs, and a leak of
# 1 MiB after 27.
#
# An allocator takes and returns memory in pieces as large as the tensors are, and earlier leaks
# leave holes in it. So what a training without a leak holds goes up and down, by 15 MiB of 500 and
# by 70 of 900, or up by 11 within two epochs and then no more (measured), and what is computed only
# once is a single step. None of these rises in all three thirds. A cache that fills grows less and
# less.
WARM_UP = 2
SPANS = (6, 12, 24)
LEAST_RISE_BYTES = 8 * 2**20
LEAST_RISE = 1 / 64
LEAST_OF_STEEPEST = 0.25
MOST_FALL = 0.25


@contextmanager
def monitored(device: str) -> Iterator[GpuMonitor]:
    """A monitor of the GPUs that this process sees, sampled by a thread while the body runs.

    On the CPU it reports nothing.
    """
    monitor = _monitor(device == "cuda")
    done = threading.Event()
    thread = threading.Thread(
        target=_keep_sampling, args=(monitor, done), name="resource monitor", daemon=True
    )
    if monitor.handles:
        thread.start()
    try:
        yield monitor
    finally:
        done.set()
        if monitor.handles:
            thread.join()


def _monitor(uses_gpu: bool) -> GpuMonitor:
    return GpuMonitor(_nvml(), visible_devices()) if uses_gpu else GpuMonitor(None, [])


def _keep_sampling(monitor: GpuMonitor, done: threading.Event) -> None:
    while not done.wait(SAMPLE_SECONDS):
        monitor.sample()


class GpuMonitor:
    """Samples what NVML says of some devices, named as CUDA_VISIBLE_DEVICES names them."""

    def __init__(self, nvml: Any, names: list[str]) -> None:
        self._nvml = nvml
        self._lock = threading.Lock()
        self._utilization: list[float] = []
        self._memory: list[float] = []
        self.handles = _handles(nvml, names) if nvml else []

    def sample(self) -> None:
        """Take a sample.

        What a device does not report stays unknown: a MIG slice has no utilization.
        """
        if not self.handles:
            return
        nvml = self._nvml
        with self._lock:
            with contextlib.suppress(nvml.NVMLError):
                used = [float(nvml.nvmlDeviceGetMemoryInfo(handle).used) for handle in self.handles]
                self._memory.append(sum(used))
            with contextlib.suppress(nvml.NVMLError):
                percent = [
                    nvml.nvmlDeviceGetUtilizationRates(handle).gpu for handle in self.handles
                ]
                self._utilization.append(sum(percent) / len(percent) / 100)

    def read(self) -> dict[str, float]:
        """The columns since the last reading, as far as they are known."""
        self.sample()
        with self._lock:
            utilization, memory = self._utilization, self._memory or _memory_by_torch()
            self._utilization, self._memory = [], []
        columns = {}
        if utilization:
            columns[UTILIZATION] = sum(utilization) / len(utilization)
        if memory:
            columns[MEMORY] = max(memory)
        return columns


def gpu_watch(uses_gpu: bool) -> Callable[[], bool]:
    """A function that says whether this process's GPUs have computed since it was last called."""
    monitor = _monitor(uses_gpu)
    return lambda: monitor.read().get(UTILIZATION, 0.0) > 0


def energy_counter() -> Callable[[], float]:
    """A function that says how many joules this process's first GPU has used so far.

    It counts since the driver began, all that the device does and its idling too. Raises
    ValueError, with the reason, if that cannot be measured here.
    """
    if importlib.util.find_spec("pynvml") is None:
        raise ValueError("it needs NVML's module: pip install nvidia-ml-py")
    nvml = _nvml()
    handles = _handles(nvml, visible_devices()[:1]) if nvml else []
    if not handles:
        raise ValueError("NVML does not know this GPU")

    def joules() -> float:
        try:
            return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handles[0])) / 1000
        except nvml.NVMLError as error:
            raise ValueError(f"this GPU does not count its energy: {error}") from None

    joules()
    return joules


def _memory_by_torch() -> list[float]:
    """The bytes in use on this process's first GPU, if torch uses it; else []."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    free, total = torch.cuda.mem_get_info()
    return [float(total - free)]


def visible_devices() -> list[str]:
    """The devices that this process sees, as CUDA_VISIBLE_DEVICES names them.

    That is by number, or by the device's UUID or the start of it.
    """
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
    return [name.strip() for name in names if name.strip()]


def _nvml() -> Any:
    """NVML's module, ready for use; None if there is no such module, or no driver."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an older package of this name warns of itself
            import pynvml
        pynvml.nvmlInit()
    except Exception:
        return None
    return pynvml


def _handles(nvml: Any, names: list[str]) -> list[Any]:
    """NVML's handles for these names; [] if it does not know one of them."""
    try:
        return [_handle(nvml, name) for name in names]
    except (nvml.NVMLError, LookupError):
        return []


def _handle(nvml: Any, name: str) -> Any:
    if name.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(name))
    if name.startswith("MIG-"):
        return nvml.nvmlDeviceGetHandleByUUID(name)
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = nvml.nvmlDeviceGetUUID(handle)
        if isinstance(uuid, bytes):  # as older versions return it
            uuid = uuid.decode()
        if uuid.startswith(name):
            return handle
    raise LookupError(name)


@dataclass
class LeakDetector:
    """Follows what a process holds at the end of each epoch, in bytes.

    On a GPU that is what torch allocated there, else what is resident and the process's own.
    """

    device: str
    held: list[int] = field(default_factory=list)
    leak: int = 0
    """Bytes an epoch, once there is a leak by the rule above; 0 before."""

    def check(self) -> dict[str, int]:
        """At the end of an epoch: a note for the trial if it leaks memory, else {}."""
        self.held.append(_held_bytes(self.device))
        self.leak = self.leak or leaked_per_epoch(self.held)
        return {"memory_growth": self.leak} if self.leak else {}


def leaked_per_epoch(held: list[int]) -> int:
    """Bytes an epoch that leak, given the bytes held after each epoch; 0 if there is no leak."""
    rises = [_steady_rise(held[-steps - 1 :]) for steps in SPANS if len(held) > WARM_UP + steps]
    return max(rises, default=0)


def _steady_rise(held: list[int]) -> int:
    """Bytes a step if these steps are a leak by the rule above, else 0."""
    steps, rise = len(held) - 1, held[-1] - held[0]
    thirds = [after - before for before, after in pairwise(held[:: steps // 3])]
    least = max(LEAST_RISE_BYTES, LEAST_RISE * held[0], LEAST_OF_STEEPEST * max(thirds))
    falls = (highest - now for highest, now in zip(accumulate(held, max), held, strict=True))
    if min(thirds) < least or max(falls) > MOST_FALL * rise:
        return 0
    return rise // steps


def _held_bytes(device: str) -> int:
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.memory_allocated())
    return process_setup.private()
