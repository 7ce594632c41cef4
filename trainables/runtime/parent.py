"""Begin a trial with the checkpoint of another one, its parent, and with parameters of its own."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raysweep.trainables.runtime.checkpoint import LAST, check, load

FILES = "files"
"""The folder beside a parent's `last.pt` that holds what its script saved, by the paths that these
files have within the folder of a trial."""


def begin(parent: Path, state: Mapping[str, Any]) -> int:
    """Load the parent's checkpoint into `state`, and return its epoch.

    The random-number generators begin with the seed of the trial itself. What an optimizer was made
    with, such as its learning rate, is the trial's own as well.
    """
    check(parent / LAST)
    content = load(parent / LAST)
    for name, part in state.items():
        own = _options(part)
        part.load_state_dict(content[f"{name}_state_dict"])
        _set_options(part, own)
    epoch: int = content["epoch"]
    return epoch


def copy_files(parent: Path, trial: Path) -> None:
    """Bring what the parent's script saved to where the trial's own script looks for it."""
    if (parent / FILES).is_dir():
        shutil.copytree(parent / FILES, trial, dirs_exist_ok=True)


def _options(part: Any) -> Any:
    """What an optimizer or a learning-rate schedule was made with; None for anything else."""
    if hasattr(part, "param_groups"):
        return [
            {name: value for name, value in group.items() if name != "params"}
            for group in part.param_groups
        ]
    return list(part.base_lrs) if hasattr(part, "base_lrs") else None


def _set_options(part: Any, own: Any) -> None:
    """Give an optimizer or a schedule the options that it was made with.

    A learning rate that a schedule has changed keeps its proportion to what it began with.
    """
    if own is None:
        return
    if hasattr(part, "base_lrs"):
        part.base_lrs = own
        return
    for group, options in zip(part.param_groups, own, strict=True):
        scale = 1.0
        if group.get("initial_lr") and options.get("lr") is not None:
            scale = group["lr"] / group["initial_lr"]
        group.update(options)
        group["lr"] = options.get("initial_lr", options["lr"]) * scale
