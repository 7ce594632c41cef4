"""From a YAML file to a `Sweep`: names are looked up in the registries, options checked against the classes they belong to."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Container, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from raysweep.errors import did_you_mean
from raysweep.search_spaces.file.document import Path
from raysweep.search_spaces.file.error_messages import message, unknown_key
from raysweep.search_spaces.file.reader import Specification, read
from raysweep.search_spaces.file.sweep_spec import NamedSpec, ScriptSpec, seconds
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.import_trainable import full_name
from raysweep.trainables.runtime.script import CommandLine
from raysweep.tune.sweep import Budget, Confirm, Metric, Resources, Searcher, Sweep

MOST_CELLS = 100_000
"""How large a grid may be."""

Registry = Mapping[str, type[Any]]
ASK_AND_TELL = "ask and tell"
"""The trainable of a run that has none: a loop of the user's asks for its trials (`tune/study.py`)."""
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


def load_sweep(name: str, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes, with `key=value` overrides.

    Raises SpecificationError, whose message is one line, for any mistake in the file.
    """
    return sweep_of(read(name, overrides))


def sweep_of(said: Specification) -> Sweep:
    """The sweep that a specification describes. Raises SpecificationError for any mistake in it."""
    from raysweep.schedulers import SCHEDULERS
    from raysweep.tune.searchers import SEARCHERS

    content, budget = said.content, said.content.budget
    searchers = _searchers(said, SEARCHERS)
    scheduler = _scheduler(said, SCHEDULERS)
    trainable = _trainable(said)
    return Sweep(
        trainable=trainable,
        metric=Metric(content.metric.name, content.metric.goal, content.metric.target),
        searchers=searchers,
        scheduler=scheduler,
        budget=Budget(budget.trials, budget.epochs, budget.total_epochs, budget.seconds),
        space=said.space,
        seed=content.seed,
        seeds=content.seeds,
        parallel=None if content.parallel == "auto" else content.parallel,
        resources=_resources(said),
        retries=content.retries,
        hang_after=seconds(content.hang_after) if content.hang_after is not None else None,
        on_oom=tuple(content.on_oom),
        plateau=content.plateau.trials if content.plateau else None,
        name=content.name,
        keep=None if content.checkpoints.keep == "all" else content.checkpoints.keep,
        confirm=Confirm(content.confirm.top, content.confirm.seeds) if content.confirm else None,
        track=tuple(content.track),
        command_line=_command_line(said),
        notes=(*said.document.notes, *_scheduler_note(said)),
        resolved=_resolved(said, trainable, searchers, scheduler),
    )


def check_components(said: Specification) -> None:
    """Raise SpecificationError if a searcher or the scheduler, or an option of one, is wrong."""
    from raysweep.schedulers import SCHEDULERS
    from raysweep.tune.searchers import SEARCHERS

    _searchers(said, SEARCHERS)
    _scheduler(said, SCHEDULERS)


def _wanted_scheduler(said: Specification) -> str | NamedSpec:
    """The scheduler that the file names, or the default.

    Promotion goes on from checkpoints. A script that does not say how it resumes would train from
    its first epoch again whenever it is promoted, so it gets the form that only stops.
    """
    if said.content.scheduler is not None:
        return said.content.scheduler
    return "asha" if _restarts(said.content.trainable) else "promotion"


def _restarts(trainable: str) -> bool:
    """True if a promoted trial might begin again: a script, or a loop that asks and tells."""
    return trainable.endswith(".py") or trainable == ASK_AND_TELL


def _scheduler_note(said: Specification) -> list[str]:
    """Why a script gets another scheduler than a train function, if the file names none."""
    if said.content.scheduler is not None or not said.content.trainable.endswith(".py"):
        return []
    return [
        "scheduler: asha, which stops trials and promotes none, for a script begins again from its "
        "first epoch; if yours goes on from files in RAYSWEEP_FOLDER, name scheduler: promotion"
    ]


def _scheduler(said: Specification, registry: Registry) -> Any:
    return _choose(said, _wanted_scheduler(said), ("scheduler",), registry)


def _command_line(said: Specification) -> CommandLine | None:
    """How a script is told its configuration; None for a train function."""
    if not said.content.trainable.endswith(".py"):
        return None
    script = said.content.script or ScriptSpec()
    return CommandLine(
        tuple(script.arguments), script.options, script.values, script.flags, script.names
    )


def _resources(said: Specification) -> Resources:
    wanted = said.content.resources
    share = 0.0 if wanted.gpu == "auto" else wanted.gpu
    return Resources(
        wanted.cpu,
        share,
        wanted.custom,
        wanted.workers,
        auto_gpu=wanted.gpu == "auto",
        spread=wanted.spread,
    )


def _searchers(said: Specification, registry: Registry) -> dict[str, Searcher]:
    """The searchers by the names of their studies; one that stands twice (with other options) is called `bohb_2` the second time."""
    searchers: dict[str, Searcher] = {}
    for one, path in _wanted(said, registry):
        name = taken = _name(one)
        count = 1
        while taken in searchers:
            count += 1
            taken = f"{name}_{count}"
        searchers[taken] = _choose(said, one, path, registry)
        _check_grid(said, name, searchers[taken], path)
    return searchers


def _check_grid(said: Specification, name: str, searcher: Any, path: Path) -> None:
    """Refuse a grid that would not fit into memory, for it is shuffled as a whole."""
    if name != "grid":
        return
    count = math.prod(len(param.grid(searcher.points)) for param in said.space.params.values())
    if count > MOST_CELLS:
        text = (
            f"the grid has up to {count:,} cells; at most {MOST_CELLS:,} are tried: "
            "write `points: 2` on some parameters, or leave grid out"
        )
        raise said.document.error(path, f"searcher grid: {text}")


def _wanted(said: Specification, known: Container[str]) -> list[tuple[str | NamedSpec, Path]]:
    """The searchers that the file names, and where."""
    wanted = said.content.searcher
    if wanted is None:
        return [("auto" if "auto" in known else "tpe", ("searcher",))]
    return (
        [(one, ("searcher", i)) for i, one in enumerate(wanted)]
        if isinstance(wanted, list)
        else [(wanted, ("searcher",))]
    )


def _name(wanted: str | NamedSpec) -> str:
    return wanted if isinstance(wanted, str) else wanted.name


def _choose(said: Specification, wanted: str | NamedSpec, path: Path, registry: Registry) -> Any:
    """The searcher or scheduler of that name with those options."""
    name = _name(wanted)
    what = f"{path[0]} {name}"
    if name not in registry:
        known = ", ".join(sorted(registry))
        raise said.document.error(
            (*path, "name"),
            f"unknown {path[0]} '{name}'; expected one of {known}{did_you_mean(name, registry)}",
        )
    kind = registry[name]
    given = {} if isinstance(wanted, str) else dict(wanted.model_extra or {})
    hints, fields = typing.get_type_hints(kind, include_extras=True), options_of(kind)
    for key in given:
        if key not in fields:
            raise said.document.error((*path, key), unknown_key(key, what, fields))
    for key, field in fields.items():
        if (
            key not in given
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ):
            raise said.document.error(path, f"missing key '{key}' in {what}")
    options = {
        key: _option(said, (*path, key), f"{what}: {key}", hints[key], value)
        for key, value in given.items()
    }
    try:
        return kind(**options)
    except ValueError as error:
        raise said.document.error(path, f"{what}: {error}") from None


def options_of(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a searcher or scheduler that a file may set."""
    return {
        field.name: field
        for field in dataclasses.fields(kind)
        if field.init and not field.name.startswith("_")
    }


def _option(said: Specification, path: Path, label: str, hint: Any, value: Any) -> Any:
    """One option's value, checked against the type that its class declares."""
    try:
        return TypeAdapter(hint, config=_STRICT).validate_python(
            tuple(value) if isinstance(value, list) else value
        )
    except ValidationError as error:
        raise said.document.error(
            path, f"{label}: {message(list(error.errors(include_url=False)), path)}"
        ) from None


def _trainable(said: Specification) -> str:
    """The reference, a file's path made absolute: looked for beside the YAML file, then where the command was given.

    A file without a function is a script that is run as it is.
    """
    reference = said.content.trainable
    if reference == ASK_AND_TELL:
        return reference
    place, colon, function = (
        (reference, "", "") if reference.endswith(".py") else reference.rpartition(":")
    )
    if not place or not (function.isidentifier() or not colon):
        text = f"trainable: expected package.module:function or path/to/file.py:function, got '{reference}'"
        raise said.document.error(("trainable",), text)
    if place == pickled_function.NAME and not (said.path.parent / place).is_file():
        return reference  # it is written when the run begins
    if not place.endswith((".py", pickled_function.SUFFIX)):
        return full_name(reference)
    for folder in (said.path.resolve().parent, FilePath.cwd()):
        if (folder / place).is_file():
            return f"{(folder / place).resolve()}{colon}{function}"
    raise said.document.error(
        ("trainable",),
        f"trainable: there is no file '{place}' beside the specification, nor in the current folder",
    )


def _resolved(
    said: Specification, trainable: str, searchers: Mapping[str, Searcher], scheduler: Any
) -> dict[str, Any]:
    """The whole specification as plain data, every default written out, so that it reads back to the same sweep later and elsewhere."""
    content = said.content
    data = content.model_dump(mode="json", by_alias=True, exclude_none=True) | {
        "trainable": _kept_reference(trainable)
    }
    if content.trainable.endswith(".py"):
        data["script"] = (content.script or ScriptSpec()).model_dump(mode="json")
    wanted = [_name(one) for one, _ in _wanted(said, searchers)]
    data["searcher"] = [
        _plain(name, one) for name, one in zip(wanted, searchers.values(), strict=True)
    ]
    data["scheduler"] = _plain(_name(_wanted_scheduler(said)), scheduler)
    data["space"] = {
        name: entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        if isinstance(entry, BaseModel)
        else entry
        for name, entry in content.space.items()
    }
    return {key: data[key] for key in type(content).model_fields if key in data}


def _kept_reference(trainable: str) -> str:
    """The reference as the run directory keeps it: a pickled function lies in that very folder."""
    place, _, name = trainable.rpartition(":")
    if place.endswith(pickled_function.SUFFIX):
        return f"{FilePath(place).name}:{name}"
    return trainable


def _plain(name: str, thing: Any) -> dict[str, Any]:
    options = {key: getattr(thing, key) for key in options_of(type(thing))}
    return {"name": name} | {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in options.items()
        if value is not None
    }
