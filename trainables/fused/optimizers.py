"""SGD, Adam and AdamW for several trials at once, each with options of its own.

The notation: K lanes; a weight is the stacked parameters (K, ...) of one name. The arithmetic is
that of `torch.optim`, in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

SGD_STATE, ADAM_STATE = ("momentum_buffer",), ("exp_avg", "exp_avg_sq")


class LaneOptimizers:
    """Steps the optimizers of all lanes, whose state becomes views of what is stacked here.

    weights: the stacked parameters by name. Each has one parameter group in every optimizer.
    """

    def __init__(
        self,
        optimizers: Sequence[Optimizer],
        models: Sequence[nn.Module],
        weights: dict[str, Tensor],
    ) -> None:
        self._optimizers = optimizers
        self._weights = weights
        self._parameters = [dict(model.named_parameters()) for model in models]
        self._kind = type(optimizers[0])
        self._group_of = self._groups()
        self._state = {
            name: {key: self._shared(name, key) for key in self._state_keys()} for name in weights
        }
        self._steps = self._steps_so_far()
        self._columns: dict[tuple[int, str], Tensor] = {}
        self._factors: dict[str, list[Tensor]] = {}
        self._used: set[str] = set()
        self.read_options()

    def read_options(self) -> None:
        """Read the options anew, because a schedule has changed them."""
        self._columns, self._factors = {}, {}
        self._used = {option for option in ("momentum", "weight_decay") if self._any(option)}
        for i, group in enumerate(self._optimizers[0].param_groups):
            for name in ("lr", "momentum", "weight_decay", "eps"):
                if name in group:
                    self._columns[i, name] = self._column(i, name)
            if "betas" in group:
                betas = self._column(i, "betas")
                self._columns[i, "beta1"], self._columns[i, "beta2"] = betas[:, 0], betas[:, 1]

    @torch.no_grad()
    def step(self, gradients: dict[str, Tensor], clip: Tensor | None = None) -> None:
        """Step by the gradients (K, ...) of the weights. `clip`: the largest norms, of shape (K,).

        The gradients are changed.
        """
        if clip is not None:
            _clip(list(gradients.values()), clip)
        names = list(gradients)
        if self._kind is torch.optim.SGD:
            self._step_sgd(names, list(gradients.values()))
        else:
            self._step_adam(names, list(gradients.values()))

    def write_steps(self) -> None:
        """Note in the state of each optimizer how many steps it has made."""
        if self._kind is torch.optim.SGD:
            return
        for optimizer, parameters, steps in zip(
            self._optimizers, self._parameters, self._steps.tolist(), strict=True
        ):
            for name in self._weights:
                optimizer.state[parameters[name]]["step"] = torch.tensor(float(steps))

    def _step_sgd(self, names: list[str], gradients: list[Tensor]) -> None:
        weights = [self._weights[name] for name in names]
        if "weight_decay" in self._used:
            torch._foreach_addcmul_(gradients, weights, self._wide("weight_decay", names))
        updates = gradients
        if "momentum" in self._used:
            momentum = self._wide("momentum", names)
            buffers = [self._state[name]["momentum_buffer"] for name in names]
            torch._foreach_mul_(buffers, momentum)
            torch._foreach_add_(buffers, gradients)
            updates = buffers
            if self._optimizers[0].param_groups[0]["nesterov"]:
                torch._foreach_addcmul_(gradients, buffers, momentum)
                updates = gradients
        torch._foreach_addcmul_(weights, updates, self._wide("lr", names, negative=True))

    def _step_adam(self, names: list[str], gradients: list[Tensor]) -> None:
        weights = [self._weights[name] for name in names]
        means = [self._state[name]["exp_avg"] for name in names]
        squares = [self._state[name]["exp_avg_sq"] for name in names]
        self._steps += 1
        self._decay(names, weights, gradients)
        torch._foreach_lerp_(means, gradients, self._wide("beta1", names, left=True))
        torch._foreach_mul_(squares, self._wide("beta2", names))
        scaled = torch._foreach_mul(gradients, self._wide("beta2", names, left=True))
        torch._foreach_addcmul_(squares, scaled, gradients)
        roots = torch._foreach_sqrt(squares)
        corrections = self._corrections()
        torch._foreach_div_(roots, self._per_group(names, [root for _, root in corrections]))
        torch._foreach_add_(roots, self._wide("eps", names))
        sizes = self._per_group(names, [size for size, _ in corrections])
        torch._foreach_addcdiv_(weights, torch._foreach_mul(means, sizes), roots)

    def _decay(self, names: list[str], weights: list[Tensor], gradients: list[Tensor]) -> None:
        """Decay the weights: AdamW before the step, Adam by the gradients."""
        if "weight_decay" not in self._used:
            return
        if self._kind is torch.optim.Adam:
            torch._foreach_addcmul_(gradients, weights, self._wide("weight_decay", names))
            return
        kept = [
            1 - self._columns[i, "lr"] * self._columns[i, "weight_decay"]
            for i in range(len(self._optimizers[0].param_groups))
        ]
        torch._foreach_mul_(weights, self._per_group(names, kept))

    def _corrections(self) -> list[tuple[Tensor, Tensor]]:
        """For each group: minus the step sizes, and the roots of the second corrections; (K,)."""
        found = []
        for i in range(len(self._optimizers[0].param_groups)):
            first = 1 - self._columns[i, "beta1"] ** self._steps
            second = 1 - self._columns[i, "beta2"] ** self._steps
            found.append((-self._columns[i, "lr"] / first, second.sqrt()))
        return found

    def _any(self, option: str) -> bool:
        """True if the option is not 0 in some lane."""
        return any(
            group.get(option, 0) != 0
            for optimizer in self._optimizers
            for group in optimizer.param_groups
        )

    def _wide(
        self, option: str, names: list[str], negative: bool = False, left: bool = False
    ) -> list[Tensor]:
        """An option as a factor of each weight: itself, minus it (`negative`), or 1 - it (`left`).

        Kept until the options are read anew; the weights are the same in each step.
        """
        key = f"{option} {negative} {left}"
        if key not in self._factors:
            groups = range(len(self._optimizers[0].param_groups))
            columns = [self._columns[i, option] for i in groups]
            if negative:
                columns = [-column for column in columns]
            elif left:
                columns = [1 - column for column in columns]
            self._factors[key] = self._per_group(names, columns)
        return self._factors[key]

    def _per_group(self, names: list[str], columns: list[Tensor]) -> list[Tensor]:
        """The columns (K,) of the weights' groups, of shape (K, 1, ...) as the weights have."""
        made: dict[tuple[int, int], Tensor] = {}
        found = []
        for name in names:
            weight, i = self._weights[name], self._group_of[name]
            if (i, weight.dim()) not in made:
                column = columns[i].to(weight.device, weight.dtype)
                made[i, weight.dim()] = column.reshape(-1, *[1] * (weight.dim() - 1))
            found.append(made[i, weight.dim()])
        return found

    def _column(self, group: int, option: str) -> Tensor:
        """An option of all lanes, in double precision, as torch computes with it."""
        values = [optimizer.param_groups[group][option] for optimizer in self._optimizers]
        return torch.tensor(values, dtype=torch.float64)

    def _groups(self) -> dict[str, int]:
        """The number of each weight's parameter group."""
        names = {id(parameter): name for name, parameter in self._parameters[0].items()}
        groups = self._optimizers[0].param_groups
        found = {
            names[id(parameter)]: i
            for i, group in enumerate(groups)
            for parameter in group["params"]
        }
        return {name: found[name] for name in self._weights}

    def _state_keys(self) -> tuple[str, ...]:
        if self._kind is not torch.optim.SGD:
            return ADAM_STATE
        return SGD_STATE if self._any("momentum") else ()

    def _shared(self, name: str, key: str) -> Tensor:
        """A part of the optimizers' state, stacked; theirs become views of it. New ones are 0."""
        found = []
        for optimizer, parameters in zip(self._optimizers, self._parameters, strict=True):
            held = optimizer.state[parameters[name]].get(key)
            found.append(torch.zeros_like(parameters[name]) if held is None else held)
        stacked = torch.stack([tensor.detach() for tensor in found])
        for k, (optimizer, parameters) in enumerate(
            zip(self._optimizers, self._parameters, strict=True)
        ):
            group = optimizer.param_groups[self._group_of[name]]
            if group.get("momentum", 1) != 0:  # without momentum, torch keeps no buffer
                optimizer.state[parameters[name]][key] = stacked[k]
        return stacked

    def _steps_so_far(self) -> Tensor:
        """How many steps each lane has made, (K,)."""
        steps = []
        for optimizer in self._optimizers:
            made: list[Any] = [state.get("step", 0) for state in optimizer.state.values()]
            steps.append(max((float(step) for step in made), default=0.0))
        return torch.tensor(steps, dtype=torch.float64)


def _clip(gradients: list[Tensor], clip: Tensor) -> None:
    """Scale down the gradients of each lane to its largest norm, as `clip_grad_norm_` does."""
    norms = [torch.linalg.vector_norm(gradient.flatten(1), dim=1) for gradient in gradients]
    # Of each lane side by side: along another dimension they would be added up in another order.
    norm = torch.linalg.vector_norm(torch.stack(norms, dim=1), dim=1)
    factors = ((norm + 1e-6).reciprocal() * clip).clamp(max=1.0)  # as torch divides a number
    wide = [factors.reshape(-1, *[1] * (gradient.dim() - 1)) for gradient in gradients]
    torch._foreach_mul_(gradients, wide)
