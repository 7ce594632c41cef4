"""The parameters of a trial as a script gets them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Parameters(dict[str, Any]):
    """Parameters by key and by attribute: `p["lr"]` and `p.lr`.

    Nested ones are found both ways, too: `p.optimizer.lr` and `p["optimizer.lr"]`. A parameter with
    the name of a method of dictionaries, as `items`, is found by its key alone.
    """

    def __missing__(self, name: str) -> Any:
        group, dot, rest = name.partition(".")
        if dot and isinstance(self.get(group), Parameters):
            return self[group][rest]
        raise KeyError(name)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            names = ", ".join(self) or "none; raysweep.config(name=value) gives defaults"
            raise AttributeError(f"there is no parameter '{name}'; there are: {names}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def merge(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> Parameters:
    """Parameters of both; where both have a value, that of `values` counts.

    A name with a dot is that of a parameter in a group, as in a sweep's file.
    """
    merged = Parameters()
    for name, value in [*defaults.items(), *values.items()]:
        *groups, last = name.split(".")
        inside = merged
        for group in groups:
            inside = inside.setdefault(group, Parameters())
        if isinstance(value, Mapping):
            before = inside.get(last, {})
            value = merge(before if isinstance(before, Mapping) else {}, value)
        inside[last] = value
    return merged
