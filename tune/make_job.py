"""A trial as a job for a worker."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

from raysweep.history import Trial
from raysweep.results.storage.mirror import origin
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective
from raysweep.tune.sweep import Sweep

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


def job(
    sweep: Sweep,
    folder: Path,
    gpu: float,
    trial: Trial,
    test: bool = False,
    isolate: bool = False,
) -> Job:
    """What a worker must know to train a trial of the run in `folder`, or the rest of it, on a
    share `gpu` of a device.

    `test`: its best epoch is evaluated on the test split afterwards. `isolate`: its process is not
    forked from one that has imported anything.
    """
    run, away = folder.resolve(), origin(folder)
    return Job(
        trial=trial.id,
        trainable=for_workers(sweep.trainable),
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
        isolate=isolate,
        hang_after=sweep.hang_after or 0.0,
        accumulation=trial.notes.get("accumulation", 1),
        environment=passed_on(),
        script=asdict(sweep.command_line) if sweep.command_line else None,
    )


def for_workers(trainable: str) -> str:
    """The reference of a train function as every machine finds it.

    A pickled function lies in the run directory; if that is in object storage, so is the function.
    """
    place, _, name = trainable.rpartition(":")
    if not place.endswith(pickled_function.SUFFIX):
        return trainable
    bucket = origin(Path(place).parent)
    return f"{(bucket / Path(place).name).url}:{name}" if bucket else trainable


def passed_on() -> dict[str, str]:
    """What workers get of the driver's environment."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
