"""One trial trained by several processes of this machine: `resources: {workers: 2}`.

The worker that was given the trial starts them, hears the first one's reports, and ends them all when the trial is stopped, when one of
them fails, or when it dies itself. As a program, this is one of them: it reads its job from its standard input, then a line for each
report that was received; when that input closes, it ends.
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
from raysweep.trainables.runtime.attempt import Job, attempt
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import Objective
from raysweep.trainables.runtime.trial_process import BEAT_SECONDS

DEATHS = ("lost", "killed", "killed_for_memory")
"""How a process ends that does not end by itself; `lost`: nobody knows how."""
GRACE = 2.0
"""Seconds in which processes that fail because of another's failure may still say so."""

Message = dict[str, Any]
Heard = queue.Queue[tuple[int, Message | None]]


class Company(Protocol):
    """The processes of a trial, as whoever conducts them hears them."""

    def hear(self, timeout: float) -> tuple[int, Message | None]:
        """The next message, and from which process; None if it died without a word.

        Raises queue.Empty after `timeout` seconds of silence.
        """

    def go_on(self) -> None:
        """Let the first process, whose report was received, train on."""


def train_together(job: Job, send: Callable[[Message], None]) -> Outcome:
    """Train with `job.workers` processes of this machine. `send` may raise to stop them."""
    heard: Heard = queue.Queue()
    with tempfile.TemporaryDirectory(prefix="raysweep-") as folder, ExitStack() as stack:
        processes = [
            stack.enter_context(_started(job, rank, folder, heard)) for rank in range(job.workers)
        ]
        return conduct(Processes(processes, heard), job.workers, send)


@dataclass(frozen=True)
class Processes:
    """Those of this machine, each with a thread that hears it."""

    started: list[subprocess.Popen[str]]
    heard: Heard

    def hear(self, timeout: float) -> tuple[int, Message | None]:
        return self.heard.get(timeout=timeout)

    def go_on(self) -> None:
        _say(self.started[0], "go on")


def conduct(
    company: Company,
    count: int,
    send: Callable[[Message], None],
    grace: float = GRACE,
    beat: Callable[[], None] = lambda: None,
) -> Outcome:
    """Pass the reports of `count` processes on until all are done, or one ended badly.

    Then the others may speak for `grace` seconds. `beat` is called while nothing is said.
    """
    outcomes: dict[int, Message] = {}
    while len(outcomes) < count:
        try:
            rank, message = company.hear(BEAT_SECONDS)
        except queue.Empty:
            beat()
            continue
        if message is not None and "outcome" not in message:
            send(message)
            company.go_on()
        elif _ended(outcomes, rank, message)["status"] != "completed":
            _listen(company, outcomes, count, grace)
            return _first_bad(outcomes, count)
    return _outcome(outcomes[0])


def _ended(outcomes: dict[int, Message], rank: int, message: Message | None) -> Message:
    """Note how a process ended: by its outcome, or without one. What comes after its outcome is the end of its output."""
    said = message["outcome"] if message else {"status": "lost", "time": time.time()}
    return outcomes.setdefault(rank, said)


def _listen(company: Company, outcomes: dict[int, Message], count: int, grace: float) -> None:
    """Hear what the others have to say, for a while."""
    until = time.monotonic() + grace
    while len(outcomes) < count and time.monotonic() < until:
        with contextlib.suppress(queue.Empty):
            rank, message = company.hear(0.1)
            if message is None or "outcome" in message:
                _ended(outcomes, rank, message)


def _first_bad(outcomes: dict[int, Message], count: int) -> Outcome:
    """What went wrong first: the rest follows from it.

    The death of a process comes before what the others say of it, which they may say earlier.
    """
    bad = {rank: outcome for rank, outcome in outcomes.items() if outcome["status"] != "completed"}
    for rank, outcome in bad.items():
        if outcome["status"] in DEATHS:
            reason = f"process {rank} of {count} died"
            why = f": {outcome['reason']}" if outcome.get("reason") else ""
            status = "killed" if outcome["status"] == "lost" else outcome["status"]
            return Outcome(status, reason + why)
    return _outcome(min(bad.values(), key=lambda outcome: float(outcome["time"])))


def _outcome(message: Message) -> Outcome:
    return Outcome(**{name: value for name, value in message.items() if name != "time"})


@contextmanager
def _started(job: Job, rank: int, folder: str, heard: Heard) -> Iterator[subprocess.Popen[str]]:
    """One process; killed at the end."""
    Path(job.log).parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | job.environment | {"GLOO_SOCKET_IFNAME": "lo"} | _devices(job, rank)
    with open(job.log, "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            program("raysweep.trainables.runtime.local_ddp"),
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    thread = threading.Thread(target=_pump, args=(process, rank, heard), daemon=True)
    thread.start()
    _say(
        process,
        json.dumps(
            {
                "job": asdict(part(job)),
                "paths": sys.path,
                "rank": rank,
                "meeting": f"file://{folder}/meeting{kind(job)}",
            }
        ),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        thread.join()
        assert process.stdin is not None
        process.stdin.close()


def part(job: Job) -> Job:
    """The job as one of its processes sees it: with its share of the threads and of the GPUs."""
    return replace(job, threads=max(1, job.threads // job.workers), gpu=job.gpu / job.workers)


def kind(job: Job) -> str:
    """What a meeting's name ends with: whether processes share a GPU, which nccl does not allow."""
    return "#shared" if 0 < job.gpu < job.workers else ""


def _devices(job: Job, rank: int) -> dict[str, str]:
    """The GPU that this process sees, of those that the trial was given."""
    visible = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
    return {"CUDA_VISIBLE_DEVICES": visible[rank % len(visible)]} if job.gpu and visible else {}


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it has died, which is heard of as well


def _pump(process: subprocess.Popen[str], rank: int, heard: Heard) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            heard.put((rank, json.loads(line)))
    heard.put((rank, None))


def main() -> None:
    """One of the processes."""
    import torch  # noqa: F401  # before imports find what lies in the current folder

    said = json.loads(sys.stdin.readline())
    sys.path[:] = said["paths"]
    fields = said["job"]
    job = Job(**fields | {"objective": Objective(**fields["objective"])})
    replies: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_watch, args=(sys.stdin, replies), daemon=True).start()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what native code prints goes to the log

    def send(message: Message) -> None:
        if said["rank"] == 0:
            _write(out, message)
            replies.get()

    outcome = attempt(replace(job, rank=said["rank"], meeting=said["meeting"]), send)
    _write(out, {"outcome": asdict(outcome) | {"time": time.time()}})


def _write(out: IO[str], message: Message) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def _watch(lines: IO[str], replies: queue.Queue[str]) -> None:
    """Pass replies on; end the process when whoever started it is gone."""
    for line in lines:
        replies.put(line)
    os._exit(1)


if __name__ == "__main__":
    main()
