"""The formats of other tools: how their files are recognized and translated into ours.

A key without an equivalent here is an error. Nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.search_spaces.convert import (
    determined,
    guild,
    hydra,
    katib,
    nni,
    nni_space,
    optuna_space,
    orion,
    orion_command,
    polyaxon,
    pytorch_template,
    ray_tune,
    sagemaker,
    vertex,
    wandb,
)
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.spelling import in_camel_case
from raysweep.search_spaces.file.document import Document, SpecificationError, Version, parse


@dataclass(frozen=True)
class Dialect:
    """A format of another tool: what messages call it, and how its files are known and read.

    `recognize`: whether a file is of it. `read`: takes a file into a draft. `yaml`: the version of
    YAML that the tool reads. `spelled`: the file with its keys in the spelling that `read` knows.
    `lists`: whether its files may be lists.
    """

    name: str
    recognize: Callable[[Any], bool]
    read: Callable[[Draft], None]
    yaml: Version
    spelled: Callable[[Document], Document] = lambda document: document
    lists: bool = False


DIALECTS = (
    Dialect(katib.NAME, katib.recognize, katib.read, "1.1"),  # go-yaml
    Dialect(determined.NAME, determined.recognize, determined.read, "1.2"),  # ruamel.yaml
    Dialect(wandb.NAME, wandb.recognize, wandb.read, "1.1"),  # PyYAML
    Dialect(nni.NAME, nni.recognize, nni.read, "1.1", nni.camel),  # PyYAML
    Dialect(nni_space.NAME, nni_space.recognize, nni_space.read, "1.1"),
    Dialect(pytorch_template.NAME, pytorch_template.recognize, pytorch_template.read, "1.2"),
    Dialect(hydra.NAME, hydra.recognize, hydra.read, "1.1"),  # PyYAML, but 1e-3 is a number
    Dialect(optuna_space.NAME, optuna_space.recognize, optuna_space.read, "1.2"),  # JSON
    Dialect(sagemaker.NAME, sagemaker.recognize, sagemaker.read, "1.2"),  # JSON
    Dialect(orion.NAME, orion.recognize, orion.read, "1.2"),  # a shell's command
    Dialect(polyaxon.NAME, polyaxon.recognize, polyaxon.read, "1.1", polyaxon.spelled),  # PyYAML
    Dialect(guild.NAME, guild.recognize, guild.read, "1.1", lists=True),  # PyYAML
    Dialect(ray_tune.NAME, ray_tune.recognize, ray_tune.read, "1.1"),  # PyYAML
    Dialect(vertex.NAME, vertex.recognize, vertex.read, "1.1", in_camel_case),  # PyYAML
)


def document_of(text: str, name: str, folder: Path) -> Document:
    """The text of a file as a document of ours, whatever tool it is of, each part with its line.

    `folder`: where the file lies, for a search space that it names. Raises SpecificationError.
    """
    document = parsed(text, name)
    dialect = _dialect(document)
    if dialect is not None and dialect.yaml != "1.2":
        document = parse(text, name, dialect.yaml)
    return translate(document, folder, text)


def parsed(text: str, name: str) -> Document:
    """The text as YAML, or the command of a tool that is called in a shell script."""
    try:
        document = parse(text, name)
    except SpecificationError:
        command = orion_command.document(text, name)
        if command is None:
            raise
        return command
    command = orion_command.document(text, name) if isinstance(document.data, str) else None
    return command or document


def translate(document: Document, folder: Path, text: str = "") -> Document:
    """A parsed file of another tool as ours; one that is ours (or of no known shape) as it is."""
    dialect = _dialect(document)
    if dialect is None:
        return document
    draft = Draft(dialect.spelled(document), dialect.name, folder, text)
    if dialect.read is nni.read:
        _named_space(draft, folder)
    dialect.read(draft)
    return draft.document()


def claiming(document: Document) -> list[Dialect]:
    """The dialects that take a file for one of theirs; none for a file of ours.

    The first of them reads it.
    """
    data = document.data
    if isinstance(data, dict) and "space" in data:
        return []
    return [
        one
        for one in DIALECTS
        if isinstance(data, dict | list if one.lists else dict) and one.recognize(data)
    ]


def _dialect(document: Document) -> Dialect | None:
    """The tool that a file is of; None if it is ours, or of no known shape."""
    found = claiming(document)
    return found[0] if found else None


def _named_space(draft: Draft, folder: Path) -> None:
    """Take the search space that an NNI experiment keeps in a file of its own."""
    key = next(
        (one for one in ("searchSpaceFile", "searchSpacePath") if one in draft.source.data), None
    )
    if key is None:
        return
    name = draft.word((key,), draft.source.data[key])
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise draft.error((key,), f"'{name}' cannot be read") from None
    inner = Draft(parse(text, name, "1.1"), nni_space.NAME)
    nni_space.read(inner)
    draft.adopt(inner)
