"""NNI search spaces (`search_space.json`, nni.readthedocs.io).

In these, `randint` excludes its upper bound, and quantized values are clipped to the bounds. A
choice among nested spaces becomes a condition.
"""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft, taken
from raysweep.search_spaces.file.document import Path

NAME = "an NNI search space"


def recognize(data: dict[str, Any]) -> bool:
    return bool(data) and all(
        isinstance(one, dict) and "_type" in one and "_value" in one for one in data.values()
    )


def read(draft: Draft) -> None:
    """Take a file that holds a search space alone."""
    take(draft, (), draft.source.data)


def take(
    draft: Draft, path: Path, value: Any, prefix: str = "", when: dict[str, Any] | None = None
) -> None:
    """Take the search space at a path.

    Within a branch, its names have a prefix, and `when` says when they are active.
    """
    for name, inner in draft.mapping(path, value).items():
        place, full = (*path, name), f"{prefix}{name}"
        rule = draft.mapping(place, inner)
        draft.each(place, rule, dict.fromkeys(("_type", "_value"), taken))
        kind = draft.word((*place, "_type"), rule.get("_type"), KINDS)
        values = draft.items((*place, "_value"), rule.get("_value"))
        if kind == "choice" and any(isinstance(one, dict) and "_name" in one for one in values):
            _branches(draft, (*place, "_value"), values, full, when or {})
        else:
            _put(draft, full, KINDS[kind](draft, (*place, "_value"), values), place, when or {})


def _branches(draft: Draft, path: Path, values: list[Any], name: str, when: dict[str, Any]) -> None:
    """A choice among nested spaces: a parameter for the name that is chosen, and those of each."""
    options = [draft.mapping((*path, i), one) for i, one in enumerate(values)]
    names = [draft.word((*path, i, "_name"), one.get("_name")) for i, one in enumerate(options)]
    chosen = f"{name}._name"
    _put(draft, chosen, ranges.listed(names), path, when)
    shared: dict[str, tuple[Any, Path, list[str]]] = {}
    for i, one in enumerate(options):
        for key, rule in one.items():
            first, _, holders = shared.setdefault(key, (rule, (*path, i), []))
            if key != "_name" and rule != first:
                raise draft.error(
                    (*path, i, key),
                    f"'{key}' has another range in another branch, which has no equal here; "
                    "rename one",
                )
            if names[i] not in holders:
                holders.append(names[i])
    for key, (rule, branch, holders) in shared.items():
        if key != "_name":
            take(
                draft,
                branch,
                {key: rule},
                f"{name}.",
                when | {chosen: holders[0] if len(holders) == 1 else holders},
            )


def _put(draft: Draft, name: str, entry: Any, origin: Path, when: dict[str, Any]) -> None:
    if when:
        entry = {"choice": [entry]} if not isinstance(entry, dict) else entry
        entry = entry | {"when": dict(when)}
    draft.param(name, entry, origin)


def _numbers(draft: Draft, path: Path, values: list[Any], count: int) -> list[Any]:
    if len(values) != count:
        raise draft.error(path, f"expected {count} numbers, got {len(values)}")
    return [draft.number((*path, i), one) for i, one in enumerate(values)]


def _choice(draft: Draft, path: Path, values: list[Any]) -> Any:
    return ranges.listed(values)


def _randint(draft: Draft, path: Path, values: list[Any]) -> Any:
    low, high = (0, *values) if len(values) == 1 else _numbers(draft, path, values, 2)
    bottom, top = draft.whole((*path, 0), low), draft.whole((*path, len(values) - 1), high)
    if top <= bottom:
        raise draft.error(
            path, f"randint leaves its upper bound out, so [{bottom}, {top}] has no value"
        )
    return ranges.integers(draft, path, bottom, top - 1)


def _uniform(draft: Draft, path: Path, values: list[Any]) -> Any:
    low, high = _numbers(draft, path, values, 2)
    return ranges.continuous(draft, path, low, high)


def _loguniform(draft: Draft, path: Path, values: list[Any]) -> Any:
    low, high = _numbers(draft, path, values, 2)
    return ranges.continuous(draft, path, low, high, log=True)


def _quniform(draft: Draft, path: Path, values: list[Any]) -> Any:
    low, high, step = (float(one) for one in _numbers(draft, path, values, 3))
    return ranges.quantized(draft, path, (low, high), step, clip=True)


def _qloguniform(draft: Draft, path: Path, values: list[Any]) -> Any:
    low, high, step = (float(one) for one in _numbers(draft, path, values, 3))
    return ranges.quantized(draft, path, (low, high), step, log=True, clip=True)


KINDS: dict[str, Any] = {
    "choice": _choice,
    "randint": _randint,
    "uniform": _uniform,
    "quniform": _quniform,
    "loguniform": _loguniform,
    "qloguniform": _qloguniform,
}
