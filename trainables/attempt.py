"""One attempt to train one trial, in whatever process: from a `Job` to its outcome. Knows nothing of Ray."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TextIO

from trainables import children, guards
from trainables.gauge import Growth, watched
from trainables.resolve import TrainableError, load
from trainables.run import DataError, Objective, ReportError, Run, StorageError
from trainables.team import joined
from trainables.tested import tested

TRACE_LINES = 20
STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE)
"""A disk that is full, over quota, read-only or gone: no fault of the configuration."""


@dataclass(frozen=True)
class Job:
    """What a worker must know to train a trial, or the rest of it: `known_epoch` epochs are in the ledger already.

    `threads`: of torch's; sums come out the same only with the same number. `gpu`: the share of one, or a whole number of them.
    `workers`: how many processes train it together; where they have a `meeting`, this is the one with that `rank`. `spread`: they may lie
    on several machines, for whoever starts them.
    `test`: the best epoch is evaluated on the test split afterwards.
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


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended by itself. `status`: completed, failed, oom, storage (the run folder cannot be written)
    or mistake (no trial of this sweep can run)."""

    status: str
    reason: str
    trace: str = ""
    notes: dict[str, Any] = field(default_factory=dict)


class WorkerGrown(RuntimeError):
    """This worker holds too much memory; the trial wants a new process."""


def attempt(job: Job, send: Callable[[dict[str, Any]], None]) -> Outcome:
    """Train. `send` gets a message for each epoch, the first with where it runs, and may raise SystemExit to stop the training."""
    if job.workers > 1 and not job.meeting:
        from trainables.together import train_together

        return train_together(job, send)
    if guards.grown():
        raise WorkerGrown(f"worker {os.getpid()} has grown; {job.trial} goes to a new one")
    guards.fresh(job.seed, job.threads)
    os.environ.update(job.environment)
    children.mark()
    if job.gpu <= 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    device = _device(job.gpu)
    where = {"node": socket.gethostname(), "pid": os.getpid(), "device": _device_name(device)}

    growth = Growth(device)
    with watched(device) as gauge:

        def forward(message: dict[str, Any]) -> None:
            send(
                message
                | {
                    "metrics": gauge.read() | message["metrics"],
                    "notes": message["notes"] | where | _peak(device) | growth.look(),
                }
            )

        return _run(job, device, forward)


def _run(job: Job, device: str, send: Callable[[dict[str, Any]], None]) -> Outcome:
    run = Run(
        job.epochs,
        send,
        seed=job.seed,
        device=device,
        folder=Path(job.folder),
        objective=job.objective,
        known_epoch=job.known_epoch,
    )
    run.trial, run.accumulation = job.trial, job.accumulation
    if job.meeting:
        run.team = joined(job.rank, job.workers, job.meeting, device)
    with (
        contextlib.closing(LazyLog(Path(job.log))) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        outcome = _train(job, run, device)
    return replace(outcome, notes=run.notes | outcome.notes)


class LazyLog(io.TextIOBase):
    """What a train function prints, appended to a file that is only made when something is printed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def write(self, text: str) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._path, "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        return self._file.write(text)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


def _train(job: Job, run: Run, device: str) -> Outcome:
    try:
        train, module = load(job.trainable)
        guards.imported(job.trainable)
        train(job.config, run)
    except (TrainableError, DataError) as error:
        return Outcome("mistake", str(error), _trace(error))
    except ReportError as error:
        status = "mistake" if not run.reports else "failed"
        return Outcome(status, f"{job.trainable}: {error}", _trace(error))
    except StorageError as error:
        return Outcome("storage", str(error))
    except MemoryError as error:
        return Outcome("oom", "out of memory on the host", _trace(error), _peak(device))
    except OSError as error:
        if error.errno in STORAGE_ERRORS:
            return Outcome("storage", _last_line(error), _trace(error))
        return Outcome("failed", _last_line(error), _trace(error), _peak(device))
    except Exception as error:
        if _is_oom(error):
            return Outcome("oom", _last_line(error), _trace(error), _peak(device))
        return Outcome("failed", _last_line(error), _trace(error), _peak(device))
    if not run.reports:
        return Outcome("failed", f"{job.trainable} returned without a report")
    notes = _peak(device) | (
        tested(Path(job.folder), module, job.config, device) if job.test and job.rank == 0 else {}
    )
    return Outcome("completed", f"the train function returned after epoch {run.epoch}", notes=notes)


def _device(gpu: float) -> str:
    """`cuda` where the trial was given a share of one, held to that share of its memory; else `cpu`."""
    if gpu <= 0:
        return "cpu"
    import torch

    if gpu < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(gpu)
    return "cuda"


def _device_name(device: str) -> str:
    return f"cuda:{os.environ.get('CUDA_VISIBLE_DEVICES', '')}" if device == "cuda" else "cpu"


def _peak(device: str) -> dict[str, Any]:
    """The most memory held so far in bytes: allocated on the GPU (with all that the device has), or resident in the process."""
    if device == "cuda":
        peak, total = guards.gpu_memory()
        return {"peak_memory": peak, "device_memory": total}
    return {"peak_memory": guards.resident()}


def _is_oom(error: BaseException) -> bool:
    text = str(error)
    return (
        type(error).__name__ == "OutOfMemoryError"
        or "out of memory" in text
        or "DefaultCPUAllocator: can't allocate memory" in text
    )


def _last_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _trace(error: BaseException) -> str:
    """The last lines of the user's own traceback, without the frames of this module."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    lines = "".join(traceback.format_exception(type(error), error, frames)).rstrip().splitlines()
    return "\n".join(lines[-TRACE_LINES:])
