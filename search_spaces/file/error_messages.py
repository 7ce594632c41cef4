"""Pydantic's errors in the words of the file.

A message is one line: the place, what was expected, what was found, and the nearest valid name.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from raysweep.errors import did_you_mean
from raysweep.search_spaces.file.budget_spec import NO_LENGTH
from raysweep.search_spaces.file.document import Document, Path, SpecificationError
from raysweep.search_spaces.file.likely_ranges import NUMBER, likely_entry
from raysweep.search_spaces.file.param_specs import KINDS
from raysweep.search_spaces.file.sweep_spec import NamedSpec, SweepSpec

_TAGGED: dict[str, type[BaseModel]] = {
    "<options>": NamedSpec,
    **{f"<{kind}>": model for kind, model in KINDS.items()},
}
_PAIR = "a list [low, high]"
_EXPECTED = {
    "string_type": "a word",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
    "tuple_type": _PAIR,
    "finite_number": "a finite number",
}
_LIMITS = {
    "greater_than_equal": "{ge:g} or more",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "{le:g} or less",
    "less_than": "less than {lt:g}",
}
_OWNERS = {
    "searcher": "searcher: {name: tpe, startup: 10}",
    "scheduler": "scheduler: {name: asha, eta: 3}",
}
_EXAMPLES: dict[Path, str] = {
    ("trainable",): "train.py:train",
    ("metric",): "{name: val_loss, goal: minimize}",
    ("metric", "name"): "val_loss",
    ("metric", "goal"): "maximize, or minimize",
    ("budget",): "{trials: 20, epochs: 9}",
    ("space",): "{lr: {float: [1e-4, 1e-1], log: true}}",
    ("resources",): "{cpu: 1, gpu: 0.5}",
    ("plateau",): "{trials: 20}",
    ("checkpoints",): "{keep: 3}",
    ("confirm",): "{top: 3, seeds: 5}",
    ("seeds_per_trial",): "{most: 5}",
    ("track",): "[wandb]",
    ("notify",): "['https://...']",
    ("callbacks",): "['mine.py:Progress']",
    ("enqueue",): "[{lr: 0.1}]",
    ("constraints",): "['channels * batch_size <= 4096']",
    ("on_oom",): "[accumulate, skip]",
    ("memory",): "[ray_results/cnn]",
}
"""What may stand in these places."""
_WITH_EXAMPLE = ("a mapping", "a list", "a word")
_SCALAR = {"true or false or a whole number or a number or a word": "a plain value"}


def most_telling_error(document: Document, errors: list[Any]) -> SpecificationError:
    """The error to show of all that pydantic found.

    An unknown key goes first, because it is often the reason why another is missing.
    """
    first = min(errors, key=lambda one: (one["type"] != "extra_forbidden", _is_other_form(one)))
    path = _path(first["loc"], document.data)
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        if path[0] == "space" and key in KINDS:
            return document.error(
                path,
                f"{where(path[:-1], document.data)}: expected one kind of parameter; "
                f"'{key}' is another",
            )
        return document.error(
            path,
            unknown_key(key, where(path[:-1], document.data), keys(model_at(first["loc"][:-1]))),
        )
    if first["type"] == "missing" and isinstance(first["loc"][-1], int):
        return document.error(
            path, f"{where(path, document.data)}: expected {_PAIR}, got {shown(first['input'])}"
        )
    if first["type"] == "missing":
        hint = _elsewhere(document, path, first) or _as_in((*path, first["loc"][-1]))
        return document.error(
            path, f"missing key '{first['loc'][-1]}' in {where(path, document.data)}{hint}"
        )
    if first["type"] == NO_LENGTH:
        hint = _elsewhere(document, path, {"loc": ("epochs",)})
        other = hint or "; or steps, samples or seconds, with report_every"
        return document.error(path, f"missing key 'epochs' in {where(path, document.data)}{other}")
    alike = [one for one in errors if _path(one["loc"], document.data) == path]
    label = f"{where(path, document.data)}: "
    return document.error(
        path,
        message(alike, path)
        if document.place(path) == f"--set {label[:-2]}"
        else label + message(alike, path),
    )


def _as_in(path: Path) -> str:
    """How a missing key may be written; "" if there is no example."""
    return f", as in {path[-1]}: {_EXAMPLES[path]}" if path in _EXAMPLES else ""


def _is_other_form(error: Any) -> bool:
    """True of a mapping where a word could stand, too: what is wrong with it says more."""
    return error["type"] == "literal_error" and isinstance(error["input"], Mapping)


def _elsewhere(document: Document, path: Path, error: Any) -> str:
    """How to add what a file of another tool, or options without their owner, do not say."""
    if error["loc"][-1] == "name" and path[:1] in (("searcher",), ("scheduler",)):
        return f": say whose options these are, as in {_OWNERS[str(path[0])]}"
    if not document.dialect:
        return ""
    wanted: Path = (*path, error["loc"][-1])
    for known, why in document.missing.items():
        if known[: len(wanted)] == wanted:
            return f", for {why}; add it with --set {'.'.join(str(part) for part in known)}=..."
    key = ".".join(str(part) for part in wanted)
    return f", which {document.dialect} need not say; add it with --set {key}=..."


def _path(loc: tuple[str | int, ...], data: Any) -> Path:
    """The part of a pydantic location that leads into the data.

    A location names the branches of unions, too.
    """
    path: Path = ()
    part: Any
    for part in loc:
        if (isinstance(data, Mapping) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            path, data = (*path, part), data[part]
    return path


MISPLACED = {
    "cost": "; only auto counts it: searcher: {name: auto, cost: seconds}",
    "mode": "; the metric says it: metric: {name: ..., goal: maximize}",
    "max_t": "; budget.epochs says how long a trial trains",
    "grace_period": "; it is called grace",
    "reduction_factor": "; it is called eta",
    "scale": "; a log scale is log: true",
    "default": "; around says where good values are believed to lie",
    "prior": "; around says where good values are believed to lie",
    "q": "; it is called step",
    "num_samples": "; the budget has trials: budget: {trials: 20}",
    "n_trials": "; the budget has trials: budget: {trials: 20}",
    **dict.fromkeys(
        ("parameters", "params", "search_space", "hyperparameters"), "; it is called space"
    ),
}
"""What is said of keys that belong to one searcher alone, or have another name here."""
MAX_NAMED = 12
"""Keys that are all named where none is similar to an unknown one."""
WHOLE = "the sweep"
"""What messages call the top level of a file."""


def unknown_key(key: str, place: str, known: Iterable[str]) -> str:
    """That a key is not known, and which was probably meant, else which there are."""
    known = list(known)
    hint = MISPLACED.get(key) or (_section(key) if place == WHOLE else "")
    hint = hint or did_you_mean(key, known)
    if not hint and place == WHOLE:
        hint = "; parameters and constants belong under space"
    if not hint and len(known) <= MAX_NAMED:
        hint = (
            f"; expected one of {', '.join(known)}" if len(known) > 1 else f"; expected {known[0]}"
        )
    return f"unknown key '{key}' in {place}{hint}"


def _section(key: str) -> str:
    """Under which key of a file another one belongs, that stands beside it; "" if that is open."""
    for section in ("metric", "budget", "resources"):
        model = _inner(SweepSpec.model_fields[section].annotation)
        if model is not None and key in keys(model):
            return f"; it belongs to {section}: {{{key}: ...}}"
    return ""


def keys(model: type[BaseModel]) -> list[str]:
    """The keys of a model as they are written in a file."""
    return [field.alias or name for name, field in model.model_fields.items()]


def model_at(loc: tuple[str | int, ...]) -> type[BaseModel]:
    """The model that describes the part of a specification that a pydantic location leads to."""
    model: type[BaseModel] = SweepSpec
    for part in loc:
        if part in _TAGGED:
            model = _TAGGED[str(part)]
        elif part in model.model_fields:
            model = _inner(model.model_fields[str(part)].annotation) or model
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation names: itself, in `X | None`, or in a list."""
    for one in (annotation, *typing.get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
        if typing.get_origin(one) is list and (found := _inner(typing.get_args(one)[0])):
            return found
    return None


def where(path: Path, data: Any) -> str:
    """How a message calls a part: `the sweep`, `budget`, `space.lr`, `searcher bohb`."""
    if not path:
        return WHOLE
    named = _named(path, data)
    return f"{path[0]} {named}" if named else ".".join(str(part) for part in path)


def _named(path: Path, data: Any) -> str | None:
    if path[0] not in ("searcher", "scheduler"):
        return None
    for part in path:
        data = data[part]
    return data.get("name") if isinstance(data, Mapping) else None


def message(errors: list[Any], path: Path) -> str:
    """What is wrong with one value, from the errors of all the forms that it might have had."""
    first = errors[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return _shapeless(first["input"], path)
    if path[-1:] == ("when",):
        return (
            "expected an expression, or names with the values (or lists of values) that they must "
            f"have, got {shown(first['input'])}"
        )
    if path[-1:] == ("expr",) and path[0] == "space":
        return f"expected an expression such as '4 * channels', got {shown(first['input'])}"
    if path == ("metric",) and isinstance(first["input"], str):
        example = f"{{name: {first['input']}, goal: maximize}}"
        return f"expected a mapping such as {example}, got {shown(first['input'])}"
    infinite = [one for one in errors if one["type"] == "finite_number"]
    expected = " or ".join(dict.fromkeys(_expected(one) for one in infinite or errors))
    hints = (
        did_you_mean(first["input"], one["ctx"]["expected"].split("'")[1::2])
        for one in errors
        if one["type"] == "literal_error"
    )
    if expected.endswith(_WITH_EXAMPLE) and path in _EXAMPLES:
        expected = f"{expected} such as {_EXAMPLES[path]}"
    hint = next(filter(None, hints), "") or _other_type(expected, first["input"])
    return f"expected {_SCALAR.get(expected, expected)}, got {shown(first['input'])}{hint}"


def _other_type(expected: str, value: Any) -> str:
    """How a number in quotes, a number that is meant as a word and the like are written."""
    if isinstance(value, str) and "number" in expected and NUMBER.fullmatch(value):
        return f"; without quotes it is a number: {value}"
    if expected == "a word" and isinstance(value, bool | int | float):
        return f"; in quotes it is one: '{shown(value)}'"
    if expected.startswith("a whole number") and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    return ""


def _expected(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"])
    if kind in _LIMITS:
        return _LIMITS[kind].format(**context)
    if kind == "too_long":
        return _PAIR
    if kind == "too_short":
        return "at least one value"
    return _EXPECTED.get(kind) or error["msg"].removeprefix("Input should be ").removeprefix(
        "a valid "
    )


def _shapeless(value: Any, path: Path) -> str:
    """What is wrong with a value that has none of the forms that its place allows."""
    if path[0] != "space":
        forms = (
            "a name, a mapping with a name, or a list of these"
            if path == ("searcher",)
            else "a name or a mapping with a name"
        )
        return f"expected {forms}, got {shown(value)}"
    if isinstance(value, Mapping):
        if likely := likely_entry(value):
            return f"no kind of parameter is written; expected {likely}"
        near = next((hint for key in value if (hint := did_you_mean(key, KINDS))), "")
        return f"no kind of parameter is written; expected one of {', '.join(KINDS)}{near}"
    if isinstance(value, list):
        text = shown(value)
        ranges = f"{{choice: {text}}}, {{ordinal: {text}}} or {{float: [low, high]}}"
        return f"a list; write {ranges}; {{value: {text}}} is a constant"
    return f"expected a parameter such as {{float: [0, 1]}} or a plain value, got {shown(value)}"


def shown(value: Any) -> str:
    """A value as YAML would write it, cut to one short line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        text = (
            "["
            + ", ".join(shown(item) for item in value[:6])
            + (", ...]" if len(value) > 6 else "]")
        )
    elif isinstance(value, Mapping):
        text = (
            "{" + ", ".join(f"{key}: {shown(item)}" for key, item in list(value.items())[:4]) + "}"
        )
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
