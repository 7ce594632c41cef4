"""From a YAML file to a `Sweep`.

Searchers, schedulers, callbacks and executors are found by name (`raysweep/plugins.py`), and their
options are checked against the fields of their classes.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from raysweep.history import Config
from raysweep.objectives import Objectives
from raysweep.plugins import (
    CALLBACK,
    EXECUTOR,
    SCHEDULER,
    SEARCHER,
    PluginError,
    Seam,
    find_component,
)
from raysweep.references import ASK_AND_TELL, is_script, module_of
from raysweep.repeats import MOST
from raysweep.results.storage.old_versions import OLD_SCHEDULERS, translate_sweep
from raysweep.results.storage.run_directory import SWEEP
from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.file.budget_spec import BudgetSpec, seconds
from raysweep.search_spaces.file.build_space import accelerators
from raysweep.search_spaces.file.document import Path
from raysweep.search_spaces.file.error_messages import message, unknown_key
from raysweep.search_spaces.file.reader import Specification
from raysweep.search_spaces.file.sweep_spec import NamedSpec, SweepSpec
from raysweep.search_spaces.language.points import PointError, complete_point
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.import_trainable import full_name
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.tune import notify_urls, script_files
from raysweep.tune.executors.devices import on
from raysweep.tune.objectives_check import check_metrics, check_tracked
from raysweep.tune.report_sources import report_sources
from raysweep.tune.sweep import Budget, Confirm, Metric, RememberingSearcher, Resources, Sweep

Registry = Mapping[str, type[Any]]
DEFAULT_SCHEDULER = "asha"
_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Chosen:
    """A searcher, a scheduler or a callback that a file names.

    `label` is its name in the names of studies; `reference` is the name that finds its class again
    from any folder.
    """

    label: str
    reference: str
    component: Any

    def plain(self) -> dict[str, Any]:
        """Its name and all its options, as they are written to a file."""
        options = {key: getattr(self.component, key) for key in options_of(type(self.component))}
        return {"name": self.reference} | {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in options.items()
            if value is not None
        }


def load_sweep(name: str, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep that a file describes, with `key=value` overrides.

    Raises SpecificationError, whose message is one line, for any mistake in the file.
    """
    return sweep_of(read(name, overrides))


def load_run_sweep(folder: FilePath, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep of a run directory, which an earlier version may have written."""
    return sweep_of(read(str(folder / SWEEP), overrides, translate_sweep))


def sweep_of(said: Specification) -> Sweep:
    """The sweep that a specification describes. Raises SpecificationError for any mistake in it."""
    from raysweep.schedulers import SCHEDULERS
    from raysweep.tune.searchers import SEARCHERS

    content = said.content
    searchers = _searchers(said, SEARCHERS)
    scheduler = _choose(said, _wanted_scheduler(said), ("scheduler",), SCHEDULER, SCHEDULERS)
    callbacks, executor = _callbacks(said), _executor(said)
    trainable = _trainable(said)
    command_line = _command_line(said, trainable)
    check_metrics(said, searchers.values(), scheduler)
    check_tracked(said)
    memory = _memory(said, searchers.values())
    return Sweep(
        trainable=trainable,
        metric=Metric(content.metric.name, content.metric.goal, content.metric.target),
        searchers={name: chosen.component for name, chosen in searchers.items()},
        scheduler=scheduler.component,
        budget=budget_of(content.budget),
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
        confirm=Confirm(**content.confirm.model_dump()) if content.confirm else None,
        track=tuple(content.track),
        notify=_notified(said),
        callbacks=tuple(chosen.component for chosen in callbacks),
        executor=executor.component if executor else None,
        command_line=command_line,
        report_sources=report_sources(said, is_script=command_line is not None),
        enqueue=_enqueued(said),
        memory=memory,
        most_seeds=_most_seeds(content),
        objectives=_objectives(content),
        notes=(*said.document.notes, *_scheduler_note(said)),
        resolved=_resolved(said, trainable, searchers, scheduler, callbacks, executor)
        | ({"memory": memory} if isinstance(memory, str) else {}),
    )


def _most_seeds(content: SweepSpec) -> int:
    wanted = content.seeds_per_trial
    if wanted is None:
        return 1
    return MOST if wanted == "auto" else wanted.most


def _objectives(content: SweepSpec) -> Objectives | None:
    if content.metrics is None:
        return None
    return Objectives.read([entry.resolved().model_dump() for entry in content.metrics])


def _enqueued(said: Specification) -> tuple[Config, ...]:
    """The configurations that the file enqueues, complete. Raises SpecificationError."""
    configs = []
    for index, given in enumerate(said.content.enqueue or []):
        try:
            configs.append(complete_point(said.space, given))
        except PointError as error:
            name = error.mistakes[0].partition(":")[0]
            place: Path = ("enqueue", index, name) if name in given else ("enqueue", index)
            raise said.document.error(place, f"enqueue: {error.mistakes[0]}") from None
    return tuple(configs)


def _memory(
    said: Specification, searchers: Collection[Chosen]
) -> tuple[str, ...] | Literal["auto", "none"]:
    """The earlier runs that are remembered; a path beside the file is made absolute.

    A file that says nothing gets `none` where runs cannot be remembered, or where the sweep
    measures searchers, which earlier runs would favour. Raises SpecificationError if the file asks
    for what is not possible.
    """
    wanted = said.content.memory
    if wanted == "none":
        return wanted
    refused = _why_no_memory(said, searchers)
    if "memory" not in said.content.model_fields_set:
        return "none" if refused or said.content.seeds > 1 else "auto"
    if refused:
        raise said.document.error(("memory",), f"memory: {refused}")
    if wanted == "auto":
        return wanted
    beside = said.path.resolve().parent
    return tuple(str(beside / run) if (beside / run).is_dir() else run for run in wanted)


def _why_no_memory(said: Specification, searchers: Collection[Chosen]) -> str:
    """Why a sweep cannot learn from earlier runs; "" if it can."""
    if not any(isinstance(one.component, RememberingSearcher) for one in searchers):
        return "only the searcher auto learns from earlier runs"
    if said.content.metrics is not None:
        return "a sweep with several metrics does not learn from earlier runs"
    if said.content.memory == "auto" and len(searchers) > 1:
        return "auto is for a sweep with one searcher, because it favours one of several; name runs"
    return ""


def _notified(said: Specification) -> tuple[str, ...]:
    """The URLs that get messages. Raises SpecificationError, which does not show them."""
    for index, url in enumerate(said.content.notify):
        if not notify_urls.is_place(url):
            raise said.document.error(
                ("notify", index), "notify: expected a URL such as https://..., or {env:NAME}"
            )
    return notify_urls.known(said.path.parent, said.content.notify)


def budget_of(spec: BudgetSpec) -> Budget:
    """The budget that a file states."""
    return Budget(
        spec.trials,
        spec.reports,
        spec.total_reports,
        spec.time_limit,
        spec.interval,
        spec.worth_per_second,
    )


def check_components(said: Specification) -> None:
    """Raise SpecificationError if a component that the file names cannot be made."""
    from raysweep.schedulers import SCHEDULERS
    from raysweep.tune.searchers import SEARCHERS

    _searchers(said, SEARCHERS)
    _choose(said, _wanted_scheduler(said), ("scheduler",), SCHEDULER, SCHEDULERS)
    _callbacks(said)
    _executor(said)


def _wanted_scheduler(said: Specification) -> str | NamedSpec:
    """The scheduler that the file names, or the default, with the type of ASHA written out.

    A promoted trial continues from its checkpoint. A script that does not say how it resumes would
    train from its first epoch again whenever it is promoted, so it gets the type that only stops.
    """
    wanted = said.content.scheduler
    if wanted is None:
        wanted = DEFAULT_SCHEDULER
    if _name(wanted) in OLD_SCHEDULERS:
        text = f"scheduler {_name(wanted)} has another name now: {OLD_SCHEDULERS[_name(wanted)]}"
        raise said.document.error(("scheduler", "name"), text)
    if _is_asha_without_type(wanted) and _restarts(said.content):
        options = {} if isinstance(wanted, str) else wanted.model_dump()
        return NamedSpec.model_validate(options | {"name": DEFAULT_SCHEDULER, "type": "stopping"})
    return wanted


def _is_asha_without_type(wanted: str | NamedSpec) -> bool:
    given = {} if isinstance(wanted, str) else wanted.model_extra or {}
    return _name(wanted) == DEFAULT_SCHEDULER and "type" not in given


def _restarts(content: SweepSpec) -> bool:
    """True if a promoted trial begins again: a script, or a loop that asks and tells.

    A script that says how it resumes does not.
    """
    if is_script(content.trainable):
        return content.script is None or content.script.resume is None
    return content.trainable == ASK_AND_TELL


def _scheduler_note(said: Specification) -> list[str]:
    """Which type of ASHA a script gets, and why, if the file names no type."""
    is_open = _is_asha_without_type(said.content.scheduler or DEFAULT_SCHEDULER)
    if not is_open or not is_script(said.content.trainable):
        return []
    if _restarts(said.content):
        return [
            "the scheduler asha has type: stopping, which promotes no trial, because a promoted "
            "script begins again from its first epoch; if yours can continue, say how with "
            "script.resume and script.checkpoint"
        ]
    return [
        "the scheduler asha has type: promotion, which pauses trials and promotes the best of "
        "them, because script.resume says how a trial continues"
    ]


def _command_line(said: Specification, trainable: str) -> CommandLine | None:
    """How a script is told its configuration; None for a train function."""
    if not is_script(said.content.trainable):
        return None
    return script_files.command_line(said, FilePath(trainable))


MOST_FUSED = 32
"""How many trials `fuse: auto` trains as one at most: beyond that, a core or a GPU is busy with the
models themselves, and there is little to gain (`benchmarks/fused.py`)."""


def _resources(said: Specification) -> Resources:
    wanted = said.content.resources
    share = 0.0 if wanted.gpu == "auto" else wanted.gpu
    everywhere = on(wanted.accelerator) if isinstance(wanted.accelerator, str) else {}
    return Resources(
        wanted.cpu,
        share,
        {**wanted.custom, **everywhere},
        wanted.workers,
        auto_gpu=wanted.gpu == "auto",
        spread=wanted.spread,
        fuse=MOST_FUSED if wanted.fuse == "auto" else wanted.fuse,
        auto_fuse=wanted.fuse == "auto",
        accelerators=accelerators(said.content, said.document),
        mps=wanted.mps,
    )


def _searchers(said: Specification, registry: Registry) -> dict[str, Chosen]:
    """The searchers by the names of their studies.

    A searcher that is named twice, with other options, is called `bohb_2` the second time.
    """
    searchers: dict[str, Chosen] = {}
    for named, path in _wanted(said):
        chosen = _choose(said, named, path, SEARCHER, registry)
        _check_space(said, chosen, path)
        name = chosen.label
        count = 1
        while name in searchers:
            count += 1
            name = f"{chosen.label}_{count}"
        searchers[name] = chosen
    return searchers


def _callbacks(said: Specification) -> list[Chosen]:
    """The callbacks in the order of the file. None ships under a short name."""
    return [
        _choose(said, named, ("callbacks", index), CALLBACK, {})
        for index, named in enumerate(said.content.callbacks)
    ]


def _executor(said: Specification) -> Chosen | None:
    """The executor of the user's own; None for Ray."""
    wanted = said.content.executor
    if wanted is None:
        return None
    return _choose(said, wanted, ("executor",), EXECUTOR, {})


def _check_space(said: Specification, chosen: Chosen, path: Path) -> None:
    """Refuse a space that the searcher says it cannot search."""
    check = getattr(chosen.component, "check_space", None)
    if check is None:
        return
    try:
        check(said.space)
    except ValueError as error:
        raise said.document.error(path, f"searcher {chosen.label}: {error}") from None


def _wanted(said: Specification) -> list[tuple[str | NamedSpec, Path]]:
    """The searchers that the file names, and where."""
    wanted = said.content.searcher
    if wanted is None:
        return [("auto", ("searcher",))]
    if isinstance(wanted, list):
        return [(named, ("searcher", i)) for i, named in enumerate(wanted)]
    return [(wanted, ("searcher",))]


def _name(wanted: str | NamedSpec) -> str:
    return wanted if isinstance(wanted, str) else wanted.name


def _choose(
    said: Specification, wanted: str | NamedSpec, path: Path, seam: Seam, registry: Registry
) -> Chosen:
    """The searcher, scheduler or callback of that name with those options."""
    name = _name(wanted)
    folders = (said.path.resolve().parent, FilePath.cwd())
    try:
        found = find_component(seam, name, registry, folders)
    except PluginError as error:
        raise said.document.error((*path, "name"), str(error)) from error.__cause__
    what = f"{seam.name} {name}"
    given = {} if isinstance(wanted, str) else dict(wanted.model_extra or {})
    options = _options(said, path, what, found.kind, given)
    try:
        return Chosen(found.label, found.reference, found.kind(**options))
    except ValueError as error:
        raise said.document.error(path, f"{what}: {error}") from None


def _options(
    said: Specification, path: Path, what: str, kind: type[Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The options that a file gives to a class, checked against the class's fields."""
    hints, fields = typing.get_type_hints(kind, include_extras=True), options_of(kind)
    for key in given:
        if key not in fields:
            raise said.document.error((*path, key), unknown_key(key, what, fields))
    for key, field in fields.items():
        has_default = (field.default, field.default_factory) != (dataclasses.MISSING,) * 2
        if key not in given and not has_default:
            raise said.document.error(path, f"missing key '{key}' in {what}")
    return {
        key: _option(said, (*path, key), f"{what}: {key}", hints[key], value)
        for key, value in given.items()
    }


def options_of(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The fields of a searcher, a scheduler or a callback that a file may set."""
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
    """The reference of the trainable; a file's path is made absolute.

    A file is looked for beside the YAML file, then in the current folder. Without a function it is
    a script, which is run as it is.
    """
    reference = said.content.trainable
    if reference == ASK_AND_TELL:
        return reference
    if module_of(reference):
        return str(script_files.module_file(said))
    place, colon, function = reference, "", ""
    if not is_script(reference):
        place, colon, function = reference.rpartition(":")
    if not place or not (function.isidentifier() or not colon):
        raise said.document.error(
            ("trainable",),
            "trainable: expected package.module:function or path/to/file.py:function, "
            f"got '{reference}'",
        )
    if place == pickled_function.NAME and not (said.path.parent / place).is_file():
        return reference  # it is written when the run begins
    if not is_script(reference) and not place.endswith((".py", pickled_function.SUFFIX)):
        return full_name(reference)
    for folder in (said.path.resolve().parent, FilePath.cwd()):
        if (folder / place).is_file():
            return f"{(folder / place).resolve()}{colon}{function}"
    raise said.document.error(
        ("trainable",),
        f"trainable: there is no file '{place}' beside the specification, nor in the current "
        "folder",
    )


def _resolved(
    said: Specification,
    trainable: str,
    searchers: Mapping[str, Chosen],
    scheduler: Chosen,
    callbacks: Sequence[Chosen],
    executor: Chosen | None,
) -> dict[str, Any]:
    """The whole specification as plain data, with every default written out.

    It reads back to the same sweep later and elsewhere.
    """
    content = said.content
    data = content.model_dump(mode="json", by_alias=True, exclude_none=True) | {
        "trainable": _kept_reference(trainable)
    }
    if content.metrics is not None:
        del data["metric"]  # it stands for the first of them
        data["metrics"] = [
            entry.resolved().model_dump(exclude_none=True) for entry in content.metrics
        ]
    if is_script(content.trainable):
        data["script"] = script_files.kept_section(said, FilePath(trainable))
    if module_of(content.trainable):
        data["trainable"] = content.trainable
    data["searcher"] = [chosen.plain() for chosen in searchers.values()]
    data["scheduler"] = scheduler.plain()
    data["callbacks"] = [chosen.plain() for chosen in callbacks]
    data["notify"] = [notify_urls.masked(url) for url in content.notify]
    if executor is not None:
        data["executor"] = executor.plain()
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
