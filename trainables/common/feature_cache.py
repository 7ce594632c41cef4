"""Keeps what a frozen network makes of images, so that it is computed once on each machine.

All trials share the files, which are named by a digest of all that the features depend on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raysweep.files import atomic_file

MOST_BYTES = 4 * 1024**3
"""The size of the cache. The files that were used longest ago are deleted first."""


class FeaturesError(OSError):
    """A cache that cannot be written, in one line."""


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache).expanduser() / "raysweep" / "features"


def key(network: nn.Module, images: Tensor, *settings: Any) -> str:
    """A digest of a network's weights, of the images, and of the computation's settings."""
    # With torch's version, because another one may compute slightly different numbers.
    digest = hashlib.sha256(repr((torch.__version__, settings)).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    digest.update(f"{images.dtype} {tuple(images.shape)}".encode())
    digest.update(_bytes(images))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def load_or_compute(name: str, compute: Callable[[], Tensor]) -> Tensor:
    """The tensor of a key: from the cache, or computed and cached while other processes wait."""
    cache = folder()
    path = cache / f"{name}.pt"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # All trials of a machine want the same features first. One computes, the others wait.
        with open(cache / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                _write(path, compute())
                _trim(cache)
    except OSError as error:
        raise FeaturesError(
            f"features cannot be kept in {cache}: {error.strerror or error}"
        ) from error
    os.utime(path)  # `_trim` keeps what was used last
    return _read(path)


@lru_cache(maxsize=4)
def _read(path: Path) -> Tensor:
    content: Tensor = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _write(path: Path, tensor: Tensor) -> None:
    with atomic_file(path) as file:
        torch.save(tensor, file)


def _trim(cache: Path) -> None:
    """Delete the files that were used longest ago, but never the newest one."""
    files = sorted(cache.glob("*.pt"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for i, path in enumerate(files):
        total += path.stat().st_size
        if i > 0 and total > MOST_BYTES:
            path.unlink(missing_ok=True)
