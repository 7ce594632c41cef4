"""The `run` that a train function is given:

    for epoch in run.epochs(model=model, optimizer=optimizer):
        ...
        run.report(val_loss=...)

A `Run` saves a checkpoint at every report and continues from the last one, so a train function
knows neither paths nor Ray. By hand, in a test or in a notebook, `LocalRun(epochs=3)` takes its
place.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from raysweep.errors import UserError
from raysweep.objectives import Limit
from raysweep.report_interval import EVERY_EPOCH, ReportInterval, Unit
from raysweep.trainables.runtime import checkpoint, parent, sharded
from raysweep.trainables.runtime.measure import Measure
from raysweep.trainables.runtime.metrics import Metrics as Metrics
from raysweep.trainables.runtime.metrics import ReportError as ReportError
from raysweep.trainables.runtime.metrics import clean_metrics as clean_metrics
from raysweep.trainables.runtime.process_group import ProcessGroup
from raysweep.trainables.runtime.tensorboard import Board

if TYPE_CHECKING:
    from torch import Tensor


class Stateful(Protocol):
    """Anything with a `state_dict`: a module, an optimizer, a learning-rate schedule, a scaler."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


class StorageError(OSError):
    """A checkpoint that cannot be written. That is not the configuration's fault."""


class CheckpointError(RuntimeError):
    """A second damaged checkpoint of a trial that has begun again because of a first one."""


class ConfigurationError(UserError):
    """A configuration with which no trial can train, in one line."""


class DataError(RuntimeError):
    """Data that are missing and cannot be fetched, in one line. No trial of the sweep can run."""


@dataclass(frozen=True)
class Objective:
    """The metric that a sweep optimizes. A run needs it to know the best epoch.

    If the sweep has several metrics, it is the first objective. `others`: the further metrics that
    every report must have. `limits`: those that decide, before the loss, which epoch is the best.
    """

    name: str
    maximize: bool
    others: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> Objective:
        """The objective that `dataclasses.asdict` made these fields of."""
        limits = tuple(Limit(**limit) for limit in fields.get("limits", ()))
        return cls(fields["name"], fields["maximize"], tuple(fields.get("others", ())), limits)

    def rank(self, metrics: Metrics) -> tuple[bool, bool, float]:
        """Whether a value is not finite, whether a limit is broken, then the loss.

        The least is the best epoch.
        """
        loss = self.loss(metrics)
        values = (loss, *(metrics[name] for name in self.others))
        broken = any(limit.excess(metrics) > 0 for limit in self.limits)
        return not all(map(math.isfinite, values)), broken, loss

    def loss(self, metrics: Metrics) -> float:
        """The value as it is minimised. NaN counts as infinite."""
        value = metrics[self.name]
        if math.isnan(value):
            return math.inf
        return -value if self.maximize else value


class Run:
    """One training, or what is left of one.

    `send` receives a message for each epoch, `{"epoch", "metrics", "seconds", "notes"}`, and raises
    to stop the training. `known_epoch` is the last epoch that the receiver has. Epochs that a
    checkpoint holds beyond it are sent again, not trained again. Epochs count reports: `interval`
    says what lies between two of them, if the sweep's budget is not in epochs.
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
        interval: ReportInterval = EVERY_EPOCH,
    ) -> None:
        self.trial = "local"
        self.total_epochs = epochs
        self.seed = seed
        self.device = device
        self.epoch = 0
        self.notes: dict[str, Any] = {"accumulation_read": False}
        """What else the receiver should know. It is sent with every message."""
        self._accumulation = 1
        self.reports: list[dict[str, Any]] = []
        self.board = Board(folder)
        """What TensorBoard shows beside the metrics."""
        self.process_group = ProcessGroup()
        """The processes that train this trial."""
        self._send = send
        self.folder = folder
        """Where the trial keeps its checkpoints, and may keep files of its own. A `LocalRun` may
        have none."""
        self.parent: Path | None = None
        """The folder of another trial's checkpoint, with which this one begins."""
        self._objective = objective
        self._known_epoch = known_epoch
        self.interval = interval
        self._interval_read = interval.is_epoch
        self._state: Mapping[str, Stateful] = {}
        self._seconds = 0.0
        self._clock = time.perf_counter()

    @property
    def measure(self) -> Measure:
        """Measures a model, for a report: `latency(model, example)`, `size(model)`, memory."""
        return Measure(self.device)

    @property
    def accumulation(self) -> int:
        """Micro-batches per batch. It is above 1 if a whole batch does not fit into memory.

        The optimizer then steps once for all of them. That the train function has read it is noted,
        because only then is a trial that ran out of memory retried with smaller micro-batches.
        """
        self.notes["accumulation_read"] = True
        return self._accumulation

    @accumulation.setter
    def accumulation(self, count: int) -> None:
        self._accumulation = count

    @property
    def unit(self) -> Unit:
        """What the budget measures a trial in: `epochs`, `steps`, `samples` or `seconds`."""
        return self.interval.unit

    @property
    def report_every(self) -> float:
        """How many of the unit are to be trained between two reports: 1, if epochs are."""
        self._interval_read = True
        return self.interval.every

    @property
    def length(self) -> float:
        """How many of the unit a whole trial trains."""
        return self.interval.position(self.total_epochs)

    @property
    def metric(self) -> str | None:
        """The name of the metric that the sweep optimizes; None in a `LocalRun`."""
        return self._objective.name if self._objective else None

    @property
    def last_checkpoint(self) -> Path | None:
        """The checkpoint that `epochs` continues from, its own or its parent's; None for none."""
        for folder in (self.folder, self.parent):
            if folder is not None and (folder / checkpoint.LAST).exists():
                return folder / checkpoint.LAST
        return None

    @property
    def complete(self) -> bool:
        """True if the last epoch has been reported."""
        return bool(self.reports) and self.reports[-1]["epoch"] >= self.total_epochs

    def shuffled(self, count: int) -> Tensor:
        """A random order of `count` samples for this epoch, as indices of shape (count,).

        It depends on the seed and the epoch alone, so it is the same in all processes of the trial.
        """
        import torch

        # A large prime keeps (seed, epoch) pairs apart; a generator takes seeds below 2**63.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) % 2**63)
        return torch.randperm(count, generator=generator)

    def epochs(self, **state: Stateful) -> Iterator[int]:
        """The epochs that are still to train, counted from 1.

        Name what must survive an interruption: `model`, `optimizer`, and whatever else changes
        while training. The last checkpoint, if there is one, is loaded into it first, and the
        epochs begin after it.
        """
        self._state = state
        if self.process_group.world_size > 1:
            self._state = sharded.gathering(state)
        self._restore()
        self._clock = time.perf_counter()  # loading a checkpoint is not training
        if self.process_group.rank:
            self.board = Board(None)  # rank 0 shows what all of them have computed
        with contextlib.closing(self.board):
            for epoch in range(self.epoch + 1, self.total_epochs + 1):
                self.epoch = epoch
                self.process_group.begin_epoch(self.seed, epoch)
                self.board.begin(epoch)
                yield epoch
                if not self.reports or self.reports[-1]["epoch"] != epoch:
                    raise ReportError(f"epoch {epoch} ended without run.report(...)")

    def restart_clock(self, seconds: float) -> None:
        """Count so many seconds for this epoch, and what follows.

        For a trial that shares its process: what passed until now was not all its own.
        """
        self._clock = time.perf_counter() - seconds

    def report(self, **metrics: Any) -> None:
        """Report the epoch's metrics: numbers, numpy scalars or tensors of one element.

        Raises ReportError if the sweep's metric is missing, if a value is not a number, or if the
        epoch was reported before.
        """
        if self.epoch == 0:
            raise ReportError(
                "run.report(...) was called outside of `for epoch in run.epochs(...)`"
            )
        if self.reports and self.reports[-1]["epoch"] == self.epoch:
            where = self.interval.within(self.epoch)
            raise ReportError(f"run.report(...) was called twice {where}")
        self._check_interval()
        is_first = self.process_group.rank == 0
        clean = clean_metrics(metrics, self.metric if is_first else None)
        if is_first and self._objective:
            for name in self._objective.others:
                clean_metrics(clean, name)
        now = time.perf_counter()
        self._seconds, self._clock = self._seconds + now - self._clock, now
        message = {"epoch": self.epoch, "metrics": clean, "seconds": self._seconds}
        best = is_first and self._is_best(clean)  # before the report is one of those it beats
        self.reports.append(message)
        # Rank 0 alone saves: the others have the same weights, and would write the same file.
        if self.folder is not None and is_first:
            self._save(self.folder, best)
        elif self.folder is not None:
            sharded.take_part(self._state)
        # The checkpoint comes before the report: whatever the receiver knows can be resumed from.
        self._send(message | {"notes": dict(self.notes)})

    def _check_interval(self) -> None:
        """Raise ReportError if the train function cannot know how much to train for a report."""
        if not self._interval_read:
            raise ReportError(
                f"the budget has a report after each {self.interval.trained(1)}, and the train "
                "function has not read run.report_every, which tells it so"
            )

    def _save(self, folder: Path, best: bool) -> None:
        try:
            checkpoint.save(folder, self._state, self.reports, best)
        except (OSError, RuntimeError) as error:
            # torch.save may raise a RuntimeError of its own over the OSError that caused it.
            cause: BaseException | None = error
            if isinstance(error, RuntimeError):
                cause = error.__context__
            if not isinstance(cause, OSError):
                raise
            raise StorageError(
                f"the checkpoint cannot be written to {folder}: {cause.strerror or cause}"
            ) from error

    def _is_best(self, metrics: Metrics) -> bool:
        if self._objective is None:
            return True
        rank = self._objective.rank(metrics)
        past_ranks = [self._objective.rank(past["metrics"]) for past in self.reports]
        return not rank[0] and all(rank < past for past in past_ranks)

    def _restore(self) -> None:
        if self.folder is None:
            return
        if self.process_group.rank == 0:
            checkpoint.remove_unfinished(self.folder)
        try:
            self.reports = checkpoint.restore(self.folder, self._state)
        except checkpoint.DamagedCheckpointError as error:
            self._begin_again(self.folder, error)
        if self.parent is not None and not self.reports:
            self.epoch = parent.begin(self.parent, self._state)
        if self.reports:
            self.epoch, self._seconds = self.reports[-1]["epoch"], self.reports[-1]["seconds"]
        # A process that was killed between checkpoint and report left reports that nobody received.
        for message in self.reports:
            if message["epoch"] > self._known_epoch:
                self._send(message | {"notes": dict(self.notes)})

    def _begin_again(self, folder: Path, damage: checkpoint.DamagedCheckpointError) -> None:
        """Rename a damaged checkpoint, so that the training begins with its first epoch. Once."""
        if self.process_group.rank:
            return  # rank 0 does it for all
        aside = folder / checkpoint.DAMAGED
        if aside.exists():
            raise CheckpointError(f"{damage}; the trial had begun again from a damaged one before")
        (folder / checkpoint.LAST).rename(aside)  # kept: somebody may want to know what damaged it
        self.notes["damaged_checkpoint"] = str(damage)


class LocalRun(Run):
    """A run by hand, which prints its reports (unless `quiet`) and keeps them in `reports`.

    With a `folder` it saves checkpoints there and continues from them. `epochs` counts reports;
    `unit` and `report_every` say what lies between two of them.
    """

    def __init__(
        self,
        epochs: int,
        *,
        seed: int = 0,
        device: str = "cpu",
        folder: Path | None = None,
        quiet: bool = False,
        unit: Unit = "epochs",
        report_every: float = 1,
    ) -> None:
        send = _ignore if quiet else _show
        interval = ReportInterval(unit, report_every)
        super().__init__(epochs, send, seed=seed, device=device, folder=folder, interval=interval)


def _show(message: dict[str, Any]) -> None:
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in message["metrics"].items())
    print(f"epoch {message['epoch']:3d}  {metrics}  ({message['seconds']:.1f} s)")


def _ignore(message: dict[str, Any]) -> None:
    pass
