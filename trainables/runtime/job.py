"""What a worker must know to train one trial, or the epochs of it that are left."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.trainables.runtime.run import Objective


@dataclass(frozen=True)
class Job:
    """One attempt to train a trial whose first `known_epoch` epochs are in the ledger already.

    `threads`: how many torch computes on. Sums come out the same only with the same number.
    `gpu`: a fraction of a GPU, or a whole number of GPUs. `accelerator`: their kind; "" for any.
    `workers`: how many processes train the trial. `spread`: they may lie on several
    machines. `rank` and `rendezvous` are set in the jobs of these processes.
    `isolate`: the trial's process imports everything itself, and is not forked from a template.
    `hang_after`: seconds without any progress after which the process is ended; 0 for never.
    `test`: the best epoch is evaluated on the test split after the last one.
    `epochs` counts reports: `interval` says what lies between two of them.
    `script`: the fields of a `CommandLine`; None for a train function.
    `parent`: the folder of the checkpoint of another trial that it begins with; "" for none.
    `report_sources`: the fields of a `ReportSources`, which say how a script's metrics are read.
    `fuse`: how many trials at most the process trains as one; above 1, `others` holds the fields of
    the jobs that it begins with besides this one, and it may be given more later.
    `fuse_if_faster`: they are trained as one only while that is faster than one by one.
    """

    trial: str
    trainable: str
    config: dict[str, Any]
    seed: int
    epochs: int
    objective: Objective
    folder: str
    log: str = os.devnull
    known_epoch: int = 0
    threads: int = 1
    gpu: float = 0.0
    accelerator: str = ""
    accumulation: int = 1
    test: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    spread: bool = False
    rank: int = 0
    rendezvous: str = ""
    isolate: bool = False
    hang_after: float = 0.0
    interval: ReportInterval = EVERY_EPOCH
    script: dict[str, Any] | None = None
    parent: str = ""
    report_sources: dict[str, Any] = field(default_factory=dict)
    fuse: int = 1
    fuse_if_faster: bool = False
    others: list[dict[str, Any]] = field(default_factory=list)


def read_job(fields: dict[str, Any]) -> Job:
    """The job that `dataclasses.asdict` made these fields of."""
    return Job(
        **fields
        | {
            "objective": Objective.read(fields["objective"]),
            "interval": ReportInterval(**fields["interval"]),
        }
    )
