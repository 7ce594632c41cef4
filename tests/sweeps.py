"""Small sweeps for tests, without a YAML file.

They have a bowl, a random searcher, and a scheduler that stops never or always.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from raysweep.history import Config, Event, History, Trial
from raysweep.schedulers.base import CONTINUE, Decision, Ranking
from raysweep.search_spaces.language.params import Float
from raysweep.search_spaces.language.space import Space
from raysweep.tune.controller import SweepController
from raysweep.tune.sweep import Budget, Metric, Searcher, Sweep

BOWL = Space({"x": Float(0.0, 1.0)})


@dataclass(frozen=True)
class Draw:
    """Proposes a fair draw."""

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return space.sample(np.random.default_rng([seed, len(history)]))


@dataclass(frozen=True)
class Few:
    """Has only so many proposals."""

    count: int

    def suggest(self, space: Space, history: History, seed: int) -> Config | None:
        return {"x": 0.5} if len(history) < self.count else None


@dataclass(frozen=True)
class StopAt:
    """Stops every trial at an epoch; never, at 0."""

    epoch: int = 0

    promotes: ClassVar[bool] = False

    def levels(self, epochs: int) -> tuple[int, ...]:
        return (epochs,)

    def decide(self, trial: Trial, history: History, ranking: Ranking | None) -> Decision:
        return (
            Decision(True, f"epoch {trial.epoch}: enough")
            if trial.epoch == self.epoch
            else CONTINUE
        )

    def promote(
        self, history: History, ranking: Ranking | None, *, budget_exhausted: bool
    ) -> int | None:
        return None


class Keep:
    """A log in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> None:
        self.events.append(dict(event))

    def applied(self, event: Event, controller: SweepController) -> None:
        """Nothing follows."""

    def say(self, line: str) -> None:
        """Nothing is shown."""


def sweep(searchers: Mapping[str, Searcher] | None = None, **changes: Any) -> Sweep:
    """A sweep over a bowl: 4 trials of 3 epochs, minimizing `loss`."""
    fields: dict[str, Any] = {
        "trainable": "tests.trainables:bowl",
        "metric": Metric("loss", "minimize"),
        "searchers": searchers or {"draw": Draw()},
        "scheduler": StopAt(),
        "budget": Budget(trials=4, epochs=3),
        "space": BOWL,
    }
    return Sweep(**fields | changes)


def train(controller: SweepController, trial: Trial) -> None:
    """Train a trial by hand until the controller stops it."""
    controller.started(trial)
    while not controller.reported(
        trial, trial.epoch + 1, {"loss": trial.config["x"] / (trial.epoch + 1)}, 1.0
    ).stop:
        pass


def train_all(controller: SweepController) -> None:
    """One trial after the other until the controller is done."""
    while (trial := controller.next()) is not None:
        train(controller, trial)
