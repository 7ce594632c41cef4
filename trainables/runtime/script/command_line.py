"""How a configuration is written on the command line of a script."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class CommandLine:
    """How a configuration is written on a command line: the `script:` section of a sweep's file.

    `arguments`: what comes before the options. `options`: their form. `values`: how true, null and
    lists are written. `flags`: true is written as `--name`, and false is left out. `names`: the
    options that differ from their parameters' names; None for a parameter without an option.
    """

    arguments: Sequence[str] = ()
    options: Literal["--name=value", "--name value", "name=value", "none"] = "--name=value"
    values: Literal["json", "python"] = "json"
    flags: bool = False
    names: Mapping[str, str | None] = field(default_factory=dict)

    def words(self, config: Mapping[str, Any]) -> list[str]:
        """The words of the command line for a configuration."""
        words = list(self.arguments)
        if self.options != "none":
            for name, value in self._named(config):
                words += self._option(name, value)
        return words

    def _named(
        self, config: Mapping[str, Any], path: str = "", shown: str = ""
    ) -> Iterator[tuple[str, Any]]:
        """The options with their values. The names of nested ones are joined by dots.

        `path` is the outer part of the parameter's name, `shown` that of the option's name.
        """
        for key, value in config.items():
            name = self.names.get(path + key, shown + key)
            if name is None:
                continue
            if isinstance(value, Mapping):
                yield from self._named(value, f"{path}{key}.", f"{name}.")
            else:
                yield name, value

    def _option(self, name: str, value: Any) -> list[str]:
        if self.options == "name=value":
            return [f"{name}={self._text(value)}"]
        if value is None:
            return []  # an option that is left out is how a command line says null
        if self.flags and isinstance(value, bool):
            if value:
                return [f"--{name}"]
            return []
        if self.options == "--name=value":
            return [f"--{name}={self._text(value)}"]
        return [f"--{name}", self._text(value)]

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        if self.values == "json":
            return json.dumps(value)
        return str(value)
