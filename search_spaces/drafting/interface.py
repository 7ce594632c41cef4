"""What a program can be told, and how: the same for every library that reads options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["float", "int", "text", "bool", "list", "other"]
Form = Literal["value", "flag", "both"]


@dataclass(frozen=True)
class Option:
    """An option of a program.

    name: as it is written, without dashes; "" for a word without a name. form: with a value, as
    `--name` alone, or as `--name` and `--no-name`. writable: False if there is no way to write it.
    many: it takes several values. low, high: the bounds that the program checks. aliases: other
    names of the same. optional: it is only ever suggested in a comment. label: what a message calls
    it. trap: why it cannot be written, if there is more to say. is_typed: False if its kind is only
    that of its default, as in a file: `dropout: 0` may become 0.1.
    """

    name: str
    kind: Kind
    default: Any = None
    choices: tuple[Any, ...] = ()
    form: Form = "value"
    required: bool = False
    many: bool = False
    low: float | None = None
    high: float | None = None
    help: str = ""
    aliases: tuple[str, ...] = ()
    writable: bool = True
    optional: bool = False
    label: str = ""
    trap: str = ""
    is_typed: bool = True


@dataclass(frozen=True)
class Interface:
    """How a program is told its configuration.

    library: what reads the options, for comments. style: the form of an option, as the key
    `script.options` has it. values: as `script.values` has it. words: fixed words that come first,
    of which the first `commands` are commands such as `fit`. given: the options among the words.
    config_file: how a file with the configuration is passed, as `script.config_file` has it.
    folder: the working folder, as `script.folder` has it. config: the whole configuration of a
    program that reads it from files. own_folder: it writes its files into the trial's own folder
    already. notes: what a user should know. unread:
    why nothing can be told to the program from outside; "" if it can.
    """

    library: str
    options: tuple[Option, ...] = ()
    style: Literal["--name=value", "name=value", "none"] = "--name=value"
    values: Literal["json", "python", "hydra"] = "json"
    words: tuple[str, ...] = ()
    commands: int = 0
    given: Mapping[str, Any] = field(default_factory=dict)
    config_file: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    own_folder: bool = False
    notes: tuple[str, ...] = ()
    unread: str = ""

    @property
    def dashes(self) -> str:
        """What stands before the name of an option."""
        return "" if self.style == "name=value" else "--"

    def option(self, name: str) -> Option | None:
        """The option of that name, as it is written or with `_` for `-`."""
        for option in self.options:
            if name in (option.name, *option.aliases):
                return option
        for option in self.options:
            if plain_name(name) == plain_name(option.name):
                return option
        return None


def plain_name(name: str) -> str:
    """A name for comparisons: lower case, with `_` for `-`."""
    return name.lower().replace("-", "_")
