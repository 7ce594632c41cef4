"""From what a train function raised, or how its process ended, to the outcome of the attempt."""

from __future__ import annotations

import errno
import re
import signal
from typing import Any

from raysweep.references import is_script
from raysweep.text_limits import exception_line, format_exception, message
from raysweep.trainables.runtime.import_trainable import TrainableError
from raysweep.trainables.runtime.outcome import Outcome
from raysweep.trainables.runtime.run import (
    ConfigurationError,
    DataError,
    ReportError,
    StorageError,
)
from raysweep.trainables.runtime.script.train import ScriptError

STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE)
"""A disk that is full, over quota, read-only or gone: no fault of the configuration."""
FROM_ANOTHER_PROCESS = re.compile(
    r"Caught \w+ in DataLoader worker process|-- Process \d+ terminated with"
)
"""How torch begins the message of an exception that it carried over from another process. The
original traceback and message follow."""
OUTER_FRAMES = frozenset(
    f"raysweep.trainables.{name}"
    for name in (
        *("runtime.train_job", "runtime.train_group"),
        *("fused.recipe", "fused.lane", "fused.pool"),
    )
)
"""Modules that call what users write: their frames come before a user's own."""
OOM_TEXTS = ("out of memory", "DefaultCPUAllocator: can't allocate memory")
"""What messages of CUDA, and of torch on the CPU, say when there is no memory left."""


def outcome_of(error: BaseException, trainable: str, notes: dict[str, Any]) -> Outcome:
    """The outcome of an exception that left the train function. `notes` are kept with it.

    `SystemExit`, `KeyboardInterrupt` and `GeneratorExit` are the function's own failures: nothing
    outside of it raises them in a trial's process.
    """
    trace = _trace(error, trainable)
    match error:
        case TrainableError() | DataError() | ConfigurationError():
            return Outcome("mistake", message(str(error)), trace)
        case ReportError():
            said = str(error) if is_script(trainable) else f"{trainable}: {error}"
            return Outcome("misreport", message(said), trace, notes)
        case StorageError():
            return Outcome("storage", str(error), trace)
        case OSError() if error.errno in STORAGE_ERRORS:
            return Outcome("storage", _reason(error), trace)
        case MemoryError():
            return Outcome("oom", "out of memory on the host", trace, notes)
        case SystemExit(code=None):
            return Outcome("failed", "the train function called sys.exit()", trace, notes)
        case SystemExit():
            reason = message(f"the train function called sys.exit({error.code!r})")
            return Outcome("failed", reason, trace, notes)
        case KeyboardInterrupt() | GeneratorExit():
            raised = type(error).__name__
            return Outcome("failed", f"the train function raised {raised}", trace, notes)
    if _is_oom(error):
        return Outcome("oom", _reason(error), trace, notes)
    if isinstance(error, ScriptError) and error.fails_again:
        return Outcome("fails_again", _reason(error), trace, notes)
    return Outcome("failed", _reason(error), trace, notes)


def outcome_of_exit(status: int | None, log: str, kernel_killed: bool) -> Outcome:
    """The outcome of a trial's process that ended without sending one.

    `status`: its exit code, or minus the number of the signal that ended it. `log`: the end of
    what it printed. `kernel_killed`: the kernel killed a process of this machine for its memory
    while the trial's process ran.
    """
    if status is None:
        raise ValueError("the process has not ended")
    # The kernel does not say which process it killed, so this may be a coincidence. It is called
    # an out-of-memory kill all the same, because that is by far the likeliest reason.
    if status == -signal.SIGKILL and kernel_killed:
        return Outcome("killed_for_memory", "out of memory on the host, killed by the kernel")
    if status == -signal.SIGKILL:
        return Outcome("killed", "its process was killed by SIGKILL", log)
    if status < 0:
        return Outcome("failed", f"its process was ended by {_signal(-status)}", log)
    return Outcome("failed", f"its process ended with exit code {status} and without a word", log)


def _signal(number: int) -> str:
    """`SIGSEGV (Segmentation fault)`."""
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
    return f"{name} ({signal.strsignal(number)})"


def _is_oom(error: BaseException) -> bool:
    # By its name, because a worker imports this module, and does without torch.
    text = _text(error)
    return type(error).__name__ == "OutOfMemoryError" or any(words in text for words in OOM_TEXTS)


def _reason(error: BaseException) -> str:
    """The exception in one line. If torch carried it over from another process, the original."""
    lines = [line.strip() for line in _text(error).splitlines() if line.strip()]
    if isinstance(error, ScriptError):  # whose reason begins with the script's own exception
        return message(lines[0])
    # The text holds the whole traceback of the other process, which ends with the exception.
    if len(lines) > 1 and FROM_ANOTHER_PROCESS.search(lines[0]):
        return message(lines[-1])
    return exception_line(error)


def _text(error: BaseException) -> str:
    """The message of an exception; "" if reading it raises another one."""
    try:
        return str(error)
    except Exception:
        return ""


def _trace(error: BaseException, trainable: str) -> str:
    """The user's own traceback, without the frames of this package's runtime.

    That of a script is in what it printed. A report that it did not make has none.
    """
    if isinstance(error, ScriptError):
        return str(error)
    if isinstance(error, ReportError) and is_script(trainable):
        return ""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals.get("__name__") in OUTER_FRAMES:
        frames = frames.tb_next
    return format_exception(error, frames)
