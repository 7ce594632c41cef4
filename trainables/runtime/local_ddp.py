"""Trains a trial with several processes of this machine: `resources: {workers: 2}`.

The process that was given the trial starts them, passes on the reports of rank 0, and ends them all
when the trial is stopped, when one of them fails, or when it dies itself. As a program, this module
is one of these processes: it reads its job from its standard input, then a line for each report
that was received, and ends when that input closes.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

from raysweep.finder import program
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.train_job import train_job
from raysweep.trainables.runtime.trial_process import BEAT_SECONDS

DEATHS = ("died", "killed", "killed_for_memory")
"""How a process ends that does not end by itself. `died`: it is not known how."""
GRACE_SECONDS = 2.0
"""How long processes that fail because another one failed may still say so."""

Message = dict[str, Any]
Incoming = queue.Queue[tuple[int, Message | None]]


class Ranks(Protocol):
    """The processes of one trial, as `supervise` hears them."""

    def hear(self, timeout: float) -> tuple[int, Message | None]:
        """The rank of a process and its next message; None if it died without a word.

        Raises queue.Empty after `timeout` seconds of silence.
        """

    def acknowledge(self) -> None:
        """Tell rank 0 that its report was received, so that it continues."""


def train_with_local_processes(job: Job, send: Callable[[Message], None]) -> Outcome:
    """Train with `job.workers` processes of this machine. `send` may raise to stop them."""
    incoming: Incoming = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder, ExitStack() as stack:
        processes = [
            stack.enter_context(_started(job, rank, folder, incoming))
            for rank in range(job.workers)
        ]
        return supervise(LocalRanks(processes, incoming), job.workers, send)


@dataclass(frozen=True)
class LocalRanks:
    """Processes of this machine. Each has a thread that puts its messages into `incoming`."""

    processes: list[subprocess.Popen[str]]
    incoming: Incoming

    def hear(self, timeout: float) -> tuple[int, Message | None]:
        return self.incoming.get(timeout=timeout)

    def acknowledge(self) -> None:
        _say(self.processes[0], "received")


def supervise(
    ranks: Ranks,
    world_size: int,
    send: Callable[[Message], None],
    grace_seconds: float = GRACE_SECONDS,
    beat: Callable[[], None] = lambda: None,
) -> Outcome:
    """Pass reports on until all processes have ended, or one of them ended badly.

    In the latter case the others may speak for `grace_seconds`. `beat` is called while nothing is
    said.
    """
    outcomes: dict[int, Message] = {}
    while len(outcomes) < world_size:
        try:
            rank, message = ranks.hear(BEAT_SECONDS)
        except queue.Empty:
            beat()
            continue
        if message is not None and "outcome" not in message:
            send(message)
            ranks.acknowledge()
        elif _note_end(outcomes, rank, message)["status"] != "completed":
            _hear_others(ranks, outcomes, world_size, grace_seconds)
            return _first_failure(outcomes, world_size)
    return _read_outcome(outcomes[0])


def _note_end(outcomes: dict[int, Message], rank: int, message: Message | None) -> Message:
    """Note how a process ended.

    After its outcome comes the end of its output, which changes nothing. Without an outcome, it
    died.
    """
    if message is None:
        return outcomes.setdefault(rank, {"status": "died", "time": time.time()})
    return outcomes.setdefault(rank, message["outcome"])


def _hear_others(
    ranks: Ranks, outcomes: dict[int, Message], world_size: int, grace_seconds: float
) -> None:
    """Hear for a while how the other processes end."""
    until = time.monotonic() + grace_seconds
    while len(outcomes) < world_size and time.monotonic() < until:
        with contextlib.suppress(queue.Empty):
            rank, message = ranks.hear(0.1)
            if message is None or "outcome" in message:
                _note_end(outcomes, rank, message)


def _first_failure(outcomes: dict[int, Message], world_size: int) -> Outcome:
    """The failure that caused the others.

    The death of a process comes before what the others say of it, which they may say earlier.
    """
    bad = {rank: outcome for rank, outcome in outcomes.items() if outcome["status"] != "completed"}
    for rank, outcome in bad.items():
        if outcome["status"] in DEATHS:
            reason = f"process {rank} of {world_size} died"
            if outcome.get("reason"):
                reason += f": {outcome['reason']}"
            status = outcome["status"].replace("died", "killed")
            return Outcome(status, reason)
    return _read_outcome(min(bad.values(), key=lambda outcome: float(outcome["time"])))


def _read_outcome(message: Message) -> Outcome:
    return Outcome(**{name: value for name, value in message.items() if name != "time"})


@contextmanager
def _started(
    job: Job, rank: int, folder: str, incoming: Incoming
) -> Iterator[subprocess.Popen[str]]:
    """One process, killed when the body ends."""
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    # By default gloo looks up the host name, which may lead to another interface or nowhere.
    loopback = {"GLOO_SOCKET_IFNAME": "lo"}
    environment = os.environ | job.environment | loopback | _visible_device(job, rank)
    with open(job.log, "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            program("raysweep.trainables.runtime.local_ddp"),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    thread = threading.Thread(target=_pump, args=(process, rank, incoming), daemon=True)
    thread.start()
    rendezvous = f"file://{folder}/rendezvous{rendezvous_suffix(job)}"
    its_job = replace(job_of_one_process(job), rank=rank, rendezvous=rendezvous)
    _say(process, json.dumps({"job": asdict(its_job), "paths": sys.path}))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        thread.join()  # it ends with the output of the process, and reads that to its end
        assert process.stdin is not None
        process.stdin.close()


def job_of_one_process(job: Job) -> Job:
    """The job with what one of its processes gets of the threads and of the GPUs."""
    return replace(job, threads=max(1, job.threads // job.workers), gpu=job.gpu / job.workers)


def rendezvous_suffix(job: Job) -> str:
    """The end of the rendezvous' name: `#shared` if processes share a GPU, which excludes nccl."""
    if 0 < job.gpu < job.workers:
        return "#shared"
    return ""


def _visible_device(job: Job, rank: int) -> dict[str, str]:
    """The variable with the GPU that a process sees, of those that the trial was given."""
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not job.gpu or not visible:
        return {}
    return {"CUDA_VISIBLE_DEVICES": visible[rank % len(visible)]}


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it has died; `_pump` notices that too


def _pump(process: subprocess.Popen[str], rank: int, incoming: Incoming) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            incoming.put((rank, json.loads(line)))
    incoming.put((rank, None))


def main() -> None:
    """One of the processes."""
    import torch  # noqa: F401  # before imports find what lies in the current folder

    request = json.loads(sys.stdin.readline())
    # A module that the parent can import must be found here too, whatever it added to its path.
    sys.path[:] = request["paths"]
    job = read_job(request["job"])
    replies: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_watch, args=(sys.stdin, replies), daemon=True).start()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints goes to the log

    def send(message: Message) -> None:
        if job.rank == 0:
            _write(out, message)
            # Wait until the report was received, so that a stop comes before the next epoch.
            replies.get()

    outcome = train_job(job, send)
    _write(out, {"outcome": asdict(outcome) | {"time": time.time()}})


def _write(out: IO[str], message: Message) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _watch(lines: IO[str], replies: queue.Queue[str]) -> None:
    """Pass replies on. End the process when the one that started it is gone."""
    for line in lines:
        replies.put(line)
    os._exit(1)  # not `sys.exit`, which would only end this thread


if __name__ == "__main__":
    main()
