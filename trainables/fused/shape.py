"""What trials must have in common to be trained as one: their shape, in the widest sense."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from raysweep.trainables.fused.configuration import Config, is_number, leaves, place_of
from raysweep.trainables.fused.lane import Lane

OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Those that `trainables/fused/optimizers.py` steps for several trials at once."""
PER_LANE = ("lr", "initial_lr", "momentum", "weight_decay", "betas", "eps")
"""Options of optimizers in which the trials of a group may differ."""
UNUSED = ("foreach", "fused", "capturable", "differentiable", "decoupled_weight_decay")
"""Options that say how torch computes a step, and not which one."""
DROPOUTS = {
    nn.Dropout: "p",
    nn.Dropout1d: "p",
    nn.Dropout2d: "p",
    nn.Dropout3d: "p",
    nn.MultiheadAttention: "dropout",
}
"""Modules that drop units, and the attribute that holds the probability: each trial has its own."""
INTERNAL = frozenset(vars(nn.Module())) - {"training"}
"""The attributes that every module has."""
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class CannotFuse(Exception):
    """A trial that cannot be trained as one with others. The message says what is in the way."""


Shape = tuple[tuple[str, str], ...]
"""What trials must share to be trained as one: texts, each with the name of what it describes."""


def shape_of(lane: Lane) -> Shape:
    """The shape of a trial. Raises CannotFuse if it has to be trained alone."""
    learner, config = lane.learner, lane.config
    if learner.precision.name == "fp16":
        raise CannotFuse("precision fp16 scales the loss by a number of each trial's own")
    if lane.run.accumulation > 1:
        raise CannotFuse("its batches are split, because one did not fit into memory")
    samples = [(tuple(part.shape), str(part.dtype)) for part in lane.samples]
    return (
        *model_shape(learner.model, config),
        *_of_optimizer(learner.optimizer, learner.model),
        ("data", repr(samples)),
        ("batch_size", str(learner.batch_size)),
        ("precision", learner.precision.name),
        ("gradient_clip", str(learner.gradient_clip is None)),
        *_of_config(config),
    )


def differences(shapes: Sequence[Shape]) -> list[str]:
    """The names of what is not the same in all of the shapes."""
    texts = [dict(shape) for shape in shapes]
    names = {name: None for shape in texts for name in shape}
    return [name for name in names if len({shape.get(name) for shape in texts}) > 1]


def _of_config(config: Config) -> list[tuple[str, str]]:
    """The values that a loss may read, without the numbers, in which trials may differ."""
    return [
        (f"config {'.'.join(place)}", "a number" if is_number(value) else repr(value))
        for place, value in sorted(leaves(config))
    ]


def model_shape(model: nn.Module, config: Config) -> list[tuple[str, str]]:
    """The tensors without their values, and the modules with their attributes.

    An attribute may hold the configuration itself, or a part of it.
    """
    tensors = [
        (name, repr((tuple(tensor.shape), str(tensor.dtype), tensor.requires_grad)))
        for name, tensor in [
            *model.named_parameters(remove_duplicate=False),
            *model.named_buffers(remove_duplicate=False),
        ]
    ]
    attributes = [
        (f"{name or type(module).__name__}{part}", text)
        for name, module in model.named_modules(remove_duplicate=False)
        for part, text in [("", _qualified(type(module))), *_attributes(module, config)]
    ]
    return [*tensors, *attributes]


def dropout_of(module: nn.Module) -> str | None:
    """The attribute that holds the module's probability of dropout; None if it has none."""
    return next((name for kind, name in DROPOUTS.items() if isinstance(module, kind)), None)


def _attributes(module: nn.Module, config: Config) -> list[tuple[str, str]]:
    """The attributes of a module's own that its `forward` may use."""
    kind = type(module).__name__
    if any(getattr(module, hooks) for hooks in HOOKS):
        raise CannotFuse(f"{kind} has hooks")
    if isinstance(module, nn.RNNBase):
        raise CannotFuse(f"{kind} is a recurrent layer, which torch computes for one model only")
    found = []
    for name, value in sorted(vars(module).items()):
        if name in INTERNAL or name == "training":
            continue
        if name == dropout_of(module):
            continue
        if (place := place_of(value, config)) is not None:
            found.append((f".{name}", f"config {'.'.join(place)}"))
            continue
        try:
            found.append((f".{name}", plain(value)))
        except TypeError as error:
            raise CannotFuse(f"{kind}.{name} is {error}") from None
    return found


def plain(value: Any) -> str:
    """A text that differs if two values do. Raises TypeError, which names the type, if unknown."""
    if value is None or isinstance(
        value, bool | int | float | str | bytes | torch.dtype | torch.device
    ):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}[{','.join(map(plain, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{plain(key)}:{plain(value[key])}' for key in value)}}}"
    if isinstance(value, set | frozenset):
        return f"set[{','.join(sorted(map(plain, value)))}]"
    if isinstance(value, functools.partial):
        return f"partial{plain((value.func, value.args, value.keywords))}"
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return _qualified(value) + plain((cells, value.__defaults__, value.__kwdefaults__))
    if isinstance(value, type | types.BuiltinFunctionType):
        return _qualified(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return _qualified(type(value)) + plain(fields)
    raise TypeError(f"a {type(value).__name__}, which is no part of its parameters and buffers")


def _qualified(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value)}"


def _of_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[tuple[str, str]]:
    """The optimizer's kind, and the parameters and the fixed options of each of its groups."""
    kind = type(optimizer)
    if kind not in OPTIMIZERS:
        raise CannotFuse(
            f"the optimizer is {kind.__name__}; SGD, Adam and AdamW are stepped for several trials"
        )
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups: list[Any] = []
    for group in optimizer.param_groups:
        if any(id(parameter) not in names for parameter in group["params"]):
            raise CannotFuse("the optimizer trains something that is no parameter of the model")
        groups.append([names[id(parameter)] for parameter in group["params"]])
        groups.append(_options(group))
    return [("optimizer", kind.__name__), ("the optimizer's options", repr(groups))]


def _options(group: dict[str, Any]) -> list[tuple[str, str]]:
    """The options of a parameter group that all trials must share."""
    for name in ("amsgrad", "maximize", "dampening"):
        if group.get(name):
            raise CannotFuse(f"the optimizer has {name}")
    if any(isinstance(group.get(name), torch.Tensor) for name in PER_LANE):
        raise CannotFuse("an option of the optimizer is a tensor")
    left_out = {"params", *PER_LANE, *UNUSED}
    return sorted((name, repr(value)) for name, value in group.items() if name not in left_out)
