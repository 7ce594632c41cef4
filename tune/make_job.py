"""The job of a worker that trains a trial."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from raysweep.history import Trial
from raysweep.results.storage.mirror import origin
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.run import Objective
from raysweep.tune.kept_checkpoints import place
from raysweep.tune.sweep import Sweep

FORWARDED = (
    "RAYSWEEP_DATA_ROOT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "CLOUD_STORAGE_EMULATOR_ENDPOINT",
)
"""Environment variables that workers get from the driver.

None of them is a credential: each machine has credentials of its own.
"""


def job(sweep: Sweep, folder: Path, trial: Trial, test: bool = False) -> Job:
    """The job that trains a trial of the run in `folder`, or the rest of it.

    It asks for the GPU of the sweep's `resources`; an executor replaces that by what there is.
    `test`: its best epoch is evaluated on the test split afterwards.
    """
    run, bucket = folder.resolve(), origin(folder)
    trial_folder, log = str(run / "trials" / trial.id), str(run / "logs" / f"{trial.id}.log")
    if bucket:
        trial_folder, log = (bucket / "trials" / trial.id).url, (bucket / "logs").url
    parent = ""
    if "parent" in trial.notes:
        kept = place(trial.notes["parent"], trial.notes["enqueued"])
        parent = (bucket / kept).url if bucket else str(run / kept)
    epochs = trial.notes.get("epochs") or sweep.budget.epochs
    return Job(
        trial=trial.id,
        trainable=for_workers(sweep.trainable),
        config=trial.config,
        seed=trial.seed,
        epochs=epochs,
        objective=_objective(sweep),
        folder=trial_folder,
        log=log,
        known_epoch=trial.epoch,
        threads=max(1, int(sweep.resources.cpu)),
        gpu=sweep.resources.gpu,
        workers=sweep.resources.workers,
        spread=sweep.resources.spread,
        test=test,
        hang_after=sweep.hang_after or 0.0,
        accumulation=trial.notes.get("accumulation", 1),
        environment=forwarded(),
        script=_script(sweep, epochs),
        report_sources=asdict(sweep.report_sources),
        interval=sweep.budget.interval,
        parent=parent,
    )


def _objective(sweep: Sweep) -> Objective:
    maximize, several = sweep.metric.goal == "maximize", sweep.objectives
    if several is None:
        return Objective(sweep.metric.name, maximize)
    others = tuple(name for name in several.names if name != sweep.metric.name)
    return Objective(sweep.metric.name, maximize, others, several.limits)


def _script(sweep: Sweep, epochs: int) -> dict[str, Any] | None:
    """How a script is called that trains for so many reports; None for a train function.

    A command may have given the trial another length than the file did.
    """
    how, interval = sweep.command_line, sweep.budget.interval
    if how is None:
        return None
    length = interval.position(epochs)
    if float(length).is_integer():
        length = int(length)
    return asdict(replace(how, lengths={interval.unit: length}))


def for_workers(trainable: str) -> str:
    """The reference of a train function as every machine finds it.

    A pickled function lies in the run directory; if that is in object storage, so is the function.
    """
    place, _, name = trainable.rpartition(":")
    if not place.endswith(pickled_function.SUFFIX):
        return trainable
    bucket = origin(Path(place).parent)
    return f"{(bucket / Path(place).name).url}:{name}" if bucket else trainable


def forwarded() -> dict[str, str]:
    """The part of the driver's environment that workers get."""
    return {name: os.environ[name] for name in FORWARDED if name in os.environ}
