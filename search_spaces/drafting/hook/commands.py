"""Which of a program's commands is meant."""

from __future__ import annotations

from collections.abc import Sequence

TRAINING = ("fit", "train")
"""Commands that are taken if the program's words name none of its commands."""


def chosen(commands: Sequence[str], words: Sequence[str]) -> str | None:
    """The command among the words, or the only one that trains; None if it is not known."""
    for word in words:
        if word in commands:
            return word
    training = [command for command in commands if command in TRAINING]
    if len(training) == 1:
        return training[0]
    return None
