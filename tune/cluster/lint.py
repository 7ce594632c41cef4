"""A linter for the files that start a sweep elsewhere, by `ray up`, Slurm, KubeRay and SkyPilot.

To what `ray up` reads it applies Ray's own schema, as `ray up` does before it talks to a cloud, and
the rules of `lint_rules.py` for what that schema misses.
"""

from __future__ import annotations

import contextlib
import copy
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raysweep.errors import did_you_mean
from raysweep.search_spaces.file.document import Document, SpecificationError, parse
from raysweep.tune.cluster.lint_rayjob import KIND, check_ray_job, is_ray_job
from raysweep.tune.cluster.lint_rules import RULES, ClusterFile
from raysweep.tune.cluster.lint_sbatch import check_batch_file, is_batch_file
from raysweep.tune.cluster.lint_sky import check_sky_task, is_sky_task

MAX_CHARACTERS = 200
"""A longer message of the schema holds a part of the file, and helps nobody."""
READABLE = ("ClickException", "ValueError", "NotImplementedError")
"""Exceptions whose message Ray wrote for a person to read."""

RAY_UP = {"cluster_name", "provider", "auth", "available_node_types", "head_node_type"}
"""Keys by which a file of `ray up` is known."""
OTHERS = ((is_ray_job, check_ray_job), (is_sky_task, check_sky_task))
"""How other files than that of `ray up` are recognized, and their rules."""


class Problem(NamedTuple):
    """A mistake, and the line where it can be mended."""

    line: int
    message: str


def check(path: str | Path) -> list[Problem]:
    """The problems of a cluster file, by line; [] if it has none. No machine is contacted.

    Raises OSError if the file cannot be read.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8", errors="replace")
    return check_text(text, path.name, path.resolve().parent)


def check_text(text: str, name: str, folder: Path) -> list[Problem]:
    """The problems of a file `name` with this text, which lies or would lie in `folder`."""
    if is_batch_file(text):
        return [Problem(*found) for found in check_batch_file(text)]
    try:
        document = parse(text, name)
    except SpecificationError as error:
        return [_from_text(str(error))]
    if not isinstance(document.data, dict):
        return [Problem(1, "expected keys and values, as cluster_name: sweeps")]
    data = _as_ray_reads(text)
    for known, rules in OTHERS:
        if known(data):
            return sorted({_placed(document, where, said) for where, said in rules(data)})
    if said := _no_cluster(data):
        return [_placed(document, *said)]
    problems = {*_schema(data, document)}
    if _has_provider(data):
        file = ClusterFile(data, folder)
        for rule in RULES:
            problems |= {_placed(document, where, message) for where, message in rule(file)}
    return sorted(problems)


def _no_cluster(data: dict[str, Any]) -> tuple[tuple[str | int, ...], str] | None:
    """What a file seems to be that is none of `ray up`: its place, and what is wrong there."""
    if {"kind", "apiVersion"} & set(data):
        known = f"expected kind: {KIND}, which alone is known here"
        kind = data.get("kind")
        if kind is None:
            return (), f"a file of Kubernetes without a kind: {known}"
        return ("kind",), f"kind {kind} of Kubernetes: {known}{did_you_mean(kind, [KIND])}"
    if "trainable" in data:
        return (), "this is the file of a sweep: raysweep run --space FILE --dry-run checks it"
    if not RAY_UP & set(data):
        return (), (
            "neither cluster_name nor provider (ray up), nor kind and apiVersion (Kubernetes), nor "
            "run and resources (SkyPilot), nor lines of #SBATCH below #!/bin/bash (Slurm)"
        )
    return None if "provider" in data else ((), "provider is missing: ray up needs its type")


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
    """What `ray up` itself would say of the file.

    The functions are private to Ray: its version is pinned, and tests/test_check_cluster.py fails
    if another version changes them.
    """
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    ignored = io.StringIO()
    try:
        with contextlib.redirect_stdout(ignored), contextlib.redirect_stderr(ignored):
            validate_config(prepare_config(_filled(data)))
    except ValidationError as error:
        message = error.message
        if len(message) >= MAX_CHARACTERS:
            expected = error.schema.get("description", error.validator)
            message = f"not as Ray expects it: {expected}"
        yield _placed(document, _path_of(error), f"ray up: {message}")
    except Exception as error:  # Ray raises click's exceptions, AssertionError, TypeError, KeyError
        yield _placed(document, _path_in(str(error), document), f"ray up: {_reason(error)}")


def _filled(data: dict[str, Any]) -> dict[str, Any]:
    """A copy for Ray, which changes what it checks.

    On AWS, Ray would ask EC2 for missing `resources` before it checks.
    """
    data = copy.deepcopy(data)
    nodes = data.get("available_node_types")
    if data.get("provider", {}).get("type") == "aws" and isinstance(nodes, dict):
        for node in nodes.values():
            if isinstance(node, dict):
                node.setdefault("resources", {})
    return data


def _path_of(error: Any) -> tuple[str | int, ...]:
    """The place of a schema error; for a key that should not be there, the key itself."""
    path = tuple(error.absolute_path)
    unexpected = re.search(r"\('([^']+)' w", error.message)
    if error.validator == "additionalProperties" and unexpected:
        return (*path, unexpected.group(1))
    return path


def _path_in(text: str, document: Document) -> tuple[str | int, ...]:
    """The part of the file that an error text names; the provider if it names none."""
    words = re.findall(r"\w+", text)
    has_type = ("provider", "type") in document.places
    if has_type and document.data["provider"]["type"] in words:
        return ("provider", "type")
    for name in words:
        for path in ((name,), ("provider", name)):
            if path in document.places:
                return path
    return ("provider",)


def _reason(error: Exception) -> str:
    """An exception in one line, with its type unless it was raised for a person to read."""
    reason = (str(error).splitlines() or ["refused without a reason"])[0]
    kind = type(error).__name__
    return reason if kind in READABLE else f"{kind}: {reason}"
