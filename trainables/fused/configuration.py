"""Configurations of trials that are trained as one: their numbers, and parts of them in models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.trainables.runtime.run import ConfigurationError

Config = dict[str, Any]
Path = tuple[str, ...]
"""The keys that lead to a part of a configuration, which may be nested."""


class MissingKeyError(ConfigurationError, KeyError):
    """A key that a recipe reads and that no configuration has, in one line."""

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError's own text is a quotation


class Known(dict[str, Any]):
    """A configuration that says in one line which key it does not have."""

    def __missing__(self, key: str) -> Any:
        raise MissingKeyError(
            f"the train function reads config['{key}'], which the configuration does not have"
            f"{did_you_mean(str(key), list(self))}"
        )


def leaves(config: Mapping[str, Any], place: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The values of a configuration by their places, of those that are nested too."""
    for name, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, (*place, name))
        else:
            yield (*place, name), value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_values(config: Config, values: Mapping[Path, Any]) -> Config:
    """A copy of the configuration with other values at some places."""
    changed = copied(config)
    for place, value in values.items():
        part_at(changed, place[:-1])[place[-1]] = value
    return changed


def copied(config: Config) -> Config:
    return type(config)(
        {key: copied(value) if isinstance(value, dict) else value for key, value in config.items()}
    )


def part_at(config: Config, place: Path) -> Any:
    """What lies at that place; the configuration itself at `()`."""
    part: Any = config
    for name in place:
        part = part[name]
    return part


def place_of(value: Any, config: Config) -> Path | None:
    """Where a module's attribute has its values from, if it is a part of the configuration."""
    if not isinstance(value, dict) or not value:
        return None
    if value == config:
        return ()
    for name, part in config.items():
        if isinstance(part, dict) and (place := place_of(value, part)) is not None:
            return (name, *place)
    return None


def separating(groups: Sequence[Sequence[Config]]) -> list[str]:
    """The keys that tell the groups apart: one value in each of them, and not the same in all.

    None if all keys do, which says nothing: of groups of one, any value is the only one.
    """
    values = [[dict(leaves(config)) for config in group] for group in groups]
    places = list(dict.fromkeys(place for group in values for one in group for place in one))
    held = {
        place: [{repr(one.get(place)) for one in group} for group in values] for place in places
    }
    varied = {place for place in places if len(set().union(*held[place])) > 1}
    found = [place for place in places if place in varied and all(len(s) == 1 for s in held[place])]
    return [] if len(found) == len(varied) else [".".join(place) for place in found]
