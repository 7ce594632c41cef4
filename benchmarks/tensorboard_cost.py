"""What drawing for TensorBoard costs a training: `python benchmarks/tensorboard_cost.py`.

Trains the small CNN of `cnn.yaml` in several widths, and counts the seconds that are spent in the
board. Then it times a call that draws nothing, because the board's share of the time is used up.
The cost is not measured as the difference between two trainings: on a shared machine these differ
by more than the board takes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from raysweep.trainables import cnn
from raysweep.trainables.common import datasets
from raysweep.trainables.runtime.run import LocalRun
from raysweep.trainables.runtime.tensorboard import Board

CONFIG = {"lr": 0.01, "batch_size": 64, "optimizer": "adam", "data": "digits"}
IDLE_CALLS = 100_000
"""Calls that draw nothing, and are timed together: a single one takes less than a microsecond."""


class TimedBoard(Board):
    """A board that counts the seconds spent in it, and what it wrote."""

    inside = 0.0
    written = 0

    def _write(self, kind: str, write: Any) -> None:
        begin = time.perf_counter()
        before = self._spent
        super()._write(kind, write)
        self.inside += time.perf_counter() - begin
        self.written += self._spent > before


def trained(channels: int, epochs: int) -> tuple[float, TimedBoard]:
    """Seconds of a training, and its board."""
    with tempfile.TemporaryDirectory() as folder:
        run = LocalRun(epochs, folder=Path(folder), quiet=True)
        run.board = board = TimedBoard(Path(folder))
        begin = time.perf_counter()
        cnn.train(CONFIG | {"channels": channels}, run)
        return time.perf_counter() - begin, board


def main() -> None:
    torch.set_num_threads(1)
    datasets.load("digits")  # before the clock starts: reading the file is not training
    print(f"{'epoch':>8} {'training':>9} {'in the board':>13} {'pictures':>9} {'share':>7}")
    for channels, epochs in ((8, 27), (32, 27), (64, 81)):
        seconds, board = trained(channels, epochs)
        share = board.inside / seconds
        print(
            f"{seconds / epochs:6.2f} s {seconds:7.1f} s {board.inside:11.3f} s "
            f"{board.written:9d} {share:7.2%}"
        )
    board = TimedBoard(Path("nowhere"))
    begin = time.perf_counter()
    for _ in range(IDLE_CALLS):
        Board.images(board, "confusion", lambda: torch.zeros(1))
    microseconds = (time.perf_counter() - begin) / IDLE_CALLS * 1e6
    print(f"a call that draws nothing: {microseconds:.1f} µs")


if __name__ == "__main__":
    main()
