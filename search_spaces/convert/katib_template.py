"""The trial template of a Katib Experiment: the container that trains, and what it is told.

Placeholders such as `${trialParameters.lr}` may stand anywhere in its words. Where they are the
values of options, our `script:` section says which; else the words are taken as they are, with a
placeholder of ours for each of theirs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert import command, shell
from raysweep.search_spaces.convert.draft import Draft, noted
from raysweep.search_spaces.file.document import Path

_REPLICAS = "pytorchReplicaSpecs"
_GPU = "nvidia.com/gpu"
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.([^{}]+)\}")
_OTHER = re.compile(r"\$\{[^{}]*\}|\$\([^()]*\)")
_MARK = re.compile("\0([^\0]*)\0")
"""A placeholder while words are divided, in which `${...}` would be a shell's variable."""
_PASSED = re.compile(r"(?:--)?([A-Za-z_][\w.-]*)=\0([^\0]*)\0")


@dataclass(frozen=True)
class Passed:
    """An option that a placeholder fills in. `form`: as our `script:` section has it."""

    option: str
    reference: str
    form: str


def take(draft: Draft, path: Path, value: Any) -> None:
    """The script of a job. Its options are read when all parameters are known (`passed`)."""
    place, container = _container(draft)
    image = noted("how Kubernetes starts a trial; its script is the trainable here")
    image(draft, path, {"image": container.get("image", "?")})
    if container.get("envFrom"):
        draft.note((*place, "envFrom"), "envFrom: variables from there are not set here")
    found = _command(draft)
    if found is None or command.find_script(found.words) is None:
        draft.note(
            path,
            "how a trial is started there is not read; "
            "trainable is to be said, and script if its options differ",
        )


def passed(draft: Draft) -> None:
    """How the script is started, and told its parameters."""
    found = _command(draft)
    if found is None or command.find_script(found.words) is None:
        return
    place, container = _container(draft)
    origin = (*place, "command")
    _take_variables(draft, (*place, "env"), container.get("env"), found)
    words = command.take(draft, origin, found)
    _take_replicas(draft)
    if _is_simple(words):
        _say_options(draft, origin, words)
    else:
        _say_words(draft, origin, words)


def _container(draft: Draft) -> tuple[Path, dict[str, Any]]:
    """The container that trains, and its path: of a job, or of the master of a PyTorchJob."""
    template = draft.source.data["spec"].get("trialTemplate")
    if not isinstance(template, dict):
        return (), {}
    place: Path = ("spec", "trialTemplate", "trialSpec", "spec")
    spec = _at(template, ("trialSpec", "spec"))
    if isinstance(spec.get(_REPLICAS), dict):
        role = "Master" if "Master" in spec[_REPLICAS] else "Worker"
        place, spec = (*place, _REPLICAS, role), _at(spec, (_REPLICAS, role))
    place, spec = (*place, "template", "spec", "containers"), _at(spec, ("template", "spec"))
    found = [
        ((*place, number), one)
        for number, one in enumerate(draft.items(place, spec.get("containers") or []))
        if isinstance(one, dict)
    ]
    primary = template.get("primaryContainerName")
    named = [pair for pair in found if pair[1].get("name") == primary]
    nothing: tuple[Path, dict[str, Any]] = ((), {})
    return (named or found or [nothing])[0]


def _at(data: Any, path: Path) -> dict[str, Any]:
    """The mapping at a path; {} if there is none."""
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _command(draft: Draft) -> shell.Command | None:
    """The command of the container, with its placeholders marked; None if it has none."""
    place, container = _container(draft)
    lists = (container.get(key) for key in ("command", "args"))
    words = [str(word) for words in lists if isinstance(words, list) for word in words]
    if not words:
        return None
    marked = [_PLACEHOLDER.sub(lambda found: f"\0{found[1]}\0", word) for word in words]
    folder = str(container.get("workingDir") or "")
    if marked[0] in shell.SHELLS and "-c" in marked[1:2]:
        return shell.simple(draft, (*place, "command"), marked, folder)
    for word in marked:
        if _OTHER.search(word):
            raise draft.error(
                (*place, "command"),
                f"the argument '{word}' has no equal here; expected fixed words",
            )
    return shell.Command([escaped(word) for word in marked], folder)


def _take_variables(draft: Draft, path: Path, value: Any, found: shell.Command) -> None:
    """The variables of a container that have a value of their own."""
    for number, one in enumerate(value if isinstance(value, list) else []):
        rule = draft.mapping((*path, number), one)
        if "value" in rule:
            found.environment[str(rule.get("name"))] = escaped(str(rule["value"]))
        else:
            draft.note((*path, number), f"the variable {rule.get('name')} is not set here")


def _take_replicas(draft: Draft) -> None:
    """The replicas of a PyTorchJob are ranks of one script, which torchrun starts here."""
    place: Path = ("spec", "trialTemplate", "trialSpec", "spec")
    spec = _at(draft.source.data, place)
    if not isinstance(spec.get(_REPLICAS), dict):
        return
    launcher = draft.data.get("script", {}).get("launcher")
    if launcher:
        raise draft.error(
            (*place, _REPLICAS), f"replicas that '{' '.join(launcher)}' starts have no equal here"
        )
    ranks, gpus = 0, 0
    for role, one in spec[_REPLICAS].items():
        where = (*place, _REPLICAS, role)
        rule = draft.mapping(where, one)
        replicas = draft.whole((*where, "replicas"), rule.get("replicas", 1))
        ranks += replicas * _processes(draft, place, spec)
        gpus += replicas * _gpus(rule)
    origin = (*place, _REPLICAS)
    draft.put(("script", "launcher"), ["torchrun", "--nproc_per_node", str(ranks)], origin)
    draft.put(("resources", "cpu"), ranks, origin)
    if gpus:
        draft.put(("resources", "gpu"), gpus, origin)
    draft.note(origin, f"its replicas are {ranks} processes of one machine here, by torchrun")


def _processes(draft: Draft, place: Path, spec: dict[str, Any]) -> int:
    """The processes of a replica."""
    said = spec.get("nprocPerNode", 1)
    if str(said).isdigit():
        return int(said)
    raise draft.error((*place, "nprocPerNode"), f"'{said}' has no equal here; expected a number")


def _gpus(replica: dict[str, Any]) -> int:
    containers = _at(replica, ("template", "spec")).get("containers") or [{}]
    limits = _at(containers[0], ("resources", "limits"))
    return int(limits.get(_GPU, 0))


def _is_simple(words: list[str]) -> bool:
    """True if all placeholders are the values of options, with nothing fixed between these."""
    kinds = [_kind(words, place) for place in range(len(words))]
    said = [kind for kind in kinds if kind]
    places = [place for place, kind in enumerate(kinds) if kind]
    dashed = {kind.startswith("--") for kind in said if kind != "odd"}
    together = not places or kinds[places[0] : places[-1] + 1] == said
    names = [_MARK.findall(word) for word in words]
    references = [name for found in names for name in found]
    return (
        "odd" not in said
        and len(dashed) <= 1
        and together
        and len(set(references)) == len(references)
    )


def _kind(words: list[str], place: int) -> str:
    """The form of the option that a word belongs to; "odd" for another use of a placeholder.

    "" for a fixed word.
    """
    before, word, following = ["", *words, ""][place : place + 3]
    if word.startswith("--") and "=" not in word and _MARK.fullmatch(following):
        return "--name value"
    if _MARK.fullmatch(word) and before.startswith("--") and "=" not in before:
        return "--name value"
    if _PASSED.fullmatch(word):
        return "--name=value" if word.startswith("--") else "name=value"
    return "odd" if _MARK.search(word) else ""


def _say_options(draft: Draft, path: Path, words: list[str]) -> None:
    """Say the form of the options, and the names of those not called as their parameters."""
    kinds = [_kind(words, place) for place in range(len(words))]
    options = list(_options(words))
    fixed = [(place, word) for place, word in enumerate(words) if not kinds[place]]
    first = next((place for place, kind in enumerate(kinds) if kind), len(words))
    command.take_words(draft, path, [word for place, word in fixed if place < first])
    command.take_words(draft, path, [word for place, word in fixed if place > first], "after")
    names = {_referred(draft, path, one.reference): one.option for one in options}
    if not names:
        draft.put(("script", "options"), "none", path)
        draft.note(path, "no parameter is passed to the script there, nor here")
        return
    forms = [one.form for one in options]
    if len(set(forms)) == 1 and forms[0] != "--name=value":
        draft.put(("script", "options"), forms[0], path)
    for name in draft.data["space"]:
        if name not in names:
            draft.note(path, f"{name} is not passed to the script there, nor here")
        if names.get(name) != name:
            draft.put(("script", "names", name), names.get(name), path)


def _options(words: list[str]) -> list[Passed]:
    """The options that a parameter fills in."""
    found = []
    for place, word in enumerate(words):
        passed_here = _PASSED.fullmatch(word)
        if passed_here and word.startswith("--"):
            found.append(Passed(passed_here[1], passed_here[2], "--name=value"))
        elif passed_here:
            found.append(Passed(passed_here[1], passed_here[2], "name=value"))
        elif (value := _MARK.fullmatch(word)) and place:
            found.append(Passed(words[place - 1].lstrip("-"), value[1], "--name value"))
    return found


def _say_words(draft: Draft, path: Path, words: list[str]) -> None:
    """Take the words as they are, with our placeholders."""
    used: set[str] = set()

    def ours(found: re.Match[str]) -> str:
        name = _referred(draft, path, found[1])
        used.add(name)
        return f"{{{name}}}"

    command.take_words(draft, path, [_MARK.sub(ours, word) for word in words])
    draft.put(("script", "options"), "none", path)
    for name in draft.data["space"]:
        if name not in used:
            draft.note(path, f"{name} is not passed to the script there, nor here")


def _referred(draft: Draft, path: Path, reference: str) -> str:
    """The parameter that a placeholder of the template stands for."""
    place = ("spec", "trialTemplate", "trialParameters")
    declared = draft.source.data["spec"]["trialTemplate"].get("trialParameters")
    rules = [
        draft.mapping((*place, i), one)
        for i, one in enumerate(draft.items(place, declared) if declared else [])
    ]
    targets = [rule.get("reference") for rule in rules if rule.get("name") == reference]
    if targets == ["${trialSpec.Name}"]:
        return "trial"
    name = str(targets[0] if targets else reference).lstrip("-")
    if name not in draft.data.get("space", {}):
        raise draft.error(path, f"'{reference}' is none of the parameters")
    if not targets:
        draft.note(path, f"{reference} is not among trialParameters; taken as the parameter {name}")
    return name
