"""SageMaker hyperparameter tuning jobs, as `create-hyper-parameter-tuning-job` takes them in JSON.

Every number of a range is a string; both bounds are included. A script gets its parameters as
`--name value`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from raysweep.search_spaces.convert import command, ranges
from raysweep.search_spaces.convert.draft import Draft, Handler, moved, noted, only, refused, taken
from raysweep.search_spaces.file.document import Path
from raysweep.search_spaces.file.metric_spec import pattern

NAME = "a SageMaker tuning job"
_CONFIG = "HyperParameterTuningJobConfig"
STRATEGIES = {
    "Bayesian": ("auto", "a Gaussian process of its own there; auto is one here"),
    "Random": ("random", ""),
    "Grid": ("grid", ""),
    "Hyperband": ("random", "hyperband's brackets become asha's rungs here"),
}
_FIRST_GROUP = re.compile(r"^((?:[^\\(\[]|\\.|\[(?:[^\]\\]|\\.)*\]|\(\?)*)\((?!\?)", re.DOTALL)
"""What is before the first group of a pattern that is kept."""
SCALES = ("Auto", "Linear", "Logarithmic", "ReverseLogarithmic")


def recognize(data: dict[str, Any]) -> bool:
    return _CONFIG in data or ("ParameterRanges" in data and "Strategy" in data)


def read(draft: Draft) -> None:
    """Take the job, or its configuration alone."""
    data = draft.source.data
    draft.put(("script", "options"), "--name value", ())
    draft.put(("script", "values"), "python", ())
    if _CONFIG in data:
        draft.each((), data, KEYS)
        path: Path = (_CONFIG,)
    else:
        _config(draft, (), data)
        path = ()
    config = draft.mapping(path, data[_CONFIG] if path else data)
    if "space" not in draft.data:
        raise draft.error((*path, "ParameterRanges"), "no ranges are given")
    if config.get("Strategy") != "Hyperband" and "scheduler" not in draft.data:
        draft.put(("scheduler",), "none", path)
    if draft.data.get("searcher") == "grid":
        ranges.every_value(draft, "a grid there takes categories only")
        if "trials" not in draft.data.get("budget", {}):
            ranges.every_cell(draft)
    command.length(draft)


def _config(draft: Draft, path: Path, value: Any) -> None:
    draft.each(path, value, CONFIG)


def _strategy(draft: Draft, path: Path, value: Any) -> None:
    searcher, note = STRATEGIES[draft.word(path, value, STRATEGIES)]
    draft.put(("searcher",), searcher, path)
    if note:
        draft.note(path, note)
    if value == "Hyperband":
        draft.put(("scheduler",), {"name": "asha", "type": "stopping"}, path)


def _hyperband(draft: Draft, path: Path, value: Any) -> None:
    """The shortest and the longest training of Hyperband, in what the script reports by."""
    handlers: dict[str, Handler] = {
        "MinResource": lambda draft, path, value: draft.put(
            ("scheduler", "grace"), draft.whole(path, value), path
        ),
        "MaxResource": lambda draft, path, value: draft.put(
            ("budget", "epochs"), draft.whole(path, value), path
        ),
    }
    if draft.source.data.get("Strategy", "Hyperband") != "Hyperband":
        raise draft.error(path, "it has a meaning for the strategy Hyperband only")
    draft.each(path, value, handlers)
    draft.note(path, "a resource there is one report of the script; an epoch here")


def _objective(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    draft.each(path, rule, {"Type": taken, "MetricName": moved("metric", "name")})
    goal = draft.word((*path, "Type"), rule.get("Type"), ("Minimize", "Maximize"))
    draft.put(("metric", "goal"), goal.lower(), (*path, "Type"))


def _early(draft: Draft, path: Path, value: Any) -> None:
    if draft.word(path, value, ("Auto", "Off")) == "Auto":
        draft.put(("scheduler",), "median", path)
        draft.note(path, "trials there end if they do worse than the median; median stops so here")


def _ranges(draft: Draft, path: Path, value: Any) -> None:
    draft.each(path, value, KINDS)


def _each(kind: str) -> Handler:
    def take(draft: Draft, path: Path, value: Any) -> None:
        for i, one in enumerate(value if isinstance(value, list) else draft.items(path, value)):
            place = (*path, i)
            rule = draft.mapping(place, one)
            keys = ("Name", *(("Values",) if kind == "choice" else _BOUNDS))
            draft.each(place, rule, dict.fromkeys(keys, taken))
            name = draft.word((*place, "Name"), rule.get("Name"))
            draft.param(name, _entry(draft, place, kind, rule), place)
        _say_scales(draft, path, value)

    return take


def _say_scales(draft: Draft, path: Path, rules: list[dict[str, Any]]) -> None:
    """Say of which ranges the scale is chosen there."""
    ranged = [rule for rule in rules if "Values" not in rule]
    names = [rule["Name"] for rule in ranged if rule.get("ScalingType", "Auto") == "Auto"]
    if names:
        text = f"the scale of {', '.join(names)} is chosen there; it is linear here, or log: true"
        draft.note(path, text)


def _entry(draft: Draft, path: Path, kind: str, rule: dict[str, Any]) -> Any:
    if kind == "choice":
        values = draft.items((*path, "Values"), rule.get("Values"))
        return ranges.listed([_decoded(one) for one in values])
    scale = draft.word((*path, "ScalingType"), rule.get("ScalingType", "Auto"), SCALES)
    low, high = (draft.number((*path, key), rule.get(key), strings=True) for key in _BOUNDS[:2])
    log = scale == "Logarithmic"
    if kind == "int":
        if scale == "ReverseLogarithmic":
            raise draft.error((*path, "ScalingType"), "whole numbers have no reverse log scale")
        bottom, top = (draft.whole((*path, key), rule[key], strings=True) for key in _BOUNDS[:2])
        return ranges.integers(draft, path, bottom, top, log)
    entry = ranges.continuous(draft, path, low, high, log)
    reverse = scale == "ReverseLogarithmic" and isinstance(entry, dict)
    return entry | {"log": "reverse"} if reverse else entry


def _decoded(value: Any) -> Any:
    """A hyperparameter as the script gets it: JSON is read, and what is none is a word."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _definition(draft: Draft, path: Path, value: Any) -> None:
    draft.each(path, value, DEFINITION)


def _static(draft: Draft, path: Path, value: Any) -> None:
    """The constants; those that SageMaker itself reads name the script."""
    for name, inner in draft.mapping(path, value).items():
        place, said = (*path, name), _decoded(inner)
        if name == "sagemaker_program":
            draft.put(("trainable",), draft.word(place, said), place)
        elif name.startswith(("sagemaker_", "_tuning_")):
            draft.note(place, f"{name}: how a script is started there")
        else:
            draft.param(name, ranges.constant(said), place)


def _algorithm(draft: Draft, path: Path, value: Any) -> None:
    """The image that trains; how its metrics are read from what it prints is told."""
    draft.note(path, "the image that trains there; trainable says it here")
    given = draft.mapping(path, value).get("MetricDefinitions") or []
    place = (*path, "MetricDefinitions")
    for i, one in enumerate(draft.items(place, given) if given else []):
        rule = draft.mapping((*place, i), one)
        if rule.get("Name") == draft.data.get("metric", {}).get("name"):
            _pattern(draft, (*place, i), rule)


def _pattern(draft: Draft, path: Path, rule: dict[str, Any]) -> None:
    """How the metric is read from what the script prints: by the first group of a pattern."""
    name, regex = draft.word(path, rule["Name"]), draft.word(path, rule.get("Regex"))
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    named = _FIRST_GROUP.sub(rf"\1(?P<{word}>", regex, count=1)
    try:
        pattern(named)
    except ValueError:
        draft.note(path, f"{name} is read there by the pattern {regex}, which has no equal here")
        return
    draft.put(("metric", "pattern"), named, path)
    if word != name:
        draft.put(("metric", "name"), word, path)
        draft.note(path, f"{name} is called {word} here, as a group of a pattern must be")


def _limits(draft: Draft, path: Path, value: Any) -> None:
    handlers: dict[str, Handler] = {
        "MaxNumberOfTrainingJobs": _whole("budget", "trials"),
        "MaxParallelTrainingJobs": _whole("parallel"),
        "MaxRuntimeInSeconds": _whole("budget", "time"),
    }
    draft.each(path, value, handlers)


def _whole(*target: str) -> Handler:
    return lambda draft, path, value: draft.put(
        target, draft.whole(path, value, strings=True), path
    )


def _criteria(draft: Draft, path: Path, value: Any) -> None:
    nothing = "MaxNumberOfTrainingJobsNotImproving"
    handlers: dict[str, Handler] = {
        "TargetObjectiveMetricValue": lambda draft, path, value: draft.put(
            ("metric", "target"), float(draft.number(path, value, strings=True)), path
        ),
        "BestObjectiveNotImproving": lambda draft, path, value: draft.each(
            path, value, {nothing: _whole("plateau", "trials")}
        ),
        "ConvergenceDetected": noted("when its search thinks that it is done"),
    }
    draft.each(path, value, handlers)


_BOUNDS = ("MinValue", "MaxValue", "ScalingType")
KINDS: dict[str, Handler] = {
    "ContinuousParameterRanges": _each("float"),
    "IntegerParameterRanges": _each("int"),
    "CategoricalParameterRanges": _each("choice"),
    "AutoParameters": refused("its range is chosen there"),
}
CONFIG: dict[str, Handler] = {
    "Strategy": _strategy,
    "StrategyConfig": lambda draft, path, value: draft.each(
        path, value, {"HyperbandStrategyConfig": _hyperband}
    ),
    "HyperParameterTuningJobObjective": _objective,
    "ResourceLimits": _limits,
    "ParameterRanges": _ranges,
    "TrainingJobEarlyStoppingType": _early,
    "TuningJobCompletionCriteria": _criteria,
    "RandomSeed": _whole("seed"),
}
_PLACED = noted("where trials run there, and with which data")
DEFINITION: dict[str, Handler] = {
    "StaticHyperParameters": _static,
    "AlgorithmSpecification": _algorithm,
    "HyperParameterRanges": refused("ranges are read in HyperParameterTuningJobConfig"),
    "TuningObjective": refused("the objective is read in HyperParameterTuningJobConfig"),
    "StoppingCondition": noted("a trial is not ended by the clock here"),
} | dict.fromkeys(
    (
        "DefinitionName",
        "RoleArn",
        "InputDataConfig",
        "OutputDataConfig",
        "ResourceConfig",
        "VpcConfig",
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "EnableManagedSpotTraining",
        "CheckpointConfig",
        "RetryStrategy",
        "HyperParameterTuningResourceConfig",
        "Environment",
    ),
    _PLACED,
)
KEYS: dict[str, Handler] = {
    "HyperParameterTuningJobName": noted("where a sweep is shown there"),
    _CONFIG: _config,
    "TrainingJobDefinition": _definition,
    "TrainingJobDefinitions": refused("several training jobs are several sweeps here"),
    "WarmStartConfig": refused("a sweep begins from nothing here"),
    "Autotune": only({"Mode": "Disabled"}),
    "Tags": noted("where a sweep is shown there"),
}
