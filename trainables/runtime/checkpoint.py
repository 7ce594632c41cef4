"""A trial's checkpoints: `last.pt` of the last epoch reported, `best.pt` of the best epoch.

Each is written whole or not at all. A checkpoint is a dict that `torch.load` reads with
`weights_only=True`: `epoch`, `metrics`, a `<name>_state_dict` for each name in `run.epochs(...)`
(as in `model_state_dict` and `optimizer_state_dict`), the states of the random-number generators,
and all reports so far.
"""

from __future__ import annotations

import os
import random
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LAST, BEST = "last.pt", "best.pt"
DAMAGED = "damaged.pt"
"""What a damaged `last.pt` is renamed to. It is kept as evidence of what happened."""
UNFINISHED = (".unfinished-*", ".best-*")
"""Patterns of files that are being written. The name ends with the writing process's id."""


class DamagedCheckpointError(ValueError):
    """A checkpoint that is not what was written. One line, which names the file."""


def save(folder: Path, state: Mapping[str, Any], reports: list[dict[str, Any]], best: bool) -> None:
    """Write the checkpoint of the last of `reports` as `last.pt`, and as `best.pt` if `best`."""
    import torch

    content: dict[str, Any] = {
        f"{name}_state_dict": part.state_dict() for name, part in state.items()
    }
    content |= {
        "epoch": reports[-1]["epoch"],
        "metrics": reports[-1]["metrics"],
        "reports": reports,
        "random": random_states(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    # With the process id: an attempt that Ray has given up may still be writing beside the next.
    unfinished = folder / f".unfinished-{os.getpid()}"
    with open(unfinished, "wb") as file, _with_checksums():
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())  # the file must be whole on the disk before it has its name
    if best:
        # A hard link takes no time and no space. It becomes `best.pt` before `last.pt` changes: a
        # process that is killed in between trains this epoch again, and loses no best model.
        link = folder / f".best-{os.getpid()}"
        link.unlink(missing_ok=True)  # an earlier process with this id may have been killed here
        os.link(unfinished, link)
        os.replace(link, folder / BEST)
    os.replace(unfinished, folder / LAST)


def restore(folder: Path, state: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Load `last.pt` into `state` and the random-number generators, and return its reports.

    Returns [] if there is no checkpoint. Raises DamagedCheckpointError before anything is loaded if
    the file is not what was written.
    """
    path = folder / LAST
    if not path.exists():
        return []
    check(path)  # before anything is loaded: half a state would be worse than none
    content = load(path)
    for name, part in state.items():
        part.load_state_dict(content[f"{name}_state_dict"])
    set_random_states(content["random"])
    reports: list[dict[str, Any]] = content["reports"]
    return reports


def check(path: Path) -> None:
    """Raise DamagedCheckpointError if the file was cut off or changed.

    torch.load does not notice a flipped bit.
    """
    try:
        with zipfile.ZipFile(path) as file:
            changed = file.testzip()
    except (zipfile.BadZipFile, EOFError) as error:
        raise DamagedCheckpointError(f"{path} is damaged: {error}") from None
    if changed:
        raise DamagedCheckpointError(f"{path} is damaged: the checksum of {changed} does not match")


def remove_unfinished(folder: Path) -> None:
    """Delete from a trial's folder what processes left that died while they wrote a checkpoint."""
    for pattern in UNFINISHED:
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


@contextmanager
def _with_checksums() -> Iterator[None]:
    """Have torch write the checksums that `check` compares, whatever a train function sets."""
    from torch import serialization

    before = serialization.get_crc32_options()
    serialization.set_crc32_options(True)
    try:
        yield
    finally:
        serialization.set_crc32_options(before)


def load(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; never unpickles code."""
    import torch

    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def random_states() -> dict[str, Any]:
    """The states of the global random-number generators, as a checkpoint holds them."""
    import numpy as np
    import torch

    legacy: Any = np.random.get_state(legacy=True)
    kind, keys, position, has_gauss, gauss = legacy
    version, words, python_gauss = random.getstate()
    cuda = []
    if torch.cuda.is_available():
        cuda = torch.cuda.get_rng_state_all()
    # Tensors, lists and numbers only, which `torch.load` reads with `weights_only=True`.
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": [
            str(kind),
            torch.from_numpy(keys.astype("int64")),
            int(position),
            int(has_gauss),
            float(gauss),
        ],
        "python": [version, list(words), python_gauss],
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Let the global random-number generators continue from these states."""
    import numpy as np
    import torch

    torch.set_rng_state(states["torch"])
    # A trial may be resumed on a machine without a GPU.
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    kind, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((kind, keys.numpy().astype("uint32"), position, has_gauss, gauss))
    version, words, python_gauss = states["python"]
    random.setstate((version, tuple(words), python_gauss))
