"""What a script's own Python is given, so that a W&B program runs as it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

WANDB_HOOK = Path(__file__).with_name("wandb_hook")
"""A folder with a `sitecustomize`, which Python imports when it starts."""


def with_wandb_hook(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a script, with `wandb_hook/` first on its path for imports."""
    paths = [str(WANDB_HOOK), environment.get("PYTHONPATH", "")]
    # An empty entry would be the current folder, which an absent variable is not.
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
