"""From a parsed document to a checked specification.

Every mistake raises a SpecificationError, whose message is one line: the place, what was expected,
what was found, and the nearest valid name. `search_spaces/convert/any_file.py` reads a whole file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from raysweep.errors import did_you_mean
from raysweep.search_spaces.file import build_space
from raysweep.search_spaces.file.document import Document, SpecificationError
from raysweep.search_spaces.file.error_messages import most_telling_error
from raysweep.search_spaces.file.likely_ranges import check_texts
from raysweep.search_spaces.file.objectives_spec import with_first_metric
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.language.space import Space

SHIPPED = Path(__file__).absolute().parent.parent
"""The folder of the files that ship."""


@dataclass(frozen=True)
class Specification:
    """A checked file.

    content: the file as the models have it. space: ready to draw from. document: the places of all
    parts, for errors that are found later. path: the file.
    """

    content: SweepSpec
    space: Space
    document: Document
    path: Path


def specification(document: Document, path: Path, recorded: bool = False) -> Specification:
    """Check a document and build its space. Raises SpecificationError.

    recorded: it is of a run, whose texts were taken as constants whatever they look like.
    """
    content = check(document)
    if not recorded:
        check_texts(content.space, document)
    return Specification(content, build_space.space(content, document), document, path)


def find(name: str) -> Path:
    """The path itself if it is a file, else the shipped file of that name.

    Raises SpecificationError if there is neither.
    """
    candidates = [Path(name), SHIPPED / name, SHIPPED / f"{name}.yaml"]
    for path in candidates:
        if path.is_file():
            return path
    if Path(name).is_dir():
        raise SpecificationError(f"{name}: is a directory; expected a YAML file")
    shipped = sorted(path.name for path in SHIPPED.glob("*.yaml"))
    raise SpecificationError(
        f"{name}: there is no such file{did_you_mean(name, shipped)}; "
        f"the shipped ones are {', '.join(shipped)}"
    )


def text_of(path: Path, name: str) -> str:
    """The text of a file. Raises SpecificationError if it cannot be read or is not UTF-8."""
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
    """The document as the models have it. Raises SpecificationError for a mistake."""
    if not isinstance(document.data, dict):
        kind = "list" if isinstance(document.data, list) else "text without a key"
        text = f"expected a mapping of keys such as trainable, metric and space, got a {kind}"
        raise document.error((), text)
    data = with_first_metric(document)
    try:
        return SweepSpec.model_validate(data)
    except ValidationError as error:
        raise most_telling_error(document, list(error.errors(include_url=False))) from None
