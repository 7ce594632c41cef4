"""Polyaxon operations with a `matrix`, and the groups of experiments before them (polyaxon.com).

In these, `loguniform` takes natural exponents, quantized values are rounded down, `range` leaves
its end out, and `logspace` takes exponents of ten.
"""

from __future__ import annotations

import re
from typing import Any

from raysweep.search_spaces.convert import (
    command,
    options,
    polyaxon_groups,
    polyaxon_params,
    polyaxon_search,
    ranges,
    shell,
)
from raysweep.search_spaces.convert.draft import Draft, Handler, noted, only, refused, taken
from raysweep.search_spaces.convert.spelling import in_camel_case
from raysweep.search_spaces.file.document import Document, Path

NAME = "a Polyaxon operation"
_PLACEHOLDER = re.compile(r"\{\{ *(?P<name>[A-Za-z_][\w.-]*) *\}\}")
_FOLDERS = ("globals.run_outputs_path", "globals.run_artifacts_path")


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
        draft.each((), data, polyaxon_groups.GROUP)
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
    kind = draft.word(
        (*path, "kind"), rule.get("kind"), [k for k in polyaxon_search.SEARCHERS if k != "bo"]
    )
    polyaxon_search.search(draft, (*path, "kind"), kind)
    draft.each(path, rule, MATRIX)
    polyaxon_params.take(draft, (*path, "params"), rule.get("params"), kind == "hyperopt")
    if kind in ("bayes", "tpe"):
        first = draft.whole((*path, "numInitialRuns"), rule.get("numInitialRuns") or 0)
        more = draft.whole((*path, "maxIterations"), rule.get("maxIterations") or 0)
        if first + more:
            draft.put(("budget", "trials"), first + more, path)
    if kind == "hyperband":
        polyaxon_search.brackets(
            draft, path, rule.get("maxIterations"), rule.get("eta"), rule.get("resource")
        )


def _component(draft: Draft) -> None:
    """The script of the component that lies in the file, and the parameters that it is told."""
    component = draft.source.data.get("component")
    run = component.get("run") if isinstance(component, dict) else None
    container = run.get("container") if isinstance(run, dict) else None
    path: Path = ("component", "run", "container")
    words: list[str] = []
    for key in ("command", "args"):
        given = container.get(key) if isinstance(container, dict) else None
        if given is not None:
            several = [given] if isinstance(given, str) else draft.items((*path, key), given)
            words += [str(one) for one in several]
    marked = [_marked(draft, path, word) for word in words]
    _passed(draft, path, shell.simple(draft, path, marked))


def _run(draft: Draft, path: Path, value: Any) -> None:
    """The command of an experiment before version 1.0, with placeholders."""
    cmd = value.get("cmd") if isinstance(value, dict) else None
    place = (*path, "cmd")
    if cmd:
        several = cmd if isinstance(cmd, list) else [cmd]
        marked = [_marked(draft, place, str(one)) for one in several]
        _passed(draft, place, shell.parse(draft, place, " && ".join(map(_on_a_line, marked))))


def _on_a_line(command: str) -> str:
    """A command without the backslashes at the ends of words, as Polyaxon passes it to a shell."""
    words = [word.strip("\\") for word in command.split()]
    return " ".join(word for word in words if word)


def _marked(draft: Draft, path: Path, text: str) -> str:
    """A text with our marks, and placeholders, for what Polyaxon fills in."""

    def filled(found: re.Match[str]) -> str:
        name = found["name"]
        if name in _FOLDERS:
            return "{folder}"
        if name.startswith(("globals.", "connections.", "artifacts.")):
            raise draft.error(path, f"'{found[0]}' has no equal here")
        name, _, form = name.removeprefix("params.").partition(".")
        return f"--{name}={options.mark(name)}" if form == "as_arg" else options.mark(name)

    return _PLACEHOLDER.sub(filled, text)


def _passed(draft: Draft, path: Path, found: shell.Command) -> None:
    # What is escaped for a shell's command are the braces of other words, not of the folder.
    found.words = [word.replace("{{folder}}", "{folder}") for word in found.words]
    if command.find_script(found.words) is None:
        if found.words:
            shown = " ".join(found.words)[:60]
            draft.note(path, f"how a trial is started there is not read: {shown}")
        return
    options.take(draft, path, found)


MATRIX: dict[str, Handler] = {
    "kind": taken,
    "params": taken,
    "numRuns": polyaxon_search.whole("budget", "trials"),
    "numInitialRuns": taken,
    "maxIterations": taken,
    "concurrency": polyaxon_search.whole("parallel"),
    "seed": polyaxon_search.whole("seed"),
    "metric": polyaxon_search.metric,
    "eta": taken,
    "resource": taken,
    "resume": noted("a trial there begins anew, or from its checkpoint"),
    "earlyStopping": polyaxon_search.early,
    "algorithm": only("tpe"),
    "utilityFunction": noted("how its search works, which is another here"),
    "tuner": noted("how its search works, which is another here"),
}
KEYS: dict[str, Handler] = {
    "kind": only("operation", "component"),
    "matrix": _matrix,
    "params": polyaxon_search.constants,
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
    polyaxon_search.SHOWN,
)
