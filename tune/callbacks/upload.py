"""A run directory in object storage: what changes in its copy on this machine is uploaded."""

from __future__ import annotations

from pathlib import Path

from raysweep.results.storage.mirror import Uploader
from raysweep.tune.callbacks.base import Callback
from raysweep.tune.controller import SweepController


class Upload(Callback):
    """Uploads the files of the run directory at the start, in the background, and at the end.

    The ledger is there already. A run directory on a disk stays as it is.
    """

    def __init__(self, folder: Path) -> None:
        self._uploader = Uploader(folder)
        self._uploader.upload()

    def on_tick(self, controller: SweepController) -> None:
        self._uploader.tick()

    def close(self, controller: SweepController) -> None:
        self._uploader.close()
