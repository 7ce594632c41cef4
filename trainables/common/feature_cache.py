"""What a frozen network makes of the images, computed once on a machine and shared by all trials: a file, named after its content."""

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
"""How much is kept; what was used longest ago goes first."""


class FeaturesError(OSError):
    """A cache that cannot be written, in one line."""


def folder() -> Path:
    return (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser()
        / "raysweep"
        / "features"
    )


def key(network: nn.Module, images: Tensor, *said: Any) -> str:
    """A name for what a network makes of the images: by its weights, by the pixels, and by what else is said about the computation."""
    digest = hashlib.sha256(repr((torch.__version__, said)).encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    digest.update(f"{images.dtype} {tuple(images.shape)}".encode())
    digest.update(_bytes(images))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def shared(name: str, compute: Callable[[], Tensor]) -> Tensor:
    """The tensor of that key: from the cache, or computed and put there while others wait."""
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
        with open(place / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / f"{name}.pt").exists():
                _write(place / f"{name}.pt", compute())
                _trim(place)
    except OSError as error:
        raise FeaturesError(
            f"features cannot be kept in {place}: {error.strerror or error}"
        ) from error
    os.utime(place / f"{name}.pt")
    return _read(place / f"{name}.pt")


@lru_cache(maxsize=4)
def _read(path: Path) -> Tensor:
    content: Tensor = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _write(path: Path, tensor: Tensor) -> None:
    with atomic_file(path) as file:
        torch.save(tensor, file)


def _trim(place: Path) -> None:
    files = sorted(place.glob("*.pt"), key=lambda path: path.stat().st_mtime, reverse=True)
    kept = 0
    for i, path in enumerate(files):
        kept += path.stat().st_size
        if i and kept > MOST_BYTES:
            path.unlink(missing_ok=True)
