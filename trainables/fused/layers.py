"""Layers and losses of several trials at once, each with the bits that it has alone.

The notation: K lanes; what is stacked has the shape (K, ...). The arguments are those of torch's
own functions, with all lanes in each tensor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Stacked = Callable[..., Tensor]
"""A function of all lanes, which returns (K, ...)."""
ATTENTION = functional.scaled_dot_product_attention
ROUNDS = 3
"""Both ways of a kernel are timed so often. The first time, it may have to be compiled."""


@dataclass
class Choice:
    """Knows of the shapes that came up so far whether one kernel does for all lanes."""

    _is_one: dict[Hashable, bool] = field(default_factory=dict)

    def __call__(
        self, key: Hashable, as_one: Callable[[], Tensor], by_lane: Callable[[], Tensor]
    ) -> Tensor:
        """What both compute: as one if that has the same bits and is faster, for this key."""
        if key not in self._is_one:
            (expected, slow), (found, fast) = _timed(by_lane), _timed(as_one)
            # A lane that has diverged holds what is not equal to itself.
            is_same = torch.equal(expected.nan_to_num(), found.nan_to_num())
            self._is_one[key] = is_same and fast < slow
            return expected
        return as_one() if self._is_one[key] else by_lane()


def _timed(compute: Callable[[], Tensor]) -> tuple[Tensor, float]:
    seconds = math.inf
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    for _ in range(ROUNDS):
        began = clock()
        computed = compute()
        seconds = min(seconds, clock() - began)
    return computed, seconds


def each(func: Any) -> Stacked:
    """Compute lane by lane, whatever it is."""

    def stacked(*args: Any, **kwargs: Any) -> Tensor:
        values = [*args, *kwargs.values()]
        lanes = next(len(value) for value in values if isinstance(value, Tensor))
        of_lanes = [
            value.unbind() if isinstance(value, Tensor) else [value] * lanes for value in values
        ]
        count = len(args)
        return torch.stack(
            [
                func(*own[:count], **dict(zip(kwargs, own[count:], strict=True)))
                for own in zip(*of_lanes, strict=True)
            ]
        )

    return stacked


def linear(choice: Choice, inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer: inputs (K, ..., i), weight (K, o, i) and bias (K, o)."""
    output: Tensor = _Linear.apply(choice, inputs, weight, bias)
    return output


def convolution(
    func: Any,
    dims: int,
    choice: Choice,
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """A convolution over so many dimensions, as `func` computes one of a lane."""
    if isinstance(padding, str) or inputs.dim() != dims + 3:
        return each(func)(inputs, weight, bias, stride, padding, dilation, groups)
    options = (_listed(stride, dims), _listed(padding, dims), _listed(dilation, dims))
    output: Tensor = _Convolution.apply(choice, inputs, weight, bias, options, groups)
    return output


def normalization(func: Any, choice: Choice, *args: Any, **kwargs: Any) -> Tensor:
    """A normalization: its gradients are sums, which no kernel for all lanes adds up as for one."""
    return each(func)(*args, **kwargs)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """Attention of all lanes, which have no weights in it, as that of one larger batch."""
    if query.dim() < 4:  # without samples, of which the lanes take the place
        return ATTENTION(query, key, value, attn_mask, dropout_p, is_causal, **options)
    lanes, samples = query.shape[:2]
    parts = [part.flatten(0, 1) for part in (query, key, value)]
    if attn_mask is not None:
        shape = [1] * (query.dim() - attn_mask.dim())
        attn_mask = attn_mask.reshape(lanes, *shape, *attn_mask.shape[1:])
        attn_mask = attn_mask.expand(-1, samples, *attn_mask.shape[2:]).flatten(0, 1)
    query, key, value = parts
    output = ATTENTION(query, key, value, attn_mask, dropout_p, is_causal, **options)
    return output.reshape(lanes, samples, *output.shape[1:])


def max_pool2d(
    choice: Choice,
    inputs: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest values of inputs (K, n, c, h, w)."""
    if inputs.dim() != 5:
        return each(torch.max_pool2d)(inputs, kernel_size, stride, padding, dilation, ceil_mode)
    output: Tensor = _MaxPool2d.apply(
        inputs.flatten(0, 1),
        _listed(kernel_size, 2),
        _listed(kernel_size if stride is None or stride == [] else stride, 2),
        _listed(padding, 2),
        _listed(dilation, 2),
        ceil_mode,
    )
    return output.reshape(*inputs.shape[:2], *output.shape[1:])


def cross_entropy(
    choice: Choice,
    inputs: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Summed, of classes by their numbers, it is computed for all lanes at once."""
    options = (weight, size_average, ignore_index, reduce, reduction)
    is_simple = _is_sum(inputs, target, *options) and not (label_smoothing and (target < 0).any())
    if not is_simple:
        return each(functional.cross_entropy)(inputs, target, *options, label_smoothing)
    likely = inputs.log_softmax(dim=2)
    losses: Tensor = _SumOfLosses.apply(likely, target, ignore_index)
    if not label_smoothing:
        return losses
    uniform = (-likely.sum(dim=2)).sum(dim=1)
    return (1 - label_smoothing) * losses + uniform * (label_smoothing / inputs.shape[2])


def nll_loss(
    choice: Choice,
    inputs: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the inputs at the targets. Summed, it is computed for all lanes at once."""
    options = (weight, size_average, ignore_index, reduce, reduction)
    if not _is_sum(inputs, target, *options):
        return each(functional.nll_loss)(inputs, target, *options)
    losses: Tensor = _SumOfLosses.apply(inputs, target, ignore_index)
    return losses


def _is_sum(inputs: Tensor, target: Tensor, *options: Any) -> bool:
    weight, size_average, _, reduce, reduction = options
    plain = weight is None and size_average is None and reduce is None and reduction == "sum"
    return plain and (inputs.dim(), target.dim()) == (3, 2) and not target.is_floating_point()


class _SumOfLosses(torch.autograd.Function):
    """The sums (K,) of minus the inputs (K, n, classes) at the targets (K, n)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, target: Tensor, ignore_index: int) -> Tensor:
        ctx.ignore_index = ignore_index
        ctx.save_for_backward(inputs, target)
        # They are added up in another order than alone, which no weight notices.
        flat = inputs.flatten(0, 1), target.flatten()
        losses = functional.nll_loss(*flat, ignore_index=ignore_index, reduction="none")
        return losses.reshape(target.shape).sum(dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        inputs, target = (tensor.flatten(0, 1) for tensor in ctx.saved_tensors)
        lanes, samples = ctx.saved_tensors[1].shape
        of_samples = gradients[0].unsqueeze(1).expand(lanes, samples).flatten()
        found = torch.ops.aten.nll_loss_backward(
            of_samples, inputs, target, None, 0, ctx.ignore_index, inputs.new_zeros(())
        )
        return found.unflatten(0, (lanes, samples)), None, None


class _MaxPool2d(torch.autograd.Function):
    """The largest values, with their channels side by side, because torch compares those at once.

    Otherwise it branches at each of them, which takes five times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, *options: Any) -> Tensor:
        beside = inputs.contiguous(memory_format=torch.channels_last)
        largest, places = torch.ops.aten.max_pool2d_with_indices(beside, *options)
        ctx.options = options
        ctx.save_for_backward(inputs, places.contiguous())
        output: Tensor = largest.contiguous()
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        inputs, places = ctx.saved_tensors
        found = torch.ops.aten.max_pool2d_with_indices_backward(
            gradients[0].contiguous(), inputs, *ctx.options, places
        )
        return found, *[None] * len(ctx.options)


class _Linear(torch.autograd.Function):
    """A linear layer: inputs (K, ..., i), weight (K, o, i) and bias (K, o)."""

    @staticmethod
    def forward(
        ctx: Any, choice: Choice, inputs: Tensor, weight: Tensor, bias: Tensor | None
    ) -> Tensor:
        ctx.choice = choice
        ctx.save_for_backward(inputs, weight)

        def stacked() -> Tensor:
            flat = _rows(inputs)
            if bias is None:
                output = torch.bmm(flat, weight.mT)
            else:
                output = torch.baddbmm(bias.unsqueeze(1), flat, weight.mT)
            return output.reshape(*inputs.shape[:-1], weight.shape[1])

        by_lane = each(functional.linear)
        key = ("linear", bias is None, inputs.is_contiguous(), *_key(inputs, weight))
        return choice(key, stacked, lambda: by_lane(inputs, weight, bias))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        inputs, weight = ctx.saved_tensors
        gradient = _rows(gradients[0])
        found: list[Tensor | None] = [None, None, None]
        if ctx.needs_input_grad[1]:
            found[0] = _products(ctx.choice, gradient, weight).reshape(inputs.shape)
        if ctx.needs_input_grad[2]:
            # In this order torch multiplies them for a layer alone; the other one has other bits.
            found[1] = _products(ctx.choice, gradient.mT, _rows(inputs))
        if ctx.needs_input_grad[3]:
            found[2] = gradient.sum(1)
        return None, *found


class _Convolution(torch.autograd.Function):
    """A convolution: inputs (K, n, c, ...), weight (K, o, ...) and bias (K, o)."""

    @staticmethod
    def forward(
        ctx: Any,
        choice: Choice,
        inputs: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        options: tuple[list[int], list[int], list[int]],
        groups: int,
    ) -> Tensor:
        ctx.options, ctx.groups, ctx.has_bias = options, groups, bias is not None
        ctx.save_for_backward(inputs, weight)
        lanes, samples = inputs.shape[:2]
        more = (*options, False, [0] * len(options[0]))

        def as_groups() -> Tensor:
            flat = inputs.transpose(0, 1).reshape(samples, -1, *inputs.shape[3:])
            biases = None if bias is None else bias.flatten()
            output = torch.convolution(flat, weight.flatten(0, 1), biases, *more, lanes * groups)
            output = output.reshape(samples, lanes, -1, *output.shape[2:])
            return output.transpose(0, 1).contiguous()

        by_lane = each(torch.convolution)
        key = ("convolution", bias is None, *map(tuple, options), groups, *_key(inputs, weight))
        return choice(key, as_groups, lambda: by_lane(inputs, weight, bias, *more, groups))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        inputs, weight = ctx.saved_tensors
        sizes = [weight.shape[1]] if ctx.has_bias else None
        needed = [*ctx.needs_input_grad[1:3], ctx.has_bias and ctx.needs_input_grad[3]]
        more = (sizes, *ctx.options, False, [0] * len(ctx.options[0]), ctx.groups, needed)
        lanes = zip(gradients[0].unbind(), inputs.unbind(), weight.unbind(), strict=True)
        of_lanes = [torch.ops.aten.convolution_backward(*lane, *more) for lane in lanes]
        found = [
            torch.stack(parts) if is_needed else None
            for parts, is_needed in zip(zip(*of_lanes, strict=True), needed, strict=True)
        ]
        return None, *found, None, None


def _products(choice: Choice, left: Tensor, right: Tensor) -> Tensor:
    """Products of matrices, (K, m, p) from (K, m, n) and (K, n, p)."""
    key = ("product", left.is_contiguous(), *_key(left, right))
    by_lane = each(torch.mm)
    return choice(key, lambda: torch.bmm(left, right), lambda: by_lane(left, right))


def _key(*tensors: Tensor) -> tuple[Hashable, ...]:
    """What the choice of a kernel depends on: the shapes of a lane's tensors, and their type."""
    return (tensors[0].dtype, *(tuple(tensor.shape[1:]) for tensor in tensors))


def _rows(tensor: Tensor) -> Tensor:
    """Each lane's part as a matrix, (K, m, n)."""
    return tensor.reshape(len(tensor), -1, tensor.shape[-1])


def _listed(option: Any, dims: int) -> list[int]:
    return [option] * dims if isinstance(option, int) else list(option)


LAYERS: dict[Any, Stacked] = {
    functional.linear: linear,
    functional.cross_entropy: cross_entropy,
    functional.nll_loss: nll_loss,
    torch.max_pool2d: max_pool2d,
    torch.conv1d: partial(convolution, torch.conv1d, 1),
    torch.conv2d: partial(convolution, torch.conv2d, 2),
    torch.conv3d: partial(convolution, torch.conv3d, 3),
    functional.batch_norm: partial(normalization, functional.batch_norm),
    functional.layer_norm: partial(normalization, functional.layer_norm),
    functional.group_norm: partial(normalization, functional.group_norm),
}
"""Functions of which `vmap` rounds the results or the gradients otherwise. Each gets a `Choice`."""
