"""Dropout of several trials at once, each with draws and a probability of its own.

The masks are drawn before a step, from each trial's own generator and in the order in which the
trial alone would draw them, so that it drops the same units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import get_unwrapped
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from raysweep.trainables.fused.kernels import BODIES
from raysweep.trainables.fused.layers import ATTENTION
from raysweep.trainables.fused.shape import CannotFuse, dropout_of

FEATURE_DIMENSIONS = {functional.dropout1d: 3, functional.dropout2d: 4, functional.dropout3d: 5}
"""Those that drop whole channels, and how many dimensions their inputs have with a batch."""


class Probabilities(float):
    """What a module that drops units holds in place of its probability: one for each lane.

    As a number, which torch expects, it is the largest of them.
    """

    def __new__(cls, of_lanes: tuple[float, ...]) -> Probabilities:
        made = super().__new__(cls, max(of_lanes))
        made.of_lanes = of_lanes
        return made

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
    """Give the modules of the template that drop units the probabilities of all lanes."""
    for name, module in template.named_modules():
        if (attribute := dropout_of(module)) is not None:
            held = tuple(float(getattr(model.get_submodule(name), attribute)) for model in models)
            if any(held):
                setattr(module, attribute, Probabilities(held))


class RecordedCalls(TorchFunctionMode):
    """Notes the calls of dropout in a forward pass of `lanes` lanes, and drops nothing."""

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self.masks: list[Masks] = []
        self._lanes = lanes

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (body := BODIES.get(func)) is not None:
            with self:
                return body(*args, **kwargs)
        if (call := _dropout_of(func, args, kwargs)) is None:
            return func(*args, **kwargs)
        p, shape = call
        of_lanes = p.of_lanes if isinstance(p, Probabilities) else (float(p),) * self._lanes
        drawn = torch.ones((self._lanes, *shape), dtype=args[0].dtype, device=args[0].device)
        if func is functional.dropout:
            drawn = _laid_out_as(drawn, args[0])
        self.masks.append(Masks(of_lanes, drawn))
        return args[0] if func is not ATTENTION else _attention(args, kwargs, None)


def _laid_out_as(drawn: Tensor, inputs: Tensor) -> Tensor:
    """The same with each lane's units in memory in the order of its inputs.

    In that order torch draws for them, and it may be another than that of the dimensions.
    """
    order = sorted(range(inputs.dim()), key=inputs.stride, reverse=True)
    permuted = drawn.permute(0, *(1 + dim for dim in order)).contiguous()
    return permuted.permute(0, *(1 + order.index(dim) for dim in range(inputs.dim())))


class MaskedCalls(TorchFunctionMode):
    """Multiplies by the masks that were drawn, call by call."""

    def __init__(self, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self._masks: Iterator[Tensor] = iter(masks)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (body := BODIES.get(func)) is not None:
            with self:
                return body(*args, **kwargs)
        if _dropout_of(func, args, kwargs) is None:
            return func(*args, **kwargs)
        mask = next(self._masks)
        return args[0] * mask if func is not ATTENTION else _attention(args, kwargs, mask)


def _dropout_of(
    func: Any, args: Any, kwargs: dict[str, Any]
) -> tuple[float | Probabilities, tuple[int, ...]] | None:
    """The probability of a call, and the shape of what it draws for a lane.

    None if it draws nothing, or is no dropout that is known here.
    """
    if func is ATTENTION:
        p = args[4] if len(args) > 4 else kwargs.get("dropout_p", 0.0)
        shape = (*args[0].shape[:-1], args[1].shape[-2])
    elif not kwargs.get("training"):
        return None
    elif func is functional.dropout:
        p, shape = kwargs["p"], tuple(args[0].shape)
    elif FEATURE_DIMENSIONS.get(func) == args[0].dim():
        p, shape = kwargs["p"], (*args[0].shape[:2], *[1] * (args[0].dim() - 2))
    else:
        return None
    if isinstance(p, Tensor):  # a number of the configuration in which the lanes differ
        p = Probabilities(tuple(get_unwrapped(p).tolist()))
    return None if p == 0 else (p, shape)


def _attention(args: Any, kwargs: dict[str, Any], mask: Tensor | None) -> Tensor:
    """Attention as torch computes it with dropout, step by step; `mask` drops weights."""
    names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    given = dict(zip(names, args, strict=False)) | kwargs
    query, key, value = given["query"], given["key"], given["value"]
    if given.get("enable_gqa"):
        raise CannotFuse("attention has enable_gqa and dropout")
    scale = given.get("scale")
    root = math.sqrt(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    weights = (query * root) @ (key.transpose(-2, -1) * root)
    added = given.get("attn_mask")
    if given.get("is_causal"):
        added = torch.ones(weights.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if added is not None and added.dtype == torch.bool:
        added = torch.zeros_like(added, dtype=weights.dtype).masked_fill(~added, -math.inf)
    if added is not None:
        weights = weights + added
    weights = weights.softmax(dim=-1)
    output: Tensor = (weights if mask is None else weights * mask) @ value
    return output
