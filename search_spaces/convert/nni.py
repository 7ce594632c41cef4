"""NNI experiment files, of its configuration schemas 1 and 2 (nni.readthedocs.io)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from raysweep.search_spaces.convert import command, nni_space, ranges, shell
from raysweep.search_spaces.convert.draft import Draft, Handler, moved, noted, only, refused, taken
from raysweep.search_spaces.file.document import Document, Path

NAME = "an NNI experiment"
TUNERS = {
    "tpe": "tpe",
    "random": "random",
    "gridsearch": "grid",
    "bohb": "bohb",
    "gptuner": "auto",
    "hyperband": "random",
}
_SPACES = ("searchSpace", "searchSpaceFile", "searchSpacePath")
_SECTIONS = ("tuner", "assessor", "advisor", "trainingService", "trial", "localConfig")


def recognize(data: dict[str, Any]) -> bool:
    named = {_camel(key) for key in data}
    return not named.isdisjoint(_SPACES) and not named.isdisjoint(
        ("trialCommand", "trial", "tuner", "advisor")
    )


def _camel(key: Any) -> Any:
    """`trial_command` as `trialCommand`: there both are the same."""
    first, *others = str(key).split("_")
    return (
        first + "".join(word[:1].upper() + word[1:] for word in others) if others and first else key
    )


def camel(document: Document) -> Document:
    """The file with its keys in camel case, as schema 2 has them.

    Those of the search space and of `classArgs` stay as they are.
    """

    def renamed(path: Path) -> Path:
        depth = 2 if _camel(path[0]) in _SECTIONS else 1
        return (*(_camel(key) for key in path[:depth]), *path[depth:])

    data = _once(document, (), document.data)
    for section in _SECTIONS:
        if isinstance(data.get(section), dict):
            data[section] = _once(document, (section,), data[section])
    return replace(
        document,
        data=data,
        places={renamed(path) if path else path: place for path, place in document.places.items()},
    )


def _once(document: Document, path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """The keys in camel case. Raises SpecificationError if two become the same."""
    renamed = {_camel(key): value for key, value in data.items()}
    if len(renamed) < len(data):
        twice = next(key for key in data if _camel(key) != key and _camel(key) in data)
        raise document.error((*path, twice), f"{twice}: '{_camel(twice)}' says the same")
    return renamed


def read(draft: Draft) -> None:
    """Take an experiment file. `dialects.translate` reads the file of the search space it names."""
    data = draft.source.data
    draft.put(("metric", "name"), "default", ())
    draft.note(
        (),
        "NNI calls what nni.report_final_result reports 'default'; "
        "write the metric's name that run.report has here",
    )
    if "assessor" not in data:
        draft.put(("scheduler",), "none", ())
    draft.each((), data, KEYS)
    command.length(draft)
    if draft.data.get("searcher") == {"name": "grid"}:
        ranges.every_value(draft, "")
    if "goal" not in draft.data["metric"]:
        draft.ask(("metric", "goal"), "the tuner there is told no optimize_mode", ())
    gpus, sharing = draft.data.pop("gpus", None), draft.data.pop("sharing", 1)
    if gpus is not None:
        share = gpus / sharing if gpus % sharing else gpus // sharing
        draft.put(
            ("resources", "gpu"),
            share,
            ("trialGpuNumber",) if "trialGpuNumber" in data else ("trial", "gpuNum"),
        )


def _tuner(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    key = next(
        (one for one in ("name", "builtinTunerName", "builtinAdvisorName") if one in rule), None
    )
    if key is None:
        raise draft.error(
            path, f"a tuner of one's own has no equal here; expected one of {', '.join(TUNERS)}"
        )
    name = draft.word((*path, key), rule.get(key)).lower()
    draft.word((*path, key), name, TUNERS)
    draft.put(("searcher",), {"name": TUNERS[name]}, (*path, key))
    if name == "hyperband":
        draft.put(("scheduler",), {"name": "asha", "type": "stopping"}, (*path, key))
        draft.note((*path, key), "hyperband's brackets become asha's rungs here")
    if name == "gridsearch":
        draft.note(
            (*path, key), "there the grid of a continuous range grows finer; here it is fixed"
        )
    draft.each(
        path,
        rule,
        {
            key: taken,
            "classArgs": lambda draft, path, value: draft.each(path, value, ARGUMENTS[name]),
        },
    )
    if name in GOALS and "optimize_mode" not in (rule.get("classArgs") or {}):
        draft.put(("metric", "goal"), GOALS[name], (*path, key))
        draft.note((*path, key), f"without optimize_mode, {name} takes {GOALS[name]}")


def _budget(draft: Draft, path: Path, value: Any) -> None:
    """The longest training of BOHB or Hyperband, in what the trial counts; epochs here."""
    draft.put(("budget", "epochs"), draft.whole(path, value), path)
    draft.note(path, f"{path[-1]} is counted there as the trial likes; in epochs here")


def _halving(key: str) -> Handler:
    def take(draft: Draft, path: Path, value: Any) -> None:
        if not isinstance(draft.data.get("scheduler"), dict):
            draft.put(("scheduler",), {"name": "asha", "type": "stopping"}, path)
        draft.put(("scheduler", key), draft.number(path, value), path)

    return take


def _assessor(draft: Draft, path: Path, value: Any) -> None:
    rule = draft.mapping(path, value)
    key = "builtinAssessorName" if "builtinAssessorName" in rule else "name"
    name = draft.word((*path, key), rule.get(key))
    draft.word((*path, key), name.lower(), ["medianstop"])
    draft.put(("scheduler",), {"name": "median"}, (*path, key))
    settings: dict[str, Handler] = {
        "start_step": moved("scheduler", "grace"),
        "optimize_mode": _goal,
    }
    draft.each(
        path,
        rule,
        {key: taken, "classArgs": lambda draft, path, value: draft.each(path, value, settings)},
    )


def _goal(draft: Draft, path: Path, value: Any) -> None:
    draft.put(("metric", "goal"), draft.word(path, value, ("minimize", "maximize")), path)


def _command(draft: Draft, path: Path, value: Any) -> None:
    """What a shell runs in the folder of the trial's code."""
    data = draft.source.data
    trial = data.get("trial") if isinstance(data.get("trial"), dict) else {}
    folder = data.get("trialCodeDirectory") or (trial or {}).get("codeDir") or "."
    found = shell.parse(draft, path, draft.word(path, value), str(PurePosixPath(str(folder))))
    found = replace(found, words=[_with_output(word) for word in found.words])
    command.take_words(draft, path, command.take(draft, path, found))
    command.unpassed(draft, path, "NNI")


def _with_output(word: str) -> str:
    """A word with the trial's own folder in place of the variable that has it there."""
    return word.replace("{env:NNI_OUTPUT_DIR}", "{folder}").replace("{env:NNI_SYS_DIR}", "{folder}")


def _counted(key: str, least: int) -> Handler:
    """Keeps a whole number for the end, when the GPUs are divided by the trials on a GPU."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        count = draft.whole(path, value)
        if count < least:
            raise draft.error(path, f"expected {least} or more, got {count}")
        draft.put((key,), count, path)

    return take


def _trial(draft: Draft, path: Path, value: Any) -> None:
    draft.each(
        path,
        value,
        {
            "command": _command,
            "codeDir": taken,
            "gpuNum": _counted("gpus", 0),
            "cpuNum": moved("resources", "cpu"),
        },
    )


def _service(draft: Draft, path: Path, value: Any) -> None:
    """Take how many trials share a GPU. Where trials run is decided by the cluster here."""
    shared = _counted("sharing", 1)
    for key, inner in draft.mapping(path, value).items():
        if inner is not None:
            (shared if key in ("maxTrialNumberPerGpu", "maxTrialNumPerGpu") else _PLACED)(
                draft, (*path, key), inner
            )


GOALS = {"tpe": "minimize", "gptuner": "maximize", "hyperband": "maximize", "bohb": "maximize"}
"""What NNI's tuners take without `optimize_mode`; random and grid search need none."""
_PLACED = noted("where trials are placed there")
ARGUMENTS: dict[str, dict[str, Handler]] = {
    "tpe": {
        "optimize_mode": _goal,
        "seed": moved("seed"),
        "parallel_optimize": only(True, False),
        "constant_liar_type": only("min", "max", "mean"),
    },
    "random": {"optimize_mode": _goal, "seed": moved("seed")},
    "gridsearch": {"optimize_mode": _goal},
    "gptuner": {"optimize_mode": _goal},
    "hyperband": {
        "optimize_mode": _goal,
        "R": _budget,
        "eta": _halving("eta"),
        "exec_mode": only("parallelism", "serial"),
    },
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
    "searchSpace": nni_space.take,
    "searchSpaceFile": taken,
    "searchSpacePath": taken,
    "trialCommand": _command,
    "trialCodeDirectory": taken,
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
    "trainingServicePlatform": _PLACED,
    "localConfig": _service,
    "useAnnotation": only(False),
    "multiPhase": only(False),
    "multiThread": only(False, True),
    "sharedStorage": _PLACED,
    "tunerGpuIndices": _PLACED,
    "maxTrialDuration": refused("a trial is not ended by the clock"),
} | dict.fromkeys(
    (
        "experimentName",
        "authorName",
        "experimentWorkingDirectory",
        "logDir",
        "logLevel",
        "debug",
        "nniManagerIp",
        "logCollection",
    ),
    _SHOWN,
)
