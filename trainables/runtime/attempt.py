"""One attempt to train one trial in this process: from a `Job` to its `Outcome`. Knows no Ray."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.trainables.runtime import process_setup
from raysweep.trainables.runtime.failure import outcome_of
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.process_group import joined
from raysweep.trainables.runtime.resource_monitor import Growth, watched
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.script import CommandLine
from raysweep.trainables.runtime.test_split import tested


@dataclass(frozen=True)
class Job:
    """What a worker must know to train a trial, or the rest of it: `known_epoch` epochs are in the ledger already.

    `threads`: of torch's; sums come out the same only with the same number. `gpu`: the share of one, or a whole number of them.
    `workers`: how many processes train it together; where they have a `meeting`, this is the one with that `rank`. `spread`: they may lie
    on several machines, for whoever starts them.
    `isolate`: its process imports everything itself, and is not forked from one that has.
    `hang_after`: seconds without any progress after which its process is ended; 0 for never.
    `test`: the best epoch is evaluated on the test split afterwards.
    `script`: how a script is told its configuration, as plain data; None for a train function.
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
    accumulation: int = 1
    test: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    workers: int = 1
    spread: bool = False
    rank: int = 0
    meeting: str = ""
    isolate: bool = False
    hang_after: float = 0.0
    script: dict[str, Any] | None = None


def read_job(fields: dict[str, Any]) -> Job:
    """The job that `dataclasses.asdict` made these fields of."""
    return Job(**fields | {"objective": Objective(**fields["objective"])})


def attempt(
    job: Job,
    send: Callable[[dict[str, Any]], None],
    on_error: Callable[[BaseException], None] = lambda error: None,
) -> Outcome:
    """Train. `send` gets a message for each epoch; what it raises stops the training.

    That exception passes through the train function, so that it can clean up, and leaves here
    even if the train function turned it into another one. `on_error` gets what the train function
    itself raised, before the outcome is made of it.
    """
    if job.workers > 1 and not job.meeting:
        from raysweep.trainables.runtime.local_ddp import train_together

        return train_together(job, send)
    process_setup.prepare(job.seed, job.threads)
    os.environ.update(job.environment)
    if job.gpu <= 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    device = _device(job.gpu)
    where = {"node": socket.gethostname(), "pid": os.getpid(), "device": _device_name(device)}
    growth = Growth(device)
    with watched(device) as gauge:

        def forward(message: dict[str, Any]) -> None:
            metrics = gauge.read() | message["metrics"]
            notes = message["notes"] | where | _peak(device) | growth.look()
            send(message | {"metrics": metrics, "notes": notes})

        return _train(job, Receiver(forward, on_error), device)


class Receiver:
    """Passes messages on, and remembers what the receiver raised to stop the training."""

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._send = send
        self.on_error = on_error
        self.stopped: BaseException | None = None

    def __call__(self, message: dict[str, Any]) -> None:
        if self.stopped is not None:
            raise self.stopped
        try:
            self._send(message)
        except BaseException as error:
            self.stopped = error
            raise


def _train(job: Job, receiver: Receiver, device: str) -> Outcome:
    run = _run(job, receiver, device)
    module = None
    try:
        train, module = load(job.trainable)
        if job.script is None:
            train(job.config, run)
        else:
            train(job.config, run, CommandLine(**job.script))
    except BaseException as error:
        if receiver.stopped is not None:
            raise receiver.stopped from None
        receiver.on_error(error)
        test = _tested(job, run, module, device) if run.complete else {}
        return outcome_of(error, job.trainable, run.notes | _peak(device) | test)
    if receiver.stopped is not None:
        raise receiver.stopped
    if not run.reports:
        return Outcome("failed", f"{job.trainable} returned without a report")
    notes = run.notes | _peak(device) | _tested(job, run, module, device)
    return Outcome("completed", f"the train function returned after epoch {run.epoch}", notes=notes)


def _run(job: Job, receiver: Receiver, device: str) -> Run:
    run = Run(
        job.epochs,
        receiver,
        seed=job.seed,
        device=device,
        folder=Path(job.folder),
        objective=job.objective,
        known_epoch=job.known_epoch,
    )
    run.trial, run.accumulation = job.trial, job.accumulation
    if job.meeting:
        run.team = joined(job.rank, job.workers, job.meeting, device)
    return run


def _tested(job: Job, run: Run, module: ModuleType | None, device: str) -> dict[str, Any]:
    """What the best epoch is worth on the test split, if the job asks for it and all is trained."""
    if not job.test or job.rank or module is None or not run.reports:
        return {}
    return tested(Path(job.folder), module, job.config, device)


def _device(gpu: float) -> str:
    """`cuda` if the trial was given a share of one, held to that share of its memory; else `cpu`."""
    if gpu <= 0:
        return "cpu"
    import torch

    if gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpu)
    return "cuda"


def _device_name(device: str) -> str:
    return f"cuda:{os.environ.get('CUDA_VISIBLE_DEVICES', '')}" if device == "cuda" else "cpu"


def _peak(device: str) -> dict[str, Any]:
    """The most memory held so far in bytes.

    It is what torch allocated on the GPU (with all that the device has), or what is resident in
    the process.
    """
    if device == "cuda":
        peak, total = process_setup.gpu_memory()
        return {"peak_memory": peak, "device_memory": total}
    return {"peak_memory": process_setup.resident()}
