"""A trial as a job for a worker."""

from __future__ import annotations

import os
from pathlib import Path

from results.history import Trial
from results.working_copy import origin
from trainables.attempt import Job
from trainables.children import MARK
from trainables.run import Objective
from tune.sweep import Sweep

PASSED_ON = (
    "RAYSWEEP_DATA_ROOT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "CLOUD_STORAGE_EMULATOR_ENDPOINT",
)
"""Environment variables that workers get from the driver. No credentials: those belong to each machine."""


def job(sweep: Sweep, folder: Path, gpu: float, trial: Trial, test: bool = False) -> Job:
    """What a worker must know to train a trial of the run in `folder`, or the rest of it, on a share `gpu` of a device.

    `test`: its best epoch is evaluated on the test split afterwards.
    """
    run, away = folder.resolve(), origin(folder)
    return Job(
        trial=trial.id,
        trainable=sweep.trainable,
        config=trial.config,
        seed=trial.seed,
        epochs=sweep.budget.epochs,
        objective=Objective(sweep.metric.name, sweep.metric.goal == "maximize"),
        folder=(away / "trials" / trial.id).url if away else str(run / "trials" / trial.id),
        log=(away / "logs").url if away else str(run / "logs" / f"{trial.id}.log"),
        known_epoch=trial.epoch,
        threads=max(1, int(sweep.resources.cpu)),
        gpu=gpu,
        workers=sweep.resources.workers,
        spread=sweep.resources.spread,
        test=test,
        accumulation=trial.notes.get("accumulation", 1),
        environment=passed_on() | {MARK: away.url if away else str(run)},
    )


def passed_on() -> dict[str, str]:
    """What workers get of the driver's environment."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
