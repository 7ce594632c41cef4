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
    hydra,
    katib,
    nni,
    nni_space,
    pytorch_template,
    wandb,
)
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Document, Version, parse


@dataclass(frozen=True)
class Dialect:
    """A format of another tool: what messages call it, and how its files are known and read.

    `recognize`: whether a file is of it. `read`: takes a file into a draft. `yaml`: the version of
    YAML that the tool reads.
    """

    name: str
    recognize: Callable[[dict[str, Any]], bool]
    read: Callable[[Draft], None]
    yaml: Version


DIALECTS = (
    Dialect(katib.NAME, katib.recognize, katib.read, "1.1"),  # go-yaml
    Dialect(determined.NAME, determined.recognize, determined.read, "1.2"),  # ruamel.yaml
    Dialect(wandb.NAME, wandb.recognize, wandb.read, "1.1"),  # PyYAML
    Dialect(nni.NAME, nni.recognize, nni.read, "1.1"),  # PyYAML
    Dialect(nni_space.NAME, nni_space.recognize, nni_space.read, "1.1"),
    Dialect(pytorch_template.NAME, pytorch_template.recognize, pytorch_template.read, "1.2"),
    Dialect(hydra.NAME, hydra.recognize, hydra.read, "1.1"),  # PyYAML, but 1e-3 is a number
)


def document_of(text: str, name: str, folder: Path) -> Document:
    """The text of a file as a document of ours, whatever tool it is of, each part with its line.

    `folder`: where the file lies, for a search space that it names. Raises SpecificationError.
    """
    document = parse(text, name)
    dialect = _dialect(document)
    if dialect is not None and dialect.yaml != "1.2":
        document = parse(text, name, dialect.yaml)
    return translate(document, folder, text)


def translate(document: Document, folder: Path, text: str = "") -> Document:
    """A parsed file of another tool as ours; one that is ours (or of no known shape) as it is."""
    dialect = _dialect(document)
    if dialect is None:
        return document
    source = nni.camel(document) if dialect.read is nni.read else document
    draft = Draft(source, dialect.name, folder, text)
    if dialect.read is nni.read:
        _named_space(draft, folder)
    dialect.read(draft)
    return draft.document()


def _dialect(document: Document) -> Dialect | None:
    """The tool that a file is of; None if it is ours, or of no known shape."""
    if not isinstance(document.data, dict) or "space" in document.data:
        return None
    return next((one for one in DIALECTS if one.recognize(document.data)), None)


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
