"""Runs a command that ends when its parent does: `python kill_with_parent.py COMMAND...`.

The parent holds the standard input of this program. When that closes, because the parent closed it
or died in whatever way, the command and all that it started are ended, whatever process group or
session they are in: torchrun gives each of its ranks a session of its own.

This needs nothing but the standard library, so that it starts in 20 ms with `python -I -S`.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

GRACE_SECONDS = 5.0
"""How long the command may take to end after SIGTERM, before it gets SIGKILL."""
ROUNDS = 50
"""How often the processes that are left are looked for. One may fork while it is killed."""
PAUSE_SECONDS = 0.02
"""How long the kernel is given between two such rounds."""
PR_SET_CHILD_SUBREAPER = 36
"""From linux/prctl.h: orphans below this process become its children, and not those of init."""


def main() -> int:
    _adopt_orphans()
    # Signals to the whole process group, as of Ctrl-C, are the parent's to judge. A handler, and
    # not SIG_IGN, which the command would inherit.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    threading.Thread(target=_watch, args=(ending,), daemon=True).start()
    threading.Thread(target=_end, args=(child, ending), daemon=True).start()
    code = child.wait()
    _kill_all(child)  # what it started and left behind
    if code < 0:
        return 128 - code  # as a shell reports the signal that ended a command
    return code


def _watch(ending: threading.Event) -> None:
    while os.read(0, 4096):
        pass  # nothing is expected but the end
    ending.set()


def _end(child: subprocess.Popen[bytes], ending: threading.Event) -> None:
    """End the command once the parent has gone, or this program gets SIGTERM."""
    ending.wait()
    _signal(child, signal.SIGTERM)
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _kill_all(child)


def _adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _kill_all(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group, and every process below this one."""
    for _ in range(ROUNDS):
        _signal(child, signal.SIGKILL)
        left = descendants(os.getpid())
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not left:
            return
        time.sleep(PAUSE_SECONDS)


def descendants(root: int) -> list[int]:
    """The processes that a process started, directly or not, without those that have ended.

    Of other systems than Linux, which do without /proc, this finds none: there the command's
    process group is all that is ended.
    """
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            parent = _parent(name)
            children.setdefault(parent, []).append(int(name))
    found, below = [], children.get(root, [])
    while below:
        found += below
        below = [pid for parent in below for pid in children.get(parent, [])]
    return found


def _parent(pid: str) -> int:
    """The process id of a process's parent; -1 if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in parentheses, may hold anything. The state and the parent follow it.
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except OSError:
        return -1
    return -1 if state == b"Z" else int(parent)


def _signal(child: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the child's whole process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main())
