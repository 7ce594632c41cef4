"""What a `script:` section names on this machine: the script, its folders and its template."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.errors import did_you_mean
from raysweep.placeholders import escaped, fill_some, placeholders
from raysweep.references import module_of
from raysweep.search_spaces.file.check_script import ScriptChecks, lengths, listed_values
from raysweep.search_spaces.file.reader import Specification
from raysweep.search_spaces.file.script_spec import ScriptSpec
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.config_file import ConfigFile, TemplateError

ABSOLUTE = ("{folder}", "{sweep}", "{env:", "/")
"""How a path begins that is relative to no folder."""


def module_file(said: Specification) -> Path:
    """The file of the module that `trainable: -m package.module` names.

    It is looked for below the working folder, the sweep's file and the current folder, then where
    Python finds modules.
    """
    module = module_of(said.content.trainable)
    for folder in _module_folders(said):
        for place in _module_places(module):
            if (folder / place).is_file():
                return (folder / place).resolve()
    found = _installed(module)
    if found is None:
        raise said.document.error(
            ("trainable",),
            f"trainable: there is no module '{module}' beside the specification, nor in the "
            "current folder, nor among the installed ones",
        )
    return found


def _module_places(module: str) -> tuple[str, str]:
    """Where the file of a module is, and that of a package, below a folder."""
    path = module.replace(".", "/")
    return f"{path}.py", f"{path}/__main__.py"


def _installed(module: str) -> Path | None:
    """The file that `python -m` runs for an installed module; None if there is none."""
    for name in (f"{module}.__main__", module):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            # `find_spec` imports the packages on the way, and raises if one of them is no package.
            continue
        if spec is not None and spec.origin and spec.origin.endswith(".py"):
            return Path(spec.origin).absolute()
    return None


def _module_folders(said: Specification) -> Iterator[Path]:
    script = said.content.script
    if script is not None and script.folder is not None and not any(placeholders(script.folder)):
        yield _folder(said) / script.folder
    yield _folder(said)
    yield Path.cwd()


def command_line(said: Specification, script: Path) -> CommandLine:
    """How the script is called. Raises SpecificationError if a folder or file is not there."""
    spec, module = said.content.script or ScriptSpec(), module_of(said.content.trainable)
    return CommandLine(
        module=module,
        launcher=None if spec.launcher is None else tuple(spec.launcher),
        folder=_working_folder(said, spec, script),
        sweep=os.path.relpath(_folder(said), script.parent),
        environment=spec.environment,
        arguments=tuple(spec.arguments),
        options=spec.form,
        values=spec.values,
        lists=spec.lists,
        flags=_several(spec.flags),
        negated_flags=_several(spec.negated_flags),
        names=spec.names,
        after=tuple(spec.after),
        config_file=_config_file(said, spec),
        resume=None if spec.resume is None else tuple(spec.resume),
        checkpoint=spec.checkpoint,
        lengths=lengths(said.content.budget),
    )


def _several(given: bool | list[str]) -> bool | tuple[str, ...]:
    return given if isinstance(given, bool) else tuple(given)


def _folder(said: Specification) -> Path:
    """The folder of the sweep's file."""
    return said.path.resolve().parent


def _base(said: Specification) -> Path:
    """The folder that the working folder is relative to: where the trainable's own path begins.

    That is the folder of the sweep's file, or the current folder if the trainable is found there.
    """
    beside, place = _folder(said), said.content.trainable
    if module_of(place):
        for folder in (beside, Path.cwd()):
            if any((folder / part).is_file() for part in _module_places(module_of(place))):
                return folder
    elif not (beside / place).is_file() and (Path.cwd() / place).is_file():
        return Path.cwd()
    return beside


def _working_folder(said: Specification, spec: ScriptSpec, script: Path) -> str | None:
    """The working folder relative to the script's, so that both can be copied elsewhere."""
    module = module_of(said.content.trainable)
    if spec.folder is None and not module:
        return None
    if spec.folder is None:
        return os.path.relpath(_base(said), script.parent)
    folder = _base(said) / spec.folder
    if not any(placeholders(spec.folder)) and not folder.is_dir():
        raise said.document.error(
            ("script", "folder"),
            f"script.folder: there is no folder '{spec.folder}' beside the specification",
        )
    is_around = script.is_relative_to(folder) or folder.is_relative_to(script.parent)
    if spec.folder.startswith(ABSOLUTE) and not is_around:
        return spec.folder
    return os.path.relpath(folder, script.parent)


def _config_file(said: Specification, spec: ScriptSpec) -> ConfigFile | None:
    """The configuration file with the text of its template, which is checked here."""
    wanted = spec.config_file
    if wanted is None:
        return None
    if wanted.template is None:
        return ConfigFile(wanted.name, option=wanted.option)
    path, place = template_path(said, wanted.template), ("script", "config_file", "template")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise said.document.error(
            place, f"script.config_file.template: '{wanted.template}' cannot be read as text"
        ) from None
    _check_template(said, spec, wanted.template, text)
    return ConfigFile(wanted.name, text, wanted.template, wanted.option)


def template_path(said: Specification, template: str) -> Path:
    """The template's file: beside the sweep's file, else in the current folder."""
    for folder in (_folder(said), Path.cwd()):
        if (folder / template).is_file():
            return (folder / template).resolve()
    raise said.document.error(
        ("script", "config_file", "template"),
        f"script.config_file.template: there is no file '{template}' beside the specification, nor "
        "in the current folder",
    )


def _check_template(said: Specification, spec: ScriptSpec, name: str, text: str) -> None:
    """Raise SpecificationError for an unknown placeholder, or for a value without a place."""
    place = ("script", "config_file", "template")
    known = ScriptChecks(said.content, spec, said.document).known(place)
    for found, begin in placeholders(text):
        if found not in known and not found.startswith("env:"):
            line = text.count("\n", 0, begin) + 1
            raise said.document.error(
                place,
                f"script.config_file.template: {name}:{line}: unknown placeholder '{{{found}}}'"
                f"{did_you_mean(found, known)}; the text itself is written {{{{{found}}}}}",
            )
    file = ConfigFile(spec.config_file.name if spec.config_file else "", text, name)
    values = dict.fromkeys((found for found, _ in placeholders(text)), "0")
    named = CommandLine(names=spec.names)
    try:
        for config in _all_names(said):
            file.text(named.in_file(config), values)
    except TemplateError as error:
        raise said.document.error(place, f"script.config_file.template: {error}") from None


def _all_names(said: Specification) -> Iterator[dict[str, Any]]:
    """Configurations with every name of the space, and each mapping that a value may be."""
    space = said.content.space
    plain: dict[str, Any] = dict.fromkeys(space, 0)
    yield plain
    for name, entry in space.items():
        for value in listed_values(entry):
            if isinstance(value, dict):
                yield plain | {name: value}


def kept_section(said: Specification, script: Path) -> dict[str, Any]:
    """The `script:` section as the run directory keeps it: its paths hold from anywhere."""
    section = (said.content.script or ScriptSpec()).section()
    line = command_line(said, script)
    here = escaped(str(_folder(said)))
    section = {key: _moved(value, here) for key, value in section.items()}
    if line.folder is not None and not line.folder.startswith(ABSOLUTE):
        section["folder"] = os.path.normpath(script.parent / line.folder)
    template = section.get("config_file", {}).get("template")
    if template is not None:
        section["config_file"]["template"] = str(template_path(said, template))
    return section


def _moved(value: Any, folder: str) -> Any:
    """A part of the section with the folder of the sweep's file in place of `{sweep}`."""
    if isinstance(value, list):
        return [_moved(part, folder) for part in value]
    if isinstance(value, dict):
        return {key: _moved(part, folder) for key, part in value.items()}
    if not isinstance(value, str):
        return value
    return fill_some(value, {"sweep": folder})
