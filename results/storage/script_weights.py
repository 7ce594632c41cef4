"""What is left of the best epoch of a script, whose model raysweep does not have.

A script writes what it likes into the folder of its trial, and may overwrite it after each epoch.
"""

from __future__ import annotations

from raysweep.references import SCRIPT_FILES
from raysweep.report_interval import ReportInterval
from raysweep.results.storage.mirror import display_path, origin
from raysweep.results.storage.run_directory import BestEpoch


def of_script(found: BestEpoch, interval: ReportInterval) -> str:
    """Where the weights of a trial's best epoch may be, or that there are none, in one line."""
    at, trial = interval.at(found.epoch), found.trial
    if found.checkpoint is None:
        return f"the script kept no checkpoint of {at}"
    folder = found.checkpoint.parent / SCRIPT_FILES
    if origin(folder) is not None:
        folder = folder.parent  # in object storage, its checkpoints have a folder of their own
    elif not folder.is_dir() or not any(folder.iterdir()):
        return f"the script kept no checkpoint of {at}: it wrote no file into {folder}"
    place = f"what the script wrote is in {display_path(folder)}"
    if found.epoch == trial.epoch:
        return place
    last = interval.at(trial.epoch)
    return f"{place}; it trained on to {last}, so {at} is there only if it keeps each epoch"
