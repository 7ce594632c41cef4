"""Where a run was made: versions, the commit and whether it was dirty, the hardware.

Nothing is read from the environment variables, so no secret can get in.
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


def describe(code: Path | None = None) -> dict[str, Any]:
    """The environment as plain data; imports none of the packages. `code`: the folder whose commit counts, else the working directory."""
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "code": commit(code or Path.cwd()),
        "hardware": hardware(),
        "system": platform.platform(),
        "host": platform.node(),
    }


def write(folder: Path, code: Path | None = None) -> dict[str, Any]:
    """Write `environment.json` of a run, whole or not at all; its content."""
    content = describe(code)
    unfinished = folder / f".{NAME}-{os.getpid()}"
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(unfinished, folder / NAME)
    return content


def versions() -> dict[str, str]:
    """Of the packages that decide the numbers, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit(folder: Path) -> dict[str, Any]:
    """The commit that a folder is at, and whether tracked files differ from it; {} outside of a repository or without git."""
    head = _output(["git", "-C", str(folder), "rev-parse", "HEAD"])
    if not head:
        return {}
    changed = _output(["git", "-C", str(folder), "status", "--porcelain", "--untracked-files=no"])
    return {"commit": head, "dirty": bool(changed)}


def hardware() -> dict[str, Any]:
    """Cores this process may use, memory in bytes, processor, and the GPUs as the driver names them."""
    return {
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
        found = re.search(
            r"model name\s*:\s*(.+)",
            Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"),
        )
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.processor()


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    return (
        _output(["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]) or ""
    ).splitlines()


def _output(command: list[str]) -> str | None:
    """What a command prints; None where it fails, is missing, or takes more than ten seconds."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
