"""Read a sweep file: one of ours, or one of another tool, which is translated first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from raysweep.references import is_script
from raysweep.search_spaces.convert.dialects import document_of
from raysweep.search_spaces.file.document import Document, override, parse
from raysweep.search_spaces.file.reader import Specification, find, specification, text_of


def read(
    name: str, overrides: Sequence[str] = (), update: Callable[[Any], Any] | None = None
) -> Specification:
    """Read the file of that path, or the one of that name in `search_spaces/`.

    overrides: `key=value` settings that replace what the file says. update: brings the data of a
    run's file, which an earlier version may have written, up to date. Raises SpecificationError.
    """
    path = find(name)
    document = document_of(text_of(path, name), name, path.parent)
    if update is not None:
        document = replace(document, data=update(document.data))
    for setting in overrides:
        document = override(document, setting)
    return specification(without_script(document), path, recorded=update is not None)


def read_text(text: str, path: Path, overrides: Sequence[str] = ()) -> Specification:
    """Read a file of ours that is not written yet. `path`: where it will be."""
    document = parse(text, str(path))
    for setting in overrides:
        document = override(document, setting)
    return specification(document, path)


def without_script(document: Document) -> Document:
    """The document without what another tool's file says of its script, if the script is not used.

    That is so if a setting names a train function instead.
    """
    trainable = document.data.get("trainable") if isinstance(document.data, dict) else None
    foreign = document.dialect and ("script",) in document.places
    said_here = document.place(("script",)).startswith("--set ") if foreign else True
    if not foreign or said_here or not isinstance(trainable, str) or is_script(trainable):
        return document
    data = {key: value for key, value in document.data.items() if key != "script"}
    metric = data.get("metric")
    if isinstance(metric, dict) and ("metric", "pattern") in document.places:
        data["metric"] = {key: value for key, value in metric.items() if key != "pattern"}
    place = document.place(("script",))
    note = f"{place}: how the script is called is left out, for {trainable} is a function"
    return replace(document, data=data, notes=(*document.notes, note))
