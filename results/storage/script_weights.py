"""What is left of the best epoch of a script, whose model raysweep does not have.

A script writes what it likes into the folder of its trial, and may overwrite it after each epoch.
`script.checkpoint` says where it saves what it can continue from.
"""

from __future__ import annotations

import glob
import json
from pathlib import Path
from typing import Any

from raysweep.history import Trial
from raysweep.placeholders import fill
from raysweep.references import SCRIPT_FILES
from raysweep.report_interval import ReportInterval
from raysweep.results.storage.mirror import display_path, origin
from raysweep.results.storage.run_directory import BestEpoch, RunDirectory


def script_file(run: RunDirectory, trial: Trial) -> Path | None:
    """The newest file or folder of a trial that `script.checkpoint` names.

    None if there is none, if the file does not say where, or if the run is in object storage.
    """
    section = run.sweep.get("script") or {}
    text = section.get("checkpoint")
    if not text or origin(run.path) is not None:
        return None
    values = _values(run, trial)
    try:
        folder = _folder(run, section, values)
        pattern = fill(text, lambda name: glob.escape(values[name]))
    except KeyError:  # a placeholder that only the trial's process knows, such as {env:HOME}
        return None
    place = Path(glob.escape(str(folder))) / pattern
    return max(map(Path, glob.glob(str(place), recursive=True)), key=_saved, default=None)


def _saved(path: Path) -> float:
    """When a file was saved, in Unix seconds; 0 if it is gone by now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _values(run: RunDirectory, trial: Trial) -> dict[str, str]:
    """The values of placeholders, as far as they are known after the training."""
    folder = (run.path / "trials" / trial.id / SCRIPT_FILES).resolve()
    config = {name: _text(value) for name, value in trial.config.items()}
    return config | {"folder": str(folder), "trial": trial.id, "seed": str(trial.seed)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _folder(run: RunDirectory, section: dict[str, Any], values: dict[str, str]) -> Path:
    """The folder in which the script ran. Raises KeyError for a placeholder that is not known."""
    beside = Path(str(run.sweep["trainable"])).parent
    return beside / fill(section.get("folder") or ".", values.__getitem__)


def _from_here(file: Path) -> Path:
    """A file by its path from the current folder, as the run directory is shown, if it is below."""
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


def of_script(found: BestEpoch, interval: ReportInterval, file: Path | None = None) -> str:
    """Where the weights of a trial's best epoch may be, or that there are none, in one line.

    file: that which `script.checkpoint` names.
    """
    at, trial = interval.at(found.epoch), found.trial
    if file is not None:
        place = display_path(_from_here(file))
    elif found.checkpoint is None:
        return f"the script kept no checkpoint of {at}"
    else:
        folder = found.checkpoint.parent / SCRIPT_FILES
        if origin(folder) is not None:
            folder = folder.parent  # in object storage, its checkpoints have a folder of their own
        elif not folder.is_dir() or not any(folder.iterdir()):
            return f"the script kept no checkpoint of {at}: it wrote no file into {folder}"
        place = f"what the script wrote is in {display_path(folder)}"
    if found.epoch == trial.epoch:
        return place
    last = interval.at(trial.epoch)
    return f"{place}; it trained on to {last}, so {at} is there only if it keeps all that it saves"
