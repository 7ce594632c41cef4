"""The groups of experiments that Polyaxon had before its operations."""

from __future__ import annotations

from typing import Any

from raysweep.search_spaces.convert import polyaxon_params, polyaxon_search
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, only, taken
from raysweep.search_spaces.file.document import Path


def _algorithm(kind: str) -> Handler:
    """A search of a group of experiments."""

    def take(draft: Draft, path: Path, value: Any) -> None:
        polyaxon_search.search(draft, path, kind)
        draft.each(path, value, ALGORITHM)
        if kind == "hyperband":
            rule = draft.mapping(path, value)
            polyaxon_search.brackets(
                draft, path, rule.get("maxIter"), rule.get("eta"), rule.get("resource")
            )

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
    "nExperiments": polyaxon_search.whole("budget", "trials"),
    "maxIter": taken,
    "eta": taken,
    "resource": taken,
    "metric": polyaxon_search.metric,
    "resume": noted("a trial there begins anew, or from its checkpoint"),
    "nInitialTrials": _iterations,
    "nIterations": _iterations,
    "utilityFunction": noted("how its search works, which is another here"),
}
TUNING: dict[str, Handler] = {
    "matrix": taken,
    "concurrency": polyaxon_search.whole("parallel"),
    "seed": polyaxon_search.whole("seed"),
    "gridSearch": _algorithm("grid"),
    "randomSearch": _algorithm("random"),
    "hyperband": _algorithm("hyperband"),
    "bo": _algorithm("bo"),
    "earlyStopping": polyaxon_search.early,
}
GROUP: dict[str, Handler] = {
    "kind": only("group"),
    "version": taken,
    "hptuning": _tuning,
    "run": taken,
    "params": polyaxon_search.constants,
    "declarations": polyaxon_search.constants,
} | dict.fromkeys(
    ("name", "description", "tags", "logging", "environment", "build", "framework", "backend"),
    polyaxon_search.SHOWN,
)
