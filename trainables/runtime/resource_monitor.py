"""What a trial does to its machine, epoch by epoch: how busy its GPU is, how much of its memory is in use, and whether memory leaks.

The first two come from NVML where a module for it is installed (`nvidia-ml-py`), the second else from torch; without a GPU there is
neither. They are the device's: trials that share one see the same.
"""

from __future__ import annotations

import contextlib
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
"""Added to a report's metrics: the mean over the epoch in 0 .. 1, and the most bytes in use at a look."""
LOOK_SECONDS = 0.5
WARM = 2
SPANS = (6, 12, 24)
LEAST_RISE, LEAST_SHARE = 8 * 2**20, 1 / 64
EVEN = 0.25
FALL = 0.25
"""What is called a leak: over the last 6, 12 or 24 steps from epoch to epoch, without the first WARM epochs, memory rises in each third of
them: by LEAST_RISE bytes, by LEAST_SHARE of what is held, and by EVEN of what it rises in the steepest. And it never falls back by more
than FALL of the whole rise. So a leak of 4 MiB an epoch is found after 9 epochs, one of 1 MiB after 27.

An allocator takes and gives in pieces as large as the tensors are, and a leak before leaves its memory full of holes. So what an innocent
training holds goes up and down, by 15 MiB of 500 and by 70 of 900, or up by 11 within two epochs and then no more; and what is computed
once is one step. None of them rises three times in a row as told here. A cache that fills grows less and less.
"""


@contextmanager
def watched(device: str) -> Iterator[Gauge]:
    """A gauge for the GPUs that this process sees, looked at in a thread of its own while the body runs; on the CPU it says nothing."""
    gauge = Gauge(_nvml(), visible()) if device == "cuda" else Gauge(None, [])
    done = threading.Event()
    thread = threading.Thread(target=_look, args=(gauge, done), name="gauge", daemon=True)
    if gauge.handles:
        thread.start()
    try:
        yield gauge
    finally:
        done.set()
        if gauge.handles:
            thread.join()


def _look(gauge: Gauge, done: threading.Event) -> None:
    while not done.wait(LOOK_SECONDS):
        gauge.look()


class Gauge:
    """Reads what NVML says of some devices, named as CUDA_VISIBLE_DEVICES names them."""

    def __init__(self, nvml: Any, names: list[str]) -> None:
        self._nvml = nvml
        self._lock = threading.Lock()
        self._busy: list[float] = []
        self._used: list[float] = []
        self.handles = _handles(nvml, names) if nvml else []

    def look(self) -> None:
        """Take a sample. What a device does not tell (a part of one, under MIG, knows no utilization) stays unknown."""
        with self._lock:
            if self.handles:
                with contextlib.suppress(self._nvml.NVMLError):
                    self._used.append(
                        sum(
                            float(self._nvml.nvmlDeviceGetMemoryInfo(one).used)
                            for one in self.handles
                        )
                    )
                with contextlib.suppress(self._nvml.NVMLError):
                    rates = [
                        self._nvml.nvmlDeviceGetUtilizationRates(one).gpu for one in self.handles
                    ]
                    self._busy.append(sum(rates) / len(rates) / 100)

    def read(self) -> dict[str, float]:
        """The columns since the last reading, as far as they are known."""
        self.look()
        with self._lock:
            busy, used = self._busy, self._used or _used_by_torch()
            self._busy, self._used = [], []
        columns = {UTILIZATION: sum(busy) / len(busy)} if busy else {}
        return columns | ({MEMORY: max(used)} if used else {})


def gpu_watch(uses_gpu: bool) -> Callable[[], bool]:
    """What tells whether the GPUs that this process sees have computed since it was last asked."""
    gauge = Gauge(_nvml(), visible()) if uses_gpu else Gauge(None, [])
    return lambda: gauge.read().get(UTILIZATION, 0.0) > 0


def _used_by_torch() -> list[float]:
    """What is in use of this process's first GPU, where it has one that it uses."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    free, total = torch.cuda.mem_get_info()
    return [float(total - free)]


def visible() -> list[str]:
    """The devices that this process sees, as CUDA_VISIBLE_DEVICES names them: by number, or by the (start of the) device's UUID."""
    return [
        name.strip()
        for name in os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")
        if name.strip()
    ]


def _nvml() -> Any:
    """NVML's module, ready for use; None where there is none, or no driver."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an older package of this name warns of itself
            import pynvml
        pynvml.nvmlInit()
    except Exception:
        return None
    return pynvml


def _handles(nvml: Any, names: list[str]) -> list[Any]:
    """NVML's handles for these names; [] where it does not know one of them."""
    try:
        return [
            nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else _by_uuid(nvml, name)
            for name in names
        ]
    except (nvml.NVMLError, LookupError):
        return []


def _by_uuid(nvml: Any, name: str) -> Any:
    if name.startswith("MIG-"):
        return nvml.nvmlDeviceGetHandleByUUID(name)
    for index in range(nvml.nvmlDeviceGetCount()):
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        uuid = nvml.nvmlDeviceGetUUID(handle)
        if (uuid.decode() if isinstance(uuid, bytes) else uuid).startswith(name):
            return handle
    raise LookupError(name)


@dataclass
class Growth:
    """What a process holds at the end of each epoch, in bytes: allocated by torch on the GPU, or resident and its own."""

    device: str
    held: list[int] = field(default_factory=list)
    leak: int = 0
    """Bytes an epoch, once there is a leak by the rule above; 0 before."""

    def look(self) -> dict[str, int]:
        """At the end of an epoch; a note for the trial where memory leaks."""
        self.held.append(_held(self.device))
        self.leak = self.leak or leaking(self.held)
        return {"memory_growth": self.leak} if self.leak else {}


def leaking(held: list[int]) -> int:
    """Bytes an epoch that leak at the end of this list of what was held after each; 0 for no leak."""
    return max(
        (_climb(held[-steps - 1 :]) for steps in SPANS if len(held) > WARM + steps), default=0
    )


def _climb(held: list[int]) -> int:
    """Bytes a step, where all of these steps are a leak; else 0."""
    steps, rise = len(held) - 1, held[-1] - held[0]
    thirds = [after - before for before, after in pairwise(held[:: steps // 3])]
    least = max(LEAST_RISE, LEAST_SHARE * held[0], EVEN * max(thirds))
    fall = max(most - one for most, one in zip(accumulate(held, max), held, strict=True))
    return rise // steps if min(thirds) >= least and fall <= FALL * rise else 0


def _held(device: str) -> int:
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None and torch.cuda.is_initialized():
        return int(torch.cuda.memory_allocated())
    return process_setup.private()
