"""What the name of a trainable names: a train function, or a script.

package.module:train     a function of a module
path/to/train.py:train   a function of a file
path/to/train.py         a script that this Python runs
-m package.module        a module that Python runs as a script
path/to/run.sh           a script that a launcher runs (`script.launcher`)
"""

from __future__ import annotations

ASK_AND_TELL = "ask and tell"
"""The trainable of a run that has none, whose trials a user's own loop trains (`tune/study.py`)."""
SCRIPT_FILES = "files"
"""The folder of a script's own files in its trial's folder. There it cannot touch ours: a script
that saves its own `last.pt` would overwrite what raysweep remembers of the trial."""
_MODULE = "-m "


def is_script(reference: str) -> bool:
    """True if a reference names a script: it names no function."""
    if reference == ASK_AND_TELL:
        return False
    return reference.endswith(".py") or bool(module_of(reference)) or ":" not in reference


def module_of(reference: str) -> str:
    """The module of `-m package.module`; "" for any other reference."""
    if not reference.startswith(_MODULE):
        return ""
    return reference.removeprefix(_MODULE).strip()
