"""Processes that a train function started, and that outlive the worker or the sweep they belong to.

A child with a session of its own (`setsid`, `start_new_session=True`) is reached by no signal to a
process group, and Ray knows nothing of it. So each worker marks its environment, which every process
below it inherits, and the driver looks for the mark on its machine: while the sweep runs it ends what
belongs to workers that are gone, and at the end of the sweep all the rest. Linux only: no process is
found elsewhere.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "RAYSWEEP_STARTED_BY"
"""The variable. A driver sets it to the run's place; a worker appends its number and when it started."""
MARKED = re.compile(rb"(?:^|\0)RAYSWEEP_STARTED_BY=([^\0]+) (\d+) (\d+)(?:\0|$)")
LOOK_SECONDS = 5.0
PATIENCE = 3.0
"""Seconds between asking a process to end and killing it."""


def mark() -> None:
    """Mark what this worker starts from now on; nothing happens if no driver has named a run."""
    if MARK in os.environ:
        os.environ[MARK] += f" {os.getpid()} {_start_time(os.getpid())}"


@contextmanager
def tended(*runs: str) -> Iterator[None]:
    """While the body runs, end what outlives its worker; before and after it, whatever bears the mark of these runs."""
    end_marked(runs)  # a driver that was killed left it behind
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            end_marked(runs, lambda pid, start: _start_time(pid) != start)

    thread = threading.Thread(target=look, name="children", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        end_marked(runs)


def end_marked(
    runs: tuple[str, ...], chosen: Callable[[int, str], bool] = lambda pid, start: True
) -> list[int]:
    """End what trials of these runs started, where the worker (its number and start) is `chosen`."""
    found = [
        pid
        for pid, run, worker, start in _marked()
        if run in runs and pid != os.getpid() and chosen(worker, start)
    ]
    _end(found)
    return found


def _marked() -> Iterator[tuple[int, str, int, str]]:
    """Each process of this user that bears a mark: its number, the run, the worker and when that started."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            found = MARKED.search((place / "environ").read_bytes())
        except OSError:
            continue  # another user's, or it has ended
        if found:
            run, worker, start = (part.decode(errors="surrogateescape") for part in found.groups())
            yield int(place.name), run, int(worker), start


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks; "" if there is none (a zombie is none)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _end(pids: list[int]) -> None:
    """Ask processes to end, then kill those that have not."""
    alive = [pid for pid in pids if _send(pid, signal.SIGTERM)]
    until = time.monotonic() + PATIENCE
    while (alive := [pid for pid in alive if _start_time(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    for pid in alive:
        _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> bool:
    """Send a signal; False if there is no such process any more."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
