"""The search space, as a map between the unit cube and configurations.

Searchers see points of the unit cube, train functions see configurations. A dotted name nests: the
parameter `model.width` is `config["model"]["width"]`. If `model` has a value of its own beside it,
as a group of Hydra's has, the name keeps its dot: `config["model.width"]`. A parameter whose
condition does not hold is absent from the configuration, and NaN in the unit cube.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raysweep.errors import UserError
from raysweep.search_spaces.language.expressions import Absent, Undefined
from raysweep.search_spaces.language.params import (
    Choice,
    Ordinal,
    Param,
    RangeOrValues,
    drawn_values,
    has_prior,
    n_drawn,
)

Config = dict[str, Any]
Flat = Mapping[str, Any]
"""A configuration without nesting: `{"model.width": 8}`."""
Test = Callable[[Flat], bool]
"""A condition under which a parameter is active, or a constraint, on the values decided so far."""
Units = np.ndarray[Any, np.dtype[np.float64]]

MOST_DRAWS = 10_000
"""A space is refused if none of this many draws satisfies the constraints."""
PATIENCE = 10
"""A sweep draws this many times as often before it gives up, so that a space that was accepted when
it was read nearly always yields a configuration later."""


class EmptySpace(UserError):
    """Fewer than one draw in `MOST_DRAWS` satisfies the constraints."""


@dataclass(frozen=True)
class Space:
    """What may be tried.

    params: the dimensions of the unit cube. constants: by name, the same in every configuration.
    conditions: by the name of the parameter that is active if they hold. derived: values that are
    computed from others; a function raises Absent or Undefined if there is no value. order: the
    parameters and derived values in the order in which they are decided, by default the parameters
    first. A condition or a derived value reads only constants and names before its own.
    """

    params: Mapping[str, Param]
    constants: Flat = field(default_factory=dict)
    conditions: Mapping[str, Test] = field(default_factory=dict)
    derived: Mapping[str, Callable[[Flat], Any]] = field(default_factory=dict)
    constraints: tuple[Test, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.params)

    @property
    def keys(self) -> frozenset[str]:
        """The keys that a configuration has, if all conditions hold; of nested ones the first."""
        names = {*self.constants, *self._order}
        return frozenset(names | {name.partition(".")[0] for name in names})

    def __len__(self) -> int:
        """The number of dimensions of the unit cube."""
        return len(self.params)

    def sample(
        self, rng: np.random.Generator, prior: bool = True, patience: int = PATIENCE
    ) -> Config:
        """Draw a configuration that satisfies the constraints, from the prior or uniformly.

        Raises EmptySpace if there is none among MOST_DRAWS * patience draws.
        """
        for _ in range(MOST_DRAWS * patience):
            config = self.from_unit(self.draw(rng, prior))
            if self.allows(config):
                return config
        raise EmptySpace(f"fewer than 1 in {MOST_DRAWS:,} configurations satisfy the constraints")

    def draw(self, rng: np.random.Generator, prior: bool = True) -> Units:
        """Draw a point of the unit cube, shape (len(self),), from the prior or uniformly.

        The constraints are not considered.
        """
        u = rng.random(len(self.params))
        for i, param in self._priors if prior else ():
            u[i] = param.draw(float(u[i]))
        return u

    def feasible_fraction(self, rng: np.random.Generator, draws: int = 1000) -> float:
        """The fraction of draws that satisfy the constraints, in [0, 1]."""
        return sum(self.allows(self.from_unit(self.draw(rng))) for _ in range(draws)) / draws

    def fractions_by_constraint(self, rng: np.random.Generator, draws: int = 1000) -> list[float]:
        """The fraction of draws that satisfy each constraint by itself, in [0, 1]."""
        drawn = [self.flat(self.from_unit(self.draw(rng))) for _ in range(draws)]
        return [sum(map(constraint, drawn)) / draws for constraint in self.constraints]

    def from_unit(self, u: Iterable[float]) -> Config:
        """The configuration at a point of the unit cube, shape (len(self),).

        Coordinates of inactive parameters are ignored.
        """
        values = u.tolist() if isinstance(u, np.ndarray) else list(u)
        if len(values) != len(self.params):
            raise ValueError(f"expected {len(self.params)} coordinates, got {len(values)}")
        return self.assemble(lambda name: self.params[name].from_unit(values[self._places[name]]))

    def to_unit(self, config: Config) -> Units:
        """The centre of the part of the unit cube that a configuration occupies.

        A float64 array of shape (len(self),), with NaN for inactive parameters.
        """
        flat = self.flat(config)
        return np.array(
            [
                param.to_unit(flat[name]) if name in flat else np.nan
                for name, param in self.params.items()
            ]
        )

    def to_units(self, configs: Iterable[Config]) -> Units:
        """`to_unit` of several configurations, as a float64 array of shape (n, len(self))."""
        rows = [self.to_unit(config) for config in configs]
        return np.array(rows) if rows else np.empty((0, len(self.params)))

    def grid(self, points: int) -> Iterator[Config]:
        """The configurations of the grid, each once; the last parameter changes fastest.

        points: the number of values of a continuous parameter. An inactive parameter does not
        multiply the configurations.
        """
        return self._combinations({name: param.grid(points) for name, param in self.params.items()})

    @cached_property
    def n_combinations(self) -> int | None:
        """The number of combinations of the values of all parameters, active together or not.

        There are at most so many configurations. None if a parameter has real values.
        """
        counts = [n_drawn(param) for param in self.params.values()]
        return math.prod(count or 1 for count in counts) if None not in counts else None

    def all_drawn(self) -> Iterator[Config]:
        """All configurations that may be drawn, each once. No parameter has real values."""
        return self._combinations(
            {name: drawn_values(param) for name, param in self.params.items()}
        )

    def _combinations(self, values: Mapping[str, list[Any]]) -> Iterator[Config]:
        """The configurations of these values that the constraints allow, each once."""
        if self.conditions or self.derived:
            cells = self._branches(dict(self.constants), 0, values)
        else:
            cells = (
                {**self.constants, **dict(zip(values, cell, strict=True))}
                for cell in itertools.product(*values.values())
            )
        yield from (config for config in map(self._nest, cells) if self.allows(config))

    def allows(self, config: Config) -> bool:
        """True if the constraints hold and every derived value can be computed."""
        if not self.constraints and not self.derived:
            return True
        flat = self.flat(config)
        return all(constraint(flat) for constraint in self.constraints) and all(
            self._is_defined(name, flat) for name in self.derived
        )

    def __contains__(self, config: object) -> bool:
        if not isinstance(config, dict):
            return False
        flat = self.flat(config)
        if any(name in flat and flat[name] not in param for name, param in self.params.items()):
            return False
        try:
            decided = self._decide(flat.__getitem__)
        except KeyError:
            return False
        return decided == flat and self.allows(config)

    def flat(self, config: Flat) -> dict[str, Any]:
        """A configuration by the names of the space. A value that is a mapping stays whole."""
        return flatten(config, whole=self._names)

    def assemble(self, pick: Callable[[str], Any]) -> Config:
        """The configuration whose active parameters have the values that `pick` gives by name.

        Constants and derived values are filled in. The constraints are not considered.
        """
        return self._nest(self._decide(pick))

    @property
    def decided(self) -> tuple[str, ...]:
        """The parameters and derived values, in the order of their decision."""
        return self._order

    @cached_property
    def _order(self) -> tuple[str, ...]:
        return self.order or (*self.params, *self.derived)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.params)}

    @cached_property
    def _priors(self) -> tuple[tuple[int, Param], ...]:
        """The dimensions with a prior, by index."""
        return tuple((i, param) for i, param in enumerate(self.params.values()) if has_prior(param))

    @cached_property
    def _nested(self) -> bool:
        return any("." in name for name in (*self.constants, *self._order))

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset((*self.constants, *self._order))

    @cached_property
    def _groups(self) -> frozenset[str]:
        """The names that have a value of their own although other names lie in them."""
        return frozenset(parent for name in self._names for parent in parents(name)) & self._names

    @cached_property
    def _compound(self) -> bool:
        """True if any value is a list or a mapping, which a train function might change."""
        listed = [
            value
            for param in self.params.values()
            if isinstance(param, Choice | Ordinal | RangeOrValues)
            for value in param.values
        ]
        return any(isinstance(value, list | dict) for value in (*self.constants.values(), *listed))

    def _nest(self, flat: dict[str, Any]) -> Config:
        config = nest(flat, self._groups) if self._nested else flat
        return copy.deepcopy(config) if self._compound else config

    def _decide(self, pick: Callable[[str], Any]) -> dict[str, Any]:
        """All values by name: `pick` gives that of each active parameter."""
        flat = dict(self.constants)
        for name in self._order:
            if name in self.derived:
                _derive(flat, name, self.derived[name])
            elif name not in self.conditions or self.conditions[name](flat):
                flat[name] = pick(name)
        return flat

    def _branches(
        self, flat: dict[str, Any], index: int, values: Mapping[str, list[Any]]
    ) -> Iterator[dict[str, Any]]:
        """All ways to decide the names from an index in `order` on, given those before."""
        if index == len(self._order):
            yield flat
            return
        name = self._order[index]
        if name in self.derived:
            _derive(flat, name, self.derived[name])
            yield from self._branches(flat, index + 1, values)
        elif name in self.conditions and not self.conditions[name](flat):
            yield from self._branches(flat, index + 1, values)
        else:
            for value in values[name]:
                yield from self._branches(flat | {name: value}, index + 1, values)

    def _is_defined(self, name: str, flat: Flat) -> bool:
        """True if a derived value can be computed, or is absent because a parameter is inactive."""
        try:
            self.derived[name](flat)
        except Absent:
            return True
        except Undefined:
            return False
        return True


def _derive(flat: dict[str, Any], name: str, derive: Callable[[Flat], Any]) -> None:
    """Add a derived value, if there is one."""
    try:
        flat[name] = derive(flat)
    except (Absent, Undefined):
        return


def flatten(config: Flat, prefix: str = "", whole: Container[str] = ()) -> dict[str, Any]:
    """Turn `{"model": {"width": 8}}` into `{"model.width": 8}`.

    prefix: goes before every name. whole: names of mappings that are values of their own.
    """
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and prefix + name not in whole:
            flat.update(flatten(value, f"{prefix}{name}.", whole))
        else:
            flat[prefix + name] = value
    return flat


def nest(flat: Flat, groups: Container[str] = ()) -> Config:
    """Turn `{"model.width": 8}` into `{"model": {"width": 8}}`.

    groups: names that have a value of their own. What lies in these keeps its whole name as its key
    at the top.
    """
    config: Config = {}
    for name, value in flat.items():
        *outer, last = name.split(".")
        inner = config
        if any(parent in groups for parent in parents(name)):
            outer, last = [], name
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return config


def parents(name: str) -> Iterator[str]:
    """The names that a dotted name lies in: `a` and `a.b` for `a.b.c`."""
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts)))
