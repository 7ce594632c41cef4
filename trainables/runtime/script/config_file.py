"""The configuration of a trial as a file: YAML, JSON or TOML, or a template that is filled in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from raysweep.errors import UserError
from raysweep.placeholders import fill, placeholders
from raysweep.trainables.runtime.script import toml_text, yaml_text

Flat = Mapping[str, Any]
"""Values by their names. The dots of a name lead into nested mappings."""


class TemplateError(UserError):
    """A template that is not what its ending says, or has no place for a value. One line."""


@dataclass(frozen=True)
class ConfigFile:
    """A configuration file of a script, as the `config_file` key describes it.

    `name`: of the file in the trial's folder; its ending says the format. `template`: the text of
    the user's own file, and `source` that file's name for messages. `option`: what passes the path.
    """

    name: str
    template: str | None = None
    source: str = ""
    option: str | None = None

    def write(self, folder: Path, config: Flat, values: Mapping[str, str]) -> Path:
        """Write the file for a configuration into `folder`, and return its path.

        `values`: of the placeholders that a template may have. Raises TemplateError.
        """
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(config, values), encoding="utf-8")
        return path

    def text(self, config: Flat, values: Mapping[str, str]) -> str:
        """The content of the file.

        A parameter goes where the template has its placeholder, else to the key of its name.
        """
        base = fill(self.template or "", values.__getitem__)
        placed = {name for name, _ in placeholders(self.template or "")}
        rest = {name: value for name, value in config.items() if name not in placed}
        form = FORMATS.get(PurePosixPath(self.name).suffix)
        if form is not None and (rest or not placed):
            return form(base, rest, self.source or self.name)
        if rest:
            name = next(iter(rest))
            raise TemplateError(
                f"{self.source} has no place for the parameter '{name}': write {{{name}}} there"
            )
        return base


def _json(base: str, values: Flat, source: str) -> str:
    try:
        data = json.loads(base) if base.strip() else {}
    except ValueError as error:
        raise TemplateError(f"{source} is not JSON: {error}") from None
    _put_all(data, values, source, lambda value: value)
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _toml(base: str, values: Flat, source: str) -> str:
    import tomllib

    try:
        data = tomllib.loads(base)
    except tomllib.TOMLDecodeError as error:
        raise TemplateError(f"{source} is not TOML: {error}") from None
    # TOML has no null: a key that is not there says the same.
    present = {name: value for name, value in values.items() if value is not None}
    _put_all(data, present, source, lambda value: value)
    for name in values.keys() - present.keys():
        _remove(data, name.split("."))
    try:
        return toml_text.dumps(data)
    except ValueError as error:
        raise TemplateError(f"{source}: {error}") from None


def _yaml(base: str, values: Flat, source: str) -> str:
    try:
        data = yaml_text.load(base)
    except yaml_text.YamlError as error:
        raise TemplateError(f"{source} is not YAML: {error}") from None
    _put_all(data, values, source, yaml_text.written)
    return yaml_text.dump(data)


FORMATS: dict[str, Callable[[str, Flat, str], str]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
    ".toml": _toml,
}


def _put_all(data: Any, values: Flat, source: str, made: Callable[[Any], Any]) -> None:
    """Replace the values of the keys, or add them. `made` makes what the document holds."""
    if not isinstance(data, dict):
        raise TemplateError(f"{source}: expected a mapping of keys, got {type(data).__name__}")
    for name, value in values.items():
        _put(data, name.split("."), made(value), f"{source}: {name}")


def _put(data: dict[str, Any], keys: list[str], value: Any, label: str) -> None:
    """Set the key that the parts of a dotted name lead to. A key may have dots itself."""
    for length in range(len(keys), 0, -1):
        key = ".".join(keys[:length])
        if key not in data:
            continue
        if length == len(keys):
            data[key] = value
            return
        if not isinstance(data[key], dict):
            raise TemplateError(f"{label}: '{key}' is no mapping there, so it cannot hold this")
        _put(data[key], keys[length:], value, label)
        return
    first, *rest = keys
    if rest:
        data[first] = {}
        _put(data[first], rest, value, label)
    else:
        data[first] = value


def _remove(data: Any, keys: list[str]) -> None:
    """Remove the key that the parts of a dotted name lead to, if it is there."""
    if not isinstance(data, dict):
        return
    if len(keys) == 1:
        data.pop(keys[0], None)
    else:
        _remove(data.get(keys[0]), keys[1:])
