"""Where a run was made: versions, the commit and whether it was changed since, the hardware.

Environment variables are not read, so no secret can get in.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from raysweep.files import atomic_write

NAME = "environment.json"
PACKAGES = (
    "raysweep",
    "ray",
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "hyperopt",
    "hpbandster",
    "ConfigSpace",
    "scikit-learn",
    "scipy",
)
"""The packages that numbers depend on."""
COMMAND_SECONDS = 10
"""How long git or nvidia-smi may take, in seconds. On a broken driver nvidia-smi may hang."""


def describe(code: Path | None = None) -> dict[str, Any]:
    """Describe the environment as plain data, without importing any of the packages.

    code: the folder whose commit is recorded, by default the current one.
    """
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "code": commit(code or Path.cwd()),
        "hardware": hardware(),
        "system": platform.platform(),
        "host": platform.node(),
    }


def write(folder: Path, code: Path | None = None) -> dict[str, Any]:
    """Write the `environment.json` of a run, whole or not at all, and return its content."""
    content = describe(code)
    atomic_write(folder / NAME, json.dumps(content, indent=2) + "\n")
    return content


def versions() -> dict[str, str]:
    """The versions of those of the PACKAGES that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(folder: Path) -> dict[str, Any]:
    """The commit of a folder, and whether tracked files differ from it.

    {} if the folder is in no repository, or git is not installed.
    """
    head = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if not head:
        return {}
    # Untracked files do not count: a sweep writes its own results below the project.
    changed = _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return {"commit": head, "dirty": bool(changed)}


def hardware() -> dict[str, Any]:
    """The cores that this process may use, memory in bytes, the processor, and the GPUs."""
    return {
        # Not `os.cpu_count`: in a container or under taskset a process has fewer than the machine.
        "cores": len(os.sched_getaffinity(0)),
        "memory": _memory(),
        "processor": _processor(),
        "gpus": _gpus(),
    }


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    if found := re.search(r"model name\s*:\s*(.+)", text):
        return found.group(1).strip()
    return platform.processor()  # ARM's cpuinfo names no model


def _gpus() -> list[str]:
    """The GPUs with their memory, as the driver names them."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    return (_output(command) or "").splitlines()


def _output(command: list[str]) -> str | None:
    """What a command prints; None if it fails, is not installed or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return done.stdout.strip()
