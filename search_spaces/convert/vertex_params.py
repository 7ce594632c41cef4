"""The parameters of Vertex AI's studies, and those of AI Platform before it."""

from __future__ import annotations

import re
from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft, noted, taken
from raysweep.search_spaces.file.document import Path

REVERSE = "UNIT_REVERSE_LOG_SCALE"
SCALES = {
    "SCALE_TYPE_UNSPECIFIED": False,
    "NONE": False,
    "UNIT_LINEAR_SCALE": False,
    "UNIT_LOG_SCALE": True,
    REVERSE: True,
}
"""Whether a scale is logarithmic. On `REVERSE`, that is the sum of the bounds less the value."""


def parameters(draft: Draft, path: Path, value: Any) -> None:
    for i, one in enumerate(draft.items(path, value)):
        _parameter(draft, (*path, i), draft.mapping((*path, i), one), {})


def _parameter(draft: Draft, path: Path, rule: dict[str, Any], when: dict[str, Any]) -> None:
    """A parameter, and those that are active for some of its values only."""
    keys = ("parameterId", "scaleType", "conditionalParameterSpecs", *SPECS)
    draft.each(path, rule, dict.fromkeys(keys, taken))
    name = draft.word((*path, "parameterId"), rule.get("parameterId"))
    specs = [key for key in SPECS if key in rule]
    if len(specs) != 1:
        raise draft.error(path, f"expected one of {', '.join(SPECS)}, got {len(specs)}")
    spec = (*path, specs[0])
    entry = SPECS[specs[0]](
        draft, spec, draft.mapping(spec, rule[specs[0]]), _log(draft, path, rule)
    )
    _put(draft, path, name, entry, rule, when)
    inner = rule.get("conditionalParameterSpecs")
    several = draft.items((*path, "conditionalParameterSpecs"), inner) if inner else []
    for i, one in enumerate(several):
        _conditional(draft, (*path, "conditionalParameterSpecs", i), one, name)


def _put(
    draft: Draft,
    path: Path,
    name: str,
    entry: Any,
    rule: dict[str, Any],
    when: dict[str, Any],
) -> None:
    """Put a parameter into the space; one on a reverse log scale is computed from its mirror."""
    if when:
        entry = {"choice": [entry]} if not isinstance(entry, dict) else entry
        entry = entry | {"when": when}
    if rule.get("scaleType") != REVERSE or not isinstance(entry, dict):
        draft.param(name, entry, path)
        return
    kind = "int" if "int" in entry else "float"
    mirror = "mirrored_" + re.sub(r"\W", "_", name, flags=re.ASCII)
    draft.param(mirror, entry, path)
    total = sum(entry[kind])
    draft.param(name, {"expr": f"{total} - {mirror}"}, path)
    draft.put(("script", "names", mirror), None, path)
    draft.note(path, f"on a reverse log scale: {name} is computed from {mirror}, on a log scale")


def _conditional(draft: Draft, path: Path, value: Any, parent: str) -> None:
    rule = draft.mapping(path, value)
    draft.each(path, rule, dict.fromkeys(("parameterSpec", *PARENTS), taken))
    given = [key for key in PARENTS if key in rule]
    if len(given) != 1:
        raise draft.error(path, f"expected one of {', '.join(PARENTS)}, got {len(given)}")
    place = (*path, given[0])
    condition = draft.mapping(place, rule[given[0]])
    draft.each(place, condition, {"values": taken})
    values = draft.items((*place, "values"), condition.get("values"))
    if given[0] != "parentCategoricalValues":
        values = [draft.number(place, one, strings=True) for one in values]
    inner = (*path, "parameterSpec")
    when = {parent: values[0] if len(values) == 1 else values}
    _parameter(draft, inner, draft.mapping(inner, rule.get("parameterSpec")), when)


def _log(draft: Draft, path: Path, rule: dict[str, Any]) -> bool:
    return SCALES[draft.word((*path, "scaleType"), rule.get("scaleType", "NONE"), SCALES)]


def _double(draft: Draft, path: Path, rule: dict[str, Any], log: bool) -> Any:
    _spec_keys(draft, path, rule, ("minValue", "maxValue"))
    low, high = _bounds(draft, path, rule)
    return ranges.continuous(draft, path, low, high, log)


def _integer(draft: Draft, path: Path, rule: dict[str, Any], log: bool) -> Any:
    _spec_keys(draft, path, rule, ("minValue", "maxValue"))
    low, high = _bounds(draft, path, rule)
    bottom, top = (draft.whole(path, one) for one in (low, high))
    return ranges.integers(draft, path, bottom, top, log)


def _bounds(draft: Draft, path: Path, rule: dict[str, Any]) -> tuple[int | float, int | float]:
    keys = ("minValue", "maxValue")
    low, high = (draft.number((*path, key), rule.get(key), strings=True) for key in keys)
    return low, high


def _categorical(draft: Draft, path: Path, rule: dict[str, Any], log: bool) -> Any:
    _spec_keys(draft, path, rule, ("values",))
    values = draft.items((*path, "values"), rule.get("values"))
    return ranges.listed([draft.word((*path, "values", i), one) for i, one in enumerate(values)])


def _discrete(draft: Draft, path: Path, rule: dict[str, Any], log: bool) -> Any:
    _spec_keys(draft, path, rule, ("values",))
    values = draft.items((*path, "values"), rule.get("values"))
    numbers = [draft.number((*path, "values", i), one, True) for i, one in enumerate(values)]
    if log:
        draft.note(path, "the log scale of the values there is their order here")
    return ranges.listed(numbers, kind="ordinal")


def _spec_keys(draft: Draft, path: Path, rule: dict[str, Any], keys: tuple[str, ...]) -> None:
    begins = noted("where its search begins")
    draft.each(path, rule, dict.fromkeys(keys, taken) | {"defaultValue": begins})


def legacy(draft: Draft, path: Path, value: Any) -> None:
    """The ranges of AI Platform, which has their type in a key of its own."""
    for i, one in enumerate(draft.items(path, value)):
        place = (*path, i)
        rule = draft.mapping(place, one)
        kind = draft.word((*place, "type"), rule.get("type"), TYPES)
        keys, take = TYPES[kind]
        known = ("parameterName", "type", "scaleType", *keys)
        draft.each(
            place, {key: x for key, x in rule.items() if x is not None}, dict.fromkeys(known, taken)
        )
        spec = {("values" if "Values" in key else key): rule.get(key) for key in keys}
        name = draft.word((*place, "parameterName"), rule.get("parameterName"))
        _put(draft, place, name, take(draft, place, spec, _log(draft, place, rule)), rule, {})


SPECS: dict[str, Any] = {
    "doubleValueSpec": _double,
    "integerValueSpec": _integer,
    "categoricalValueSpec": _categorical,
    "discreteValueSpec": _discrete,
}
TYPES: dict[str, Any] = {
    "DOUBLE": (("minValue", "maxValue"), _double),
    "INTEGER": (("minValue", "maxValue"), _integer),
    "CATEGORICAL": (("categoricalValues",), _categorical),
    "DISCRETE": (("discreteValues",), _discrete),
}
PARENTS = ("parentCategoricalValues", "parentDiscreteValues", "parentIntValues")
