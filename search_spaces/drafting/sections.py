"""The `metric:`, `budget:` and `script:` sections of a drafted file, each key with its reason."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.search_spaces.drafting.doubts import AVERAGED, doubt
from raysweep.search_spaces.drafting.draft import Draft, relative
from raysweep.search_spaces.drafting.interface import Option, plain_name
from raysweep.search_spaces.drafting.length import Length
from raysweep.search_spaces.drafting.literals import literal
from raysweep.search_spaces.drafting.metric_guess import Guess
from raysweep.search_spaces.drafting.outputs import is_file, placed
from raysweep.search_spaces.drafting.printed_metrics import group_name

TRIALS = 20
"""Trials of a first sweep: they show what matters, and one more of them is cheap."""
SMOOTHED = 50
"""Values of a return of episodes whose mean is compared: single ones say little."""
_NOISY = ("return", "reward", "episodic", "episode")
_FILES = {
    "tensorboard": ("**/events.out.tfevents.*",),
    "lightning": ("**/metrics.csv", "**/events.out.tfevents.*"),
}
"""The files that a metric is read from, by how the program logs it."""


@dataclass(frozen=True)
class Line:
    """A key of a section with its value, and the comment beside it."""

    key: str
    value: Any
    comment: str = ""


def metric(guess: Guess | None, others: Sequence[Guess]) -> list[Line]:
    """The section about the metric. `others` are named in a comment."""
    if guess is None:
        return [
            Line("name", "val_loss", "FILL IN: no metric was found in what the program prints"),
            Line("goal", "minimize", "FILL IN: minimize or maximize"),
        ]
    names = list(dict.fromkeys(one.name for one in others if one.name != guess.name))[:4]
    more = ""
    if names:
        more = f"; also found: {', '.join(names)}"
    doubted = doubt(others)
    why = f"{doubted.comment}; {guess.why}" if doubted else guess.why
    lines = [
        Line("name", metric_name(guess), f"{why}{more}"),
        Line("goal", guess.goal, "by its name; check it" if guess.score < 60 else "as it says"),
    ]
    if guess.pattern:
        lines.append(Line("pattern", guess.pattern))
    if any(word in guess.name.lower() for word in _NOISY):
        lines.append(Line("last", SMOOTHED, "single values are noisy: the mean of the last ones"))
    elif guess.of_batch:
        lines.append(Line("last", AVERAGED, "batches are noisy: the mean of the last ones"))
    return lines


def metric_name(guess: Guess) -> str:
    """The metric's name: for one that is printed, that of the pattern's group."""
    if guess.pattern:
        return group_name(guess.name)
    return guess.name


def budget(length: Length) -> list[Line]:
    trials = Line("trials", TRIALS, "a first look")
    lines = [trials, Line(length.unit, length.count, length.why)]
    if length.unit == "steps" or length.every > 1:
        why = f"{length.unit} from one report of the metric to the next"
        lines.append(Line("report_every", length.every, why))
    return lines


def script(draft: Draft, guess: Guess | None, out: Path) -> list[Line]:
    """The section about the command line; no line for a key that keeps its default.

    `out`: the file that is written, from whose folder paths start.
    """
    interface = draft.interface
    lines = [
        Line("launcher", launcher, "the program reads its rank from the environment")
        for launcher in _launchers(draft)
    ]
    folder = working_folder(draft, guess)
    if folder:
        lines.append(Line("folder", folder, "its files go to the trial's own folder; so do paths"))
    words = [*_typed(draft), *_fixed(draft)]
    if words:
        lines.append(Line("arguments", words, _why_words(draft)))
    if interface.style != "--name=value":
        lines.append(Line("options", interface.style, ""))
    if interface.values != "json":
        lines.append(Line("values", interface.values, ""))
    lines += _flags(draft)
    if interface.config_file and not interface.unread:
        place = dict(interface.config_file)
        place["template"] = relative(Path(place["template"]), out)
        lines.append(Line("config_file", place, "with the parameters in their places"))
    reports = _reports(draft, guess)
    if reports:
        lines.append(Line("reports", reports, "where the metric is logged"))
    return lines


def own_folder(draft: Draft, guess: Guess | None) -> list[str]:
    """What to do about files that trials would share; as comments."""
    if not draft.shared or working_folder(draft, guess):
        return []
    return [
        f"It writes {', '.join(draft.shared[:3])} into its working folder, which trials share. If "
        "the paths that it reads are absolute, let it run in the trial's own folder:",
        'folder: "{folder}"',
    ]


def _typed(draft: Draft) -> list[str]:
    """The words behind --, in which the placeholder stands for the length of a trial.

    So `raysweep continue` and a longer budget reach the program.
    """
    option, words = draft.length.option, list(draft.interface.words)
    if option is None or draft.interface.style == "none":
        return words
    names = {plain_name(name) for name in (option.name, *option.aliases)}
    value = f"{{{draft.length.unit}}}"
    for place, word in enumerate(words):
        name, equals, _ = word.partition("=")
        is_option = name.startswith("-") or (bool(equals) and not draft.interface.dashes)
        if not is_option or plain_name(name.lstrip("-+")) not in names:
            continue
        if equals:
            words[place] = f"{name}={value}"
        elif place + 1 < len(words):
            words[place + 1] = value
    return words


def _fixed(draft: Draft) -> list[str]:
    """Words that tell the length of a trial, and its own folder."""
    words = [_word(draft, option, placed(option)) for option in draft.outputs]
    length = draft.length
    told = length.option is not None and length.option.name not in draft.interface.given
    if length.option is not None and told and draft.interface.style != "none":
        words.append(_word(draft, length.option, f"{{{length.unit}}}"))
    if length.unit == "epochs":
        words += _evaluations(draft)
    return words


def _evaluations(draft: Draft) -> list[str]:
    """The words that let an HF Trainer evaluate after each epoch, which it does not by default."""
    for name in ("eval_strategy", "evaluation_strategy"):
        option = draft.interface.option(name)
        if option is not None and option.default == "no" and name not in draft.interface.given:
            return [f"--{name}=epoch"]
    return []


def _word(draft: Draft, option: Option, value: str) -> str:
    return f"{draft.interface.dashes}{option.name}={value}"


def _why_words(draft: Draft) -> str:
    if draft.outputs or draft.interface.own_folder:
        return "{folder} is the trial's own folder, so that trials do not share files"
    return ""


def _flags(draft: Draft) -> list[Line]:
    """How booleans are written; all of them alike, or a list of those that are."""
    booleans = [one for one in draft.suggestions if one.option.kind == "bool"]
    lines = []
    for form, key in (("flag", "flags"), ("both", "negated_flags")):
        own = [one for one in booleans if one.option.form == form]
        if own and len(own) == len(booleans):
            lines.append(Line(key, True, ""))
        elif any(one.active for one in own):
            lines.append(Line(key, [one.option.name for one in own if one.active], ""))
    return lines


def working_folder(draft: Draft, guess: Guess | None) -> str:
    """The working folder, if the metric is in files that the program leaves there."""
    if draft.interface.folder:
        return draft.interface.folder
    is_in_files = guess is not None and (guess.way in _FILES or bool(guess.file))
    if draft.is_movable or (is_in_files and not owns_folder(draft)):
        return "{folder}"
    return ""


def owns_folder(draft: Draft) -> bool:
    """True if the program is told to leave its files in the trial's folder."""
    folders = [option for option in draft.outputs if not is_file(option)]
    return bool(folders) or draft.interface.own_folder


def _reports(draft: Draft, guess: Guess | None) -> Any:
    if guess is not None and guess.file:
        return f"{{folder}}/**/{guess.file}"
    patterns = [f"{{folder}}/{part}" for part in _FILES.get(guess.way if guess else "", ())]
    if len(patterns) == 1:
        return patterns[0]
    return patterns


def _launchers(draft: Draft) -> list[str]:
    """The launcher of a program that has no rank of its own unless it is started by one."""
    text = draft.program.main.text
    asked = False
    for node in ast.walk(draft.program.main.tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            key = literal(node.slice)
            asked = asked or (key in ("LOCAL_RANK", "RANK") and isinstance(node.ctx, ast.Load))
    is_guarded = "environ.get(" in text or "in os.environ" in text or "getenv(" in text
    if asked and not is_guarded:
        return ["torchrun --nproc_per_node 1"]
    return []
