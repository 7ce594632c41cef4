"""A template and the trials forked from it, as seen by the worker that started the template.

The other side is `trainables/runtime/template.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from raysweep.finder import START
from raysweep.trainables.runtime.job import Job

BEAT_SECONDS = 5.0
"""How often a worker says that it is alive while it has no report to send."""
LEAVE_SECONDS = 10.0
"""How long a process may take to end by itself once it should: exit handlers may upload files."""
CHUNK = 65536
"""The most bytes that are received at once."""
BOOT = """\
import atexit, os, sys
if os.fork(): os._exit(0)
def leave():
    for stream in (sys.stdout, sys.stderr):
        try: stream.flush()
        except Exception: pass
    os._exit(0)
atexit.register(leave)
import json, runpy, socket
runpy.run_path(sys.argv[2], run_name="raysweep_start")
from raysweep.trainables.runtime.template import main
main(socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[3]))
"""
"""The program of a template.

It forks at once, so that it is no child of the worker: Ray kills the children of a worker that
ends, and a template that is killed cannot end what its trial left in other sessions. The exit
handler that is registered first runs last. It ends the process without tearing down every module,
which would take as long as a short trial.
"""
WORKER = "RAYSWEEP_WORKER"
"""The environment variable with the process id of a trial's worker."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # a pool of native threads does not survive a fork; trials set theirs
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # cuda.is_available() must not begin to use the GPU
    "PYTHONHASHSEED": "0",  # the order of a set must not make two workers' numbers differ
}
OTHERS_RANKS = frozenset(
    (
        *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"),
        *("GROUP_WORLD_SIZE", "ROLE_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"),
        *("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "SLURM_NPROCS"),
        *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
        *("PMI_RANK", "PMI_SIZE"),
    )
)
"""What a launcher told the process that started Ray here: its place among processes that have
nothing to do with the trial. A trial that inherits it waits for the others, or reports nothing."""

Message = dict[str, Any]
Beat = Callable[[], None]


class TemplateDied(RuntimeError):
    """The template died, and its trial with it."""


class ForkRefused(RuntimeError):
    """The template must not be forked after what it imported. The message says why."""


class Lines:
    """A socket that messages are received from, one JSON object a line."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.closed = False
        self._rest = b""
        self._lines: list[bytes] = []

    def next(self, timeout: float = 0.0) -> Message | None:
        """The next message; None after `timeout` seconds of silence, or if the socket is closed."""
        until = time.monotonic() + timeout
        while not self._lines and not self.closed:
            left = max(0.0, until - time.monotonic())
            if not select.select([self.end], [], [], left)[0]:
                return None
            self._read()
        if not self._lines:
            return None
        return dict(json.loads(self._lines.pop(0)))

    def _read(self) -> None:
        try:
            content = self.end.recv(CHUNK)
        except OSError:
            content = b""
        self.closed = not content  # an empty read is the end of the stream
        *lines, self._rest = (self._rest + content).split(b"\n")
        self._lines += lines


@dataclass
class Template:
    """The process that a worker's trials are forked from."""

    control: Lines
    pid: int | None = None
    """Its process id, once it has sent it."""
    imports_module: bool = True
    """True if it imports the train function's module."""
    learned: list[str] = field(default_factory=list)
    """Modules to import before the next trial, because an earlier one did."""
    has_learned: bool = False
    """True if it was ever told to import such modules."""

    @staticmethod
    def started(environment: Mapping[str, str], imports_module: bool = True) -> Template:
        """Start a template, with these environment variables added to this process's."""
        ours, its = socket.socketpair()
        arguments = [str(its.fileno()), str(START), json.dumps(sys.path)]
        inherited = {name: text for name, text in os.environ.items() if name not in OTHERS_RANKS}
        with its:
            subprocess.run(
                [sys.executable, "-P", "-c", BOOT, *arguments],  # -P: not from the current folder
                env=inherited | ENVIRONMENT | {WORKER: str(os.getpid())} | dict(environment),
                pass_fds=[its.fileno()],  # its end of the socket survives the fork and the exec
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal goes to the driver alone
                check=True,
            )
        return Template(Lines(ours), imports_module=imports_module)

    def fork(self, job: Job, beat: Beat) -> TrialProcess:
        """Fork the process of a trial. Raises ForkRefused or TemplateDied if that is not possible.

        `beat` is called every few seconds, because importing may take minutes on a slow drive.
        """
        learned, self.learned = self.learned, []
        self.has_learned |= bool(learned)
        request = {"job": asdict(job), "module": self.imports_module, "learned": learned}
        ours, its = socket.socketpair()
        try:
            with its:
                self._send(json.dumps(request).encode() + b"\n", its.fileno())
            message = self._answer(beat)
            if "refused" in message:
                raise ForkRefused(message["refused"])
        except BaseException:
            ours.close()
            raise
        return TrialProcess(message["pid"], Lines(ours), self)

    def _answer(self, beat: Beat) -> Message:
        """The answer to a request. The first message of a template is its own process id."""
        while True:
            message = self.hear(BEAT_SECONDS)
            if message is None:
                beat()
            elif "template" in message:
                self.pid = message["template"]
            else:
                return message

    def _send(self, request: bytes, descriptor: int) -> None:
        with contextlib.suppress(OSError):  # it has died, which the next `hear` raises
            sent = socket.send_fds(self.control.end, [request], [descriptor])
            self.control.end.sendall(request[sent:])

    def hear(self, timeout: float) -> Message | None:
        """The next message; None after `timeout` seconds of silence. Raises TemplateDied."""
        message = self.control.next(timeout)
        if message is None and self.control.closed:
            raise TemplateDied("the process that trials are forked from has died")
        return message

    def close(self) -> None:
        """End the template, and the trial that it may have."""
        with contextlib.suppress(OSError):  # it has died
            self.control.end.shutdown(socket.SHUT_WR)
        until = time.monotonic() + LEAVE_SECONDS
        while not self.control.closed and (left := until - time.monotonic()) > 0:
            self.control.next(left)
        if not self.control.closed and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.control.end.close()


class TrialProcess:
    """A trial's process, which its template has just forked."""

    def __init__(self, pid: int, messages: Lines, template: Template) -> None:
        self.pid = pid
        self.status: int | None = None
        """Its exit code, or minus the number of the signal that ended it; None while it runs."""
        self.imported: list[str] = []
        """The installed modules that it imported beyond its template's. Known at its end."""
        self._messages = messages
        self._template = template

    def hear(self, timeout: float) -> Message | None:
        """The next message; None after `timeout` seconds of silence, or once the process ended."""
        message = self._messages.next()
        if message is None and self.status is None:
            self._wait(timeout)
            # Again, even if the process has ended: its last message may have come just before.
            message = self._messages.next()
        if message is not None:
            self.imported = message.pop("imported", [])
        return message

    def _wait(self, timeout: float) -> None:
        """Wait until there is a message, or the process ends."""
        control = self._template.control
        ends = [lines.end for lines in (control, self._messages) if not lines.closed]
        if control.end in select.select(ends, [], [], timeout)[0]:
            ended = self._template.hear(0.0)
            if ended is not None:
                self.status = ended["exit"]

    def answer(self, word: str) -> None:
        """Answer a report."""
        with contextlib.suppress(OSError):  # it has died, which the next `hear` notices
            self._messages.end.sendall(word.encode() + b"\n")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the process a signal."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)

    def end(self, seconds: float, beat: Beat) -> bool:
        """Wait for the process to end, and kill it after `seconds`. True if it was killed."""
        until = time.monotonic() + seconds
        killed = False
        while self.status is None:
            left = until - time.monotonic()
            if left > 0:
                self.hear(min(BEAT_SECONDS, left))
            else:
                if not killed:
                    self.kill()
                    killed = True
                self.hear(BEAT_SECONDS)
            beat()
        self.close()
        return killed

    def close(self) -> None:
        """Close the socket to the process."""
        self._messages.end.close()
