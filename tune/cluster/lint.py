"""A linter for the file that `ray up` reads: Ray's own schema, applied as `ray up` does before it talks to a cloud, and what it misses."""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raysweep.search_spaces.file.document import Document, SpecificationError, parse
from raysweep.tune.cluster.lint_rules import RULES, ClusterFile


class Problem(NamedTuple):
    """One mistake, and the line where it can be mended."""

    line: int
    message: str


def check(path: str | Path) -> list[Problem]:
    """The problems of a cluster file, by line; [] where there is none. Nothing is contacted. OSError where it cannot be read."""
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        document = parse(text, path.name)
    except SpecificationError as error:
        return [_from_text(str(error))]
    if not isinstance(document.data, dict):
        return [Problem(1, "expected keys and values, as cluster_name: sweeps")]
    data = _as_ray_reads(text)
    file = ClusterFile(data, path.resolve().parent)
    problems = (
        [_placed(document, where, message) for rule in RULES for where, message in rule(file)]
        if _has_provider(data)
        else []
    )
    return sorted({*_schema(data, document), *problems})


def _has_provider(data: dict[str, Any]) -> bool:
    return isinstance(data.get("provider"), dict) and isinstance(data["provider"].get("type"), str)


def _as_ray_reads(text: str) -> dict[str, Any]:
    """Ray reads YAML 1.1."""
    import yaml

    data: dict[str, Any] = yaml.safe_load(text)
    return data


def _placed(document: Document, path: tuple[str | int, ...], message: str) -> Problem:
    return Problem(int(document.place(path).rpartition(":")[2]), message)


def _from_text(text: str) -> Problem:
    """A `file:line: message` of the reader."""
    _, line, message = text.split(":", 2)
    return Problem(int(line), message.strip())


def _schema(data: dict[str, Any], document: Document) -> Iterator[Problem]:
    """What `ray up` would say of the file by itself. Private functions of Ray's: pinned, and held by a test."""
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    ignored = io.StringIO()
    try:
        with contextlib.redirect_stdout(ignored), contextlib.redirect_stderr(ignored):
            validate_config(prepare_config(_filled(data)))
    except ValidationError as error:
        message = (
            error.message
            if len(error.message) < 200
            else f"not as Ray expects it: {error.schema.get('description', error.validator)}"
        )
        yield _placed(document, _path_of(error), f"ray up: {message}")
    except Exception as error:  # Ray raises whatever comes first: click's exceptions, AssertionError, TypeError, KeyError
        yield _placed(document, _path_in(str(error), document), f"ray up: {_reason(error)}")


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """A copy for Ray, which changes what it checks. On AWS it asks EC2 for missing `resources` before it checks."""
    data = copy.deepcopy(data)
    nodes = data.get("available_node_types")
    if data.get("provider", {}).get("type") == "aws" and isinstance(nodes, dict):
        for node in nodes.values():
            if isinstance(node, dict):
                node.setdefault("resources", {})
    return data


def _path_of(error: Any) -> tuple[str | int, ...]:
    """Where a schema error lies; for a key that should not be there, the key itself."""
    path = tuple(error.absolute_path)
    unexpected = (
        re.search(r"\('([^']+)' w", error.message)
        if error.validator == "additionalProperties"
        else None
    )
    return (*path, unexpected.group(1)) if unexpected else path


def _path_in(text: str, document: Document) -> tuple[str | int, ...]:
    """The part of the file that an error text names; the provider where it names none."""
    kind = document.data["provider"]["type"] if ("provider", "type") in document.places else None
    words = re.findall(r"\w+", text)
    if kind in words:
        return ("provider", "type")
    for name in words:
        for path in ((name,), ("provider", name)):
            if path in document.places:
                return path
    return ("provider",)


def _reason(error: Exception) -> str:
    """An exception in one line; its kind belongs to it where it was not raised for a person to read."""
    kind = (
        ""
        if type(error).__name__ in ("ClickException", "ValueError", "NotImplementedError")
        else f"{type(error).__name__}: "
    )
    return kind + (str(error).splitlines() or ["refused without a reason"])[0]
