"""TensorBoard beyond scalars: a train function calls `run.board.histograms(model)`, `.images(...)`,
`.figure(...)` and `.mesh(...)`.

At most `MAX_TIME_FRACTION` of a training's time goes into it. What would take more is left out, so
a short training writes nothing until loading TensorBoard's writer, which takes up to half a second,
is within this limit. The files lie in the trial's folder. Those of the best trial are shown with
the sweep's scalars, all of them by `tensorboard --logdir RUN/trials`. After a sweep its best model
is drawn once more, however long that takes, by the process that evaluates the export
(`trainables/runtime/evaluate.py`).
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
MAX_TIME_FRACTION = 0.03
"""The largest part of a training that drawing may take, by `benchmarks/tensorboard_cost.py`."""
LOADING_SECONDS = 0.5
"""What the first use in a process takes, because it imports TensorBoard."""
FIRST_DRAWING_SECONDS = 0.2
"""How long something is assumed to take that was not drawn before."""


class Board:
    """What a run shows, epoch by epoch. Without a folder it shows nothing.

    `hurried`: it keeps to that part of the time, as during a training.
    """

    def __init__(self, folder: Path | None, hurried: bool = True) -> None:
        self.epoch = 0
        self.hurried = hurried
        self._folder = folder
        self._began = time.perf_counter()
        self._spent = 0.0
        self._last_seconds: dict[str, float] = {}
        self._writer: Any = None

    def begin(self, epoch: int) -> None:
        """Begin an epoch. The time of a training counts from its first epoch."""
        self.epoch = epoch
        if epoch == 1:
            self._began = time.perf_counter()

    def histograms(self, model: nn.Module) -> None:
        """A histogram of each parameter's weights, and one of its last gradients.

        Values that are not finite are left out.
        """
        self._write("histograms", lambda writer: self._histograms(writer, model))

    def images(self, name: str, images: Tensor | Callable[[], Tensor]) -> None:
        """Images of shape (n, channels, height, width), values 0 .. 1.

        Or a function that makes them, which is only called if there is time for it.
        """

        def write(writer: Any) -> None:
            made = images
            if callable(made):
                made = made()
            writer.add_images(name, made.detach().cpu(), self.epoch)

        self._write(name, write)

    def figure(self, name: str, draw: Callable[[], Any]) -> None:
        """A matplotlib figure. `draw` makes it, and is only called if there is time for it."""
        self._write(name, lambda writer: writer.add_figure(name, draw(), self.epoch))

    def mesh(self, name: str, vertices: Tensor, faces: Tensor | None = None) -> None:
        """Point clouds or meshes: vertices (n, points, 3), faces (n, faces, 3)."""

        def write(writer: Any) -> None:
            points = vertices.detach().cpu()
            writer.add_mesh(name, points, faces=faces, global_step=self.epoch)

        self._write(name, write)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _histograms(self, writer: Any, model: nn.Module) -> None:
        for name, parameter in model.named_parameters():
            for kind, values in (("weights", parameter.detach()), ("gradients", parameter.grad)):
                if values is None:
                    continue
                finite = values[values.isfinite()]
                if len(finite):
                    writer.add_histogram(f"{kind}/{name}", finite.float().cpu(), self.epoch)

    def _write(self, kind: str, write: Callable[[Any], None]) -> None:
        """Write, if what it took the last time is still within the limit."""
        begin = time.perf_counter()
        if self._folder is None or (self.hurried and not self._has_time(kind, begin)):
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            folder = self._folder
            if self.hurried:
                folder /= FOLDER
            self._writer = SummaryWriter(str(folder))
        write(self._writer)
        self._last_seconds[kind] = time.perf_counter() - begin
        self._spent += self._last_seconds[kind]

    def _has_time(self, kind: str, now: float) -> bool:
        expected = self._spent + self._last_seconds.get(kind, FIRST_DRAWING_SECONDS)
        if "torch.utils.tensorboard" not in sys.modules:
            expected += LOADING_SECONDS
        return expected < MAX_TIME_FRACTION * (now - self._began)
