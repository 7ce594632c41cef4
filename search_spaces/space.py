"""A space: what may be tried. Searchers see points of the unit cube, train functions see configurations; this is the map between.

`Space` treats dotted names as nesting: the parameter `model.width` is `config["model"]["width"]`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces.params import Param

Config = dict[str, Any]
Test = Callable[[Mapping[str, Any]], bool]
"""Asked of the flat values known so far: a condition under which a parameter is active, or a constraint."""

MOST_DRAWS = 10_000


class EmptySpace(ValueError):
    """Fewer than one draw in `MOST_DRAWS` satisfies the constraints."""


@dataclass(frozen=True)
class Space:
    """`params` in the order in which they are decided; a condition looks only at names before its own."""

    params: Mapping[str, Param]
    constants: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Test] = field(default_factory=dict)
    derived: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    constraints: tuple[Test, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.params)

    def __len__(self) -> int:
        """The number of dimensions of the unit cube."""
        return len(self.params)

    def sample(self, rng: np.random.Generator) -> Config:
        """A fair draw among the configurations that satisfy the constraints; EmptySpace where none is found."""
        for _ in range(MOST_DRAWS):
            config = self.from_unit(rng.random(len(self.params)))
            if self.allows(config):
                return config
        raise EmptySpace(f"fewer than 1 in {MOST_DRAWS:,} configurations satisfy the constraints")

    def from_unit(self, u: np.ndarray[Any, Any]) -> Config:
        """The configuration at a point of the unit cube, shape (len(self),). Coordinates of inactive parameters are ignored."""
        return self._complete({name: param.from_unit(float(x)) for (name, param), x in zip(self.params.items(), u, strict=True)})

    def to_unit(self, config: Config) -> np.ndarray[Any, Any]:
        """The centre of the configuration's share of the unit cube, float64 of shape (len(self),); NaN where inactive."""
        flat = flatten(config)
        return np.array([param.to_unit(flat[name]) if name in flat else np.nan for name, param in self.params.items()])

    def grid(self, points: int) -> Iterator[Config]:
        """Each distinct configuration of the grid once, the last parameter moving fastest."""
        seen = set()
        for values in itertools.product(*(param.grid(points) for param in self.params.values())):
            config = self._complete(dict(zip(self.params, values, strict=True)))
            key = repr(config)
            if key not in seen and self.allows(config):
                seen.add(key)
                yield config

    def allows(self, config: Config) -> bool:
        """Whether the constraints hold."""
        flat = flatten(config)
        return all(constraint(flat) for constraint in self.constraints)

    def __contains__(self, config: object) -> bool:
        if not isinstance(config, dict):
            return False
        flat = flatten(config)
        chosen = {name: flat[name] for name in self.params if name in flat}
        if any(value not in self.params[name] for name, value in chosen.items()):
            return False
        return self._flat(chosen) == flat and self.allows(config)

    def _complete(self, chosen: Mapping[str, Any]) -> Config:
        return nest(self._flat(chosen))

    def _flat(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Constants, the active ones among the chosen values, and what is derived from them."""
        flat = dict(self.constants)
        for name in self.params:
            if name in chosen and (name not in self.conditions or self.conditions[name](flat)):
                flat[name] = chosen[name]
        for name, expression in self.derived.items():
            flat[name] = expression(flat)
        return flat


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"model": {"width": 8}}` as `{"model.width": 8}`."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat


def nest(flat: Mapping[str, Any]) -> Config:
    """`{"model.width": 8}` as `{"model": {"width": 8}}`."""
    config: Config = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        place = config
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return config
