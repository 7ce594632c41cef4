"""A handler for Ignite: `evaluator.add_event_handler(Events.COMPLETED, Report(trainer))`.

In a train function:

    report = Report(trainer, "loss", run=run, model=model, optimizer=optimizer)
    evaluator.add_event_handler(Events.COMPLETED, report)
    trainer.run(batches, max_epochs=run.total_epochs)
"""

from __future__ import annotations

from ignite.engine import Engine, Events

from raysweep.integrations.reporter import Reporter
from raysweep.trainables.runtime.run import Run, Stateful


class Report:
    """Reports the metrics of the engine that it is a handler of, whose epoch is the trainer's.

    It is attached to an evaluator's `Events.COMPLETED`, or to `Events.EPOCH_COMPLETED` of a trainer
    that has metrics itself. `metrics`: their names; all numbers by default. `run` and `state`: as
    in `run.epochs(model=model, optimizer=optimizer)` of a train function.
    """

    def __init__(
        self, trainer: Engine, *metrics: str, run: Run | None = None, **state: Stateful
    ) -> None:
        self._trainer = trainer
        self._reporter = Reporter(metrics, run)
        self._state = state
        trainer.add_event_handler(Events.STARTED, self._begin)

    def __call__(self, engine: Engine) -> None:
        state = self._trainer.state
        if state.iteration == 0:
            return  # an evaluation before the training
        metrics = engine.state.metrics
        if not self._reporter.report(metrics, epoch=state.epoch, step=state.iteration):
            self._trainer.terminate()

    def _begin(self, trainer: Engine) -> None:
        is_left = self._reporter.begin(**self._state)
        trained = self._reporter.known_epochs
        if trained:
            trainer.state.epoch = trained
            trainer.state.iteration = trained * (trainer.state.epoch_length or 0)
        if not is_left:
            trainer.terminate()
