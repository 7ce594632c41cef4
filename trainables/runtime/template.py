"""The process that a worker's trials are forked from. It has imported what they need, and trains
nothing itself.

A trial in a process of its own leaves nothing behind: no global state, no thread, no signal
handler, no GPU memory. It may crash, and it runs in a main thread, as by hand. Forked from a
process that has imported torch and the train function's module, it starts within milliseconds.

The worker that starts a template talks to it over a socket. It sends a job with the trial's own
socket, and receives the process id, then how that process ended. There is one trial at a time. When
the worker dies in whatever way, its template ends the trial and itself.

Forking is safe only while the template has a single thread and no CUDA context. Imports are
checked: if a module started a thread or used the GPU when it was imported, the worker starts
another template, which leaves that module to the trials.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import importlib
import io
import json
import os
import random
import select
import signal
import socket
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from raysweep.finder import START
from raysweep.references import is_script
from raysweep.trainables.runtime.import_trainable import load, split_reference
from raysweep.trainables.runtime.job import Job, read_job
from raysweep.trainables.runtime.train_job import train_job

TORCH = ("torch", "torch.utils.data")
"""What every training needs."""
OPTIMIZERS = ("torch._dynamo",)
"""What optimizers import at their first use, which takes as long as importing torch itself."""
SET_CHILD_SUBREAPER, SET_PARENT_DEATH_SIGNAL = 36, 1
"""Options of Linux's prctl (`linux/prctl.h`)."""
CHUNK = 65536
"""The most bytes that are received at once."""
POLL_SECONDS = 0.05
"""How often the end of a trial is checked, on systems without `pidfd_open` (macOS)."""
CONTINUE = "continue"
"""The worker's answer to a report after which the training continues."""


def main(control: socket.socket, paths: list[str]) -> None:
    """Fork a process for each job that arrives, until the worker is gone.

    `paths`: the worker's path for imports.
    """
    _adopt_orphans()
    _say(control, {"template": os.getpid()})
    imports = Imports(paths)
    while (received := _receive(control)) is not None:
        request, descriptor = received
        job = read_job(request["job"])
        with _printing_to(job.log):
            refused = imports.prepare(job, request["module"], request["learned"])
        if refused:
            os.close(descriptor)
            _say(control, {"refused": refused})
            return  # it stays unsafe: the worker starts another template
        child = os.fork()
        if child == 0:
            control.close()  # or the worker would not see that the template has died
            _be_trial(job, socket.socket(fileno=descriptor), imports)
        os.close(descriptor)
        _say(control, {"pid": child})
        _say(control, {"exit": _wait(child, control)})


def _receive(control: socket.socket) -> tuple[dict[str, Any], int] | None:
    """The next request and the descriptor that came with it; None if the worker is gone."""
    try:
        text, descriptors, _, _ = socket.recv_fds(control, CHUNK, 1)
        while text and not text.endswith(b"\n"):
            more = control.recv(CHUNK)
            if not more:
                return None
            text += more
    except ConnectionResetError:  # the worker was killed before it had read all that it was sent
        return None
    if not text:
        return None
    return json.loads(text), descriptors[0]


def _say(control: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the next receive tells
        control.sendall(json.dumps(message).encode() + b"\n")


class Imports:
    """What the template has imported for its trials."""

    def __init__(self, paths: list[str]) -> None:
        self.known: frozenset[str] = frozenset()
        self._paths = paths
        self._module: types.ModuleType | None = None
        self._tried = False

    def prepare(self, job: Job, module: bool, learned: list[str]) -> str:
        """Import torch, the train function's module (if `module`), and what earlier trials needed.

        Returns why forking is not safe after that, or "". An import that fails is left to the
        trial, which says why.
        """
        if job.isolate:
            return ""
        before = len(sys.modules)
        if not self._tried:
            self._tried = True
            self.begin(_begin_with(job.trainable))
            if module:
                # A module that draws when it is imported draws the same in every worker.
                random.seed(0)
                with contextlib.suppress(BaseException):
                    self._module = load(job.trainable)[1]
        _import(learned)
        self._share(job)
        if len(sys.modules) > before:
            self.known = frozenset(sys.modules)
            gc.collect()
            gc.freeze()  # what is here is no garbage: trials need not search it, or copy its pages
        return _unsafe()

    def begin(self, names: tuple[str, ...]) -> None:
        """Import these modules. From then on imports find what the worker finds.

        The order matters: a user's own `random.py` or `queue.py` in the current folder must not
        come before the modules of Python that torch imports.
        """
        _import(names)
        sys.path[:] = self._paths

    def _share(self, job: Job) -> None:
        """Call the `preload` of the train function's module, which loads what its trials share."""
        preload = getattr(self._module, "preload", None)
        if callable(preload):
            with contextlib.suppress(BaseException):  # it fails in the trial too, which says why
                preload(job.config)


def _begin_with(trainable: str) -> tuple[str, ...]:
    """The modules that a train function needs, as far as its reference and its file tell.

    What this misses, such as the optimizer that another file makes, the first trial imports; its
    worker learns from it.
    """
    if is_script(trainable):
        return TORCH[:1]  # the script is a process of its own, and imports what it needs
    path = Path(split_reference(trainable)[0])
    if path.suffix == ".py" and path.is_file() and b"torch" not in path.read_bytes():
        return TORCH
    return TORCH + OPTIMIZERS


def _import(names: list[str] | tuple[str, ...]) -> None:
    for name in names:
        # What fails here fails in the trial too, where it is reported.
        with contextlib.suppress(BaseException):
            importlib.import_module(name)


def _threads() -> int:
    """How many threads this process has, native ones included; 1 if that is not known."""
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        return 1
    return len(list(tasks.iterdir()))


def _unsafe() -> str:
    """Why this process should not be forked; "" if it may be."""
    if _threads() > 1:
        return f"it has {_threads()} threads"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "it uses the GPU"
    children = _children()
    if children:
        return f"it has {len(children)} child processes"
    return ""


def _wait(child: int, control: socket.socket) -> int:
    """Wait for the trial's process and end all that it started.

    Returns its exit code, or minus the number of the signal that ended it. If the worker goes
    away meanwhile, the trial is ended, and this process too.
    """
    status = _waited(child, control)
    _kill_group(child)
    if status is None:
        os.waitpid(child, 0)
    _kill_orphans()
    if status is None:
        os._exit(0)
    return os.waitstatus_to_exitcode(status)


def _waited(child: int, control: socket.socket) -> int | None:
    """The status with which the child ended; None if the worker went away before."""
    ends: list[int] = []
    seconds: float | None = POLL_SECONDS
    if hasattr(os, "pidfd_open"):
        ends, seconds = [os.pidfd_open(child)], None
    try:
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            if control.fileno() in select.select([control.fileno(), *ends], [], [], seconds)[0]:
                return None
    finally:
        for descriptor in ends:
            os.close(descriptor)


def _kill_group(child: int) -> None:
    """Kill the trial's process, if it is still there, and what it started in its own session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Have what a trial leaves behind become a child of this process, in whatever session."""
    if sys.platform == "linux":
        _prctl(SET_CHILD_SUBREAPER, 1)


def _kill_orphans() -> None:
    """Kill what the trial left behind, and what that leaves behind in turn."""
    # Again and again: the children of an orphan become orphans when it is killed.
    while orphans := _children():
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(orphan, signal.SIGKILL)
        for orphan in orphans:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(orphan, 0)


def _children() -> list[int]:
    """The children of this process, which has a single thread; [] if they are not known."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    if not path.exists():
        return []
    return [int(word) for word in path.read_text().split()]


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class TrainingStopped(BaseException):
    """The worker ends this training. It is no Exception, because train functions catch those."""


class Channel:
    """A trial's process sends its messages to its worker, and reads the worker's answers."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._answers = end.makefile("r")

    def say(self, message: dict[str, Any]) -> None:
        self._end.sendall(json.dumps(message).encode() + b"\n")

    def report(self, message: dict[str, Any]) -> Any:
        """Send the report of an epoch. Raises TrainingStopped if the trial should not continue.

        Returns the answer to a report of several trials, and None for one.
        """
        self.say({"report": message})
        answer = self._answers.readline().strip()
        if answer == CONTINUE:
            return None
        if not answer.startswith("{"):
            raise TrainingStopped
        return json.loads(answer)


def _be_trial(job: Job, end: socket.socket, imports: Imports) -> NoReturn:
    """Train the job in this process, which was just forked, and exit."""
    # A session of its own: what the trial starts can then be killed as one group.
    os.setsid()
    if sys.platform == "linux":
        _prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    sys.modules["__main__"] = _main_module()
    channel = Channel(end)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    _print_to(job.log)
    # The stacks of a crash go to this log, from which the reason is taken, even if several trials
    # train here and the one that crashes prints to another.
    faulthandler.enable(os.dup(2))
    if job.isolate:
        imports.begin(TORCH[:1])
    message = _train(job, channel.report)
    if not job.isolate:
        message["imported"] = _imported(imports.known)
    channel.say(message)
    sys.exit()  # as by hand: waits for threads that are no daemons, and runs exit handlers


def _main_module() -> types.ModuleType:
    """The main module of the processes that a trial starts by spawn or forkserver."""
    module = types.ModuleType("__main__")
    module.__file__ = str(START)
    return module


def _train(job: Job, report: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Train, and return the last message: the outcome, `stopped`, or a bug of this project."""
    try:
        return {"outcome": asdict(train_job(job, report, printing=_printing_to))}
    except TrainingStopped:
        return {"stopped": True}  # the worker knows why, and waits only for the end
    except BaseException:
        return {"bug": traceback.format_exc()}


def _imported(known: frozenset[str]) -> list[str]:
    """The installed modules that this process has imported and its template has not."""
    folders = tuple(
        {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    )
    new = (name for name in list(sys.modules) if name not in known)
    return [name for name in new if _origin(name).startswith(folders)]


def _origin(name: str) -> str:
    """The file of a module; "" if it has none."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    if spec is None or spec.name != name:
        return ""
    return spec.origin or ""


def _print_to(log: str) -> None:
    """Append all that this process and its children print to a file, native code included."""
    path = Path(log)
    with contextlib.suppress(OSError):  # storage that is gone is reported by the checkpoint
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


@contextmanager
def _printing_to(log: str) -> Iterator[None]:
    """Print to the log while the body runs."""
    before = [os.dup(1), os.dup(2)]
    _print_to(log)
    try:
        yield
    finally:
        streams = zip((sys.stdout, sys.stderr), (1, 2), before, strict=True)
        for stream, descriptor, saved in streams:
            with contextlib.suppress(Exception):
                stream.flush()
            os.dup2(saved, descriptor)
            os.close(saved)
