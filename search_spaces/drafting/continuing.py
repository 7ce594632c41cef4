"""How a program that was killed could continue, and which of its files is its model, as comments.

Nothing is known for sure of either, so that a user completes what is drafted.
"""

from __future__ import annotations

import re

from raysweep.search_spaces.drafting.draft import Draft
from raysweep.search_spaces.drafting.interface import Option
from raysweep.search_spaces.drafting.metric_guess import Guess
from raysweep.search_spaces.drafting.outputs import model_names, saved_name
from raysweep.search_spaces.drafting.sections import Line, owns_folder, working_folder

_LAST = "last.pt"
_RESUMES = {
    "resume": _LAST,
    "resume_from_checkpoint": "checkpoint-*",
    "ckpt_path": "*.ckpt",
    "checkpoint": _LAST,
}
"""Options that name a checkpoint to continue from, each with what such files are called."""
_QUOTED = re.compile(r"['\"`]([\w-]*resume[\w-]*)['\"`]")
"""A value such as 'resume' in what a program says of an option."""


def continuing(draft: Draft, guess: Guess | None) -> list[str]:
    """Keys for a program that can continue, or at least saves its model."""
    found = _by_value(draft) or _by_path(draft)
    if found:
        words, files = found
        return [
            "If it can continue from a checkpoint, say how, and good trials are promoted:",
            f"resume: {words}",
            f'checkpoint: "{{folder}}/**/{files}"',
        ]
    names = model_names(draft.program)
    if len(names) > 1 and _is_told(draft, guess):
        return [
            "What it saves, of which that of the best trial can be copied to best/ at the end:",
            *(f'checkpoint: "{{folder}}/**/{name}"' for name in names),
        ]
    return []


def model_file(draft: Draft, guess: Guess | None) -> list[Line]:
    """Where the program saves its model, if it is sure which file that is."""
    names = model_names(draft.program)
    is_resumed = _by_value(draft) or _by_path(draft)
    if len(names) != 1 or is_resumed or not _is_told(draft, guess):
        return []
    why = "what it saves; that of the best trial is copied to best/ at the end"
    return [Line("checkpoint", f"{{folder}}/**/{names[0]}", why)]


def _is_told(draft: Draft, guess: Guess | None) -> bool:
    """True if the program leaves its files in the trial's folder."""
    return owns_folder(draft) or working_folder(draft, guess) == "{folder}"


def _by_value(draft: Draft) -> tuple[str, str] | None:
    """The words of an option that has a value for it: `--init_from=resume`, or `--resume` alone."""
    for option in draft.interface.options:
        value = _resuming_value(option)
        if value is None or not option.writable or draft.interface.style != "--name=value":
            continue
        word = f"--{option.name}={value}" if value else f"--{option.name}"
        return word, saved_name(draft.program) or _LAST
    return None


def _resuming_value(option: Option) -> str | None:
    """The value that continues a training; "" for a flag; None if it is no such option."""
    if option.kind == "bool":
        is_named = option.name.replace("-", "_") in ("resume", "auto_resume", "resume_training")
        if not is_named or option.default is True:
            return None
        return "" if option.form != "value" else "true"
    if option.kind != "text" or _named(option):
        return None
    values = [str(choice) for choice in option.choices if "resume" in str(choice).lower()]
    values += _QUOTED.findall(option.help)
    return values[0] if values else None


def _named(option: Option) -> bool:
    """True if an option is called what names a checkpoint."""
    return option.name.replace("-", "_") in _RESUMES and not option.choices


def _by_path(draft: Draft) -> tuple[str, str] | None:
    """The words of an option that names a checkpoint: `--resume={checkpoint}`."""
    for name, files in _RESUMES.items():
        option = draft.interface.option(name)
        if option is None or not option.writable or option.kind == "bool":
            continue
        if draft.interface.style == "--name=value":
            files = (saved_name(draft.program) or _LAST) if files == _LAST else files
            return f"--{option.name}={{checkpoint}}", files
    return None
