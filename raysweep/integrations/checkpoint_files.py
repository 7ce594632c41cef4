"""A library's own checkpoint as a part of its trial's checkpoint.

What a library writes, a file or a folder, is packed into the trial's `last.pt` and `best.pt`. So it
is there if and only if the epoch was reported, moves with the trial to another machine or into
object storage, and is deleted with it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.trainables.runtime.checkpoint import DamagedCheckpointError, check, load
from raysweep.trainables.runtime.run import CheckpointError, Run

if TYPE_CHECKING:
    from torch import Tensor

NAME = "files"
"""The name of the part: `files_state_dict` in the checkpoint."""


class CheckpointFiles:
    """The part of a trial's checkpoint. `path` is the file or folder to pack, if there is one.

    `name`: what it is called when it is unpacked.
    """

    def __init__(self, name: str) -> None:
        self.path: Path | None = None
        self._name = name

    def state_dict(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        if self.path.is_file():
            return {self._name: _content(self.path)}
        return {
            str(Path(self._name, path.relative_to(self.path))): _content(path)
            for path in sorted(self.path.rglob("*"))
            if path.is_file()
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: the library loads what was unpacked, at the time of its choice."""


class Weights:
    """The weights of a model that the library itself restores."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        return dict(self._model.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: they are in the library's own checkpoint."""


def extract(path: Path | str, folder: Path | str) -> Path:
    """Write the library's checkpoint that lies in a `best.pt` or `last.pt` to a folder.

    Returns the file or folder that the library loads, `folder/lightning.ckpt` or
    `folder/checkpoint`. Raises CheckpointError if there is none in it.
    """
    files = load(Path(path)).get(f"{NAME}_state_dict")
    if not files:
        raise CheckpointError(f"{path} holds no checkpoint of a library")
    for name, content in files.items():
        target = Path(folder, name)
        if not target.resolve().is_relative_to(Path(folder).resolve()):
            raise CheckpointError(f"{path} would write outside of {folder}: {name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.numpy().tobytes())
    return Path(folder, Path(next(iter(files))).parts[0])


def unpack(run: Run) -> Path | None:
    """Unpack the library's checkpoint that a run continues from; None if there is none.

    None for a damaged one as well: the run itself notices that, and begins again.
    """
    remove(run)
    last = run.last_checkpoint
    if run.folder is None or last is None:
        return None
    try:
        check(last)
    except DamagedCheckpointError:
        return None
    return extract(last, _unpacked(run.folder, run))


def remove(run: Run) -> None:
    """Remove what was unpacked, once it is loaded."""
    if run.folder is not None:
        shutil.rmtree(_unpacked(run.folder, run), ignore_errors=True)


def _unpacked(folder: Path, run: Run) -> Path:
    """Where a process unpacks what it continues from: each has a folder of its own."""
    return folder / f"resumed-{run.process_group.rank}"


def _content(path: Path) -> Tensor:
    """A file's bytes as a tensor, which `torch.load` reads with `weights_only=True`."""
    import torch

    size = path.stat().st_size
    if size == 0:
        return torch.empty(0, dtype=torch.uint8)
    # Mapped, not read: the checkpoint may be as large as the memory.
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
