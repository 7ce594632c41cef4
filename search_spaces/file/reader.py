"""From a YAML file to a typed, checked specification. Every mistake is one line: place, what came, what was expected, the nearest name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raysweep.errors import did_you_mean
from raysweep.search_spaces import convert
from raysweep.search_spaces.file import build_space
from raysweep.search_spaces.file.document import Document, SpecificationError, override
from raysweep.search_spaces.file.error_messages import complaint
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.language.space import Space

SHIPPED = Path(__file__).absolute().parent.parent


@dataclass(frozen=True)
class Specification:
    """A checked file: `content` as the models have it, `space` ready to draw from, `document` for errors that are found later."""

    content: SweepSpec
    space: Space
    document: Document
    path: Path


def read(
    name: str, overrides: Sequence[str] = (), translate: Callable[[Any], Any] = lambda data: data
) -> Specification:
    """Read the file of that path, or the one of that name in `search_spaces/`.

    `overrides`: `key=value` settings that take the place of what the file says.
    `translate`: gives the file's data the form that this version reads.
    Raises SpecificationError.
    """
    path = find(name)
    document = convert.document_of(text_of(path, name), name, path.parent)
    document = replace(document, data=translate(document.data))
    for setting in overrides:
        document = override(document, setting)
    return specification(without_script(document), path)


def specification(document: Document, path: Path) -> Specification:
    """The document, checked. Raises SpecificationError."""
    content = check(document)
    return Specification(content, build_space.space(content, document), document, path)


def without_script(document: Document) -> Document:
    """The document without what another tool's file says of its script, if the script is not used.

    That is so if a setting names a train function instead.
    """
    trainable = document.data.get("trainable") if isinstance(document.data, dict) else None
    foreign = document.dialect and ("script",) in document.places
    said_here = document.place(("script",)).startswith("--set ") if foreign else True
    if not foreign or said_here or not isinstance(trainable, str) or trainable.endswith(".py"):
        return document
    data = {key: value for key, value in document.data.items() if key != "script"}
    place = document.place(("script",))
    note = f"{place}: how the script is called is left out, for {trainable} is a function"
    return replace(document, data=data, notes=(*document.notes, note))


def find(name: str) -> Path:
    """The path if there is something, else the file that ships; SpecificationError where there is neither."""
    candidates = [Path(name), SHIPPED / name, SHIPPED / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    if Path(name).is_dir():
        raise SpecificationError(f"{name}: is a directory; expected a YAML file")
    shipped = sorted(path.name for path in SHIPPED.glob("*.yaml"))
    raise SpecificationError(
        f"{name}: there is no such file{did_you_mean(name, shipped)}; the shipped ones are {', '.join(shipped)}"
    )


def text_of(path: Path, name: str) -> str:
    """The text of a file; SpecificationError where it cannot be read or is not text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SpecificationError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SpecificationError(
            f"{name}:{line}: not a text file: byte 0x{content[error.start]:02x} is not UTF-8"
        ) from None


def check(document: Document) -> SweepSpec:
    """The document as the models have it; SpecificationError for the most telling of what is wrong."""
    if not isinstance(document.data, dict):
        raise document.error(
            (),
            f"expected a mapping of keys such as trainable, metric and space, got a {type(document.data).__name__}",
        )
    try:
        return SweepSpec.model_validate(document.data)
    except ValidationError as error:
        raise complaint(document, list(error.errors(include_url=False))) from None
