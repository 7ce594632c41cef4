"""Determined experiment files (docs.determined.ai, "Experiment Configuration Reference").

There a `log` range is given by exponents of a base; here every number is a value. Both bounds are included in both.
"""

from __future__ import annotations

from typing import Any

from search_spaces.convert import command, ranges
from search_spaces.convert.draft import Draft, Handler, moved, noted, only, taken
from search_spaces.document import Path

NAME = "a Determined experiment"
KINDS = ("const", "int", "double", "log", "categorical")
ASHA_DIVISOR, ASHA_RUNGS = 4, 5
"""Determined's defaults."""


def recognize(data: dict[str, Any]) -> bool:
    return "hyperparameters" in data and isinstance(data.get("searcher"), dict)


def read(draft: Draft) -> None:
    """Take the whole file."""
    draft.each((), draft.source.data, KEYS)
    if draft.data.get("searcher") == "grid" and "trials" not in draft.data.get("budget", {}):
        ranges.every_cell(draft)


def _entrypoint(draft: Draft, path: Path, value: Any) -> None:
    words = (
        [str(one) for one in value]
        if isinstance(value, list)
        else command.split(draft, path, draft.word(path, value))
    )
    if len(words) == 1 and ":" in words[0]:
        draft.put(("trainable",), words[0], path)
        draft.note(path, f"{words[0]} is a Trial class there; a train function here")
    else:
        command.script(draft, path, words)


def _hyperparameters(draft: Draft, path: Path, value: Any) -> None:
    _nested(draft, path, value, "")


def _data(draft: Draft, path: Path, value: Any) -> None:
    """What a trial reads as its data's whereabouts: constants."""
    for name, inner in draft.mapping(path, value).items():
        if isinstance(inner, dict):
            raise draft.error((*path, name), "a mapping inside data has no equal here")
        draft.put(("space", f"data.{name}"), _constant(draft, (*path, name), inner), (*path, name))


def _nested(draft: Draft, path: Path, value: Any, prefix: str) -> None:
    for name, inner in draft.mapping(path, value).items():
        place, full = (*path, name), f"{prefix}{name}"
        if isinstance(inner, dict) and inner.get("type") in KINDS:
            draft.put(("space", full), _entry(draft, place, inner), place)
        elif isinstance(inner, dict):
            _nested(draft, place, inner, f"{full}.")
        else:
            draft.put(("space", full), _constant(draft, place, inner), place)


def _entry(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    kind = rule["type"]
    if kind == "const":
        draft.each(path, rule, dict.fromkeys(("type", "val"), taken))
        return _constant(draft, (*path, "val"), rule.get("val"))
    if kind == "categorical":
        draft.each(path, rule, dict.fromkeys(("type", "vals"), taken))
        return {"choice": draft.scalars((*path, "vals"), rule.get("vals"))}
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


def _constant(draft: Draft, path: Path, value: Any) -> Any:
    if not isinstance(value, bool | int | float | str):
        raise draft.error(path, "a constant that is a list or nothing has no equal here")
    return value


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
    longest = draft.data.get("budget", {}).get("epochs", 1)
    if eta <= 1 or not 1 <= rungs <= 64:
        raise draft.error(path, f"{rungs} rungs with the divisor {eta:g} are none")
    draft.put(
        ("scheduler",),
        {"name": "asha", "grace": max(1, int(longest / eta ** (rungs - 1))), "eta": eta},
        path,
    )
    if rule.get("mode", "standard") != "aggressive":
        draft.note(
            (*path, "mode"),
            f"mode {rule.get('mode', 'standard')} runs several brackets; asha here is the one of mode aggressive",
        )


def _max_length(draft: Draft, path: Path, value: Any) -> None:
    if not isinstance(value, dict):
        draft.put(("budget", "epochs"), draft.whole(path, value), path)
        return
    draft.each(
        path,
        value,
        {"epochs": moved("budget", "epochs"), "batches": _not_epochs, "records": _not_epochs},
    )


def _not_epochs(draft: Draft, path: Path, value: Any) -> None:
    raise draft.error(
        path, f"{value} {path[-1]} have no equal here; write the length of a trial in epochs"
    )


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
    "max_time": _max_length,
    "time_metric": only("epochs", "epoch"),
    "max_concurrent_trials": _concurrent,
    "mode": only("aggressive", "standard", "conservative"),
    "divisor": taken,
    "max_rungs": taken,
    "stop_once": only(True, False),
}
_PLATFORM = noted("how a trial is started there")
_SHOWN = noted("where an experiment is shown there")
KEYS: dict[str, Handler] = {
    "entrypoint": _entrypoint,
    "hyperparameters": _hyperparameters,
    "data": _data,
    "searcher": _searcher,
    "resources": _resources,
    "reproducibility": _reproducibility,
    "max_restarts": moved("retries"),
    "min_validation_period": only({"epochs": 1}, {"batches": 0}, {}),
    "records_per_epoch": noted("it counts epochs there"),
} | dict.fromkeys(("name", "description", "labels", "workspace", "project"), _SHOWN)
_STARTED = (
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
