"""One attempt to train one trial in this process: from a `Job` to its `Outcome`. Knows no Ray."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from raysweep.report_interval import amount
from raysweep.trainables.runtime import process_setup
from raysweep.trainables.runtime.failure import outcome_of
from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.job import Job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.process_group import join_process_group
from raysweep.trainables.runtime.resource_monitor import LeakDetector, monitored
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.sources import ReportSources

Printing = Callable[[str], AbstractContextManager[None]]
"""Has this process print to the log of that name meanwhile."""


def train_job(
    job: Job,
    send: Callable[[dict[str, Any]], Any],
    on_error: Callable[[BaseException], None] = lambda error: None,
    printing: Printing = lambda log: nullcontext(),
) -> Outcome:
    """Train. `send` gets a message for each epoch; what it raises stops the training.

    For a job of several trials it returns an answer (`trainables/runtime/train_group.py`).

    That exception passes through the train function, so that it can clean up, and leaves here
    even if the train function turned it into another one. `on_error` gets what the train function
    itself raised, before the outcome is made of it. `printing`: what each of several trials prints
    is in its own log.
    """
    if job.fuse > 1:
        # Imported here, because that module imports this one.
        from raysweep.trainables.runtime.train_group import train_group

        return train_group(job, send, on_error, printing)
    if job.workers > 1 and not job.rendezvous:
        # Imported here, because that module imports this one for each of its processes.
        from raysweep.trainables.runtime.local_ddp import train_with_local_processes

        return train_with_local_processes(job, send)
    device, where = prepare_process(job)
    leaks = LeakDetector(device)
    with monitored(device) as monitor:

        def forward(message: dict[str, Any]) -> None:
            # A metric of the user's own with such a name wins over ours.
            metrics = monitor.read() | message["metrics"]
            notes = message["notes"] | where | peak_memory(device) | leaks.check()
            send(message | {"metrics": metrics, "notes": notes})

        return _train(job, Receiver(forward, on_error), device)


def prepare_process(job: Job) -> tuple[str, dict[str, Any]]:
    """Prepare this process for a job. Returns its device, and the notes that say where it is."""
    process_setup.prepare(job.seed, job.threads)
    os.environ.update(job.environment)
    if job.gpu <= 0:
        # A train function that asks `torch.cuda.is_available()` must not use other trials' GPUs.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    device = _device(job.gpu)
    where = {"node": socket.gethostname(), "pid": os.getpid(), "device": _device_name(device)}
    return device, where


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
    run = make_run(job, receiver, device)
    module = None
    try:
        train, module = load(job.trainable)
        if job.script is None:
            train(job.config, run)
        else:
            sources = ReportSources(**job.report_sources)
            train(job.config, run, CommandLine.of(job.script), sources)
    except BaseException as error:
        # What stopped the training comes first: the train function may have turned it into another.
        if receiver.stopped is not None:
            raise receiver.stopped from None
        receiver.on_error(error)
        notes = run.notes | peak_memory(device)
        if run.complete:
            # All epochs are trained: the trial counts, whatever the train function raised then.
            notes |= test_metrics(job, run, module, device)
        return outcome_of(error, job.trainable, notes)
    if receiver.stopped is not None:  # the train function caught it, and returned
        raise receiver.stopped
    if not run.reports:
        return Outcome("failed", f"{job.trainable} returned without a report")
    notes = run.notes | peak_memory(device) | test_metrics(job, run, module, device)
    return Outcome("completed", _ending(run, is_script=job.script is not None), notes=notes)


def _ending(run: Run, is_script: bool) -> str:
    """After which report a train function returned, or a script ended."""
    at = run.interval.at(run.reports[-1]["epoch"])
    if is_script:
        return f"the script ended after {at} of {amount(run.length)}"
    return f"the train function returned after {at}"


def make_run(job: Job, receiver: Callable[[dict[str, Any]], None], device: str) -> Run:
    """The run of a job, whose messages go to `receiver`."""
    run = Run(
        job.epochs,
        receiver,
        seed=job.seed,
        device=device,
        folder=Path(job.folder),
        objective=job.objective,
        known_epoch=job.known_epoch,
        interval=job.interval,
    )
    run.trial, run.accumulation = job.trial, job.accumulation
    if job.parent:
        run.parent = Path(job.parent)
    if job.rendezvous:
        run.process_group = join_process_group(job.rank, job.workers, job.rendezvous, device)
    return run


def test_metrics(job: Job, run: Run, module: ModuleType | None, device: str) -> dict[str, Any]:
    """The notes of the best epoch's evaluation on the test split; {} if the job asks for none."""
    # Rank 0 alone, because all processes have the same model.
    if not job.test or job.rank or module is None or not run.reports:
        return {}
    # It imports torch, which the workers that import this module do without.
    from raysweep.trainables.runtime.evaluate import evaluate_on_test_split

    return evaluate_on_test_split(Path(job.folder), module, job.config, device)


def _device(gpu: float) -> str:
    """`cuda` if the trial was given a GPU or a fraction of one, else `cpu`.

    With a fraction, torch is held to that fraction of the device's memory.
    """
    if gpu <= 0:
        return "cpu"
    import torch

    # A trial that takes more than its part then fails itself, and not the others on the device.
    if gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpu)
    return "cuda"


def _device_name(device: str) -> str:
    if device == "cuda":
        return f"cuda:{os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
    return "cpu"


def peak_memory(device: str) -> dict[str, Any]:
    """The most memory held so far in bytes.

    It is what torch allocated on the GPU (with all that the device has), or what is resident in
    the process.
    """
    if device == "cuda":
        peak, total = process_setup.gpu_memory()
        return {"peak_memory": peak, "device_memory": total}
    return {"peak_memory": process_setup.resident()}
