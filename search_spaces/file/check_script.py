"""Checks that a `script:` section fits the rest of its file.

What its files hold is checked where they are read (`tune/script_files.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.placeholders import ALWAYS, ENVIRONMENT, LENGTHS, dollar_names, placeholders
from raysweep.references import is_script, module_of
from raysweep.search_spaces.file.budget_spec import BudgetSpec
from raysweep.search_spaces.file.document import Document, Path, SpecificationError
from raysweep.search_spaces.file.param_specs import (
    ChoiceSpec,
    FloatSpec,
    IntSpec,
    OrdinalSpec,
    ParamSpec,
    ValueSpec,
)
from raysweep.search_spaces.file.script_spec import ScriptSpec
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.language.space import parents

WILDCARD = re.compile(r"[*?\[]")
"""What makes a path a pattern."""
OWN = {"folder", "trial"}
"""The placeholders that differ between the trials of a sweep."""


def check_script(content: SweepSpec, document: Document) -> None:
    """Raise SpecificationError if a `script:` section does not fit the trainable or the space."""
    if is_script(content.trainable):
        _check_launched(content, document)
    if content.script is None:
        return
    if not is_script(content.trainable):
        raise document.error(
            ("script",),
            f"script: the trainable '{content.trainable}' is a function; leave script out",
        )
    checks = ScriptChecks(content, content.script, document)
    checks.names()
    checks.flags()
    checks.lists()
    checks.texts()
    checks.config_file()
    checks.checkpoint()


def _check_launched(content: SweepSpec, document: Document) -> None:
    """Python runs what is written in Python. Anything else needs a launcher."""
    launcher = content.script.launcher if content.script else None
    if launcher == []:
        raise document.error(("script", "launcher"), "script.launcher: expected at least one word")
    workers = content.resources.workers
    if workers > 1:
        raise document.error(
            ("resources", "workers"),
            "resources.workers: a script starts its processes itself; script.launcher: torchrun "
            f"--nproc_per_node {workers} would do it",
        )
    if content.resources.fuse != 1:
        raise document.error(
            ("resources", "fuse"),
            "resources.fuse: a script is a process of its own; a train function that is a Recipe "
            "can train several trials as one",
        )
    if launcher or content.trainable.endswith(".py") or module_of(content.trainable):
        return
    raise document.error(
        ("trainable",),
        "trainable: expected package.module:function or path/to/file.py:function, "
        f"got '{content.trainable}'; a script that is not Python needs script.launcher",
    )


class ScriptChecks:
    """The checks of one file. Each raises SpecificationError, with the line of the key."""

    def __init__(self, content: SweepSpec, script: ScriptSpec, document: Document) -> None:
        self._content, self._script, self._document = content, script, document

    def names(self) -> None:
        """Options belong to parameters, each to one."""
        names = self._script.names
        for name in names:
            self._check_known(("names", name), "names", name)
        owners: dict[str, str] = {}
        for name in self._content.space:
            option = names.get(name, name)
            if option is not None and option in owners:
                raise self._error(
                    ("names",),
                    f"names: '{owners[option]}' and '{name}' have the same option, '{option}'",
                )
            if option is not None:
                owners[option] = name

    def flags(self) -> None:
        """Flags are parameters that can be true or false, each of one kind of flag."""
        found = {"flags": self._script.flags, "negated_flags": self._script.negated_flags}
        listed = {key: given for key, given in found.items() if isinstance(given, list)}
        for key, names in listed.items():
            for index, name in enumerate(names):
                self._check_known((key, index), key, name)
                if not self._can_be_boolean(name):
                    raise self._error(
                        (key, index), f"{key}: '{name}' is never true or false, so it is no flag"
                    )
        for index, name in enumerate(listed.get("negated_flags", ())):
            if name in listed.get("flags", ()):
                raise self._error(
                    ("negated_flags", index), f"negated_flags: '{name}' is among flags already"
                )

    def lists(self) -> None:
        """An element with a comma would become two where commas divide the elements."""
        if self._script.lists != "commas":
            return
        for name, entry in self._content.space.items():
            for value in listed_values(entry):
                if isinstance(value, list) and any("," in str(element) for element in value):
                    raise self._error(
                        ("lists",), f"lists: commas, but an element of {name} has a comma itself"
                    )

    def texts(self) -> None:
        """Placeholders name what there is."""
        for path, text in texts(self._script):
            for name, _ in placeholders(text):
                self.check_placeholder(path, text, name)
            for name in dollar_names(text):
                if name in self.known(path):
                    raise self._error(
                        path,
                        f"{_label(path)}: '${{{name}}}' is passed on as it is; write {{{name}}}, "
                        f"or ${{{{{name}}}}} for the text itself",
                    )

    def check_placeholder(self, path: Path, text: str, name: str) -> None:
        """Raise SpecificationError if a placeholder has no value, or may mean two things."""
        label, known = _label(path), self.known(path)
        if name.startswith(ENVIRONMENT):
            return
        if name == "checkpoint" and name not in known and self._script.checkpoint:
            raise self._error(
                path,
                f"{label}: '{{checkpoint}}' is a pattern, of which only resume has a match",
            )
        if name in LENGTHS and name not in known:
            raise self._error(path, f"{label}: '{{{name}}}' needs budget.{name}")
        if name not in known:
            hint = did_you_mean(name, known)
            raise self._error(
                path,
                f"{label}: unknown placeholder '{{{name}}}' in '{text}'{hint}; "
                f"the text itself is written {{{{{name}}}}}",
            )
        if name in self._content.space and name in self._given(path):
            raise self._error(
                path,
                f"{label}: '{{{name}}}' is the sweep's own {name}, and a parameter is called "
                f"{name}, too; give that another name, and script.names the option's",
            )
        entry = self._content.space.get(name)
        if any(isinstance(value, Mapping) for value in listed_values(entry)):
            raise self._error(path, f"{label}: '{{{name}}}' is a mapping, which is no word")
        if isinstance(entry, ParamSpec) and entry.when is not None:
            raise self._error(
                path, f"{label}: '{{{name}}}' has no value where the parameter is not active"
            )

    def config_file(self) -> None:
        """The script finds the file, and the file can hold all parameters."""
        wanted = self._script.config_file
        if wanted is None:
            return
        used = {name for _, text in texts(self._script) for name, _ in placeholders(text)}
        folder = self._script.folder or ""
        found_there = "folder" in {name for name, _ in placeholders(folder)}
        if wanted.option is None and "config_file" not in used and not found_there:
            raise self._error(
                ("config_file",),
                "config_file: its path does not reach the script; add option: --config, or "
                "{config_file} to arguments",
            )
        names = self._script.names
        keys = {names.get(name, name) for name in self._content.space} - {None}
        for key in filter(None, keys):
            for parent in parents(key):
                if parent in keys:
                    raise self._error(
                        ("config_file",),
                        f"config_file: '{parent}' cannot be a value and hold '{key}' in one file; "
                        "give one of them another place with names",
                    )

    def checkpoint(self) -> None:
        """Each trial has a checkpoint of its own."""
        wanted = self._script.checkpoint
        if wanted is None:
            return
        own = {name for name, _ in placeholders(wanted)} & OWN
        folder = {name for name, _ in placeholders(self._script.folder or "")} & OWN
        if not own and not (folder and not PurePosixPath(wanted).is_absolute()):
            raise self._error(
                ("checkpoint",),
                f"checkpoint: '{wanted}' is the same for all trials, which would continue from "
                "each other's; expected {folder} or {trial} in it",
            )

    def _check_known(self, place: Path, key: str, name: str) -> None:
        space = self._content.space
        if name not in space and not any(parent in space for parent in parents(name)):
            raise self._error(place, f"{key}: the space has no '{name}'{did_you_mean(name, space)}")

    def _can_be_boolean(self, name: str) -> bool:
        """False if a parameter is known never to be true or false."""
        entry = self._content.space.get(name)
        if isinstance(entry, FloatSpec | IntSpec | ChoiceSpec | OrdinalSpec | ValueSpec):
            return any(isinstance(value, bool | Mapping) for value in listed_values(entry))
        return not isinstance(entry, int | float | str) or isinstance(entry, bool)

    def known(self, path: Path) -> list[str]:
        """The placeholders of a text: what the sweep gives, and the parameters."""
        return [*self._given(path), *self._content.space]

    def _given(self, path: Path) -> list[str]:
        """The placeholders that the sweep itself gives a text."""
        given = [*ALWAYS, *lengths(self._content.budget)]
        if self._script.config_file is not None:
            given.append("config_file")
        if self._script.checkpoint is not None and path != ("checkpoint",):
            is_pattern = WILDCARD.search(self._script.checkpoint)
            if path[0] == "resume" or not is_pattern:
                given.append("checkpoint")
        return given

    def _error(self, path: Path, text: str) -> SpecificationError:
        return self._document.error(("script", *path), f"script.{text}")


def lengths(budget: BudgetSpec) -> dict[str, Any]:
    """The keys of a budget that say how long a trial is, with their values."""
    said = {key: getattr(budget, key) for key in LENGTHS if key in type(budget).model_fields}
    return {key: value for key, value in said.items() if value is not None}


def texts(script: ScriptSpec) -> Iterator[tuple[Path, str]]:
    """Each text of a section in which placeholders are filled in, and its path there."""
    for key in ("launcher", "arguments", "after", "resume", "reports"):
        words: Sequence[str] = getattr(script, key) or ()
        yield from (((key, index), word) for index, word in enumerate(words))
    for key in ("folder", "checkpoint"):
        if getattr(script, key) is not None:
            yield (key,), getattr(script, key)
    for name, value in script.environment.items():
        if value is not None:
            yield ("environment", name), value


def listed_values(entry: Any) -> list[Any]:
    """The values that an entry of the space lists; nothing for a range or an expression."""
    if isinstance(entry, ChoiceSpec | OrdinalSpec):
        return entry.values
    if isinstance(entry, FloatSpec | IntSpec):
        return entry.or_
    return [entry.value] if isinstance(entry, ValueSpec) else []


def _label(path: Path) -> str:
    return ".".join(str(part) for part in path)
