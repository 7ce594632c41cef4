"""`precision: fp32 | bf16 | fp16`: what a model computes in. Its weights stay float32.

bf16 has float32's range and needs nothing else; fp16 has not, so that its loss is scaled before the gradients are taken. On a GPU both
are faster than fp32; on a CPU only where its instructions have them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Computes in one of `TYPES` on a device, and steps an optimizer accordingly."""

    def __init__(self, name: str, device: str) -> None:
        if name not in TYPES:
            raise ValueError(f"precision '{name}': expected one of {', '.join(TYPES)}")
        self.name = name
        self._kind = torch.device(device).type
        self._scaler = torch.amp.GradScaler(self._kind, enabled=name == "fp16")

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint must carry of it: for fp16, the scale of the loss."""
        return {"scaler": self._scaler} if self.name == "fp16" else {}

    def autocast(self) -> torch.autocast:
        """A context in which a model computes in this precision."""
        return torch.autocast(self._kind, TYPES[self.name], enabled=self.name != "fp32")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled."""
        torch.autograd.backward([self._scaler.scale(loss)])

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Step by the unscaled gradients; in fp16, where one of them overflowed, the step is left out and the scale halved."""
        self._scaler.step(optimizer)
        self._scaler.update()
