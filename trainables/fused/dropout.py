"""Dropout of several trials at once, each with draws and a probability of its own.

The masks are drawn before a step, from each trial's own generator and in the order in which the
trial alone would draw them, so that it drops the same units.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from raysweep.trainables.fused.shape import DROPOUTS

FEATURE_DIMENSIONS = {functional.dropout1d: 3, functional.dropout2d: 4, functional.dropout3d: 5}
"""Those that drop whole channels, and how many dimensions their inputs have with a batch."""


@dataclass(frozen=True)
class Probabilities:
    """What a dropout module holds in place of its probability: one for each lane."""

    of_lanes: tuple[float, ...]


@dataclass
class Masks:
    """The masks of one call of dropout. They are drawn anew for each step, in the same memory."""

    probabilities: tuple[float, ...]
    drawn: Tensor
    """Of shape (lanes, ...)."""
    kept: Tensor = field(init=False)
    """The part of the units that each lane keeps; 1 if there is nothing to draw."""
    of_lanes: tuple[Tensor, ...] = field(init=False)
    """The part of `drawn` of each lane."""

    def __post_init__(self) -> None:
        self.of_lanes = self.drawn.unbind()
        for p, own in zip(self.probabilities, self.of_lanes, strict=True):
            own.fill_(float(p == 0))  # it stays like this if there is nothing to draw
        kept = [1 - p if 0 < p < 1 else 1.0 for p in self.probabilities]
        shape = [-1] + [1] * (self.drawn.dim() - 1)
        self.kept = torch.tensor(kept, dtype=self.drawn.dtype, device=self.drawn.device)
        self.kept = self.kept.reshape(shape)

    def draw(self, lane: int, generator: torch.Generator) -> None:
        """Draw the mask of a lane, as torch's dropout does."""
        p = self.probabilities[lane]
        if 0 < p < 1:
            self.of_lanes[lane].bernoulli_(1 - p, generator=generator)


def draw(masks: Sequence[Masks], generators: Sequence[torch.Generator]) -> list[Tensor]:
    """New masks for a step: what the inputs of each call are multiplied by."""
    for lane, generator in enumerate(generators):
        for mask in masks:
            mask.draw(lane, generator)
    return [mask.drawn.div_(mask.kept) for mask in masks]


def hold_probabilities(template: nn.Module, models: Sequence[nn.Module]) -> None:
    """Give the dropout modules of the template the probabilities of all lanes."""
    for name, module in template.named_modules():
        if isinstance(module, DROPOUTS):
            held = tuple(float(model.get_submodule(name).p) for model in models)  # type: ignore[arg-type]
            if any(held):
                module.p = Probabilities(held)  # type: ignore[assignment]


class RecordedCalls(TorchFunctionMode):
    """Notes the calls of dropout in a forward pass of `lanes` lanes, and drops nothing."""

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self.masks: list[Masks] = []
        self._lanes = lanes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shape = _mask_shape(func, args, kwargs or {})
        if shape is None:
            return func(*args, **(kwargs or {}))
        p = (kwargs or {})["p"]
        of_lanes = p.of_lanes if isinstance(p, Probabilities) else (float(p),) * self._lanes
        drawn = torch.ones((self._lanes, *shape), dtype=args[0].dtype, device=args[0].device)
        self.masks.append(Masks(of_lanes, drawn))
        return args[0]


class MaskedCalls(TorchFunctionMode):
    """Multiplies by the masks that were drawn, call by call."""

    def __init__(self, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self._masks: Iterator[Tensor] = iter(masks)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if _mask_shape(func, args, kwargs or {}) is None:
            return func(*args, **(kwargs or {}))
        return args[0] * next(self._masks)


def _mask_shape(func: Any, args: Any, kwargs: dict[str, Any]) -> tuple[int, ...] | None:
    """The shape of what this call draws for a lane; None if it is no dropout that is known here."""
    if not kwargs.get("training"):
        return None
    if func is functional.dropout:
        return tuple(args[0].shape)
    if FEATURE_DIMENSIONS.get(func) == args[0].dim():
        return (*args[0].shape[:2], *[1] * (args[0].dim() - 2))
    return None
