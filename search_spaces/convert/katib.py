"""Katib Experiments (kubeflow.org, "How to Configure Experiment"; API v1beta1).

In these, every number of a feasible space is a string. Both bounds are included; a step that misses
the upper bound ends below it.
"""

from __future__ import annotations

import math
from typing import Any

from raysweep.search_spaces.convert import command, katib_template, ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, moved, noted, only, taken
from raysweep.search_spaces.file.document import Path

NAME = "a Katib Experiment"
ALGORITHMS = {
    "random": "random",
    "grid": "grid",
    "tpe": "tpe",
    "multivariate-tpe": "tpe",
    "bayesianoptimization": "auto",
}
DISTRIBUTIONS = ("uniform", "logUniform")


def recognize(data: dict[str, Any]) -> bool:
    return data.get("kind") == "Experiment" and "spec" in data


def read(draft: Draft) -> None:
    """Take the whole file."""
    platform = noted("how Kubernetes knows it")
    handlers: dict[str, Handler] = {"kind": only("Experiment"), "spec": _spec}
    draft.each(
        (),
        draft.source.data,
        handlers | dict.fromkeys(("apiVersion", "metadata", "status"), platform),
    )
    katib_template.passed(draft)
    command.length(draft)
    if draft.data.get("searcher") == {"name": "grid"}:
        ranges.every_value(draft, "a grid needs a step")


def _spec(draft: Draft, path: Path, value: Any) -> None:
    if "earlyStopping" not in draft.mapping(path, value):
        draft.put(("scheduler",), "none", path)
    draft.each(path, value, KEYS)


def _objective(draft: Draft, path: Path, value: Any) -> None:
    handlers: dict[str, Handler] = {
        "type": lambda draft, path, value: draft.put(
            ("metric", "goal"), draft.word(path, value, ("minimize", "maximize")), path
        ),
        "goal": lambda draft, path, value: draft.put(
            ("metric", "target"), float(draft.number(path, value, strings=True)), path
        ),
        "objectiveMetricName": moved("metric", "name"),
        "additionalMetricNames": noted("reported metrics are all kept here"),
        "metricStrategies": noted("the best epoch counts here"),
    }
    draft.each(path, value, handlers)


def _algorithm(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    name = draft.word((*path, "algorithmName"), rule.get("algorithmName"), ALGORITHMS)
    if name not in ("random", "grid", "tpe"):
        draft.note((*path, "algorithmName"), f"{name} there; {ALGORITHMS[name]} here")
    draft.put(("searcher",), {"name": ALGORITHMS[name]}, (*path, "algorithmName"))
    settings: dict[str, Handler] = {"random_state": moved("seed")}
    if ALGORITHMS[name] == "tpe":
        settings |= {
            "n_startup_trials": moved("searcher", "startup"),
            "n_ei_candidates": moved("searcher", "candidates"),
            "n_EI_candidates": moved("searcher", "candidates"),
        }
    draft.each(path, rule, {"algorithmName": taken, "algorithmSettings": _settings(settings)})


def _settings(handlers: dict[str, Handler]) -> Handler:
    """Takes a list of {name, value}, the values whole numbers in quotes."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        for i, one in enumerate(draft.items(path, value)):
            pair = draft.mapping((*path, i), one)
            name, place = str(pair.get("name")), (*path, i, "value")
            if name not in handlers:
                raise draft.error((*path, i), f"the setting '{name}' has no equal here")
            handlers[name](draft, place, draft.whole(place, pair.get("value"), strings=True))

    return take


def _early(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    draft.word((*path, "algorithmName"), rule.get("algorithmName"), ["medianstop"])
    draft.put(("scheduler",), {"name": "median", "grace": 4, "trials": 3}, path)
    settings: dict[str, Handler] = {
        "min_trials_required": moved("scheduler", "trials"),
        "start_step": moved("scheduler", "grace"),
    }
    draft.each(path, rule, {"algorithmName": taken, "algorithmSettings": _settings(settings)})


def _parameters(draft: Draft, path: Path, value: Any) -> None:
    for i, one in enumerate(draft.items(path, value)):
        place = (*path, i)
        rule = draft.mapping(place, one)
        draft.each(place, rule, dict.fromkeys(("name", "parameterType", "feasibleSpace"), taken))
        name = draft.word((*place, "name"), rule.get("name")).lstrip("-")
        kind = draft.word((*place, "parameterType"), rule.get("parameterType"), KINDS)
        feasible = (*place, "feasibleSpace")
        draft.param(
            name,
            KINDS[kind](draft, feasible, draft.mapping(feasible, rule.get("feasibleSpace"))),
            place,
        )


def _categorical(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    draft.each(path, rule, {"list": taken})
    values = draft.items((*path, "list"), rule.get("list"))
    return ranges.listed([draft.word((*path, "list", i), one) for i, one in enumerate(values)])


def _discrete(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    draft.each(path, rule, {"list": taken})
    values = [
        draft.number((*path, "list", i), one, strings=True)
        for i, one in enumerate(draft.items(path, rule.get("list")))
    ]
    return ranges.listed(values, kind="ordinal")


def _double(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    low, high, step, log = _bounds(draft, path, rule)
    if step is None:
        return ranges.continuous(draft, path, low, high, log)
    ranges.check_order(draft, path, low, high, log)
    top = ranges.tidy(low + _steps(draft, path, low, high, step) * step)
    entry = ranges.continuous(draft, path, low, top, log)
    return entry | {"step": float(step)} if isinstance(entry, dict) else entry


def _int(draft: Draft, path: Path, rule: dict[str, Any]) -> Any:
    low, high, step, log = _bounds(draft, path, rule)
    bottom, top = draft.whole((*path, "min"), low), draft.whole((*path, "max"), high)
    if step is None or step == 1:
        return ranges.integers(draft, path, bottom, top, log)
    stride = draft.whole((*path, "step"), step)
    ranges.check_order(draft, path, bottom, top, log)
    entry = ranges.integers(
        draft, path, bottom, bottom + _steps(draft, path, bottom, top, stride) * stride, log
    )
    return entry | {"step": stride} if isinstance(entry, dict) else entry


def _bounds(
    draft: Draft, path: Path, rule: dict[str, Any]
) -> tuple[float, float, float | None, bool]:
    draft.each(path, rule, dict.fromkeys(("min", "max", "step", "distribution"), taken))
    low, high = (draft.number((*path, key), rule.get(key), strings=True) for key in ("min", "max"))
    step = (
        None
        if rule.get("step") in (None, "")
        else draft.number((*path, "step"), rule["step"], strings=True)
    )
    return (
        low,
        high,
        step,
        draft.word((*path, "distribution"), rule.get("distribution", "uniform"), DISTRIBUTIONS)
        == "logUniform",
    )


def _steps(draft: Draft, path: Path, low: float, high: float, step: float) -> int:
    if step <= 0:
        raise draft.error((*path, "step"), f"a step must be above zero, got {step:g}")
    return math.floor((high - low) / step + 1e-9)


KINDS: dict[str, Any] = {
    "double": _double,
    "int": _int,
    "discrete": _discrete,
    "categorical": _categorical,
}
KEYS: dict[str, Handler] = {
    "objective": _objective,
    "algorithm": _algorithm,
    "earlyStopping": _early,
    "parameters": _parameters,
    "parallelTrialCount": moved("parallel"),
    "maxTrialCount": moved("budget", "trials"),
    "maxFailedTrialCount": noted("the first three trials that fail alike end a sweep here"),
    "resumePolicy": noted("a sweep is resumed with --resume here"),
    "trialTemplate": katib_template.take,
    "metricsCollectorSpec": noted("a train function reports its metrics here"),
}
