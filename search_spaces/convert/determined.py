"""Determined experiment files (docs.determined.ai, "Experiment Configuration Reference").

In these, a `log` range is given by exponents of a base; here every number is a value. Both bounds
are included in both.
"""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import determined_command, ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, moved, noted, only, refused, taken
from raysweep.search_spaces.file.document import Path, SpecificationError

NAME = "a Determined experiment"
KINDS = ("const", "int", "double", "log", "categorical")
UNITS = ("epochs", "batches", "records")
OUR_UNITS = {"batches": "steps", "records": "samples"}
"""What our `budget` calls the units of a length."""
_BOUNDS = {"minval", "maxval", "vals", "val"}
ASHA_DIVISOR, ASHA_RUNGS = 4, 5
"""Determined's defaults."""


def recognize(data: dict[str, Any]) -> bool:
    return "hyperparameters" in data and isinstance(data.get("searcher"), dict)


def read(draft: Draft) -> None:
    """Take the whole file."""
    draft.each((), draft.source.data, KEYS)
    if draft.data.get("searcher") == "grid":
        _check_counts(draft)
        if "trials" not in draft.data.get("budget", {}):
            ranges.every_cell(draft)
    if "slots_per_trial" not in (draft.source.data.get("resources") or {}):
        draft.note(
            (), "a trial there holds one slot, a GPU where there are any; resources.gpu is 0 here"
        )


def _check_counts(draft: Draft) -> None:
    """A grid there takes as many values of a range as its `count` says."""
    for name, entry in draft.data.get("space", {}).items():
        ranged = isinstance(entry, dict) and ("float" in entry or "int" in entry)
        if ranged and "points" not in entry:
            place = draft.place(("space", name))
            raise SpecificationError(f"{place}: hyperparameters.{name}: a grid needs count")


def _hyperparameters(draft: Draft, path: Path, value: Any) -> None:
    _nested(draft, path, value, "")


def _data(draft: Draft, path: Path, value: Any) -> None:
    """What a trial reads as its data's whereabouts: constants."""
    for name, inner in draft.mapping(path, value).items():
        draft.param(f"data.{name}", ranges.constant(inner), (*path, name))


def _nested(draft: Draft, path: Path, value: Any, prefix: str) -> None:
    for name, inner in draft.mapping(path, value).items():
        place, full = (*path, name), f"{prefix}{name}"
        if isinstance(inner, dict) and inner.get("type") in KINDS:
            draft.param(full, _entry(draft, place, inner), place)
        elif isinstance(inner, dict) and "type" in inner and not _BOUNDS.isdisjoint(inner):
            draft.word((*place, "type"), inner["type"], KINDS)
        elif isinstance(inner, dict) and inner:
            _nested(draft, place, inner, f"{full}.")
        else:
            draft.param(full, ranges.constant(inner), place)


def _entry(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    kind = rule["type"]
    if kind == "const":
        draft.each(path, rule, dict.fromkeys(("type", "val"), taken))
        return ranges.constant(rule.get("val"))
    if kind == "categorical":
        draft.each(path, rule, dict.fromkeys(("type", "vals"), taken))
        return ranges.listed(draft.items((*path, "vals"), rule.get("vals")))
    draft.each(
        path,
        rule,
        dict.fromkeys(
            ("type", "minval", "maxval", "count", *(["base"] if kind == "log" else [])), taken
        ),
    )
    low, high = (draft.number((*path, key), rule.get(key)) for key in ("minval", "maxval"))
    entry = _range(draft, path, kind, (low, high), rule)
    if rule.get("count") is not None and isinstance(entry, dict):
        entry["points"] = draft.whole((*path, "count"), rule["count"])
    return entry


def _range(
    draft: Draft, path: Path, kind: str, bounds: tuple[float, float], rule: dict[str, Any]
) -> Any:
    if kind == "int":
        low, high = (
            draft.whole((*path, key), one)
            for key, one in zip(("minval", "maxval"), bounds, strict=True)
        )
        return ranges.integers(draft, path, low, high)
    if kind == "double":
        return ranges.continuous(draft, path, *bounds)
    base = draft.number((*path, "base"), rule.get("base", 10))
    return ranges.continuous(draft, path, *ranges.exponents(draft, path, *bounds, base), log=True)


def _searcher(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    name = draft.word((*path, "name"), rule.get("name"), SEARCHERS)
    searcher, scheduler = SEARCHERS[name]
    draft.put(("searcher",), searcher, (*path, "name"))
    draft.put(("scheduler",), scheduler, (*path, "name"))
    draft.put(("metric", "goal"), "minimize", path)
    draft.each(path, rule, SEARCHER_KEYS)
    if name == "single":
        draft.put(("budget", "trials"), 1, (*path, "name"))
    if scheduler == "asha":
        _asha(draft, path, rule)


def _asha(draft: Draft, path: Path, rule: dict[str, Any]) -> None:
    """The rungs: the longest training divided by `divisor`, `max_rungs - 1` times."""
    eta = draft.number((*path, "divisor"), rule.get("divisor", ASHA_DIVISOR))
    rungs = draft.whole((*path, "max_rungs"), rule.get("max_rungs", ASHA_RUNGS))
    longest = _reports(draft)
    if eta <= 1 or not 1 <= rungs <= 64:
        raise draft.error(path, f"{rungs} rungs with the divisor {eta:g} are none")
    part = eta ** (rungs - 1)
    grace = max(1, int((longest or 1) / part))
    draft.put(
        ("scheduler",), {"name": "asha", "type": "stopping", "grace": grace, "eta": eta}, path
    )
    if longest is None:
        draft.note(
            path,
            f"the first rung there is at 1/{part:g} of the length; "
            "here scheduler.grace says at which epoch",
        )
    if rule.get("stop_once") is False:
        draft.note((*path, "stop_once"), "trials may be promoted later there; here they stop once")
    if rule.get("mode", "standard") != "aggressive":
        draft.note(
            (*path, "mode"),
            f"mode {rule.get('mode', 'standard')} runs several brackets; "
            "asha here is the one of mode aggressive",
        )


def _reports(draft: Draft) -> int | None:
    """How many reports a whole trial has; None if that is not known."""
    budget = draft.data.get("budget", {})
    if "epochs" in budget:
        return int(budget["epochs"])
    for unit in OUR_UNITS.values():
        if unit in budget and "report_every" in budget:
            return int(budget[unit] // budget["report_every"])
    return None


def _max_length(draft: Draft, path: Path, value: Any) -> None:
    """The length as `{epochs: 9}` or in another unit; a mere number has none."""
    if isinstance(value, dict):
        draft.each(path, value, dict.fromkeys(UNITS, _length))
    else:
        draft.whole(path, value)
        draft.ask(("budget", "epochs"), f"the file gives {value} as a length without a unit", path)


def _max_time(draft: Draft, path: Path, value: Any) -> None:
    """The length in the unit that `time_metric` names."""
    rule = draft.source.data["searcher"]
    unit = draft.word((*path[:-1], "time_metric"), rule.get("time_metric"))
    if unit in ("epochs", "epoch", *OUR_UNITS):
        _length(draft, (*path[:-1], unit) if unit in OUR_UNITS else path, value)
        return
    why = f"the length is {draft.whole(path, value)} of '{unit}', a metric of the training's own"
    draft.ask(("budget", "epochs"), why, path)


def _length(draft: Draft, path: Path, value: Any) -> None:
    """A length in the unit that the path ends with: epochs, or batches or records of our own."""
    length = draft.whole(path, value)
    if path[-1] in ("epochs", "max_time"):
        draft.put(("budget", "epochs"), length, path)
        return
    unit = str(path[-1])
    draft.put(("budget", OUR_UNITS[unit]), length, path)
    place, every = _validation_period(draft, unit)
    if every is None or length % every:
        why = f"a trial of {length} {unit} there is validated at no fixed part of them"
        draft.ask(("budget", "report_every"), why, place)
    else:
        draft.put(("budget", "report_every"), every, place)


def _validation_period(draft: Draft, unit: str) -> tuple[Path, int | None]:
    """How many of the unit lie between two validations; None if the file does not say that."""
    path: Path = ("min_validation_period",)
    said = draft.source.data.get("min_validation_period")
    if isinstance(said, dict) and unit in said:
        return (*path, unit), draft.whole((*path, unit), said[unit]) or None
    if isinstance(said, int) and unit == "batches":
        return path, said or None
    return path if said is not None else (), None


def _goal(draft: Draft, path: Path, value: Any) -> None:
    if not isinstance(value, bool):
        raise draft.error(path, f"expected true or false, got {value}")
    draft.put(("metric", "goal"), "minimize" if value else "maximize", path)


def _concurrent(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("parallel",), draft.whole(path, value) or "auto", path)


def _resources(draft: Draft, path: Path, value: Any) -> None:
    platform = noted("where trials are placed there")
    keys = (
        "max_slots",
        "agent_label",
        "weight",
        "shm_size",
        "priority",
        "resource_pool",
        "devices",
        "native_parallel",
        "is_single_node",
    )
    draft.each(
        path, value, {"slots_per_trial": moved("resources", "gpu")} | dict.fromkeys(keys, platform)
    )


def _reproducibility(draft: Draft, path: Path, value: Any) -> None:
    draft.each(path, value, {"experiment_seed": moved("seed")})


SEARCHERS = {
    "single": ("random", "none"),
    "random": ("random", "none"),
    "grid": ("grid", "none"),
    "adaptive_asha": ("random", "asha"),
}
SEARCHER_KEYS: dict[str, Handler] = {
    "name": taken,
    "metric": moved("metric", "name"),
    "smaller_is_better": _goal,
    "max_trials": moved("budget", "trials"),
    "max_length": _max_length,
    "max_time": _max_time,
    "time_metric": taken,
    "max_concurrent_trials": _concurrent,
    "mode": only("aggressive", "standard", "conservative"),
    "divisor": taken,
    "max_rungs": taken,
    "stop_once": only(True, False),
    "source_trial_id": refused("a trial begins from nothing here"),
    "source_checkpoint_uuid": refused("a trial begins from nothing here"),
    "bracket_rungs": refused("asha here has one bracket, the one of mode aggressive"),
}
_PLATFORM = noted("how a trial is started there")
_SHOWN = noted("where an experiment is shown there")
KEYS: dict[str, Handler] = {
    "entrypoint": determined_command.take,
    "hyperparameters": _hyperparameters,
    "data": _data,
    "searcher": _searcher,
    "resources": _resources,
    "reproducibility": _reproducibility,
    "max_restarts": moved("retries"),
    "min_validation_period": noted("how often a trial is validated there; here at each report"),
    "min_checkpoint_period": noted("how often a trial is saved there; here at each report"),
    "perform_initial_validation": noted("nothing is reported before the first epoch here"),
    "optimizations": refused("they change how a trial trains"),
    "records_per_epoch": noted("it counts epochs there"),
} | dict.fromkeys(("name", "description", "labels", "workspace", "project"), _SHOWN)
_STARTED = (
    "integrations",
    "pbs",
    "preemption_timeout",
    "retention_policy",
    "slurm",
    "tensorboard_storage",
    "environment",
    "bind_mounts",
    "checkpoint_storage",
    "checkpoint_policy",
    "scheduling_unit",
    "profiling",
    "debug",
    "log_policies",
)
KEYS |= dict.fromkeys(_STARTED, _PLATFORM)
