"""Ray Tune's experiments in YAML, as `rllib train -f` takes them, and files of its ranges.

An experiment is `name: {run: PPO, stop: {...}, config: {...}}`. A file of ranges is any other in
which values are texts such as `tune.choice([1, 2])`, or `{grid_search: [1, 2]}`.
"""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import command, ranges, ray_space
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, refused, taken
from raysweep.search_spaces.file.document import Path, SpecificationError

NAME = "a Ray Tune experiment"
SPACES = ("search_space", "param_space")
"""What files of their own kind call the ranges, where settings lie beside them."""
_EXPERIMENT = ("env", "config", "stop", "num_samples")


def recognize(data: dict[str, Any]) -> bool:
    return _is_experiments(data) or ray_space.holds_range(data)


def _is_experiments(data: dict[str, Any]) -> bool:
    return bool(data) and all(
        isinstance(one, dict) and "run" in one and any(key in one for key in _EXPERIMENT)
        for one in data.values()
    )


def read(draft: Draft) -> None:
    """Take the experiment, or the ranges and constants of the file."""
    data = draft.source.data
    draft.put(("scheduler",), "none", ())
    if _is_experiments(data):
        if len(data) > 1:
            second = list(data)[1]
            raise draft.error((second,), "several experiments are several sweeps here")
        (name, rule), *_ = data.items()
        path: Path = (name,)
        draft.each(path, rule, KEYS)
        varied = ray_space.take(draft, (*path, "env"), rule["env"], "env") if "env" in rule else []
        config = draft.mapping((*path, "config"), rule.get("config") or {})
        for key, value in config.items():
            varied += ray_space.take(draft, (*path, "config", key), value, key)
        samples = rule.get("num_samples")
    else:
        path, samples = _section(draft), None
        varied = ray_space.take(draft, path, data[path[0]] if path else data, "")
    _search(draft, path, varied, samples)
    command.length(draft)


def _section(draft: Draft) -> Path:
    """Where the ranges lie: in a search space that the file keeps apart, or all over the file."""
    data = draft.source.data
    holders = [key for key, value in data.items() if ray_space.holds_range(value)]
    if len(holders) != 1 or holders[0] not in SPACES:
        return ()
    others = [key for key in data if key != holders[0]]
    if others:
        draft.note((), f"beside {holders[0]}, nothing of this file is read: {', '.join(others)}")
    return (holders[0],)


def _search(draft: Draft, path: Path, varied: list[tuple[str, bool]], samples: Any) -> None:
    """A grid, or draws: which of them follows from the ranges."""
    grids = [name for name, grid in varied if grid]
    if not varied:
        raise draft.error(path, "no value is a range; expected grid_search or tune.choice(...)")
    if grids and len(grids) < len(varied):
        text = f"{grids[0]}: a grid beside draws has no equal here; write tune.choice(...)"
        raise SpecificationError(f"{draft.place(('space', grids[0]))}: {text}")
    count = None if samples is None else draft.whole((*path, "num_samples"), samples)
    if grids:
        draft.put(("searcher",), "grid", path)
        ranges.every_cell(draft)
        if count is not None and count > 1:
            text = f"each cell of the grid is tried {count} times there, and once here"
            draft.note((*path, "num_samples"), f"{text}; seeds repeats a sweep")
    else:
        draft.put(("searcher",), "random", path)
        if _is_experiments(draft.source.data):
            draft.put(("budget", "trials"), count or 1, path)


def _stop(draft: Draft, path: Path, value: Any) -> None:
    """What ends a trial: a number of iterations is its length."""
    for key, inner in draft.mapping(path, value).items():
        if key == "training_iteration":
            draft.put(("budget", "epochs"), draft.whole((*path, key), inner), (*path, key))
            draft.note((*path, key), "an iteration there is an epoch here")
        else:
            draft.note((*path, key), f"a trial there ends when {key} is {inner}; not here")


def _retries(draft: Draft, path: Path, value: Any) -> None:
    count = draft.whole(path, value)
    if count >= 0:
        draft.put(("retries",), count, path)
    else:
        draft.note(path, "a trial is retried without end there")


def _resources(draft: Draft, path: Path, value: Any) -> None:
    handlers: dict[str, Handler] = {
        "cpu": lambda draft, path, value: draft.put(
            ("resources", "cpu"), draft.number(path, value), path
        ),
        "gpu": lambda draft, path, value: draft.put(
            ("resources", "gpu"), draft.number(path, value), path
        ),
    }
    draft.each(path, value, handlers)


def _run(draft: Draft, path: Path, value: Any) -> None:
    draft.note(path, f"{value} trains there; trainable says it here")


_SAVED = noted("when a trial is saved there; here after each report")
KEYS: dict[str, Handler] = {
    "run": _run,
    "env": taken,
    "config": taken,
    "num_samples": taken,
    "stop": _stop,
    "max_failures": _retries,
    "resources_per_trial": _resources,
    "trial_resources": _resources,
    "restore": refused("a trial begins from nothing here"),
    "scheduler": refused("scheduler says it here"),
    "search_alg": refused("searcher says it here"),
    "local_dir": noted("where results are kept there"),
    "storage_path": noted("where results are kept there"),
    "pass_criteria": noted("what Ray's own tests ask of it"),
} | dict.fromkeys(
    (
        "checkpoint_freq",
        "checkpoint_at_end",
        "checkpoint_config",
        "checkpoint_score_attr",
        "keep_checkpoints_num",
        "export_formats",
    ),
    _SAVED,
)
