"""`precision: fp32 | bf16 | fp16`: the type that a model computes in. Its weights stay float32.

bf16 has the range of float32, and needs nothing else. fp16 has a smaller range, so the loss is
scaled before the gradients are taken. Both are faster than fp32 on a GPU. On a CPU they are faster
only if it has instructions for them.
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
        self._device_type = torch.device(device).type
        self._scaler = torch.amp.GradScaler(self._device_type, enabled=name == "fp16")

    @property
    def state(self) -> dict[str, Any]:
        """What belongs into a checkpoint: for fp16 the scaler, whose scale changes in training."""
        if self.name != "fp16":
            return {}
        return {"scaler": self._scaler}

    def autocast(self) -> torch.autocast:
        """A context in which a model computes in this precision."""
        return torch.autocast(self._device_type, TYPES[self.name], enabled=self.name != "fp32")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss, scaled for fp16."""
        torch.autograd.backward([self._scaler.scale(loss)])

    def step(self, optimizer: torch.optim.Optimizer, clip: float | None = None) -> None:
        """Step by the unscaled gradients, scaled down to a norm of `clip` if theirs is larger.

        If one of them overflowed in fp16, the step is skipped, and the scale halved.
        """
        if clip is not None:
            self._scaler.unscale_(optimizer)
            clipped = [weight for group in optimizer.param_groups for weight in group["params"]]
            torch.nn.utils.clip_grad_norm_(clipped, clip)
        self._scaler.step(optimizer)
        self._scaler.update()
