"""How a configuration becomes the command that starts a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from raysweep.placeholders import fill
from raysweep.trainables.runtime.script.config_file import ConfigFile
from raysweep.trainables.runtime.script.values import Style, text, word

Lists = Literal["value", "words", "commas", "repeat"]


@dataclass(frozen=True)
class CommandLine:
    """How a script is called: the `script:` section of a sweep's file.

    `module`: of `-m package.module`, the module; "" for a script that is named by its file.
    `launcher`: the words before the script; None for this Python. `folder`: the working folder;
    None for the script's own. `sweep`: the folder of the sweep's file. Both are relative to the
    script's folder, or absolute. `environment`: variables; None for one that is not set.
    `arguments` and `after`: what comes before and after the options. `options`: their form.
    `values`: how true, null and lists are written. `lists`: how a list is divided. `flags` and
    `negated_flags`: the parameters, or all, of which true is `--name` and false is left out, or
    `--no-name`. `names`: the options that differ from their parameters' names; None for a parameter
    without an option. `config_file`: the configuration as a file. `resume`: what is added when a
    trial is continued from its `checkpoint`. `lengths`: how long a trial is, by unit.
    """

    module: str = ""
    launcher: Sequence[str] | None = None
    folder: str | None = None
    sweep: str = "."
    environment: Mapping[str, str | None] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    options: Literal["--name=value", "--name value", "name=value", "none"] = "--name=value"
    values: Style = "json"
    lists: Lists = "value"
    flags: bool | Sequence[str] = False
    negated_flags: bool | Sequence[str] = False
    names: Mapping[str, str | None] = field(default_factory=dict)
    after: Sequence[str] = ()
    config_file: ConfigFile | None = None
    resume: Sequence[str] | None = None
    checkpoint: str | None = None
    lengths: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> CommandLine:
        """The command line that `dataclasses.asdict` made these fields of."""
        file = fields.get("config_file")
        return cls(**{**fields, "config_file": ConfigFile(**file) if file else None})

    def words(
        self,
        config: Mapping[str, Any],
        given: Mapping[str, str] | None = None,
        continues: bool = False,
    ) -> list[str]:
        """The words after the script for a configuration.

        `given`: the values of placeholders; by default those of `placeholders`. `continues`: the
        words of `resume` are added. Raises KeyError for a placeholder without a value.
        """
        values = self.placeholders(config) if given is None else given
        return [
            *filled(self.arguments, values),
            *self._options(config),
            *self._config_option(values),
            *filled(self.after, values),
            *filled(self.resume or () if continues else (), values),
        ]

    def placeholders(self, config: Mapping[str, Any]) -> dict[str, str]:
        """The values of the placeholders that are parameters or lengths."""
        lengths = {unit: text(length, self.values) for unit, length in self.lengths.items()}
        return lengths | {name: text(value, self.values) for name, value in named(config)}

    def in_file(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration by the names that the script's own configuration file has."""
        renamed = ((self.names.get(name, name), value) for name, value in named(config))
        return {name: value for name, value in renamed if name is not None}

    def _options(self, config: Mapping[str, Any]) -> Iterator[str]:
        if self.options != "none":
            for name, shown, value in _shown(config, self.names):
                yield from self._option(name, shown, value)

    def _option(self, name: str, shown: str, value: Any) -> list[str]:
        """The words of an option. `name` is the parameter's, and `shown` the option's."""
        if self.options == "name=value":
            return [f"{shown}={self._joined(value)}"]
        if value is None:
            return []  # an option that is left out is how a command line says null
        if isinstance(value, bool) and self._is_flag(name):
            return self._flag(name, shown, value)
        if isinstance(value, list) and self.lists == "words":
            return [f"--{shown}", *(word(part, self.values) for part in value)]
        if isinstance(value, list) and self.lists == "repeat":
            return [said for part in value for said in self._pair(shown, part)]
        return self._pair(shown, value)

    def _pair(self, shown: str, value: Any) -> list[str]:
        if self.options == "--name value" and not isinstance(value, list):
            return [f"--{shown}", word(value, self.values)]
        if self.options == "--name value":
            return [f"--{shown}", self._joined(value)]
        return [f"--{shown}={self._joined(value)}"]

    def _joined(self, value: Any) -> str:
        if isinstance(value, list) and self.lists == "commas":
            return ",".join(text(part, self.values) for part in value)
        return text(value, self.values)

    def _is_flag(self, name: str) -> bool:
        return any(given is True or _lists(given, name) for given in self._kinds_of_flags())

    def _flag(self, name: str, shown: str, value: bool) -> list[str]:
        if value:
            return [f"--{shown}"]
        # A kind that names the parameter counts before one that is for all of them.
        negated = _lists(self.negated_flags, name) or (
            self.negated_flags is True and not _lists(self.flags, name)
        )
        if negated:
            return [f"--{negation(shown)}"]
        return []

    def _kinds_of_flags(self) -> tuple[bool | Sequence[str], bool | Sequence[str]]:
        return self.flags, self.negated_flags

    def _config_option(self, values: Mapping[str, str]) -> list[str]:
        """The words that pass the path of the configuration file, by the option that is for it."""
        if self.config_file is None or self.config_file.option is None:
            return []
        option, path = self.config_file.option, values["config_file"]
        if self.options == "--name value":
            return [option, path]
        return [f"{option}={path}"]


def negation(shown: str) -> str:
    """The option that says that a flag is false: `no-name`, and of a nested name `outer.no-name`.

    argparse's BooleanOptionalAction knows no nested names; tyro writes them so.
    """
    outer, dot, name = shown.rpartition(".")
    return f"{outer}{dot}no-{name}"


def filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words with the values of their placeholders. Raises KeyError for one without a value."""
    return [fill(said, values.__getitem__) for said in words]


def named(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of a configuration. The names of nested ones are joined by dots."""
    return ((name, value) for name, _, value in _shown(config, {}))


def _shown(
    config: Mapping[str, Any], names: Mapping[str, str | None], path: str = "", shown: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """The values of a configuration, each with its name and with what `names` calls it.

    `path` is the outer part of the parameter's name, `shown` that of the other. A value whose
    other name is None is left out.
    """
    for key, value in config.items():
        other = names.get(path + key, shown + key)
        if other is None:
            continue
        if isinstance(value, Mapping):
            yield from _shown(value, names, f"{path}{key}.", f"{other}.")
        else:
            yield path + key, other, value


def _lists(given: bool | Sequence[str], name: str) -> bool:
    return not isinstance(given, bool) and name in given
