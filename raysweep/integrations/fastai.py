"""A callback for fastai: `learn.fit_one_cycle(5, cbs=Report("valid_loss"))`.

In a train function:

    learn.fit_one_cycle(run.total_epochs, config["lr"], cbs=Report("valid_loss", run=run))
"""

from __future__ import annotations

from typing import Any

import numpy as np
from fastai.callback.core import Callback, CancelEpochException, CancelFitException
from fastai.learner import SkipToEpoch
from fastcore.foundation import L

from raysweep.integrations.reporter import Reporter
from raysweep.trainables.runtime.run import ReportError, Run


class Report(Callback):  # type: ignore[misc]
    """Reports each epoch's losses and metrics, by the names that fastai prints.

    `metrics`: their names; all by default. `run`: that of a train function. Epochs that an earlier
    attempt trained are skipped.
    """

    order = SkipToEpoch.order
    """After the recorder, which computes the metrics, and after the progress bar, which must see
    the epochs that are skipped."""

    def __init__(self, *metrics: str, run: Run | None = None) -> None:
        super().__init__()
        self._reporter = Reporter(metrics, run)
        self._trained = 0
        """How many epochs earlier calls of `fit` have trained: `fine_tune` calls it twice."""
        self._n_fits = 0

    def before_fit(self) -> None:
        # What fastai calls `run` says whether a callback is used. It is not in a search for a
        # learning rate, nor while predictions are gathered.
        self.run = not hasattr(self.learn, "lr_finder") and not hasattr(self, "gather_preds")
        if not self.run:
            return
        self._n_fits += 1
        if self._reporter.run is not None and self._n_fits > 1:
            raise ReportError(
                "Report(run=run) is for one call of fit: a second one, as in fine_tune, could not "
                "be resumed"
            )
        optimizer = OptimizerState(self.learn.opt)
        if not self._reporter.begin(model=self.learn.model, optimizer=optimizer):
            raise CancelFitException

    def before_epoch(self) -> None:
        if self.epoch < self._reporter.known_epochs:
            raise CancelEpochException

    def after_epoch(self) -> None:
        if self.epoch < self._reporter.known_epochs:
            return
        # The first name is that of the epoch's number. The last may be that of the time it took,
        # of which the recorder keeps no value.
        names = self.recorder.metric_names[1:]
        metrics = dict(zip(names, self.recorder.values[-1], strict=False))
        if not self._reporter.report(metrics, epoch=self._trained + self.epoch + 1):
            raise CancelFitException

    def after_fit(self) -> None:
        self._trained += self.epoch + 1


class OptimizerState:
    """The state of a fastai optimizer in plain lists and numbers, which torch loads safely."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer

    def state_dict(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in self._optimizer.state_dict().items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state_dict)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | L):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return value.item()
    return value
