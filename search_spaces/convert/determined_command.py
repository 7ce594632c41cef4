"""The entrypoint of a Determined experiment, and the environment that it is started in.

`python3 -m determined.launch.torch_distributed` starts a rank on each slot of a trial; so does
torchrun here.
"""

from __future__ import annotations

from typing import Any

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert import command, shell
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.file.document import Path

_LAUNCH = "determined.launch."
_LAUNCHERS = {
    "torch_distributed": ["torchrun", "--nproc_per_node", "{slots}"],
    "deepspeed": ["deepspeed", "--num_gpus", "{slots}"],
}
"""What starts a process for each slot of a trial, by the launch layer that does so there."""


def take(draft: Draft, path: Path, value: Any) -> None:
    """Take the entrypoint: a script, or a Trial class."""
    found = _parsed(draft, path, value)
    if len(found.words) == 1 and ":" in found.words[0]:
        _take_class(draft, path, found.words[0])
        return
    launcher, rest = _launch_layer(draft, path, found.words)
    if "--trial" in rest and rest.index("--trial") + 1 < len(rest):
        _take_class(draft, path, rest[rest.index("--trial") + 1])
        return
    found.words = rest
    _take_variables(draft, found)
    words = command.take(draft, path, found)
    if launcher:
        inner = draft.data.get("script", {}).get("launcher", [])
        if inner:
            raise draft.error(path, f"'{' '.join(inner)}' in a launch layer has no equal here")
        command.take_launcher(draft, path, launcher)
    command.take_words(draft, path, words)
    command.unpassed(draft, path, "Determined")


def _parsed(draft: Draft, path: Path, value: Any) -> shell.Command:
    """A list is run as it is, a text by a shell."""
    if isinstance(value, list):
        return shell.simple(draft, path, [escaped(str(word)) for word in value])
    return shell.parse(draft, path, draft.word(path, value))


def _take_class(draft: Draft, path: Path, name: str) -> None:
    draft.put(("trainable",), name, path)
    draft.note(path, f"{name} is a Trial class there; a train function here")


def _launch_layer(draft: Draft, path: Path, words: list[str]) -> tuple[list[str], list[str]]:
    """The launcher that does here what a launch layer does there, and the command that it starts.

    What stands before `--` goes to the launcher.
    """
    if words[1:2] != ["-m"] or not words[2:3] or not words[2].startswith(_LAUNCH):
        return [], words
    layer, rest = words[2].removeprefix(_LAUNCH), words[3:]
    if layer not in _LAUNCHERS:
        known = ", ".join(_LAUNCHERS)
        raise draft.error(path, f"'{words[2]}' has no equal here; expected one of {known}")
    slots = (draft.source.data.get("resources") or {}).get("slots_per_trial", 1)
    launcher = [word.replace("{slots}", str(slots)) for word in _LAUNCHERS[layer]]
    if "--" in rest:
        launcher += rest[: rest.index("--")]
        rest = rest[rest.index("--") + 1 :]
    return launcher, rest


def _take_variables(draft: Draft, found: shell.Command) -> None:
    """The variables that the environment of the experiment sets: `NAME=value`, or `NAME`."""
    section = draft.source.data.get("environment")
    path: Path = ("environment", "environment_variables")
    said = section.get("environment_variables") if isinstance(section, dict) else None
    if isinstance(said, dict):
        draft.note(path, "variables that differ between kinds of slots are not set here")
        return
    for number, one in enumerate(said if isinstance(said, list) else []):
        name, equals, value = str(one).partition("=")
        if equals:
            found.environment.setdefault(name, escaped(value))
        else:
            draft.note((*path, number), f"the variable {name} is taken from the machine, as there")
