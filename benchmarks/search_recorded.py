"""Recorded trainings for `search.py`: Google TaskSet, ARLBench and AlgoPerf."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.arrays import FloatArray, IntArray
from raysweep.history import Config
from raysweep.search_spaces.language.params import Choice, Float, Int, Param
from raysweep.search_spaces.language.space import Space

SLICES = 27
"""A training of AlgoPerf is looked at this often."""


@dataclass(frozen=True)
class Repeats:
    """The trainings of some configurations, each with several seeds.

    losses, seconds: (configurations, seeds, epochs). count: (configurations,), how many seeds each
    was run with; they come first. means: (configurations, epochs), the losses over all seeds, as
    the truth. nearest: the index of a configuration.
    """

    losses: FloatArray
    seconds: FloatArray
    count: IntArray
    means: FloatArray
    nearest: Callable[[Config], int]

    def curve(self, config: Config) -> tuple[FloatArray, FloatArray]:
        """The mean over seeds."""
        index = self.nearest(config)
        return self.means[index], self.seconds[index, : self.count[index]].mean(axis=0)

    def drawn(self, seed: int) -> Draws:
        return Draws(self, seed)


@dataclass
class Draws:
    """Gives each training of a run a recorded seed: another one if a configuration comes again.

    Called with a configuration and what the training is known by.
    """

    repeats: Repeats
    seed: int
    known: dict[Hashable, tuple[int, int]] = field(default_factory=dict)
    used: Counter[int] = field(default_factory=Counter)

    def __call__(self, config: Config, key: Hashable) -> tuple[FloatArray, FloatArray]:
        if key not in self.known:
            index = self.repeats.nearest(config)
            count = int(self.repeats.count[index])
            order = np.random.default_rng([self.seed, index]).permutation(count)
            self.known[key] = index, int(order[self.used[index] % count])
            self.used[index] += 1
        which = self.known[key]
        return self.repeats.losses[which], self.repeats.seconds[which]


@dataclass(frozen=True)
class TaskSet:
    """1,000 recorded trainings of one classifier.

    Any other configuration has the curve of its nearest neighbour.
    """

    path: Path
    data: dict[str, Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        with np.load(self.path) as file:
            object.__setattr__(self, "data", {name: file[name] for name in file.files})

    @cached_property
    def space(self) -> Space:
        low, high = self.data["hp"].min(axis=0), self.data["hp"].max(axis=0)
        return Space(
            {
                str(name): Float(float(a), float(b), log="beta" not in str(name) and b > 50 * a)
                for name, a, b in zip(self.data["keys"], low, high, strict=True)
            }
        )

    @cached_property
    def losses(self) -> FloatArray:
        losses = self.data["valid"][:, 1:].astype(np.float64)
        return np.asarray(np.nan_to_num(losses, nan=math.inf), dtype=np.float64)

    @cached_property
    def _points(self) -> FloatArray:
        names = self.space.names
        return self.space.to_units(
            [dict(zip(names, row, strict=True)) for row in self.data["hp"].tolist()]
        )

    def curve(self, config: Config) -> tuple[FloatArray, FloatArray]:
        nearest = np.square(self._points - self.space.to_unit(config)).sum(axis=1).argmin()
        return self.losses[nearest], np.ones(self.losses.shape[1])


LOWEST_RETURN = -1000.0
"""Returns below it, of MuJoCo's penalties down to -8e9, count as this much."""


def arlbench(path: Path) -> tuple[Space, Repeats]:
    """Reinforcement learning with several seeds: losses are negated mean returns.

    A training that diverged reports inf from then on. In the mean over the seeds, which is the
    truth, it counts as the worst return of the problem.
    """
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    said = json.loads(str(data["space"]))
    space = Space(
        {one["name"]: _param(one) for one in said},
        conditions={one["name"]: _when(*one["when"]) for one in said if "when" in one},
    )
    order = np.argsort(~data["ran"], axis=1, kind="stable")  # the seeds that were run come first
    returns = np.take_along_axis(data["curves"].astype(np.float64), order[..., None], axis=1)
    losses = -np.maximum(returns, LOWEST_RETURN)
    count = data["ran"].sum(axis=1)
    listed = np.flatnonzero(count)
    losses, count = losses[listed], count[listed]
    worst = float(np.nanmax(losses))
    filled = np.nan_to_num(losses, nan=worst)
    ran = np.arange(losses.shape[1]) < count[:, None]
    means = (filled * ran[..., None]).sum(axis=1) / count[:, None]
    seconds = np.broadcast_to(np.diff(data["steps"], prepend=0).astype(np.float64), losses.shape)
    points = np.array([_units(space, data["names"], row) for row in data["hp"][listed]])

    def nearest(config: Config) -> int:
        gap = np.abs(np.nan_to_num(points, nan=0.5) - np.nan_to_num(space.to_unit(config), nan=0.5))
        return int(np.square(gap).sum(axis=1).argmin())

    return space, Repeats(np.nan_to_num(losses, nan=math.inf), seconds, count, means, nearest)


def _param(said: dict[str, Any]) -> Param:
    if said["type"] == "categorical":
        return Choice(tuple(said["choices"]))
    if said["type"] == "int":
        return Int(said["lower"], said["upper"], log=said["log"])
    return Float(said["lower"], said["upper"], log=said["log"])


def _when(parent: str, value: Any) -> Callable[[Any], bool]:
    return lambda flat: bool(flat[parent] == value)


def _units(space: Space, names: Any, row: FloatArray) -> FloatArray:
    """A recorded configuration as a point of the unit cube; NaN where it is inactive."""
    said = dict(zip(map(str, names), row.tolist(), strict=True))
    units = np.full(len(space), np.nan)
    for place, (name, param) in enumerate(space.params.items()):
        value: Any = said[name]
        if math.isnan(value):
            continue
        if isinstance(param, Choice):  # the nearest value: 1.0 is True, 64.0 is 64
            value = min(param.values, key=lambda one: abs(float(one) - value))
        elif isinstance(param, Int):
            value = round(value)
        units[place] = param.to_unit(value)
    return units


def algoperf(path: Path) -> tuple[Space, Repeats, float]:
    """Long trainings of large nets with 25 to 30 settings; and the loss that is the target.

    Those of the external rounds of version 0.5, in SLICES parts of the time allowed. A loss is the
    metric at the last evaluation until then, and no better than the target: trainings end when they
    reach it. A training that has ended keeps its last loss and costs no more.
    """
    about = json.loads(path.with_suffix(".json").read_text())
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    listed = [
        index
        for index, one in enumerate(about["settings"])
        if (one["round"], one["ruleset"]) == ("v05", "external")
    ]
    sign = -1.0 if about["mode"] == "max" else 1.0
    target = sign * float(about["validation_target"])
    runs = [_of_setting(data, index, sign, about["horizon_seconds"]) for index in listed]
    count = np.array([len(some) for some in runs])
    losses = np.full((len(runs), count.max(), SLICES), math.inf)
    seconds = np.zeros_like(losses)
    for index, some in enumerate(runs):
        for seed, (values, lasted) in enumerate(some):
            losses[index, seed], seconds[index, seed] = np.maximum(values, target), lasted
    worst = float(losses[np.isfinite(losses)].max())
    means = np.array(
        [np.minimum(losses[i, :n], worst).mean(axis=0) for i, n in enumerate(count.tolist())]
    )
    names = [f"{about['settings'][i]['algorithm']}-{about['settings'][i]['trial']}" for i in listed]
    space = Space({"setting": Choice(tuple(names))})
    index_of = {name: index for index, name in enumerate(names)}
    repeats = Repeats(losses, seconds, count, means, lambda config: index_of[config["setting"]])
    return space, repeats, target


def _of_setting(
    data: dict[str, Any], setting: int, sign: float, horizon: float
) -> list[tuple[FloatArray, FloatArray]]:
    """The losses and the seconds of each slice, for all runs of a setting."""
    ends = horizon * np.arange(1, SLICES + 1) / SLICES
    ends[-1] = math.inf  # the last evaluation may be a little late
    found = []
    for run in np.flatnonzero(data["setting"] == setting):
        part = slice(data["first"][run], data["first"][run + 1])
        when = data["seconds"][part].astype(np.float64)
        values = np.nan_to_num(sign * data["valid"][part].astype(np.float64), nan=math.inf)
        if not len(when):
            continue
        last = np.searchsorted(when, ends, side="right") - 1
        losses = np.where(last >= 0, values[np.maximum(last, 0)], math.inf)
        found.append((losses, np.diff(np.minimum(ends, when[-1]), prepend=0.0)))
    return found
