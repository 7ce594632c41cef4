"""Which kind of GPU each trial trains on, where a file says so by the values of its parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from raysweep.history import Config, Trial
from raysweep.tune.sweep import Resources

KIND = "accelerator_type:"
"""Begins the name of the resource that Ray gives each node with a GPU that it knows."""
AMOUNT = 0.001
"""A trial takes so little of that resource that it only says where: a node has 1 of it."""


def on(kind: str) -> dict[str, float]:
    """What a trial asks for besides, in order to be on a node with such a GPU."""
    return {f"{KIND}{kind}": AMOUNT}


def kind_of(resources: Resources, config: Config) -> str:
    """The first kind whose condition holds; "" for any."""
    return next((kind for kind, needs in resources.accelerators.items() if needs(config)), "")


def of_kind(resources: Resources, kind: str) -> Resources:
    """What a trial of a kind holds; that of any for ""."""
    custom = {**resources.custom, **(on(kind) if kind else {})}
    return replace(resources, custom=custom, accelerators={})


def of_no_kind(resources: Resources) -> Resources:
    """The same on any machine."""
    custom = {name: each for name, each in resources.custom.items() if not name.startswith(KIND)}
    return replace(resources, custom=custom, accelerators={})


def kinds_there(nodes: Iterable[Mapping[str, float]]) -> list[str]:
    """The kinds of GPU that nodes have, by Ray's names."""
    names = {name.removeprefix(KIND) for node in nodes for name in node if name.startswith(KIND)}
    return sorted(names)


@dataclass
class Devices:
    """How many trials of each kind can train at once, so that one kind does not hold others up.

    `room`: by kind; an executor sets it. A kind that is not in it has room for all.
    """

    resources: Resources
    room: Mapping[str, int] = field(default_factory=dict)

    def of(self, trial: Trial) -> str:
        return kind_of(self.resources, trial.config)

    def waiting(self, trials: Sequence[Trial]) -> Counter[str]:
        """How many of these trials, which were all given out, have no device yet, by their kind."""
        given = Counter(self.of(trial) for trial in trials)
        return given - Counter({kind: self.room.get(kind, count) for kind, count in given.items()})
