"""A callback for the Trainer of Hugging Face: `Trainer(..., callbacks=[Report("eval_loss")])`.

In a train function:

    report = Report("eval_loss", run=run)
    arguments = TrainingArguments(
        str(run.folder), num_train_epochs=run.total_epochs, eval_strategy="epoch", ...
    )
    trainer = Trainer(model=model, args=arguments, callbacks=[report], ...)
    trainer.train(resume_from_checkpoint=report.checkpoint)
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from raysweep.integrations.checkpoint_files import CheckpointFiles, Weights, remove, unpack
from raysweep.integrations.reporter import Reporter
from raysweep.trainables.runtime.run import ReportError, Run

NOISE = ("_runtime", "_per_second", "_preparation_time")
"""How the names of metrics end that say how long an evaluation took."""


class Report(TrainerCallback):  # type: ignore[misc]
    """Reports each evaluation, by epoch or by step, together with the last training loss.

    `metrics`: their names; all of the evaluation by default. `run`: that of a train function, in
    which the Trainer saves a checkpoint for each report. Evaluations before the first step are not
    reported.
    """

    def __init__(self, *metrics: str, run: Run | None = None) -> None:
        self._reporter = Reporter(metrics, run)
        self._files = CheckpointFiles("checkpoint")
        self._is_ours = False
        """True if the Trainer's own arguments would not have saved this checkpoint."""
        self._is_training = False
        self._training_loss: dict[str, float] = {}
        self._evaluated: dict[str, float] = {}
        """What was evaluated and not reported yet: there may be several sets of data."""
        self._reported_step = 0

    @property
    def checkpoint(self) -> str | None:
        """The Trainer's checkpoint of the last report, for `train(resume_from_checkpoint=...)`.

        None if there is none to continue from, and always in a script.
        """
        if self._reporter.run is None:
            return None
        path = unpack(self._reporter.run)
        return None if path is None else str(path)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._is_training = True
        if self._reporter.run is None:
            return
        _check(args)
        is_left = self._reporter.begin(model=Weights(others["model"]), files=self._files)
        if self._reporter.known_epochs and not state.global_step:
            raise ReportError(
                f"the trial continues after epoch {self._reporter.known_epochs}, and the Trainer "
                "does not: call trainer.train(resume_from_checkpoint=report.checkpoint)"
            )
        control.should_training_stop = not is_left

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float], **others: Any
    ) -> None:
        if "loss" in logs:
            self._training_loss = {"loss": logs["loss"]}

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **others: Any
    ) -> None:
        if state.global_step in (0, self._reported_step):
            return
        run = self._reporter.run
        if run is not None and run.folder is not None and not self._evaluated:
            self._is_ours = not control.should_save
            control.should_save = True  # the report follows, when the Trainer has saved
        self._evaluated |= {
            name: value
            for name, value in metrics.items()
            if name != "epoch" and not name.endswith(NOISE)
        }
        if run is None and not self._is_training:
            self._report(state, control)

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        run = self._reporter.run
        if run is None or run.folder is None or not self._evaluated:
            return
        _wait_for_others(run)
        self._files.path = Path(args.output_dir, f"checkpoint-{state.global_step}")
        try:
            self._report(state, control)
        finally:
            if self._is_ours and run.process_group.rank == 0:
                shutil.rmtree(self._files.path)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._report(state, control)

    def on_step_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._report(state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        self._report(state, control)
        self._is_training = False
        if self._reporter.run is not None:
            remove(self._reporter.run)  # for a Trainer that had nothing left to train

    def _report(self, state: Any, control: Any) -> None:
        """Report what was evaluated since the last report, if anything was."""
        if not self._evaluated:
            return
        metrics, self._evaluated = self._training_loss | self._evaluated, {}
        self._reported_step = state.global_step
        if self._reporter.run is not None:
            remove(self._reporter.run)  # by now the Trainer has loaded all of it
        is_left = self._reporter.report(metrics, epoch=state.epoch, step=state.global_step)
        control.should_training_stop = control.should_training_stop or not is_left


def _check(args: Any) -> None:
    """Raise ReportError for arguments with which a train function could not report or resume."""
    if args.eval_strategy == "no":
        raise ReportError(
            "the Trainer does not evaluate while it trains: "
            'set TrainingArguments(eval_strategy="epoch") or "steps"'
        )
    if args.save_only_model:
        raise ReportError("TrainingArguments(save_only_model=True) saves nothing to continue from")
    if args.save_strategy == "best":
        raise ReportError(
            'TrainingArguments(save_strategy="best") saves no checkpoint for the other reports; '
            'set "epoch", "steps" or "no"'
        )


def _wait_for_others(run: Run) -> None:
    """Wait until all processes of the trial have written their parts of the checkpoint."""
    if run.process_group.world_size > 1:
        from torch import distributed

        distributed.barrier()
