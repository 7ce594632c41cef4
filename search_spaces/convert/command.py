"""From the command that starts a trial elsewhere to our `trainable:`, its fixed arguments as constants."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from search_spaces.convert.draft import Draft
from search_spaces.document import Path

_PYTHON = re.compile(r"python[\d.]*")
_OPTION = re.compile(r"--([A-Za-z]\w*(?:[-.]\w+)*)(?:=(.*))?", re.DOTALL)
_PLACEHOLDER = re.compile(r"\$\{.*\}|\$\w+")


def script(draft: Draft, path: Path, words: list[str], folder: str = "") -> None:
    """Take `python train.py --epochs 10` as the trainable `train.py` and the constant `epochs`; an error for anything else."""
    words = [word for word in words if word != "-u"]
    if (
        len(words) < 2
        or not _PYTHON.fullmatch(PurePosixPath(words[0]).name)
        or not words[1].endswith(".py")
    ):
        raise draft.error(
            path,
            f"'{' '.join(words)}' has no equal here; expected `python train.py`, its arguments behind it",
        )
    draft.put(("trainable",), str(PurePosixPath(folder) / words[1]), path)
    arguments(draft, path, words[2:])


def arguments(draft: Draft, path: Path, words: list[str]) -> None:
    """Take `--epochs 10` or `--epochs=10` as the constant `epochs`; a placeholder for what is searched needs none."""
    left = list(words)
    while left:
        word = left.pop(0)
        option = _OPTION.fullmatch(word)
        if option is None:
            raise draft.error(
                path, f"the argument '{word}' has no equal here; expected --name value"
            )
        name, value = option.group(1), option.group(2)
        if value is None:
            value = left.pop(0) if left and not left[0].startswith("--") else "true"
        if not _PLACEHOLDER.fullmatch(value):
            draft.put(("space", name), constant(value), path)


def constant(text: str) -> bool | int | float | str:
    """What an argument says: a number, true or false, else the word itself."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def split(draft: Draft, path: Path, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        raise draft.error(path, f"'{text}' is no command") from None
