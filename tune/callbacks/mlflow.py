"""MLflow as a tracker."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from raysweep.results.storage.tables import flatten
from raysweep.text_limits import shorten, visible
from raysweep.tune.callbacks.trackers import TrialUpdate

MAX_NAME_CHARACTERS = 250
"""The longest name that every version of MLflow accepts."""
MAX_VALUE_CHARACTERS = 500
"""The longest value of a parameter that every version of MLflow accepts."""


class Mlflow:
    """An experiment for the sweep, a run for each trial.

    They go to `MLFLOW_TRACKING_URI`, or else to `mlruns/` in the run directory.
    """

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient(
            os.environ.get("MLFLOW_TRACKING_URI") or (folder.resolve() / "mlruns").as_uri()
        )
        found = self._client.get_experiment_by_name(folder.name)
        self._experiment = (
            found.experiment_id if found else self._client.create_experiment(folder.name)
        )
        self._runs: dict[str, str] = {}
        self._running: set[str] = set()

    def report(self, update: TrialUpdate) -> None:
        run = self._run(update)
        self._running.add(run)
        for name, value in update.metrics.items():
            self._client.log_metric(
                run, safe_name(name), value, timestamp=int(update.time * 1000), step=update.epoch
            )

    def close(self, update: TrialUpdate) -> None:
        run = self._run(update)
        self._client.set_tag(run, "status", update.status)
        self._client.set_tag(run, "reason", update.reason)
        self._client.set_terminated(run, "FINISHED" if update.succeeded else "FAILED")
        self._running.discard(run)  # a promoted trial continues in the same run

    def finish(self) -> None:
        for run in self._running:
            self._client.set_terminated(run, "KILLED")
        self._runs.clear()

    def _run(self, update: TrialUpdate) -> str:
        if update.trial not in self._runs:
            run = self._client.create_run(
                self._experiment, run_name=update.trial, tags={"searcher": update.study}
            )
            self._runs[update.trial] = run.info.run_id
            for name, value in flatten(dict(update.config)).items():
                self._client.log_param(run.info.run_id, safe_name(name), _safe_value(value))
        return self._runs[update.trial]


def safe_name(name: str) -> str:
    """A name that MLflow accepts: letters, digits and `_-. :/`, and no path to another folder."""
    parts = re.sub(r"[^-/\w.: ]", "_", name).split("/")
    kept = "/".join(part for part in parts if part.strip(". "))
    return kept[:MAX_NAME_CHARACTERS] or "_"


def _safe_value(value: Any) -> str:
    return shorten(visible(str(value)), MAX_VALUE_CHARACTERS)
