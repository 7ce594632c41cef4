"""Orion's `orion hunt`, whose priors stand in the command (orion.readthedocs.io).

The search space is `--lr~'loguniform(1e-5, 1.0)'`; what else is searched for stands in the file
behind `-c`. Bounds are included in both.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from raysweep.search_spaces.convert import command, options, orion_priors, orion_settings, shell
from raysweep.search_spaces.convert.draft import Draft
from raysweep.search_spaces.convert.orion_command import KEY, label
from raysweep.search_spaces.convert.python_call import CallError, PythonCall, parse
from raysweep.search_spaces.file.document import Path

NAME = "an Orion hunt"
TEMPLATES = {
    "{trial.working_dir}": "{folder}",
    "{trial.id}": "{trial}",
    "{trial.hash_params}": "{trial}",
}
"""What Orion fills in, as our placeholders."""
_OURS = re.compile(r"\{\{(folder|trial)\}\}")
"""Our placeholders after a shell's words were read, which escapes braces."""
_PRIOR = re.compile(r"(?:(?P<option>--?[A-Za-z_][\w.-]*)|orion)~(?P<prior>.+)")
_LOOSE = re.compile(r"[^/]+~[+>-]?[A-Za-z_]\w*\(.*")
"""What looks like a prior, and is none to Orion where _PRIOR does not find it."""
_IN_A_FILE = re.compile(r"~\s*\+?(?:log)?(?:uniform|normal|choices|random|fidelity|gaussian)\(")


def recognize(data: dict[str, Any]) -> bool:
    return KEY in data


@dataclass
class Hunt:
    """What the command says: the words of the script, and the file of settings."""

    words: list[tuple[Path, str]]
    name: str = "orion"
    config: tuple[Path, str] | None = None


def read(draft: Draft) -> None:
    """Take the command, then the settings in the file that it names."""
    words = draft.items((KEY,), draft.source.data[KEY])
    hunt = _options(draft, [draft.word((KEY,), word) for word in words])
    draft.put(("metric", "goal"), "minimize", (KEY,))
    text = "the script hands its objective to Orion's client there; here it reports its metric"
    draft.note((KEY,), text)
    fidelity = _script(draft, hunt.words, hunt.name)
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
            hunt.name = value if option in ("-n", "--name") else hunt.name
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


def _script(draft: Draft, words: list[tuple[Path, str]], name: str) -> PythonCall | None:
    """The script's words: those that are fixed, and those that have a prior. Returns a fidelity."""
    if not words:
        raise draft.error((KEY,), "no script is called")
    marked: list[str] = []
    fidelity = None
    _file_without_priors(draft, words)
    for number, (path, word) in enumerate(words):
        found = _PRIOR.fullmatch(word)
        after = [one for _, one in words[number + 1 :]]
        if _LOOSE.fullmatch(word) and not (found and _is_alone(found, marked, after)):
            hint = "expected --lr~'...' with no other values"
            raise draft.error(path, f"Orion does not take '{word}' for a prior; {hint}")
        if found is None:
            marked.append(_template(draft, path, word, name))
            continue
        call, option = _prior(draft, path, found, marked)
        marked += option
        if call.name == "fidelity":
            fidelity = call
    if "space" not in draft.data:
        raise draft.error((KEY,), "no option has a prior, as in --lr~'loguniform(1e-5, 1.0)'")
    found_command = shell.parse(draft, (KEY,), shlex.join(marked))
    found_command.words = [_OURS.sub(r"{\1}", word) for word in found_command.words]
    options.take(draft, (KEY,), found_command)
    return fidelity


def _file_without_priors(draft: Draft, words: list[tuple[Path, str]]) -> None:
    """Refuse the script's own file behind `--config` if Orion fills in priors there."""
    for (path, option), (_, name) in pairwise(words):
        if option not in ("-config", "--config"):
            continue
        try:
            text = (draft.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError):
            draft.note(path, f"{name} cannot be read; Orion looks for priors there, too")
            continue
        found = _IN_A_FILE.search(text)
        if found:
            line = text.count("\n", 0, found.start()) + 1
            hint = "write {name} there instead, and see script.config_file"
            raise draft.error(path, f"the prior in {name}, line {line}, has no equal here; {hint}")


def _is_alone(found: re.Match[str], before: list[str], after: list[str]) -> bool:
    """Whether a prior is all that an option is given, or a word before all options."""
    options_before = any(word.startswith("-") for word in before)
    follows = found["option"] or (before and before[-1].startswith("-"))
    if not follows:
        return not options_before
    return not after or after[0].startswith("-")


def _template(draft: Draft, path: Path, word: str, name: str) -> str:
    """A word in which Orion fills in what it knows of a trial."""
    for text, ours in (*TEMPLATES.items(), ("{exp.name}", name)):
        word = word.replace(text, ours)
    if re.search(r"\{(exp|trial)\.", word):
        raise draft.error(path, f"the argument '{word}' has no equal here")
    return word


def _prior(
    draft: Draft, path: Path, found: re.Match[str], before: list[str]
) -> tuple[PythonCall, list[str]]:
    """A parameter, and the words that pass it: an option and its value, or a value alone."""
    option, text = found["option"], found["prior"]
    if option is None:
        name = before[-1].lstrip("-") if before and before[-1].startswith("-") else ""
        name, words = name or f"argument{len(before)}", []
    else:
        name = option.lstrip("-")
        # As Orion does: an option of a single letter has a single dash.
        words = [f"-{name}" if len(name) == 1 else option]
    if text.startswith(("-", ">")):
        raise draft.error(path, f"'{text}' changes an earlier experiment, which has no equal here")
    try:
        call = parse(text.removeprefix("+"))
        draft.param(name, orion_priors.entry(draft, path, call), path)
    except CallError as error:
        raise draft.error(path, f"'{text}' is no prior: {error}") from None
    return call, [*words, options.mark(name)]


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
