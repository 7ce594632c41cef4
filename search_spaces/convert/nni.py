"""NNI search spaces (`search_space.json`) and experiment files, of its configuration schemas 1 and 2 (nni.readthedocs.io).

There `randint` leaves its upper bound out, and quantized values are clipped to the bounds. A choice among nested spaces is a condition.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from search_spaces.convert import command, ranges
from search_spaces.convert.draft import Draft, Handler, moved, noted, only
from search_spaces.document import Path

NAME = "an NNI experiment"
SPACE_NAME = "an NNI search space"
TUNERS = {"tpe": "tpe", "random": "random", "gridsearch": "grid", "bohb": "bohb"}
_SPACES, _FILES = ("searchSpace", "search_space"), ("searchSpaceFile", "searchSpacePath")


def recognize(data: dict[str, Any]) -> bool:
    return any(key in data for key in (*_SPACES, *_FILES)) and any(key in data for key in ("trialCommand", "trial", "tuner", "advisor"))


def recognize_space(data: dict[str, Any]) -> bool:
    return bool(data) and all(isinstance(one, dict) and "_type" in one and "_value" in one for one in data.values())


def read_space(draft: Draft) -> None:
    """Take a file that holds a search space alone."""
    _space(draft, (), draft.source.data, {})


def read(draft: Draft) -> None:
    """Take an experiment file; the search space that it names is read by whoever opens files (`search_spaces.convert`)."""
    data = draft.source.data
    draft.put(("metric",), {"name": "default", "goal": "maximize"}, ())
    draft.note((), "NNI calls what nni.report_final_result reports 'default'; write the metric's name that run.report has here")
    if "assessor" not in data:
        draft.put(("scheduler",), "none", ())
    draft.each((), data, KEYS)
    gpus, sharing = draft.data.pop("gpus", None), draft.data.pop("sharing", 1)
    if gpus is not None:
        share = gpus / sharing if gpus % sharing else gpus // sharing
        draft.put(("resources", "gpu"), share, ("trialGpuNumber",) if "trialGpuNumber" in data else ("trial", "gpuNum"))


def _space(draft: Draft, path: Path, value: Any, when: dict[str, Any], prefix: str = "") -> None:
    for name, inner in draft.mapping(path, value).items():
        place, full = (*path, name), f"{prefix}{name}"
        rule = draft.mapping(place, inner)
        draft.each(place, rule, dict.fromkeys(("_type", "_value"), _taken))
        kind = draft.word((*place, "_type"), rule.get("_type"), KINDS)
        values = draft.items((*place, "_value"), rule.get("_value"))
        if kind == "choice" and any(isinstance(one, dict) for one in values):
            _branches(draft, (*place, "_value"), values, full, when)
        else:
            _put(draft, full, KINDS[kind](draft, (*place, "_value"), values), place, when)


def _branches(draft: Draft, path: Path, values: list[Any], name: str, when: dict[str, Any]) -> None:
    """A choice among nested spaces: the name that is chosen, and for each the parameters that are active then."""
    options = [draft.mapping((*path, i), one) for i, one in enumerate(values)]
    names = [draft.word((*path, i, "_name"), one.get("_name")) for i, one in enumerate(options)]
    chosen = f"{name}._name"
    _put(draft, chosen, {"choice": names}, path, when)
    shared: dict[str, tuple[Any, Path, list[str]]] = {}
    for i, one in enumerate(options):
        for key, rule in one.items():
            first, _, holders = shared.setdefault(key, (rule, (*path, i), []))
            if key != "_name" and rule != first:
                raise draft.error((*path, i, key), f"'{key}' has another range in another branch, which has no equal here; rename one")
            holders.append(names[i])
    for key, (rule, branch, holders) in shared.items():
        if key != "_name":
            _space(draft, branch, {key: rule}, when | {chosen: holders[0] if len(holders) == 1 else holders}, f"{name}.")


def _put(draft: Draft, name: str, entry: Any, origin: Path, when: dict[str, Any]) -> None:
    if when:
        entry = {"choice": [entry]} if not isinstance(entry, dict) else entry
        entry = entry | {"when": dict(when)}
    draft.put(("space", name), entry, origin)


def _taken(draft: Draft, path: Path, value: Any) -> None:
    """Read together with its neighbours."""


def _numbers(draft: Draft, path: Path, values: list[Any], count: int) -> list[Any]:
    if len(values) != count:
        raise draft.error(path, f"expected {count} numbers, got {len(values)}")
    return [draft.number((*path, i), one) for i, one in enumerate(values)]


def _choice(draft: Draft, path: Path, values: list[Any]) -> Any:
    return {"choice": draft.scalars(path, values)}


def _randint(draft: Draft, path: Path, values: list[Any]) -> Any:
    low, high = (0, *values) if len(values) == 1 else _numbers(draft, path, values, 2)
    bottom, top = draft.whole((*path, 0), low), draft.whole((*path, len(values) - 1), high)
    if top <= bottom:
        raise draft.error(path, f"randint leaves its upper bound out, so [{bottom}, {top}] has no value")
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


def _tuner(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    key = next((one for one in ("name", "builtinTunerName", "builtinAdvisorName") if one in rule), "name")
    name = draft.word((*path, key), rule.get(key))
    draft.word((*path, key), name.lower(), TUNERS)
    draft.put(("searcher",), {"name": TUNERS[name.lower()]}, (*path, key))
    draft.each(path, rule, {key: _taken, "classArgs": lambda draft, path, value: draft.each(path, value, ARGUMENTS[TUNERS[name.lower()]])})


def _budget(draft: Draft, path: Path, value: Any) -> None:
    """BOHB's longest training, in what the trial counts; epochs here."""
    draft.put(("budget", "epochs"), draft.whole(path, value), path)


def _halving(key: str) -> Handler:
    def take(draft: Draft, path: Path, value: Any) -> None:
        if not isinstance(draft.data.get("scheduler"), dict):
            draft.put(("scheduler",), {"name": "asha"}, path)
        draft.put(("scheduler", key), draft.number(path, value), path)

    return take


def _assessor(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    key = "builtinAssessorName" if "builtinAssessorName" in rule else "name"
    name = draft.word((*path, key), rule.get(key))
    draft.word((*path, key), name.lower(), ["medianstop"])
    draft.put(("scheduler",), {"name": "median"}, (*path, key))
    settings: dict[str, Handler] = {"start_step": moved("scheduler", "grace"), "optimize_mode": _goal}
    draft.each(path, rule, {key: _taken, "classArgs": lambda draft, path, value: draft.each(path, value, settings)})


def _goal(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("metric", "goal"), draft.word(path, value, ("minimize", "maximize")), path)


def _command(draft: Draft, path: Path, value: Any) -> None:
    data = draft.source.data
    trial = data.get("trial") if isinstance(data.get("trial"), dict) else {}
    folder = data.get("trialCodeDirectory") or (trial or {}).get("codeDir") or "."
    command.script(draft, path, command.split(draft, path, draft.word(path, value)), str(PurePosixPath(str(folder))))


def _counted(key: str, least: int) -> Handler:
    """Keeps a whole number until the end, where the GPUs of a trial are divided by the trials that share one."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        count = draft.whole(path, value)
        if count < least:
            raise draft.error(path, f"expected {least} or more, got {count}")
        draft.put((key,), count, path)

    return take


def _trial(draft: Draft, path: Path, value: Any) -> None:
    draft.each(path, value, {"command": _command, "codeDir": _taken, "gpuNum": _counted("gpus", 0), "cpuNum": moved("resources", "cpu")})


def _service(draft: Draft, path: Path, value: Any) -> None:
    """A local training service; where trials run elsewhere is the cluster's business here."""
    placed = noted("where trials are placed there")
    keys = ("platform", "useActiveGpu", "gpuIndices", "machineList", "reuseMode", "debug")
    draft.each(path, value, {"maxTrialNumberPerGpu": _counted("sharing", 1)} | dict.fromkeys(keys, placed))


ARGUMENTS: dict[str, dict[str, Handler]] = {
    "tpe": {
        "optimize_mode": _goal,
        "seed": moved("seed"),
        "parallel_optimize": only(True, False),
        "constant_liar_type": only("min", "max", "mean"),
    },
    "random": {"optimize_mode": _goal, "seed": moved("seed")},
    "grid": {"optimize_mode": _goal},
    "bohb": {
        "optimize_mode": _goal,
        "min_budget": _halving("grace"),
        "max_budget": _budget,
        "eta": _halving("eta"),
        "top_n_percent": moved("searcher", "top_percent"),
        "num_samples": moved("searcher", "samples"),
        "random_fraction": moved("searcher", "random_fraction"),
        "bandwidth_factor": moved("searcher", "bandwidth_factor"),
        "min_bandwidth": moved("searcher", "min_bandwidth"),
    },
}
_SHOWN = noted("how the experiment is shown or stored there")
KEYS: dict[str, Handler] = {
    "searchSpace": lambda draft, path, value: _space(draft, path, value, {}),
    "searchSpaceFile": _taken,
    "searchSpacePath": _taken,
    "trialCommand": _command,
    "trialCodeDirectory": _taken,
    "trial": _trial,
    "trialConcurrency": moved("parallel"),
    "trialGpuNumber": _counted("gpus", 0),
    "maxTrialNumber": moved("budget", "trials"),
    "maxTrialNum": moved("budget", "trials"),
    "maxExperimentDuration": moved("budget", "time"),
    "maxExecDuration": moved("budget", "time"),
    "tuner": _tuner,
    "advisor": _tuner,
    "assessor": _assessor,
    "trainingService": _service,
    "trainingServicePlatform": noted("where trials are placed there"),
    "localConfig": _service,
    "useAnnotation": only(False),
} | dict.fromkeys(
    ("experimentName", "authorName", "experimentWorkingDirectory", "logDir", "logLevel", "debug", "nniManagerIp", "logCollection"), _SHOWN
)
