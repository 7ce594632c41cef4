"""`raysweep convert`: a file of another tool, printed as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from raysweep.search_spaces.convert.dialects import DIALECTS, document_of
from raysweep.search_spaces.file.budget_spec import NO_LENGTH
from raysweep.search_spaces.file.document import Document, override
from raysweep.search_spaces.file.error_messages import most_telling_error
from raysweep.search_spaces.file.reader import Specification, find, specification, text_of
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.file.writer import write
from raysweep.search_spaces.language.params import same

ORDER = tuple(SweepSpec.model_fields)
_STAND_INS = {
    "trainable": "train.py",
    "metric": "{name: loss, goal: minimize}",
    "metric.name": "loss",
    "metric.goal": "minimize",
    "budget.epochs": "1",
    "budget.trials": "1",
}
"""What stands for keys that are still to be said while the rest of a file is checked."""


def convert(name: str, check: Callable[[Specification], object] = lambda said: None) -> str:
    """The file as our YAML. Raises SpecificationError.

    Comments say what the translation changed, and what the file does not say. What is printed was
    read back, and means the same. `check`: what else may refuse it.
    """
    path = find(name)
    document = document_of(text_of(path, name), name, path.parent)
    if not document.dialect:
        known = ", ".join(dialect.name for dialect in DIALECTS)
        raise document.error((), f"no file of another tool that is known here; expected {known}")
    missing = _missing(document)
    notes = [
        f"Converted from {name}, {document.dialect}.",
        *(note.replace(f"{name}:", "Line ", 1) for note in document.notes),
    ]
    notes += [f"Still to be said: {', '.join(missing)}."] if missing else []
    data = {key: document.data[key] for key in ORDER if key in document.data}
    text = "".join(f"# {note}\n" for note in notes) + write(data)
    whole = document
    for key in missing:
        whole = override(whole, f"{key}={_stand_in(key, document)}")
    check(specification(whole, path))
    printed = document_of(text, name, path.parent)
    if printed.dialect or not same(printed.data, document.data):
        raise AssertionError(f"{name}: what was printed reads back as {printed.data}")
    return text


def _missing(document: Document) -> list[str]:
    """The keys that a sweep must have and the file does not say; any other mistake is an error."""
    errors: list[Any] = []
    try:
        SweepSpec.model_validate(document.data)
    except ValidationError as error:
        errors = list(error.errors(include_url=False))
    missing, others = [], []
    for one in errors:
        key = ".".join(str(part) for part in one["loc"])
        is_missing = one["type"] in ("missing", NO_LENGTH)
        key = "budget.epochs" if key == "budget" and is_missing else key
        if is_missing and key in _STAND_INS:
            missing.append(key)
        elif one["loc"] != ("budget",):
            others.append(one)
    budget = document.data.get("budget", {})
    if not any(key in ("trials", "time") or key.startswith("total_") for key in budget):
        missing.append("budget.trials")
    if ("budget", "report_every") in document.missing:
        missing.append("budget.report_every")
    if others:
        raise most_telling_error(document, others)
    return sorted(missing)


def _stand_in(key: str, document: Document) -> str:
    """What stands for a key that is still to be said: of an interval, the whole length."""
    if key != "budget.report_every":
        return _STAND_INS[key]
    budget = document.data["budget"]
    return str(next(budget[unit] for unit in ("steps", "samples") if unit in budget))
