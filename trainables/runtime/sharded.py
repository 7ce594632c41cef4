"""Checkpoints of a model that is sharded over the processes of a trial (FSDP).

`run.epochs(model=model, optimizer=optimizer)` saves the whole model by the first process, as if it
had trained alone: the shards are gathered, in which all processes take part, and distributed again
when the checkpoint is loaded. So `best.pt` loads into the model as it is without FSDP.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from raysweep.trainables.runtime.run import Stateful


class ShardedError(ValueError):
    """A sharded model that cannot be saved by this process group as it is."""


class ShardedModel:
    """A sharded module as a part of a checkpoint."""

    def __init__(self, model: nn.Module) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """The whole model on the CPU, in the first process; {} in the others."""
        from torch.distributed.checkpoint.state_dict import get_model_state_dict

        return dict(get_model_state_dict(self._model, options=_options(cpu_offload=True)))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        from torch.distributed.checkpoint.state_dict import set_model_state_dict

        set_model_state_dict(self._model, state_dict, options=_options())


class ShardedOptimizer:
    """The optimizer of a sharded module. Its state has the parameters' names, not their numbers."""

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._model, self._optimizer = model, optimizer

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of the optimizer itself, which hold its options."""
        return self._optimizer.param_groups

    def state_dict(self) -> dict[str, Any]:
        """The whole state on the CPU, in the first process; {} in the others."""
        from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict

        options = _options(cpu_offload=True)
        return dict(get_optimizer_state_dict(self._model, self._optimizer, options=options))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict

        set_optimizer_state_dict(self._model, self._optimizer, state_dict, options=_options())


def gathering(state: Mapping[str, Stateful]) -> dict[str, Stateful]:
    """The parts of a checkpoint; those that are sharded are gathered when they are saved.

    Raises ShardedError for an optimizer whose model is not among them, and for FSDP1.
    """
    # Without this module there are no shards, and importing it takes seconds.
    if "torch.distributed.tensor" not in sys.modules:
        return dict(state)
    from torch import nn
    from torch.optim import Optimizer

    models = [part for part in state.values() if isinstance(part, nn.Module) and _is_sharded(part)]
    parts = dict(state)
    for name, part in state.items():
        if isinstance(part, Optimizer) and any(map(_is_shard, _parameters(part))):
            parts[name] = ShardedOptimizer(_model_of(part, models, name), part)
        elif any(part is model for model in models):
            parts[name] = ShardedModel(part)  # type: ignore[arg-type]
    return parts


def take_part(state: Mapping[str, Stateful]) -> None:
    """Give the first process the shards of this one, while it saves the checkpoint."""
    for part in state.values():
        if isinstance(part, ShardedModel | ShardedOptimizer):
            part.state_dict()


def _is_sharded(model: nn.Module) -> bool:
    # By its name, because torch is about to remove it.
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        raise ShardedError("FullyShardedDataParallel cannot be resumed here; use fully_shard")
    return any(map(_is_shard, model.parameters()))


def _is_shard(parameter: Any) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(parameter, DTensor)


def _parameters(optimizer: Optimizer) -> list[Any]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _model_of(optimizer: Optimizer, models: list[nn.Module], name: str) -> nn.Module:
    """The model that an optimizer trains."""
    trained = {id(parameter) for parameter in _parameters(optimizer)}
    for model in models:
        if trained <= {id(parameter) for parameter in model.parameters()}:
            return model
    raise ShardedError(
        f"'{name}' optimizes a sharded model that is not named beside it: "
        f"run.epochs(model=model, {name}={name})"
    )


def _options(cpu_offload: bool = False) -> Any:
    from torch.distributed.checkpoint.state_dict import StateDictOptions

    return StateDictOptions(full_state_dict=True, cpu_offload=cpu_offload)
