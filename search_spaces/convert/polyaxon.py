"""Polyaxon operations with a `matrix`, and the groups of experiments before them (polyaxon.com).

In these, `loguniform` takes natural exponents, quantized values are rounded down, `range` leaves
its end out, and `logspace` takes exponents of ten.
"""

from __future__ import annotations

import re
from typing import Any

from raysweep.search_spaces.convert import command, options, polyaxon_params, ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, only, refused, taken
from raysweep.search_spaces.convert.spelling import in_camel_case
from raysweep.search_spaces.file.document import Document, Path

NAME = "a Polyaxon operation"
SEARCHERS = {
    "random": ("random", ""),
    "grid": ("grid", ""),
    "hyperband": ("random", "hyperband's brackets become asha's rungs here"),
    "bayes": ("auto", "a Gaussian process of its own there; auto is one here"),
    "bo": ("auto", "a Gaussian process of its own there; auto is one here"),
    "tpe": ("tpe", ""),
    "hyperopt": ("tpe", ""),
}
_PLACEHOLDER = re.compile(r"\{\{ *(?:params\.)?(?P<name>[\w-]+)(?:\.value)? *\}\}")
_AS_ARGUMENT = re.compile(r"\{\{ *params\.(?P<name>[\w-]+)\.as_arg *\}\}")


def recognize(data: dict[str, Any]) -> bool:
    matrix, old = data.get("matrix"), data.get("hptuning")
    return (isinstance(matrix, dict) and "kind" in matrix) or (
        isinstance(old, dict) and "matrix" in old
    )


def spelled(document: Document) -> Document:
    """The file with its keys in camel case; the names of parameters stay as they are."""
    return in_camel_case(document, frozenset({"params", "declarations", "matrix"}))


def read(draft: Draft) -> None:
    """Take the matrix, then how the script is told its parameters."""
    data = draft.source.data
    draft.put(("scheduler",), "none", ())
    if "matrix" in data:
        draft.each((), data, KEYS)
        _component(draft)
    else:
        draft.each((), data, GROUP)
        _run(draft, ("run",), data.get("run"))
    if draft.data.get("searcher") == "grid":
        ranges.every_value(draft, "a grid there takes no continuous range")
        trials = draft.data.get("budget", {}).get("trials")
        ranges.every_cell(draft)
        if trials is not None:
            cells = draft.data["budget"]["trials"]
            draft.put(("budget", "trials"), min(trials, cells), ())
    command.length(draft)


def _matrix(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    kind = draft.word((*path, "kind"), rule.get("kind"), [k for k in SEARCHERS if k != "bo"])
    _search(draft, (*path, "kind"), kind)
    draft.each(path, rule, MATRIX)
    polyaxon_params.take(draft, (*path, "params"), rule.get("params"), kind == "hyperopt")
    if kind in ("bayes", "tpe"):
        first = draft.whole((*path, "numInitialRuns"), rule.get("numInitialRuns") or 0)
        more = draft.whole((*path, "maxIterations"), rule.get("maxIterations") or 0)
        if first + more:
            draft.put(("budget", "trials"), first + more, path)
    if kind == "hyperband":
        _brackets(draft, path, rule.get("maxIterations"), rule.get("eta"), rule.get("resource"))


def _search(draft: Draft, path: Path, kind: str) -> None:
    searcher, note = SEARCHERS[kind]
    draft.put(("searcher",), searcher, path)
    if note:
        draft.note(path, note)


def _brackets(draft: Draft, path: Path, longest: Any, eta: Any, resource: Any) -> None:
    """Hyperband: the longest training, and the parameter that says how long a trial is."""
    epochs = draft.whole(path, longest)
    scheduler: dict[str, Any] = {"name": "asha", "type": "stopping"}
    if eta is not None:
        scheduler["eta"] = draft.number(path, eta)
    draft.put(("scheduler",), scheduler, path)
    draft.put(("budget", "epochs"), epochs, path)
    draft.ask(("budget", "trials"), "hyperband's brackets say how many trials there are", path)
    name = resource.get("name") if isinstance(resource, dict) else None
    if name is not None and name not in draft.data["space"]:
        draft.param(draft.word(path, name), epochs, path)
        text = f"{name} is how long a trial is there; here it is {epochs}, and asha ends trials"
        draft.note(path, text)


def _metric(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    draft.each(path, rule, {"name": taken, "optimization": taken})
    goal = draft.word((*path, "optimization"), rule.get("optimization"), ("minimize", "maximize"))
    draft.put(("metric", "name"), draft.word((*path, "name"), rule.get("name")), path)
    draft.put(("metric", "goal"), goal, path)


def _early(draft: Draft, path: Path, value: Any) -> None:
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


def _whole(*target: str) -> Handler:
    return lambda draft, path, value: draft.put(target, draft.whole(path, value), path)


def _constants(draft: Draft, path: Path, value: Any) -> None:
    for name, inner in draft.mapping(path, value).items():
        place = (*path, name)
        rule = inner if isinstance(inner, dict) else {"value": inner}
        if "value" not in rule or set(rule) - {"value", "contextOnly"}:
            raise draft.error(place, "expected a value; what other runs fill in has no equal here")
        draft.param(name, ranges.constant(rule["value"]), place)


def _component(draft: Draft) -> None:
    """The script of the component that lies in the file, and the parameters that it is told."""
    component = draft.source.data.get("component")
    run = component.get("run") if isinstance(component, dict) else None
    container = run.get("container") if isinstance(run, dict) else None
    path: Path = ("component", "run", "container")
    words: list[str] = []
    for key in ("command", "args"):
        given = container.get(key) if isinstance(container, dict) else None
        words += [given] if isinstance(given, str) else [str(one) for one in given or []]
    _passed(draft, path, words)


def _run(draft: Draft, path: Path, value: Any) -> None:
    """The command of an experiment before version 1.0, with placeholders."""
    cmd = value.get("cmd") if isinstance(value, dict) else None
    if isinstance(cmd, list) and len(cmd) == 1:
        cmd = cmd[0]
    text = _PLACEHOLDER.sub(lambda found: found.group().replace(" ", ""), str(cmd or ""))
    _passed(draft, (*path, "cmd"), command.split(draft, path, text) if cmd else [])


def _passed(draft: Draft, path: Path, words: list[str]) -> None:
    if not command.program(words):
        shown = " ".join(words)
        if shown:
            draft.note(path, f"how a trial is started there is not read: {shown[:60]}")
        return
    told = [_AS_ARGUMENT.sub(r"--\g<name>={{\g<name>}}", word) for word in words]
    rest = command.script(draft, path, told)
    passed, fixed = options.split(rest, _PLACEHOLDER)
    left = [word for word in fixed if "{{" in word]
    if left:
        raise draft.error(path, f"the argument '{left[0]}' has no equal here")
    options.say(draft, path, passed, fixed)


_SHOWN = noted("where an operation is shown there")
_PLACED = noted("where trials run there, and with what")
MATRIX: dict[str, Handler] = {
    "kind": taken,
    "params": taken,
    "numRuns": _whole("budget", "trials"),
    "numInitialRuns": taken,
    "maxIterations": taken,
    "concurrency": _whole("parallel"),
    "seed": _whole("seed"),
    "metric": _metric,
    "eta": taken,
    "resource": taken,
    "resume": noted("a trial there begins anew, or from its checkpoint"),
    "earlyStopping": _early,
    "algorithm": only("tpe"),
    "utilityFunction": noted("how its search works, which is another here"),
    "tuner": noted("how its search works, which is another here"),
}
KEYS: dict[str, Handler] = {
    "kind": only("operation", "component"),
    "matrix": _matrix,
    "params": _constants,
    "component": taken,
    "version": taken,
    "joins": refused("what other runs give has no equal here"),
    "pathRef": noted("the component; its script is the trainable here"),
    "hubRef": noted("the component; its script is the trainable here"),
    "urlRef": noted("the component; its script is the trainable here"),
} | dict.fromkeys(
    (
        "name",
        "description",
        "tags",
        "presets",
        "queue",
        "cache",
        "termination",
        "plugins",
        "schedule",
        "events",
        "hooks",
        "dependencies",
        "trigger",
        "conditions",
        "skipOnUpstreamSkip",
        "runPatch",
        "isPreset",
        "isApproved",
        "build",
        "dagRef",
        "environment",
        "namespace",
    ),
    _SHOWN,
)


def _algorithm(kind: str) -> Handler:
    """A search of a group of experiments."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        _search(draft, path, kind)
        draft.each(path, value, ALGORITHM)
        if kind == "hyperband":
            rule = draft.mapping(path, value)
            _brackets(draft, path, rule.get("maxIter"), rule.get("eta"), rule.get("resource"))

    return take


def _tuning(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    polyaxon_params.take_old(draft, (*path, "matrix"), rule.get("matrix"))
    draft.each(path, rule, TUNING)
    if "searcher" not in draft.data:
        draft.put(("searcher",), "grid", path)


def _iterations(draft: Draft, path: Path, value: Any) -> None:
    trials = draft.data.get("budget", {}).get("trials", 0) + draft.whole(path, value)
    draft.put(("budget", "trials"), trials, path)


ALGORITHM: dict[str, Handler] = {
    "nExperiments": _whole("budget", "trials"),
    "maxIter": taken,
    "eta": taken,
    "resource": taken,
    "metric": _metric,
    "resume": noted("a trial there begins anew, or from its checkpoint"),
    "nInitialTrials": _iterations,
    "nIterations": _iterations,
    "utilityFunction": noted("how its search works, which is another here"),
}
TUNING: dict[str, Handler] = {
    "matrix": taken,
    "concurrency": _whole("parallel"),
    "seed": _whole("seed"),
    "gridSearch": _algorithm("grid"),
    "randomSearch": _algorithm("random"),
    "hyperband": _algorithm("hyperband"),
    "bo": _algorithm("bo"),
    "earlyStopping": _early,
}
GROUP: dict[str, Handler] = {
    "kind": only("group"),
    "version": taken,
    "hptuning": _tuning,
    "run": taken,
    "params": _constants,
    "declarations": _constants,
} | dict.fromkeys(
    ("name", "description", "tags", "logging", "environment", "build", "framework", "backend"),
    _SHOWN,
)
