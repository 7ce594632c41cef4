"""Optuna's search spaces as JSON, such as `optuna ask --search-space` takes (optuna.distributions).

Both bounds are included; a step that misses the upper bound ends below it. The distributions of
Optuna 2 are known by their names there.
"""

from __future__ import annotations

import json
from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft, taken
from raysweep.search_spaces.file.document import Path

NAME = "an Optuna search space"


def recognize(data: dict[str, Any]) -> bool:
    return bool(data) and all(_rule(one) is not None for one in data.values())


def _rule(value: Any) -> dict[str, Any] | None:
    """A distribution, which may be a text of JSON, as `distribution_to_json` gives it."""
    if isinstance(value, str) and value.startswith("{") and "Distribution" in value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    known = (
        isinstance(value, dict)
        and str(value.get("name")).endswith("Distribution")
        and isinstance(value.get("attributes"), dict)
    )
    return value if known else None


def read(draft: Draft) -> None:
    """Take every distribution."""
    for name, value in draft.source.data.items():
        path = (name, "attributes")
        rule = _rule(value)
        assert rule is not None
        draft.each((name,), rule, {"name": taken, "attributes": taken})
        kind = draft.word((name, "name"), rule["name"], KINDS)
        attributes = rule["attributes"]
        draft.each(path, attributes, dict.fromkeys((*_KEYS, *KINDS[kind]), taken))
        draft.param(name, _entry(draft, path, kind, attributes), (name,))


def _entry(draft: Draft, path: Path, kind: str, rule: dict[str, Any]) -> Any:
    if kind == "CategoricalDistribution":
        return ranges.listed(draft.items((*path, "choices"), rule.get("choices")))
    low, high = (draft.number((*path, key), rule.get(key)) for key in ("low", "high"))
    step = rule.get("q", rule.get("step"))
    log, whole = rule.get("log", "Log" in kind) is True, "Int" in kind
    if log and whole:
        bottom, top = (draft.whole((*path, key), rule[key]) for key in ("low", "high"))
        return ranges.integers(draft, path, bottom, top, log)
    if log or (step is None and not whole):
        return ranges.continuous(draft, path, low, high, log)
    stride = 1 if step is None else draft.number((*path, "step"), step)
    return ranges.stepped(draft, path, low, high, stride, whole)


_KEYS = ("low", "high", "log", "step")
KINDS: dict[str, tuple[str, ...]] = {
    "FloatDistribution": (),
    "IntDistribution": (),
    "CategoricalDistribution": ("choices",),
    "UniformDistribution": (),
    "LogUniformDistribution": (),
    "DiscreteUniformDistribution": ("q",),
    "IntUniformDistribution": (),
    "IntLogUniformDistribution": (),
}
"""The distributions, with the attributes that only they have."""
