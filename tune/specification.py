"""The keys of a sweep in Python, and the specification that they make.

One path leads from Python and from YAML to a sweep: `specified` makes the same plain data that YAML
text gives, and the same models check it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from raysweep.errors import UserError
from raysweep.schedulers import SCHEDULERS
from raysweep.search_spaces.file.python_form import (
    metric_entry,
    plain,
    python_document,
    space_entries,
)
from raysweep.search_spaces.file.reader import Specification, specification
from raysweep.tune.load import options_of
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.train_function import main_folder, reference_of

Trainable = Callable[..., Any] | str
Metric = str | Mapping[str, Any]
Component = str | Mapping[str, Any] | object
"""A searcher, scheduler, callback or executor: its name, with or without options, or an object."""
REGISTRIES: Mapping[str, Mapping[str, type[Any]]] = {
    "searcher": SEARCHERS,
    "scheduler": SCHEDULERS,
    "callbacks": {},
    "executor": {},
}


class Keys(TypedDict, total=False):
    """The keys of a YAML file that have defaults; docs/reference/file-format.md explains them."""

    searcher: Component | Sequence[Component]
    scheduler: Component
    constraints: Sequence[str]
    script: Mapping[str, Any]
    name: str
    parallel: int | Literal["auto"]
    seed: int
    seeds: int
    seeds_per_trial: Literal["auto"] | Mapping[str, int]
    resources: Mapping[str, Any]
    retries: int
    hang_after: float | str
    on_oom: Sequence[Literal["accumulate", "skip"]]
    plateau: Mapping[str, int]
    checkpoints: Mapping[str, Any]
    confirm: Mapping[str, int]
    track: Sequence[Literal["wandb", "mlflow"]]
    notify: Sequence[str]
    callbacks: Sequence[Component]
    executor: Component
    metrics: Sequence[Mapping[str, Any]]
    enqueue: Sequence[Mapping[str, Any]]
    memory: Literal["auto", "none"] | Sequence[str]


class ComponentObjectError(UserError):
    """A component, given as an object, that a run directory could not name."""


def specified(
    trainable: str,
    space: Any,
    metric: Metric | None,
    budget: Mapping[str, Any],
    keys: Mapping[str, Any],
) -> Specification:
    """The specification that these values make. Raises UserError, which names the key."""
    data = {
        "trainable": trainable,
        **({} if metric is None else {"metric": metric_entry(metric)}),
        "budget": plain(budget),
        "space": space_entries(space) if isinstance(space, Mapping) else plain(space),
    }
    for key, value in keys.items():
        entry = _components(key, value) if key in REGISTRIES else plain(value)
        if entry is not None:
            data[key] = entry
    return specification(python_document(data), main_folder() / "sweep")


def _components(key: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_component(key, part) for part in value]
    return _component(key, value)


def _component(key: str, value: Any) -> Any:
    """A searcher, scheduler, callback or executor as YAML names it. Raises ComponentObjectError."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        options = {
            name: plain(getattr(value, name))
            for name in options_of(type(value))
            if getattr(value, name) is not None
        }
        return {"name": _class_name(key, type(value)), **options}
    if isinstance(value, str | Mapping) or value is None:
        return plain(value)
    raise ComponentObjectError(
        f"{key}: expected a name, a mapping with a name, or an object of a dataclass whose fields "
        f"are its options, got {type(value).__name__}"
    )


def _class_name(key: str, kind: type[Any]) -> str:
    """The name by which a file finds a class: a shipped one's short name, or its module or file."""
    for name, shipped in REGISTRIES[key].items():
        if shipped is kind:
            return name
    reference = reference_of(kind)
    if reference is None:
        raise ComponentObjectError(
            f"{key}: the class {kind.__name__} must be defined at the top of a module or file, "
            "so that a resumed run finds it again"
        )
    return reference
