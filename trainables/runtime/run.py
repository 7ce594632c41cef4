"""What a train function talks through: `for epoch in run.epochs(model=model, optimizer=optimizer): ...; run.report(val_loss=...)`.

A `Run` saves a checkpoint at every report and goes on from the last one, so a train function knows neither paths nor Ray. By hand, in a
test or in a notebook, `LocalRun(epochs=3)` gives the same train function something to talk to.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.board import Board
from raysweep.trainables.runtime.process_group import Team

if TYPE_CHECKING:
    from torch import Tensor

Metrics = dict[str, float]


class Stateful(Protocol):
    """Anything with a `state_dict`: a module, an optimizer, a learning-rate schedule, a gradient scaler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class ReportError(ValueError):
    """A report that cannot be used: the objective missing, or a value that is no number."""


class StorageError(OSError):
    """A checkpoint that cannot be written: not the training's fault."""


class CheckpointError(RuntimeError):
    """A checkpoint that is damaged after the trial has already begun again because of a damaged one."""


@dataclass(frozen=True)
class Objective:
    """The metric that a sweep optimizes, as far as a run must know it: to tell the best epoch's checkpoint from the others."""

    name: str
    maximize: bool

    def loss(self, metrics: Metrics) -> float:
        value = -metrics[self.name] if self.maximize else metrics[self.name]
        return math.inf if math.isnan(value) else value


class DataError(RuntimeError):
    """Data that are not there and cannot be had, in one line."""


class Run:
    """One training, or the rest of one.

    `send` receives a message for each epoch, `{"epoch", "metrics", "seconds", "notes"}`, and raises to
    stop the training. `known_epoch` is the last epoch that the receiver has: epochs that a checkpoint
    holds beyond it are sent again, not trained again.
    """

    def __init__(
        self,
        epochs: int,
        send: Callable[[dict[str, Any]], None],
        *,
        seed: int = 0,
        device: str = "cpu",
        folder: Path | None = None,
        objective: Objective | None = None,
        known_epoch: int = 0,
    ) -> None:
        self.trial = "local"
        self.total_epochs = epochs
        self.seed = seed
        self.device = device
        self.epoch = 0
        self.notes: dict[str, Any] = {"accumulation_read": False}
        """What else the receiver should know; it goes with every message."""
        self._accumulation = 1
        self.reports: list[dict[str, Any]] = []
        self.board = Board(folder)
        """What TensorBoard shows beside the metrics."""
        self.team = Team()
        """The processes that train this trial together."""
        self._send = send
        self.folder = folder
        """Where the trial keeps its checkpoints, and may keep files of its own; None by hand."""
        self._objective = objective
        self._known_epoch = known_epoch
        self._state: Mapping[str, Stateful] = {}
        self._seconds = 0.0
        self._clock = time.perf_counter()

    @property
    def accumulation(self) -> int:
        """Micro-batches per batch: above 1 if a batch does not fit into memory as a whole.

        The optimizer then steps once for all of them. That it was read is noted: a trial that ran out
        of memory is tried again with smaller micro-batches only if its train function looks here.
        """
        self.notes["accumulation_read"] = True
        return self._accumulation

    @accumulation.setter
    def accumulation(self, count: int) -> None:
        self._accumulation = count

    @property
    def metric(self) -> str | None:
        """The name of the metric that the sweep optimizes; None by hand."""
        return self._objective.name if self._objective else None

    @property
    def complete(self) -> bool:
        """Whether the last epoch has been reported."""
        return bool(self.reports) and self.reports[-1]["epoch"] >= self.total_epochs

    def shuffled(self, count: int) -> Tensor:
        """The order of `count` samples in this epoch: by the seed and the epoch alone, the same in all processes of the trial."""
        import torch

        return torch.randperm(
            count,
            generator=torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63),
        )

    def epochs(self, **state: Stateful) -> Iterator[int]:
        """The epochs still to train, from 1 (or after the last checkpoint, which is loaded into `state` first) to the last.

        Name what must survive an interruption: `model`, `optimizer`, and whatever else changes while training.
        """
        self._state = state
        self._restore()
        self._clock = time.perf_counter()
        if self.team.rank:
            self.board = Board(None)
        with contextlib.closing(self.board):
            for epoch in range(self.epoch + 1, self.total_epochs + 1):
                self.epoch = epoch
                self.team.begin(self.seed, epoch)
                self.board.begin(epoch)
                yield epoch
                if not self.reports or self.reports[-1]["epoch"] != epoch:
                    raise ReportError(f"epoch {epoch} ended without run.report(...)")

    def report(self, **metrics: Any) -> None:
        """Say how the epoch went. Numbers, numpy scalars and tensors of one element; the objective among them.

        Raises ReportError where the objective is missing, a value is no number, or the epoch was reported before.
        """
        if self.epoch == 0:
            raise ReportError(
                "run.report(...) was called outside of `for epoch in run.epochs(...)`"
            )
        if self.reports and self.reports[-1]["epoch"] == self.epoch:
            raise ReportError(f"run.report(...) was called twice in epoch {self.epoch}")
        first = self.team.rank == 0
        clean = clean_metrics(metrics, self.metric if first else None)
        now = time.perf_counter()
        self._seconds, self._clock = self._seconds + now - self._clock, now
        message = {"epoch": self.epoch, "metrics": clean, "seconds": self._seconds}
        best = first and self._is_best(clean)
        self.reports.append(message)
        if self.folder is not None and first:
            self._save(self.folder, best)
        self._send(message | {"notes": dict(self.notes)})

    def _save(self, folder: Path, best: bool) -> None:
        try:
            checkpoint.save(folder, self._state, self.reports, best)
        except (OSError, RuntimeError) as error:
            cause = (
                error if isinstance(error, OSError) else error.__context__
            )  # torch.save covers it with an error of its own
            if not isinstance(cause, OSError):
                raise
            raise StorageError(
                f"the checkpoint cannot be written to {folder}: {cause.strerror or cause}"
            ) from error

    def _is_best(self, metrics: Metrics) -> bool:
        if self._objective is None:
            return True
        loss = self._objective.loss(metrics)
        return all(
            loss < self._objective.loss(past["metrics"]) for past in self.reports
        ) and math.isfinite(loss)

    def _restore(self) -> None:
        if self.folder is None:
            return
        if self.team.rank == 0:
            checkpoint.remove_unfinished(self.folder)
        try:
            self.reports = checkpoint.restore(self.folder, self._state)
        except checkpoint.Damaged as error:
            self._begin_again(self.folder, error)
        if self.reports:
            self.epoch, self._seconds = self.reports[-1]["epoch"], self.reports[-1]["seconds"]
        for message in self.reports:
            if message["epoch"] > self._known_epoch:
                self._send(message | {"notes": dict(self.notes)})

    def _begin_again(self, folder: Path, damage: checkpoint.Damaged) -> None:
        """Put a damaged checkpoint aside, so that the training begins with its first epoch; once."""
        if self.team.rank:
            return  # the first process does it for all
        aside = folder / checkpoint.DAMAGED
        if aside.exists():
            raise CheckpointError(f"{damage}; the trial had begun again from a damaged one before")
        (folder / checkpoint.LAST).rename(aside)
        self.notes["damaged_checkpoint"] = str(damage)


class LocalRun(Run):
    """A run by hand: reports are printed and kept in `reports`. With a `folder` it saves checkpoints there and goes on from them."""

    def __init__(
        self,
        epochs: int,
        *,
        seed: int = 0,
        device: str = "cpu",
        folder: Path | None = None,
        quiet: bool = False,
    ) -> None:
        super().__init__(
            epochs, _ignore if quiet else _show, seed=seed, device=device, folder=folder
        )


def _show(message: dict[str, Any]) -> None:
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in message["metrics"].items())
    print(f"epoch {message['epoch']:3d}  {metrics}  ({message['seconds']:.1f} s)")


def _ignore(message: dict[str, Any]) -> None:
    pass


def clean_metrics(metrics: Mapping[str, Any], objective: str | None) -> Metrics:
    """Metrics as plain floats. Raises ReportError, naming what was reported, for anything that is no number."""
    if objective is not None and objective not in metrics:
        names = ", ".join(sorted(metrics)) or "nothing"
        raise ReportError(f"the metric '{objective}' was not reported; reported: {names}")
    return {name: _number(name, value) for name, value in metrics.items()}


def _number(name: str, value: Any) -> float:
    item = getattr(value, "item", None)
    if callable(item):
        try:
            value = item()
        except (ValueError, RuntimeError):
            raise ReportError(
                f"the metric '{name}' has more than one element; report a mean or another number"
            ) from None
    if isinstance(value, bool | int | float):
        return float(value)
    raise ReportError(
        f"the metric '{name}' is {value!r}, a {type(value).__name__}; expected a number"
    )
