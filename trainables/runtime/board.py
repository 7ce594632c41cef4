"""TensorBoard beyond scalars: `run.board.histograms(model)`, `.images(...)`, `.figure(...)`, `.mesh(...)`, from a train function.

Never more than `ALLOWANCE` of a training's time goes into it. What would take more is left out, so that a short training writes nothing
until the worker has loaded TensorBoard's writer, which takes up to half a second once. The files lie in the trial's folder; those of the
best trial are shown with the sweep's scalars, all of them by `tensorboard --logdir RUN/trials`. After a sweep its best model is drawn once
more, whatever that takes, by the process that evaluates the export (`trainables/runtime/evaluate.py`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

FOLDER = "board"
ALLOWANCE = 0.03
LOADING = 0.5
"""Seconds that the first use in a process takes."""
UNKNOWN = 0.2
"""Seconds that something is taken to need that was not drawn before."""


class Board:
    """What a run shows, epoch by epoch; nothing where the run has no folder. `hurried` by the allowance, except after a training."""

    def __init__(self, folder: Path | None, hurried: bool = True) -> None:
        self.epoch = 0
        self.hurried = hurried
        self._folder = folder
        self._began = time.perf_counter()
        self._spent = 0.0
        self._last: dict[str, float] = {}
        self._writer: Any = None

    def begin(self, epoch: int) -> None:
        self.epoch = epoch
        if epoch == 1:
            self._began = time.perf_counter()

    def histograms(self, model: nn.Module) -> None:
        """The weights and the last gradients, a histogram for each parameter; what is no finite number is left out."""
        self._write("histograms", lambda writer: self._histograms(writer, model))

    def images(self, name: str, images: Tensor | Callable[[], Tensor]) -> None:
        """Images of shape (n, channels, height, width), values 0 .. 1, or what makes them, called where there is time for it."""
        self._write(
            name,
            lambda writer: writer.add_images(
                name, (images() if callable(images) else images).detach().cpu(), self.epoch
            ),
        )

    def figure(self, name: str, draw: Callable[[], Any]) -> None:
        """A matplotlib figure: `draw` makes it, and is only called where there is time for it."""
        self._write(name, lambda writer: writer.add_figure(name, draw(), self.epoch))

    def mesh(self, name: str, vertices: Tensor, faces: Tensor | None = None) -> None:
        """Point clouds or meshes: vertices of shape (n, points, 3), faces of shape (n, faces, 3)."""
        self._write(
            name,
            lambda writer: writer.add_mesh(
                name, vertices.detach().cpu(), faces=faces, global_step=self.epoch
            ),
        )

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _histograms(self, writer: Any, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            for kind, values in (("weights", parameter.detach()), ("gradients", parameter.grad)):
                finite = values[values.isfinite()] if values is not None else None
                if finite is not None and len(finite):
                    writer.add_histogram(f"{kind}/{name}", finite.float().cpu(), self.epoch)

    def _write(self, kind: str, write: Callable[[Any], None]) -> None:
        """Write, where the time that it took the last time is still in the allowance."""
        begin = time.perf_counter()
        if self._folder is None or (self.hurried and not self._time_for(kind, begin)):
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(
                str(self._folder / FOLDER if self.hurried else self._folder)
            )
        write(self._writer)
        self._last[kind] = time.perf_counter() - begin
        self._spent += self._last[kind]

    def _time_for(self, kind: str, now: float) -> bool:
        loading = 0.0 if "torch.utils.tensorboard" in sys.modules else LOADING
        return self._spent + self._last.get(kind, UNKNOWN) + loading < ALLOWANCE * (
            now - self._began
        )
