"""From the command that starts a trial elsewhere to our `trainable:` and `script:` sections."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import PurePosixPath

from raysweep.placeholders import escaped
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.shell import Command, lexer
from raysweep.search_spaces.file.document import Path

_PYTHON = re.compile(r"python[\d.]*")
_OPTION = re.compile(r"(?:--)?([A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
_SCRIPT = re.compile(r".+\.(py|sh|bash|R|jl)")
"""What a word must look like to be the script among the words of a launcher."""
MODULES_THAT_LAUNCH = (
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
)
"""Modules that run a script, so that `python -m` with them is a launcher."""
_FILLED_IN = re.compile(r"\$[\w{(]")
_SHELL = re.compile(r"[;<>|&()]+")
LENGTHS = {"epoch", "epochs", "nepochs", "nbepochs", "numepochs", "maxepochs", "totalepochs"}
LENGTHS |= {"trainepochs", "trainingepochs", "numtrainepochs"}
"""What scripts call their number of epochs, without `_` and `-`."""
OURS = ("CUDA_VISIBLE_DEVICES",)
"""Variables that raysweep sets itself."""


def find_script(words: list[str]) -> tuple[list[str], str, list[str]] | None:
    """The launcher, the script and its arguments; None if the words have no script.

    The script is `-m package.module` if that is what Python runs. The launcher is [] for a plain
    `python`.
    """
    for place, (word, following) in enumerate(pairwise([*words, ""])):
        if word == "-m" and following and following not in MODULES_THAT_LAUNCH:
            return _launcher(words[:place]), f"-m {following}", words[place + 2 :]
        if place and _SCRIPT.fullmatch(word):
            return _launcher(words[:place]), word, words[place + 1 :]
    if words and _SCRIPT.fullmatch(words[0]):
        return _own_launcher(words[0]), words[0], words[1:]
    return None


def _launcher(words: list[str]) -> list[str]:
    """The words before a script; [] if they are a Python without options."""
    if not words:
        return []
    is_python = _PYTHON.fullmatch(PurePosixPath(words[0]).name)
    rest = [word for word in words[1:] if word != "-u"]  # output is never buffered here
    return rest and [words[0], *rest] if is_python else words


def _own_launcher(script: str) -> list[str]:
    """What runs a script that is called by its name: its first line is not known here."""
    return [] if script.endswith(".py") else ["bash"]


def program(words: list[str]) -> list[str]:
    """The script and its arguments; [] if the words have no script."""
    found = find_script(words)
    return [found[1], *found[2]] if found else []


def take(draft: Draft, path: Path, command: Command) -> list[str]:
    """Take the script of a command, and how it is started. Returns its arguments.

    The words are as `shell` makes them, with our placeholders.
    """
    found = find_script(command.words)
    if found is None:
        text = f"'{' '.join(command.words)}' has no equal here"
        raise draft.error(path, f"{text}; expected `python train.py`, its arguments behind it")
    launcher, script_words, rest = found
    take_script(draft, path, script_words, command.folder)
    take_launcher(draft, path, launcher)
    take_environment(draft, path, command.environment)
    return rest


def script(draft: Draft, path: Path, words: list[str], folder: str = "") -> list[str]:
    """Take the script of words in which every letter means itself. Returns its arguments."""
    take(draft, path, Command([escaped(word) for word in words], folder))
    return program(words)[1:]


def split(draft: Draft, path: Path, text: str) -> list[str]:
    """The words of a shell's command; what only a shell understands is a word of its own."""
    try:
        return list(lexer(text))
    except ValueError:
        raise draft.error(path, f"'{text}' is no command") from None


def take_script(draft: Draft, path: Path, script: str, folder: str = "") -> None:
    """Take a script as the trainable. It works in the folder that its path is relative to."""
    if script.startswith("-m "):
        draft.put(("trainable",), script, path)
        if folder:
            draft.put(("script", "folder"), str(PurePosixPath(folder)), path)
        return
    draft.put(("trainable",), str(PurePosixPath(folder) / script), path)
    place = PurePosixPath(script)
    if not place.is_absolute() and place.parent != PurePosixPath():
        draft.put(("script", "folder"), str(PurePosixPath(folder)), path)


def take_launcher(draft: Draft, path: Path, launcher: list[str]) -> None:
    if launcher:
        draft.put(("script", "launcher"), launcher, path)


def take_environment(draft: Draft, path: Path, variables: dict[str, str]) -> None:
    """Take variables that are set for the script, but for those that raysweep sets itself."""
    for name, value in variables.items():
        if name in OURS:
            draft.note(path, f"{name} is left out: a trial here sees the GPUs of resources.gpu")
        else:
            draft.put(("script", "environment", name), value, path)


def take_words(draft: Draft, path: Path, words: list[str], key: str = "arguments") -> None:
    """Take the words before or after the options, in which placeholders are ours already."""
    if words:
        draft.put(("script", key), words, path)


def arguments(draft: Draft, path: Path, words: list[str]) -> None:
    """Take fixed arguments as they are; an error for one that something else fills in."""
    for word in words:
        if _FILLED_IN.search(word) or _SHELL.fullmatch(word):
            raise draft.error(
                path, f"the argument '{word}' has no equal here; expected fixed words"
            )
    take_words(draft, path, [escaped(word) for word in words])


def unpassed(draft: Draft, path: Path, tool: str) -> None:
    """Say that a script gets no options there: it asks the tool for its parameters."""
    draft.put(("script", "options"), "none", path)
    draft.note(
        path,
        f"the script gets no options there, for it asks {tool}; "
        "here it finds its parameters in RAYSWEEP_CONFIG, as JSON",
    )


def length(draft: Draft) -> None:
    """Take the epochs that the script is told as a trial's length, if the file gives no other."""
    if "epochs" in draft.data.get("budget", {}):
        return
    found = dict(_lengths(draft))
    if len(set(found.values())) == 1:
        name, epochs = next(iter(found.items()))
        known = next(
            place
            for place in (("space", name), ("script", "after"), ("script", "arguments"))
            if _has(draft, place)
        )
        draft.put_after(("budget", "epochs"), epochs, known)
        draft.notes.append(f"{draft.place(known)}: {name} is taken as the length of a trial")


def _has(draft: Draft, place: tuple[str, str]) -> bool:
    return place[1] in draft.data.get(place[0], {})


def _lengths(draft: Draft) -> Iterable[tuple[str, int]]:
    """The constants and fixed arguments that say a number of epochs."""
    for name, value in draft.data.get("space", {}).items():
        if _says_length(name) and isinstance(value, int) and value > 0 and value is not True:
            yield name, value
    section = draft.data.get("script", {})
    for key in ("arguments", "after"):
        for word, following in pairwise([*section.get(key, []), ""]):
            option = _OPTION.fullmatch(word)
            name, text = (option.group(1), option.group(2)) if option else (word, following)
            if (
                (option or word.startswith("--"))
                and _says_length(name)
                and re.fullmatch("[1-9][0-9]*", text)
            ):
                yield name.lstrip("-"), int(text)


def _says_length(name: str) -> bool:
    return re.sub("[_-]", "", name.rpartition(".")[2]).lower() in LENGTHS
