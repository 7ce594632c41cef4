"""Weights & Biases as a tracker."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raysweep.tune.callbacks.trackers import TrialUpdate


class Wandb:
    """A group for the sweep, a run for each trial.

    Offline unless `WANDB_API_KEY` or `WANDB_MODE` says otherwise, so that it never asks anything.
    """

    def __init__(self, folder: Path) -> None:
        import wandb

        self._wandb: Any = wandb
        self._folder = folder
        self._mode = os.environ.get("WANDB_MODE") or (
            "online" if os.environ.get("WANDB_API_KEY") else "offline"
        )
        self._runs: dict[str, Any] = {}

    def report(self, update: TrialUpdate) -> None:
        self._run(update).log(dict(update.metrics), step=update.epoch)

    def close(self, update: TrialUpdate) -> None:
        run = self._run(update)
        run.summary["status"], run.summary["reason"] = update.status, update.reason
        run.finish(exit_code=0 if update.succeeded else 1)
        del self._runs[update.trial]

    def finish(self) -> None:
        for run in self._runs.values():
            run.finish()
        self._runs.clear()
        self._wandb.teardown()  # waits until all is on disk

    def _run(self, update: TrialUpdate) -> Any:
        if update.trial not in self._runs:
            self._runs[update.trial] = self._wandb.init(
                project="raysweep",
                group=self._folder.name,
                name=update.trial,
                id=f"{self._folder.name}-{update.trial}",
                resume="allow",
                config=dict(update.config),
                dir=str(self._folder),
                mode=self._mode,
                reinit="create_new",
                settings=self._wandb.Settings(
                    silent=True,
                    console="off",
                    x_disable_stats=True,
                    disable_git=True,
                    disable_code=True,
                ),
            )
        return self._runs[update.trial]
