"""What Polyaxon's operations and its groups of experiments say alike of a search."""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, taken
from raysweep.search_spaces.file.document import Path

SEARCHERS = {
    "random": ("random", ""),
    "grid": ("grid", ""),
    "hyperband": ("random", "hyperband's brackets become asha's rungs here"),
    "bayes": ("auto", "a Gaussian process of its own there; auto is one here"),
    "bo": ("auto", "a Gaussian process of its own there; auto is one here"),
    "tpe": ("tpe", ""),
    "hyperopt": ("tpe", ""),
}
SHOWN = noted("where an operation is shown there")


def search(draft: Draft, path: Path, kind: str) -> None:
    searcher, note = SEARCHERS[kind]
    draft.put(("searcher",), searcher, path)
    if note:
        draft.note(path, note)


def brackets(draft: Draft, path: Path, longest: Any, eta: Any, resource: Any) -> None:
    """Hyperband: the longest training, and the parameter that says how long a trial is."""
    epochs = draft.whole(path, longest)
    scheduler: dict[str, Any] = {"name": "asha", "type": "stopping"}
    if eta is not None:
        scheduler["eta"] = draft.number(path, eta)
    draft.put(("scheduler",), scheduler, path)
    draft.put(("budget", "epochs"), epochs, path)
    draft.ask(("budget", "trials"), "hyperband's brackets say how many trials there are", path)
    name = resource.get("name") if isinstance(resource, dict) else None
    if name is not None and draft.word(path, name) not in draft.data["space"]:
        draft.param(name, epochs, path)
        text = f"{name} is how long a trial is there; here it is {epochs}, and asha ends trials"
        draft.note(path, text)


def metric(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    draft.each(path, rule, {"name": taken, "optimization": taken})
    goal = draft.word((*path, "optimization"), rule.get("optimization"), ("minimize", "maximize"))
    draft.put(("metric", "name"), draft.word((*path, "name"), rule.get("name")), path)
    draft.put(("metric", "goal"), goal, path)


def early(draft: Draft, path: Path, value: Any) -> None:
    """A metric that ends the whole search when it reaches a value."""
    for i, one in enumerate(draft.items(path, value)):
        place = (*path, i)
        rule = draft.mapping(place, one)
        if rule.get("kind", "metric_early_stopping") != "metric_early_stopping":
            draft.note(place, "the first three trials that fail alike end a sweep here")
            continue
        if rule.get("policy") is not None:
            raise draft.error((*place, "policy"), "it stops trials by a rule that is none here")
        known = ("kind", "metric", "value", "optimization", "policy")
        draft.each(place, rule, dict.fromkeys(known, taken))
        name = draft.word((*place, "metric"), rule.get("metric"))
        said = draft.data.get("metric", {})
        if said.get("name", name) != name:
            draft.note(place, f"a sweep there ends by {name}, too; here by its own metric only")
            continue
        goal = draft.word(
            (*place, "optimization"), rule.get("optimization"), ("minimize", "maximize")
        )
        if said.get("goal", goal) != goal:
            raise draft.error((*place, "optimization"), f"the metric's goal is {said['goal']}")
        target = float(draft.number((*place, "value"), rule.get("value")))
        draft.put(("metric",), {"name": name, "goal": goal, "target": target}, place)


def whole(*target: str) -> Handler:
    return lambda draft, path, value: draft.put(target, draft.whole(path, value), path)


def constants(draft: Draft, path: Path, value: Any) -> None:
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        rule = inner if isinstance(inner, dict) else {"value": inner}
        if "value" not in rule or set(rule) - {"value", "contextOnly"}:
            raise draft.error(place, "expected a value; what other runs fill in has no equal here")
        draft.param(name, ranges.constant(rule["value"]), place)
