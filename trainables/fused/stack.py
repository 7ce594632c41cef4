"""Several trials of equal shape as one: their parameters stacked, and one pass for all of them."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from raysweep.trainables.common.classification import Batch
from raysweep.trainables.fused.configuration import (
    Config,
    Path,
    is_number,
    leaves,
    part_at,
    place_of,
    with_values,
)
from raysweep.trainables.fused.dropout import (
    MaskedCalls,
    Masks,
    RecordedCalls,
    draw,
    hold_probabilities,
)
from raysweep.trainables.fused.kernels import Kernels, KernelsOfOne
from raysweep.trainables.fused.lane import Lane
from raysweep.trainables.fused.memory import keep_freed_memory
from raysweep.trainables.fused.optimizers import LaneOptimizers
from raysweep.trainables.fused.shape import INTERNAL, CannotFuse, model_shape


class Stack:
    """Lanes of one shape. Their parameters, buffers and optimizer states are views of the stack.

    So each lane's model can be evaluated and saved at any time, and a stack of other lanes can be
    made of this one's at the end of each epoch.
    """

    def __init__(self, lanes: Sequence[Lane], kernels: Kernels) -> None:
        keep_freed_memory()
        self.lanes = list(lanes)
        self._kernels = kernels
        self._recipe = lanes[0].recipe
        self._device = lanes[0].run.device
        models = [lane.learner.model for lane in lanes]
        for model in models:
            model.zero_grad(set_to_none=True)
        self._template = copy.deepcopy(models[0]).train()
        hold_probabilities(self._template, models)
        self._weights = {
            name: _stacked([model.get_parameter(name) for model in models]).requires_grad_()
            for name, parameter in models[0].named_parameters()
            if parameter.requires_grad
        }
        self._fixed = {
            name: _stacked([_tensor(model, name) for model in models])
            for name, tensor in [*models[0].named_parameters(), *models[0].named_buffers()]
            if name not in self._weights
        }
        names = _trained(lanes[0].learner.optimizer, models[0])
        self._trained = {name: self._weights[name] for name in names}
        self._optimizers: LaneOptimizers | None = None
        self._numbers = self._differing_numbers()
        self._held = _held_parts(self._template, lanes[0].config)
        self._clip = self._largest_norms()
        self._masks: dict[int, list[Masks]] = {}

    def train_epoch(self, most_steps: int | None = None) -> list[float]:
        """Train all lanes for an epoch, or for so many steps of it. Returns their mean losses."""
        totals = torch.zeros(len(self.lanes), device=self._device)
        count = len(self.lanes[0].samples[0])
        batch_size = self.lanes[0].learner.batch_size
        orders = torch.stack([lane.run.shuffled(count) for lane in self.lanes])
        gradients: dict[str, Tensor] = {}
        for i, order in enumerate(orders.split(batch_size, dim=1)[:most_steps]):
            batch = self._augmented(self._gathered(order.to(self._device)))
            losses, gradients = self._gradients(batch)
            self._step(gradients, i * batch_size / count)
            totals += losses
        if self._optimizers is not None:
            self._optimizers.write_steps()
        self._show_gradients(gradients)
        return [total / count for total in totals.tolist()]

    def check_forward(self) -> None:
        """Raise CannotFuse if the models do something that cannot be done for all lanes at once.

        Runs the loss of one batch of each size. Nothing that is trained changes.
        """
        count, batch_size = len(self.lanes[0].samples[0]), self.lanes[0].learner.batch_size
        before = _drawn_so_far(), self._shape_now()
        for size in {min(batch_size, count), count % batch_size or batch_size}:
            order = torch.arange(size, device=self._device).expand(len(self.lanes), -1)
            try:
                losses = self._losses(self._gathered(order), self._recorded(size), self._copies())
            except CannotFuse:
                raise
            except Exception as error:
                raise CannotFuse(_first_sentence(error)) from error
            if losses.shape != (len(self.lanes),):
                raise CannotFuse(f"the loss of a batch has the shape {tuple(losses.shape[1:])}")
        if _drawn_so_far() != before[0]:
            raise CannotFuse("the model draws random numbers other than those of dropout")
        if self._shape_now() != before[1]:
            raise CannotFuse("the model changes its attributes in a forward pass")

    def _gradients(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The sums of the losses (K,), and the gradients of the means by weight."""
        size = batch[0].shape[1]
        masks = self._recorded(size)
        if masks:
            drawn = draw(masks, [lane.randomness.generator for lane in self.lanes])
        else:
            drawn = []
        losses = self._losses(batch, masks, self._fixed, drawn)
        weights = list(self._trained.values())
        found = torch.autograd.grad([losses.sum() / size], weights, allow_unused=True)
        pairs = zip(self._trained, found, strict=True)
        return losses.detach(), {name: found for name, found in pairs if found is not None}

    def _losses(
        self,
        batch: Batch,
        masks: Sequence[Masks],
        fixed: dict[str, Tensor],
        drawn: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The sum of each lane's losses, (K,). `fixed` are buffers, which may change."""
        held = [mask.drawn for mask in masks] if drawn is None else list(drawn)

        def loss(
            weights: dict[str, Tensor],
            fixed: dict[str, Tensor],
            parts: Batch,
            numbers: dict[Path, Tensor],
            held: list[Tensor],
        ) -> Tensor:
            with (
                KernelsOfOne(self._kernels),
                MaskedCalls(held),
                self._configured(numbers) as config,
            ):
                output = functional_call(self._template, (weights, fixed), (parts[0],))
            return self._recipe.loss(config, output, parts)

        with self._computing():
            found: Tensor = vmap(loss)(self._weights, fixed, batch, self._numbers, held)
        return found

    def _recorded(self, size: int) -> list[Masks]:
        """The masks for a batch of so many samples, found by one forward pass."""
        if size not in self._masks:
            calls = RecordedCalls(len(self.lanes))
            order = torch.arange(size, device=self._device).expand(len(self.lanes), -1)
            inputs = self._gathered(order)[0]

            def forward(weights: Any, fixed: Any, inputs: Tensor, numbers: Any) -> Tensor:
                with KernelsOfOne(self._kernels), calls, self._configured(numbers):
                    output: Tensor = functional_call(self._template, (weights, fixed), (inputs,))
                return output

            with torch.no_grad(), self._computing():
                vmap(forward)(self._weights, self._copies(), inputs, self._numbers)
            self._masks[size] = calls.masks
        return self._masks[size]

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """The precision of the lanes."""
        with self.lanes[0].learner.precision.autocast():
            yield

    @contextmanager
    def _configured(self, numbers: dict[Path, Tensor]) -> Iterator[Config]:
        """A lane's configuration, given its numbers. The modules that hold it have it meanwhile."""
        first = self.lanes[0].config
        config = with_values(first, numbers)
        for module, name, place in self._held:
            setattr(module, name, part_at(config, place))
        try:
            yield config
        finally:
            for module, name, place in self._held:
                setattr(module, name, part_at(first, place))

    def _shape_now(self) -> list[tuple[str, str]]:
        return model_shape(self._template, self.lanes[0].config)

    def _copies(self) -> dict[str, Tensor]:
        """The buffers, for a pass that is to leave them as they are."""
        return {name: tensor.clone() for name, tensor in self._fixed.items()}

    def _gathered(self, order: Tensor) -> Batch:
        """The samples of a batch of each lane, (K, n, ...), given their numbers (K, n)."""
        first = self.lanes[0].samples
        if all(lane.samples is first for lane in self.lanes):
            flat = order.reshape(-1)
            return tuple(
                part.index_select(0, flat).reshape(*order.shape, *part.shape[1:]) for part in first
            )
        return tuple(
            torch.stack([lane.samples[i][order[k]] for k, lane in enumerate(self.lanes)])
            for i in range(len(first))
        )

    def _augmented(self, batch: Batch) -> Batch:
        augment = self._recipe.augment
        if augment is None:
            return batch
        changed = []
        for lane, inputs in zip(self.lanes, batch[0], strict=True):
            with lane.randomness.used():
                changed.append(augment(lane.config, inputs))
        return torch.stack(changed), *batch[1:]

    def _step(self, gradients: dict[str, Tensor], part: float) -> None:
        """Step all optimizers when `part` of the epoch, 0 .. 1, is over."""
        for lane in self.lanes if self._recipe.schedule else []:
            lane.learner.set_learning_rates(part)
        if self._optimizers is None:
            # Not before: a weight that has no gradient has no state, as in torch's own optimizers.
            learners = [lane.learner for lane in self.lanes]
            self._optimizers = LaneOptimizers(
                [learner.optimizer for learner in learners],
                [learner.model for learner in learners],
                {name: self._trained[name] for name in gradients},
            )
        elif self._recipe.schedule:
            self._optimizers.read_options()
        self._optimizers.step(gradients, self._clip)

    def _differing_numbers(self) -> dict[Path, Tensor]:
        """The numbers in the configurations that are not the same in all lanes, each (K,)."""
        found = {}
        for place, value in leaves(self.lanes[0].config):
            if is_number(value):
                values = [float(part_at(lane.config, place)) for lane in self.lanes]
                if len(set(values)) > 1:
                    found[place] = torch.tensor(values, device=self._device)
        return found

    def _largest_norms(self) -> Tensor | None:
        clips = [lane.learner.gradient_clip for lane in self.lanes]
        if clips[0] is None:
            return None
        return torch.tensor(clips, device=self._device)

    def _show_gradients(self, gradients: dict[str, Tensor]) -> None:
        """Leave each model its last gradients, which TensorBoard shows."""
        for k, lane in enumerate(self.lanes):
            for name, gradient in gradients.items():
                lane.learner.model.get_parameter(name).grad = gradient[k]
            lane.run.board.histograms(lane.learner.model)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """A copy of the tensors in one, of which they become views."""
    stacked = torch.stack([tensor.detach() for tensor in tensors])
    for tensor, view in zip(tensors, stacked, strict=True):
        tensor.data = view
    return stacked


def _held_parts(model: nn.Module, config: Config) -> list[tuple[nn.Module, str, Path]]:
    """The attributes of modules that hold a part of the configuration: module, name and place."""
    return [
        (module, name, place)
        for module in model.modules()
        for name, value in vars(module).items()
        if name not in INTERNAL and (place := place_of(value, config)) is not None
    ]


def _tensor(model: nn.Module, name: str) -> Tensor:
    """A parameter or a buffer by its name."""
    place, _, own = name.rpartition(".")
    found: Tensor = getattr(model.get_submodule(place), own)
    return found


def _trained(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[str]:
    """The names of the parameters that the optimizer trains."""
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    return [
        name
        for name, parameter in model.named_parameters()
        if id(parameter) in trained and parameter.requires_grad
    ]


def _drawn_so_far() -> tuple[Any, ...]:
    """What changes if something is drawn from a global generator."""
    legacy: Any = np.random.get_state(legacy=True)
    return random.getstate(), legacy[1].tobytes(), legacy[2], torch.get_rng_state().tolist()


def _first_sentence(error: Exception) -> str:
    """What an exception says, in a part of a line."""
    text = str(error).strip().split("\n")[0].split(". ")[0]
    return f"{type(error).__name__}: {text[:200]}"
