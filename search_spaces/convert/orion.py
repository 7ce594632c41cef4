"""Orion's `orion hunt`, whose priors stand in the command (orion.readthedocs.io).

The search space is `--lr~'loguniform(1e-5, 1.0)'`; what else is searched for stands in the file
behind `-c`. Bounds are included in both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from raysweep.search_spaces.convert import command, options, orion_priors, orion_settings
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.orion_command import KEY, label
from raysweep.search_spaces.convert.python_call import CallError, PythonCall, parse
from raysweep.search_spaces.file.document import Path

NAME = "an Orion hunt"
_PRIOR = re.compile(r"(?P<dashes>--?)?(?P<name>[A-Za-z_][\w.-]*)?[ =]?(?:orion)?~(?P<prior>.+)")


def recognize(data: dict[str, Any]) -> bool:
    return KEY in data


@dataclass
class Hunt:
    """What the command says: the words of the script, and the file of settings."""

    words: list[tuple[Path, str]]
    config: tuple[Path, str] | None = None


def read(draft: Draft) -> None:
    """Take the command, then the settings in the file that it names."""
    words = draft.items((KEY,), draft.source.data[KEY])
    hunt = _options(draft, [draft.word((KEY,), word) for word in words])
    draft.put(("script", "options"), "--name value", (KEY,))
    draft.put(("metric", "goal"), "minimize", (KEY,))
    text = "the script hands its objective to Orion's client there; here it reports its metric"
    draft.note((KEY,), text)
    fidelity = _script(draft, hunt.words)
    if "space" not in draft.data:
        raise draft.error((KEY,), "no option has a prior, as in --lr~'loguniform(1e-5, 1.0)'")
    options.as_python_shows(draft)
    if any(isinstance(one, dict) and "float" in one for one in draft.data["space"].values()):
        draft.note(
            (KEY,), "real numbers have the digits of their precision there; here all of them"
        )
    orion_settings.take(draft, hunt.config, fidelity)
    command.length(draft)


def _options(draft: Draft, words: list[str]) -> Hunt:
    """The options of `orion hunt` itself; what follows them is the script's command."""
    left: list[tuple[Path, str]] = [((label(word),), word) for word in words]
    hunt = Hunt(left)
    while left and left[0][1].startswith("-"):
        path, word = left.pop(0)
        option, equals, value = word.partition("=")
        if option in FLAGS:
            continue
        if option not in OPTIONS:
            raise draft.error(path, f"the option '{option}' of orion hunt has no equal here")
        if not equals:
            if not left:
                raise draft.error(path, f"the option '{option}' needs a value")
            path, value = left.pop(0)
        if option in ("-c", "--config"):
            hunt.config = path, value
        elif OPTIONS[option] is None:
            draft.note(path, f"{option} {value}: how Orion stores trials and runs workers")
        else:
            _set(draft, path, OPTIONS[option], value)
    return hunt


def _set(draft: Draft, path: Path, target: Path, text: str) -> None:
    """Set a number of ours; one that the shell fills in is asked for."""
    if "$" in text:
        draft.ask(target, f"{text} is filled in by the shell", path)
    else:
        draft.put(target, draft.whole(path, text, strings=True), path)


def _script(draft: Draft, words: list[tuple[Path, str]]) -> PythonCall | None:
    """The script's words: those that are fixed, and those that have a prior. Returns a fidelity."""
    if not words:
        raise draft.error((KEY,), "no script is called")
    fixed: list[str] = []
    fidelity = None
    given = [word for _, word in words]
    if not command.program(given) and given[0].endswith(".py"):
        words = [((KEY,), "python"), *words]
    for path, word in words:
        if word.startswith("orion~") and fixed and fixed[-1].startswith("-"):
            word = fixed.pop() + word.removeprefix("orion")
        found = _PRIOR.fullmatch(word)
        if found is None or word.startswith(("~", "/")):
            fixed.append(word)
            continue
        call = _prior(draft, path, found)
        if call.name == "fidelity":
            fidelity = call
    rest = command.script(draft, (KEY,), fixed)
    if any("{" in word for word in rest):
        odd = next(word for word in rest if "{" in word)
        raise draft.error((KEY,), f"the argument '{odd}' has no equal here")
    command.arguments(draft, (KEY,), rest)
    return fidelity


def _prior(draft: Draft, path: Path, found: re.Match[str]) -> PythonCall:
    """A parameter, by the option that it is passed with."""
    name, dashes, text = found.group("name"), found.group("dashes"), found.group("prior")
    if name is None or name == "orion" or dashes != "--" or len(name) == 1:
        raise draft.error(path, f"'{found.group()}': expected an option such as --lr~'{text}'")
    if text.startswith(("-", ">")):
        raise draft.error(path, f"'{text}' changes an earlier experiment, which has no equal here")
    try:
        call = parse(text.removeprefix("+"))
        draft.param(name, orion_priors.entry(draft, path, call), path)
    except CallError as error:
        raise draft.error(path, f"'{text}' is no prior: {error}") from None
    return call


FLAGS = (
    "-v",
    "-vv",
    "-vvv",
    "--debug",
    "--enable-evc",
    "--auto-resolution",
    "--ignore-code-changes",
)
OPTIONS: dict[str, Any] = {
    "--max-trials": ("budget", "trials"),
    "--exp-max-trials": ("budget", "trials"),
    "--n-workers": ("parallel",),
    "-c": None,
    "--config": None,
    "-n": None,
    "--name": None,
    "-u": None,
    "--user": None,
    "--exp-version": None,
    "--working-dir": None,
    "--worker-trials": None,
    "--worker-max-trials": None,
    "--max-idle-time": None,
    "--idle-timeout": None,
    "--heartbeat": None,
    "--max-broken": None,
    "--exp-max-broken": None,
    "--worker-max-broken": None,
    "--pool-size": None,
}
"""The options of `orion hunt`, with our keys that they set."""
