"""Katib Experiments (kubeflow.org, "How to Configure Experiment"; API v1beta1).

In these, every number of a feasible space is a string. Both bounds are included; a step that misses
the upper bound ends below it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from raysweep.search_spaces.convert import command, ranges
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
    _passed(draft)
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


_CONTAINERS = ("trialTemplate", "trialSpec", "spec", "template", "spec", "containers")


def _template(draft: Draft, path: Path, value: Any) -> None:
    """The script of a job. Its options are read when all parameters are known (`_passed`)."""
    place, container = _container(draft)
    image = noted("how Kubernetes starts a trial; its script is the trainable here")
    image(draft, path, {"image": container.get("image", "?")})
    for key in ("env", "envFrom"):
        if container.get(key):
            draft.note(
                (*place, key), f"{key}: the variables that a trial gets there are not set here"
            )
    words = _words(container)
    if command.program(words):
        command.script(draft, (*place, "command"), words, str(container.get("workingDir") or ""))
    else:
        draft.note(
            path,
            "how a trial is started there is not read; "
            "trainable is to be said, and script if its options differ",
        )


def _container(draft: Draft) -> tuple[Path, dict[str, Any]]:
    """The container of the job that trains, and its path."""
    spec: Any = draft.source.data["spec"]
    template = spec.get("trialTemplate")
    primary = template.get("primaryContainerName") if isinstance(template, dict) else None
    for key in _CONTAINERS:
        spec = spec.get(key) if isinstance(spec, dict) else None
    found: list[tuple[Path, dict[str, Any]]] = [
        (("spec", *_CONTAINERS, i), one)
        for i, one in enumerate(spec if isinstance(spec, list) else [])
        if isinstance(one, dict)
    ]
    named = [pair for pair in found if pair[1].get("name") == primary]
    nothing: tuple[Path, dict[str, Any]] = ((), {})
    return (named or found or [nothing])[0]


def _words(container: dict[str, Any]) -> list[str]:
    """The command of a container and its arguments."""
    lists = (container.get(key) for key in ("command", "args"))
    return [str(word) for words in lists if isinstance(words, list) for word in words]


@dataclass(frozen=True)
class Passed:
    """An option that a placeholder fills in. `form`: as our `script:` section has it."""

    option: str
    reference: str
    form: str


def _passed(draft: Draft) -> None:
    """How the script is told its parameters: by options that the template calls as it likes."""
    if "trainable" not in draft.data:
        return
    place, container = _container(draft)
    origin = (*place, "command")
    options, fixed = _sorted(command.program(_words(container))[1:])
    command.arguments(draft, origin, fixed)
    names: dict[str, str] = {}
    for one in options:
        name = _referred(draft, origin, one.reference)
        if name in names:
            raise draft.error(origin, f"the parameter '{name}' is passed twice")
        names[name] = one.option
    _say_options(draft, origin, names, [one.form for one in options])


def _sorted(words: list[str]) -> tuple[list[Passed], list[str]]:
    """The options that a parameter fills in, and the words that are fixed."""
    options: list[Passed] = []
    fixed: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        form = "--name=value" if word.startswith("--") else "name=value"
        if left and "=" not in word and _PLACEHOLDER.fullmatch(left[0]):
            word, form = f"{word}={left.pop(0)}", "--name value"
        found = _PASSED.fullmatch(word)
        if found is None or (form == "--name value" and not word.startswith("--")):
            fixed.append(word)
        else:
            options.append(Passed(found.group(1), found.group(2), form))
    return options, fixed


def _referred(draft: Draft, path: Path, reference: str) -> str:
    """The parameter that a placeholder of the template stands for."""
    place = ("spec", "trialTemplate", "trialParameters")
    declared = draft.source.data["spec"]["trialTemplate"].get("trialParameters")
    rules = [
        draft.mapping((*place, i), one)
        for i, one in enumerate(draft.items(place, declared) if declared else [])
    ]
    targets = [rule.get("reference") for rule in rules if rule.get("name") == reference]
    name = str(targets[0] if targets else reference).lstrip("-")
    if name not in draft.data.get("space", {}):
        raise draft.error(path, f"'{reference}' is none of the parameters")
    if not targets:
        draft.note(path, f"{reference} is not among trialParameters; taken as the parameter {name}")
    return name


def _say_options(draft: Draft, path: Path, names: dict[str, str], forms: list[str]) -> None:
    """Say the form of the options, and the names of those not called as their parameters."""
    if not names:
        draft.put(("script", "options"), "none", path)
        draft.note(path, "no parameter is passed to the script there, nor here")
        return
    if len({form.startswith("--") for form in forms}) > 1:
        raise draft.error(path, "options with and without dashes have no equal here")
    if len(set(forms)) == 1 and forms[0] != "--name=value":
        draft.put(("script", "options"), forms[0], path)
    for name in draft.data["space"]:
        if name not in names:
            draft.note(path, f"{name} is not passed to the script there, nor here")
        if names.get(name) != name:
            draft.put(("script", "names", name), names.get(name), path)


_PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^{}]+)\}")
_PASSED = re.compile(rf"(?:--)?([A-Za-z_][\w.-]*)={_PLACEHOLDER.pattern}")
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
    "trialTemplate": _template,
    "metricsCollectorSpec": noted("a train function reports its metrics here"),
}
