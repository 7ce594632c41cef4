"""A trial in training that shares its process with others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from raysweep.trainables.common.classification import Batch
from raysweep.trainables.fused.configuration import Known
from raysweep.trainables.fused.randomness import Randomness
from raysweep.trainables.fused.recipe import Config, Recipe
from raysweep.trainables.runtime.run import Run, Stateful

Printing = Callable[[], AbstractContextManager[None]]
"""Has a trial print to its own log meanwhile."""


class Lane:
    """A trial, its model and its optimizer.

    others: lanes with which it may have its samples in common.

    Made when the global generators are those of the trial. Whatever may draw a random number runs
    while `randomness` is used, so that the trial draws what it would draw in a process of its own.
    """

    def __init__(
        self,
        recipe: Recipe,
        config: Config,
        run: Run,
        others: Iterable[Lane] = (),
        printing: Printing = nullcontext,
    ) -> None:
        self.recipe, self.run, self._printing = recipe, run, printing
        self.config: Config = Known(config)
        self.learner = recipe.learner(self.config, run)
        self.source, self.samples = self._load(others)
        recipe.check(self.config, self.learner, self.samples)
        self.randomness = Randomness(run.device)
        state = {name: Unshared(part) for name, part in self.learner.state.items()}
        self._epochs = run.epochs(**state)

    def _load(self, others: Iterable[Lane]) -> tuple[Batch, Batch]:
        """The samples as the recipe gives them, and on the device, where equal ones are shared."""
        source = self.recipe.data(self.config)
        for other in others:
            if list(map(id, other.source)) == list(map(id, source)):
                return other.source, other.samples
        return source, tuple(part.to(torch.device(self.run.device)) for part in source)

    def begin_epoch(self) -> bool:
        """Begin the next epoch; False if there is none. The first call loads the checkpoint."""
        with self._alone():
            return next(self._epochs, None) is not None

    def train_epoch(self, most_steps: int | None = None) -> float:
        """Train an epoch as if alone, or so many steps of it. Returns the mean loss."""
        with self._alone():
            return self.recipe.train_epoch(self.config, self.learner, self.samples, most_steps)

    def report(self, train_loss: float, seconds: float) -> None:
        """Evaluate and report the epoch. `seconds`: what it took of this process so far."""
        self.run.restart_clock(seconds)
        with self._alone():
            self.recipe.report(self.config, self.learner, train_loss)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Do what concerns this trial alone: with its random numbers, printing to its log."""
        with self._printing(), self.randomness.used():
            yield

    def close(self) -> None:
        """End the training."""
        if isinstance(self._epochs, Generator):
            self._epochs.close()

    def copy(self) -> Lane:
        """A lane in the same state, for an experiment: it reports nothing and saves nothing."""
        run = Run(self.run.total_epochs, _ignore, seed=self.run.seed, device=self.run.device)
        run.epoch = self.run.epoch
        copied = object.__new__(Lane)
        copied.recipe, copied.config, copied.run = self.recipe, self.config, run
        copied.source, copied.samples = self.source, self.samples
        copied._printing = nullcontext
        with self.randomness.copy().used():
            copied.learner = self.recipe.learner(self.config, run)
        for name, part in self.learner.state.items():
            copied.learner.state[name].load_state_dict(_cloned(part.state_dict()))
        copied.randomness = self.randomness.copy()
        return copied


class Unshared:
    """A model or an optimizer whose saved state holds no part of other trials.

    Its tensors may be views of what is stacked of several trials, and `torch.save` would write all
    of that.
    """

    def __init__(self, part: Stateful) -> None:
        self._part = part

    def state_dict(self) -> dict[str, Any]:
        cloned: dict[str, Any] = _cloned(self._part.state_dict())
        return cloned

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any:
        return self._part.load_state_dict(state_dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def _cloned(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: _cloned(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(map(_cloned, state))
    return state


def _ignore(message: dict[str, Any]) -> None:
    """The reports of an experiment go nowhere."""
