"""A callback for PyTorch Lightning: `Trainer(callbacks=[Report("val_loss")])`.

It is for both packages, `lightning` and `pytorch_lightning`. In a train function:

    report = Report("val_loss", run=run)
    trainer = Trainer(max_epochs=run.total_epochs, callbacks=[report])
    trainer.fit(module, data, ckpt_path=report.ckpt_path)
"""

from __future__ import annotations

import io
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.integrations.checkpoint_files import CheckpointFiles, Weights, remove, unpack
from raysweep.integrations.reporter import Reporter
from raysweep.trainables.runtime.run import ReportError, Run

# The base classes of both packages have the same hooks, and a Trainer of one calls a callback of
# the other. So the package that is imported already serves for both.
if TYPE_CHECKING or ("pytorch_lightning" not in sys.modules and find_spec("lightning")):
    from lightning.pytorch.callbacks import Callback
else:
    from pytorch_lightning.callbacks import Callback


class Report(Callback):  # type: ignore[misc]
    """Reports what was logged, `trainer.callback_metrics`, after each validation.

    `metrics`: their names; all that were logged by default. `run`: that of a train function. A
    validation at the end of an epoch is reported once the epoch's own metrics are there as well; a
    module without validation steps reports after each epoch. The sanity check is not reported.
    """

    def __init__(self, *metrics: str, run: Run | None = None) -> None:
        super().__init__()
        self._reporter = Reporter(metrics, run)
        self._files = CheckpointFiles("lightning.ckpt")
        self._is_due = False
        self._is_saving = False

    @property
    def ckpt_path(self) -> Path | None:
        """Lightning's checkpoint of the last epoch reported, for `trainer.fit(ckpt_path=...)`.

        None if there is none to continue from, and always in a script.
        """
        if self._reporter.run is None:
            return None
        return unpack(self._reporter.run)

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        if self._reporter.run is not None and trainer.strategy.restore_checkpoint_after_setup:
            raise ReportError(
                f"{type(trainer.strategy).__name__} saves a checkpoint in parts; train with it in "
                "a script, and not in a train function"
            )
        is_left = self._reporter.begin(model=Weights(pl_module), files=self._files)
        if self._reporter.known_epochs and not trainer.ckpt_path:
            raise ReportError(
                f"the trial continues after epoch {self._reporter.known_epochs}, and the Trainer "
                "does not: pass ckpt_path=report.ckpt_path to trainer.fit(...)"
            )
        trainer.should_stop = trainer.should_stop or not is_left
        if self._reporter.run is not None:
            remove(self._reporter.run)  # Lightning has it in memory by now

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        self._is_due = True
        if not trainer.is_last_batch:  # of several validations in an epoch
            batches = trainer.fit_loop.epoch_loop.batch_progress.current.completed
            self._report(trainer, trainer.current_epoch + batches / trainer.num_training_batches)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if self._is_due or not trainer.enable_validation:
            self._report(trainer, trainer.current_epoch + 1)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Leave out hyperparameters that Lightning would refuse to load when the trial continues.

        The module that continues has been made with them already.
        """
        if not self._is_saving:
            return
        for name in ("hyper_parameters", "datamodule_hyper_parameters"):
            if name in checkpoint and not _is_loaded_safely(checkpoint[name]):
                del checkpoint[name]

    def _report(self, trainer: Any, epoch: float) -> None:
        self._is_due = False
        self._save(trainer)
        try:
            metrics = trainer.callback_metrics
            is_left = self._reporter.report(metrics, epoch=epoch, step=trainer.global_step)
        finally:
            if self._files.path is not None:
                self._files.path.unlink(missing_ok=True)
        trainer.should_stop = trainer.should_stop or not is_left

    def _save(self, trainer: Any) -> None:
        """Have Lightning write its checkpoint, in which all processes take part."""
        run = self._reporter.run
        if run is None or run.folder is None:
            return
        # By this name, a file that a killed process has left is removed later.
        self._files.path = run.folder / f".unfinished-{os.getpid()}.ckpt"
        self._is_saving = True
        trainer.save_checkpoint(self._files.path, weights_only=False)
        self._is_saving = False


def _is_loaded_safely(value: Any) -> bool:
    """True if `torch.load` reads a value with `weights_only=True`: it has no objects of classes."""
    import torch

    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        torch.load(file, weights_only=True)
    except Exception:  # what an object raises that is pickled is its own affair
        return False
    return True
