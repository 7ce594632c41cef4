"""The processes of a session: the driver, what Ray started for it, and how to end them."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

TARGETS = {"driver": "", "worker": "ImplicitFunc", "raylet": "raylet/raylet", "GCS": "gcs_server"}
"""What is killed, and what its command line shows (Ray names workers after what they run)."""


def kill(driver: int, target: str, draw: random.Random) -> bool:
    """SIGKILL the driver or one of its descendants. False if there is no such process now."""
    mark = TARGETS[target]
    victims = [pid for pid in descendants(driver) if mark in name_of(pid)] if mark else [driver]
    if not victims:
        return False
    try:
        os.kill(draw.choice(victims), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, and those of its session that outlived their parent."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = (int(fields[1]), int(fields[3]))
    below = {child for child, (_, session) in parents.items() if session == pid and child != pid}
    grown = True
    while grown:
        more = {child for child, (parent, _) in parents.items() if parent in below | {pid}} - below
        grown = bool(more)
        below |= more
    return sorted(below)


def name_of(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def sweep_up(driver: int) -> None:
    """End what a killed driver left behind: only processes of its own session."""
    deadline = time.monotonic() + 20
    while (left := descendants(driver)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
