"""Whether a script learns its configuration at all."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from raysweep.tune.script_length import ASKS, is_told
from raysweep.tune.sweep import Sweep

READ = (ASKS, "wandb")
"""What the code of a script has that reads its configuration without being told on its command."""
MOST_FILES = 100
"""Files beside a script that are looked at."""


def untold(sweep: Sweep) -> str:
    """What to know of a sweep whose script is not told its parameters; "" if it seems to be."""
    how, script = sweep.command_line, Path(sweep.trainable)
    if how is None or how.options != "none" or how.config_file or script.suffix != ".py":
        return ""
    names = {"config", "config_file", *sweep.space.params, *sweep.space.keys}
    if any(is_told(asdict(how), name) for name in names) or _reads(script):
        return ""
    return (
        f"nothing tells {script.name} its parameters, so that all trials are alike: let it read "
        "them from the variable RAYSWEEP_CONFIG, which has them as JSON"
    )


def _reads(script: Path) -> bool:
    """True if the script, or a file beside it, may read its parameters, or cannot be read."""
    try:
        files = sorted(script.parent.glob("*.py"))[:MOST_FILES]
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in [script, *files])
        return any(word in text for text in texts for word in READ)
    except OSError:
        return True
