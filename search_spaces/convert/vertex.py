"""Vertex AI hyperparameter tuning jobs, and those of AI Platform before it (cloud.google.com).

A script gets its parameters as `--name=value`. Keys are written `maxTrialCount` or
`max_trial_count`; whole numbers may be strings. Both bounds of a range are included.
"""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import command, ranges, vertex_params
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, refused, taken
from raysweep.search_spaces.convert.spelling import camel
from raysweep.search_spaces.file.document import Path

NAME = "a Vertex AI tuning job"
ALGORITHMS = {
    "ALGORITHM_UNSPECIFIED": "auto",
    "RANDOM_SEARCH": "random",
    "GRID_SEARCH": "grid",
}


def recognize(data: dict[str, Any]) -> bool:
    named = {camel(key): value for key, value in data.items()}
    training = named.get("trainingInput")
    return (
        isinstance(named.get("studySpec"), dict)
        or (isinstance(training, dict) and "hyperparameters" in training)
        or ("metrics" in named and _identified(named.get("parameters")))
    )


def _identified(parameters: Any) -> bool:
    return isinstance(parameters, list) and any(
        isinstance(one, dict) and ("parameterId" in one or "parameter_id" in one)
        for one in parameters
    )


def read(draft: Draft) -> None:
    """Take the job, its study alone, or a job of AI Platform."""
    data = draft.source.data
    draft.put(("scheduler",), "none", ())
    if "trainingInput" in data:
        draft.each((), data, {"trainingInput": _training, "labels": _SHOWN, "jobId": _SHOWN})
    elif "studySpec" in data:
        draft.each((), data, JOB)
    else:
        _study(draft, (), data)
    if "space" not in draft.data:
        raise draft.error((), "no parameters are given")
    if "searcher" not in draft.data:
        draft.put(("searcher",), "auto", ())
        draft.note((), "a Gaussian process of its own searches there; auto is one here")
    if draft.data["searcher"] == "grid":
        ranges.every_value(draft, "a grid there takes no continuous range")
        if "trials" not in draft.data.get("budget", {}):
            ranges.every_cell(draft)
    command.length(draft)


def _study(draft: Draft, path: Path, value: Any) -> None:
    draft.each(path, value, STUDY)


def _metrics(draft: Draft, path: Path, value: Any) -> None:
    several = draft.items(path, value)
    if len(several) > 1:
        raise draft.error((*path, 1), "several metrics have no equal here: one is optimized")
    rule = draft.mapping((*path, 0), several[0])
    keys: dict[str, Handler] = {"metricId": _name, "goal": _goal}
    draft.each((*path, 0), rule, keys | {"safetyConfig": refused("every trial is allowed here")})


def _name(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("metric", "name"), draft.word(path, value), path)


def _goal(draft: Draft, path: Path, value: Any) -> None:
    goal = draft.word(path, value, ("MINIMIZE", "MAXIMIZE"))
    draft.put(("metric", "goal"), goal.lower(), path)


def _algorithm(draft: Draft, path: Path, value: Any) -> None:
    searcher = ALGORITHMS[draft.word(path, value, ALGORITHMS)]
    if searcher != "auto":
        draft.put(("searcher",), searcher, path)


def _median(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("scheduler",), "median", path)
    draft.note(path, "trials there end if they do worse than the median; median stops so here")


def _count(*target: str) -> Handler:
    """Takes a whole number; 0 is there what is not said."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        count = draft.whole(path, value, strings=True)
        if count:
            draft.put(target, count, path)

    return take


def _trial_job(draft: Draft, path: Path, value: Any) -> None:
    """The script and its arguments, of the first pool of workers."""
    rule = draft.mapping(path, value)
    draft.each(path, rule, {"workerPoolSpecs": taken} | dict.fromkeys(_JOB_KEYS, _PLACED))
    pools = draft.items((*path, "workerPoolSpecs"), rule.get("workerPoolSpecs"))
    for i, one in enumerate(pools):
        place = (*path, "workerPoolSpecs", i)
        if i:
            draft.note(place, "another pool of workers trains with the first there, not here")
        else:
            draft.each(place, one, POOL)


def _container(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    keys = {"command": taken, "args": taken, "imageUri": _PLACED, "env": _PLACED}
    draft.each(path, rule, keys)
    given = {key: rule[key] for key in ("command", "args") if rule.get(key)}
    words = [str(one) for key in given for one in draft.items((*path, key), given[key])]
    if command.find_script(words):
        command.arguments(draft, path, command.script(draft, path, words))
    elif rule.get("command"):
        draft.note((*path, "command"), f"{' '.join(words)}: trainable says it here")
    else:
        command.arguments(draft, path, words)


def _package(draft: Draft, path: Path, value: Any) -> None:
    keys: dict[str, Handler] = {"pythonModule": _module, "args": _arguments, "env": _PLACED}
    draft.each(path, value, keys | dict.fromkeys(("executorImageUri", "packageUris"), _PLACED))


def _module(draft: Draft, path: Path, value: Any) -> None:
    command.take_script(draft, path, f"-m {draft.word(path, value)}")


def _arguments(draft: Draft, path: Path, value: Any) -> None:
    command.arguments(draft, path, [str(one) for one in draft.items(path, value)])


def _machine(draft: Draft, path: Path, value: Any) -> None:
    keys: dict[str, Handler] = {"acceleratorCount": _count("resources", "gpu")}
    draft.each(path, value, keys | dict.fromkeys(("machineType", "acceleratorType"), _PLACED))


def _training(draft: Draft, path: Path, value: Any) -> None:
    """A job of AI Platform: its hyperparameters, its module and its arguments."""
    for key, inner in draft.mapping(path, value).items():
        place = (*path, key)
        if inner is not None:
            TRAINING.get(key, _PLACED)(draft, place, inner)


def _hyperparameters(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    if "hyperparameterMetricTag" not in rule:
        draft.put(("metric", "name"), "training/hptuning/metric", path)
    draft.each(path, rule, HYPERPARAMETERS)


def _stops_early(draft: Draft, path: Path, value: Any) -> None:
    if value is True:
        _median(draft, path, value)


_SHOWN = noted("where a sweep is shown there")
_PLACED = noted("where trials run there, and with what")
_FAILURES = noted("the first three trials that fail alike end a sweep here")
_JOB_KEYS = (
    "scheduling",
    "serviceAccount",
    "network",
    "baseOutputDirectory",
    "tensorboard",
    "enableWebAccess",
    "labels",
    "reservedIpRanges",
    "experiment",
    "experimentRun",
)
STUDY: dict[str, Handler] = {
    "metrics": _metrics,
    "parameters": vertex_params.parameters,
    "algorithm": _algorithm,
    "medianAutomatedStoppingSpec": _median,
    "decayCurveStoppingSpec": refused("asha and median stop trials here"),
    "convexAutomatedStoppingSpec": refused("asha and median stop trials here"),
    "convexStopConfig": refused("asha and median stop trials here"),
    "observationNoise": noted("what its search believes of noise"),
    "measurementSelectionType": noted("the best epoch counts here"),
    "transferLearningConfig": refused("a sweep begins from nothing here"),
}
JOB: dict[str, Handler] = {
    "studySpec": _study,
    "trialJobSpec": _trial_job,
    "maxTrialCount": _count("budget", "trials"),
    "parallelTrialCount": _count("parallel"),
    "maxFailedTrialCount": _FAILURES,
} | dict.fromkeys(("displayName", "labels", "name", "encryptionSpec"), _SHOWN)
POOL: dict[str, Handler] = {
    "containerSpec": _container,
    "pythonPackageSpec": _package,
    "machineSpec": _machine,
    "replicaCount": _PLACED,
    "diskSpec": _PLACED,
    "nfsMounts": _PLACED,
}
TRAINING: dict[str, Handler] = {
    "hyperparameters": _hyperparameters,
    "pythonModule": _module,
    "args": _arguments,
}
HYPERPARAMETERS: dict[str, Handler] = {
    "goal": _goal,
    "hyperparameterMetricTag": _name,
    "params": vertex_params.legacy,
    "maxTrials": _count("budget", "trials"),
    "maxParallelTrials": _count("parallel"),
    "maxFailedTrials": _FAILURES,
    "enableTrialEarlyStopping": _stops_early,
    "algorithm": _algorithm,
    "resumePreviousJobId": refused("a sweep begins from nothing here"),
}
