"""The kernels that a trial alone uses, for several trials at once.

Stacked, most operations give each trial the bits that it has alone. A few do not: they add up in
another order, and where a gradient jumps, as at a ReLU near 0, such a rounding error sends the
trial elsewhere. Those are computed in `layers.py`, by one kernel for all lanes if that gives each
the same bits, else by one after another. On a GPU, where that would take longest, and in half
precision they are left to `vmap`; attention is not, of which that computes the slowest kind only.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor
from torch._C._functorch import (
    _add_batch_dim,
    get_unwrapped,
    is_batchedtensor,
    maybe_get_bdim,
    maybe_get_level,
)
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from raysweep.trainables.fused.lane import Lane
from raysweep.trainables.fused.layers import ATTENTION, LAYERS, Choice, Stacked, attention


def unchecked(function: Any) -> Any:
    """The same function, which does not hand its call over to a mode that is in use.

    A mode then sees what it calls, as it does of the functions that a user writes.
    """
    own = function.__globals__ | {"has_torch_function": lambda tensors: False}
    copied = types.FunctionType(function.__code__, own, function.__name__, function.__defaults__)
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied


BODIES = {
    functional.multi_head_attention_forward: unchecked(functional.multi_head_attention_forward)
}
"""Functions of torch that are written in Python and call others that matter here."""


@dataclass
class Kernels:
    """How functions are computed for lanes of a shape.

    exact: as for a trial alone, as far as that is possible.
    """

    exact: bool
    choice: Choice = field(default_factory=Choice)

    def of(self, func: Any) -> Stacked | None:
        """How to compute a function of several lanes; None if `vmap` computes it."""
        if func is ATTENTION:
            return attention
        if not self.exact or func not in LAYERS:
            return None
        return partial(LAYERS[func], self.choice)


def kernels_of(lane: Lane) -> Kernels:
    """How lanes like this one are to be computed."""
    is_exact = lane.run.device == "cpu" and lane.learner.precision.name == "fp32"
    return Kernels(is_exact)


class KernelsOfOne(TorchFunctionMode):
    """Computes some functions as `kernels` say. For a function that is given to `vmap`."""

    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self._kernels = kernels

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if (body := BODIES.get(func)) is not None:
            with self:
                return body(*args, **kwargs)
        stacked = self._kernels.of(func)
        if "input" in kwargs:  # the first argument of all that it is an argument of
            kwargs = dict(kwargs)
            args = (kwargs.pop("input"), *args)
        values = [*args, *kwargs.values()]
        level = max(map(_level, values), default=0)
        if stacked is None or level == 0:
            return func(*args, **kwargs)
        lanes = _unwrapped(values, level)
        count = len(args)
        with temporarily_clear_interpreter_stack():
            output = stacked(*lanes[:count], **dict(zip(kwargs, lanes[count:], strict=True)))
        return _add_batch_dim(output, 0, level)


def _level(value: Any) -> int:
    """Which `vmap` has wrapped a value; 0 for none."""
    return maybe_get_level(value) if isinstance(value, Tensor) and is_batchedtensor(value) else 0


def _unwrapped(values: Sequence[Any], level: int) -> list[Any]:
    """The tensors with all lanes, (K, ...), and the other values as they are."""
    unwrapped = [
        get_unwrapped(value).movedim(maybe_get_bdim(value), 0) if _level(value) == level else value
        for value in values
    ]
    lanes = next(
        len(tensor)
        for tensor, value in zip(unwrapped, values, strict=True)
        if _level(value) == level
    )
    return [
        tensor.expand(lanes, *tensor.shape)
        if isinstance(tensor, Tensor) and _level(value) != level
        else tensor
        for tensor, value in zip(unwrapped, values, strict=True)
    ]
