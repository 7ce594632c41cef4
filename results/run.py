"""A run: what `raysweep.load` and `Sweep.run` return, and what a notebook works with.

It sits above storage, analysis and views, and brings them together. Nothing heavy is imported
before it is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raysweep.formatting import DASH, html_table, number
from raysweep.history import Config
from raysweep.references import is_script
from raysweep.results.storage import run_directory
from raysweep.results.storage.run_directory import BestEpoch, RunDirectory, RunError, State

if TYPE_CHECKING:
    import pandas as pd

    from raysweep.history import Trial
    from raysweep.results.analysis.compare import Comparison
    from raysweep.results.analysis.incumbents import Unit
    from raysweep.results.analysis.retrained_front import RetrainedPoint
    from raysweep.results.export import ExportResult
    from raysweep.steering import Note
    from raysweep.tune.steer import Answer
    from raysweep.tune.widget import SweepWidget


@dataclass(frozen=True)
class Best:
    """The best epoch of a run.

    trial: the name of its trial, as in `Run.trials`. epoch: counted from 1. value: the metric that
    the sweep optimizes. metrics: everything that was reported in this epoch. checkpoint: the file
    that was saved after it, or None if none was kept; of a script, the newest that its own
    `script.checkpoint` names, which may be of a later epoch. With `seeds_per_trial` it
    may be that of the same configuration with another seed, if `checkpoints.keep` has left no
    other.
    """

    trial: str
    epoch: int
    value: float
    config: Config
    metrics: Mapping[str, float]
    checkpoint: Path | None
    _found: BestEpoch = field(repr=False, compare=False)
    _trainable: str = field(repr=False, compare=False)

    def load_state_dict(self) -> dict[str, Any]:
        """Load the model's state dict, with its tensors on the CPU.

        Build the model from `config` and pass the result to its own `load_state_dict`. The file is
        read with `weights_only=True`, so that nothing in it is executed. Raises RunError if no
        checkpoint was kept, or if the train function named no model in `run.epochs(model=...)`.
        """
        from raysweep.results.export import load_checkpoint

        state: dict[str, Any] = load_checkpoint(self._found, self._trainable)["model_state_dict"]
        return state

    def _repr_html_(self) -> str:
        """The trial, the epoch, the metrics and the configuration as an HTML table."""
        from raysweep.results.storage.tables import flatten

        values = {"trial": self.trial, "epoch": self.epoch, **self.metrics}
        values |= {f"config {name}": value for name, value in flatten(self.config).items()}
        rows = [{"": name, "value": number(value, 6)} for name, value in values.items()]
        return html_table(rows)


class Run:
    """The results of a sweep, read from its run directory.

    Made by `raysweep.load("ray_results/cnn")` and by `Sweep.run()`. The sweep may still be running:
    each part is read when it is first used, and shows what had happened by then. Load the run
    again to see more.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._directory = directory

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The run directory. For a run in object storage, its mirror on this machine."""
        return self._directory.path

    @property
    def name(self) -> str:
        """The name of the run, which is that of its directory."""
        return self._directory.name

    @property
    def state(self) -> State:
        """`running` while a session works on the sweep, else `finished` or `interrupted`."""
        return self._directory.state

    @property
    def metric(self) -> str:
        """The name of the metric that the sweep optimizes."""
        return self._directory.metric

    @property
    def maximize(self) -> bool:
        """True if larger values of the metric are better."""
        return self._directory.maximize

    @property
    def sweep(self) -> dict[str, Any]:
        """The specification of the sweep, with all defaults, as plain data."""
        return self._directory.sweep

    @property
    def environment(self) -> dict[str, Any]:
        """The versions, the commit and the hardware of the sweep; {} if not recorded."""
        return self._directory.environment

    @cached_property
    def best(self) -> Best:
        """The best epoch of all trials; of two equal ones, that of the earlier trial.

        Raises RunError if no trial has reported a finite value yet.
        """
        return self._best(self._directory.best)

    @property
    def front(self) -> list[Best]:
        """The best epochs of the trials that no other beats in all objectives.

        Of a sweep with several `metrics`: those that keep the limits, the best in the first
        objective first. Of one with a single metric it is the best trial alone; [] before the
        first finite value.
        """
        return [self._best_of(trial) for trial in self._directory.front]

    @property
    def knee(self) -> Best:
        """The part of the front that is nearest to the best of all objectives at once.

        Raises RunError if the front is empty.
        """
        return self._best_of(self._directory.knee or self._directory.best.trial)

    @property
    def retrained_front(self) -> list[RetrainedPoint]:
        """What `confirm` found of the front: a point for each finalist that was trained again.

        Each has `trial`, the `means` of its metrics with their `intervals` over the fresh seeds,
        `is_on_front` by these means, and in how many of `seeds` it was on the front
        (`seeds_on_front`). [] without `confirm`, and with a single objective.
        """
        from raysweep.results.analysis.retrained_front import retrained_front

        return retrained_front(self._directory)

    def within(self, *limits: str) -> Best:
        """The best in the first metric that keeps these limits: `run.within("peak_mb<=500")`.

        `peak_mb=500` is enough for a metric of the sweep. Raises RunError if no trial keeps them.
        """
        from raysweep.results.analysis.within import read_limit, trial_within

        read = [read_limit(limit, self._directory) for limit in limits]
        return self._best_of(trial_within(self._directory, read))

    def _best_of(self, trial: Trial) -> Best:
        assert trial.best is not None
        return self._best(self._directory.best_epoch(trial, trial.best))

    def _best(self, found: BestEpoch) -> Best:
        kept = self._directory.with_checkpoint(found)
        return Best(
            trial=found.trial.id,
            epoch=found.epoch,
            value=found.value,
            config=found.config,
            metrics=found.report.metrics,
            checkpoint=self._checkpoint(kept),
            _found=kept,
            _trainable=str(self.sweep["trainable"]),
        )

    def _checkpoint(self, found: BestEpoch) -> Path | None:
        """The checkpoint of a train function, or of a script the newest one of its own."""
        if not is_script(str(self.sweep["trainable"])):
            return found.checkpoint
        from raysweep.results.storage.script_weights import script_file

        return script_file(self._directory, found.trial)

    @property
    def trials(self) -> pd.DataFrame:
        """The trials as a data frame, a row for each, in the order in which they were proposed.

        Columns: `trial`, `searcher`, `seed` (of the search), `status` (`paused` if the scheduler
        may still promote what it stopped), `reason` (why it ended),
        `best_<metric>`, `best_epoch`, `last_<metric>`, `epochs`, `seconds` (of training), `node`,
        `device`, `attempts`, `peak_memory` (bytes), `started` and `ended` (Unix seconds),
        `train_seed`, and `config/<name>` for each parameter. With several metrics there are also
        `best_<name>` of each (at `best_epoch`), `feasible` (all limits are kept there) and `front`
        (no other trial is better in all objectives). In a sweep by steps or samples, `best_step`
        and `steps` (or these of samples) say what `best_epoch` and `epochs` are: the numbers of
        reports. A nested parameter is
        `config/<outer>.<inner>`. A cell is NaN if the trial has no such value.
        """
        return self._directory.trials

    @property
    def curves(self) -> pd.DataFrame:
        """The reports of all trials as a data frame in long form, a row for each epoch.

        Columns: `trial`, `searcher`, `epoch`, `seconds` (of training so far), `time` (Unix
        seconds), and one for each metric. In a sweep by steps or samples, `epoch` is the number of
        the report, and `step` or `sample` where it was due. To plot a curve for each trial:
        `run.curves.pivot(index="epoch", columns="trial", values=run.metric).plot()`.
        """
        return self._directory.curves

    def compare(self, *others: Run, unit: Unit = "epochs") -> Comparison:
        """Compare the searchers of this run, or of this run and others on the same metric.

        unit: what the studies spend: `epochs`, `seconds` (of training) or `GPU-seconds`. The result
        prints as `raysweep compare` does, and shows as tables in a notebook. Raises RunError if
        nothing was reported, or if the runs optimize different metrics.
        """
        from raysweep.results.analysis.compare import compare

        return compare([run._directory for run in (self, *others)], unit)

    def report(self, out: str | Path | None = None) -> Path:
        """Write the page about this run, one HTML file, and return its path.

        out: the file, by default `report.html` in the run directory. Raises RunError if it cannot
        be written.
        """
        from raysweep.results.views.html.report import write

        try:
            return write(self._directory, _as_path(out), live=self.state == "running")
        except OSError as error:
            place = out or self.path
            raise RunError(f"{place} cannot be written: {error.strerror or error}") from None

    def export(
        self,
        out: str | Path | None = None,
        *,
        evaluate: bool = True,
        trial: str | None = None,
    ) -> ExportResult:
        """Write the best model to a folder that loads without raysweep.

        out: the folder, by default `best/` in the run directory, or `trial-<name>/` with a `trial`;
        an older export is replaced. evaluate: whether a fresh process evaluates the exported model,
        to show that it gives its recorded metric. trial: the best epoch of this trial instead.
        Raises RunError if there is nothing to export, or if `out` cannot be written or holds
        something else.
        """
        from raysweep.results.export import export

        return export(self._directory, _as_path(out), evaluate, trial=trial)

    @property
    def tags(self) -> list[str]:
        """The tags of the sweep."""
        return list(self._directory.steering.tags.get("", []))

    @property
    def notes(self) -> list[Note]:
        """What people noted about the sweep and its trials, in order.

        Each has `text`, `trial` (empty if it is about the sweep), `author` and `time`.
        """
        return list(self._directory.steering.notes)

    def stop(self, *, now: bool = False) -> Answer:
        """End the running session after the running epochs, or at once; it can be resumed.

        This and the following methods give the sweep a command, as the verbs of the command line
        do. A session that works on the run carries it out within a second; the answer then says
        `applied`. Without a session it waits for the next one (`waiting`), except for `stop`,
        `pause` and `resume`, which are about a session. Raises UserError, with the reason, if the
        command is refused.
        """
        return self._give("stop", now=now)

    def stop_trial(self, trial: str, *, now: bool = False) -> Answer:
        """Stop a trial after its running epoch, or at once. It is not promoted any more."""
        return self._give("stop", trial=trial, now=now)

    def pause(self) -> Answer:
        """Let the running epochs end, and start nothing until `resume`. No device is held."""
        return self._give("pause")

    def resume(self) -> Answer:
        """Continue a sweep that was paused. `Sweep.run(resume=...)` begins a new session."""
        return self._give("resume")

    def retry(self, trial: str) -> Answer:
        """Run a trial again that failed or ran out of memory, from its last checkpoint."""
        return self._give("retry", trial=trial)

    def continue_trial(
        self,
        trial: str,
        epochs: int | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        **length: float,
    ) -> Answer:
        """Train a trial to this epoch, whatever the budget and the scheduler say.

        In a sweep whose trials are measured in another unit, the length is given in that:
        `steps=30_000`. config: parameters that change. Then a new trial, whose note `parent` names
        this one, begins with its checkpoint; it may do without a length.
        """
        if epochs is not None:
            length["epochs"] = epochs
        changes = {} if config is None else {"config": dict(config)}
        return self._give("continue", trial=trial, **length, **changes)

    def enqueue(self, *configurations: Mapping[str, Any], study: str | None = None) -> Answer:
        """Train these configurations next.

        Constants and derived values of the space are filled in, and the centre (`around`) of a
        parameter that has one; other parameters must have a value. study: which one trains them,
        by default the one that has spent least.
        """
        given = [dict(config) for config in configurations]
        chosen = {} if study is None else {"study": study}
        return self._give("enqueue", configurations=given, **chosen)

    def extend(self, **limits: int | float | str) -> Answer:
        """Let the sweep train more, as by `trials=80`, `trials="+50"` or `time="2h30m"`.

        `epochs=27`, or `steps=54_000`, lets every trial train longer.
        """
        return self._give("extend", **limits)

    def set_parallel(self, count: int | Literal["auto"]) -> Answer:
        """Train at most `count` trials at once. Trials beyond that finish their epoch and wait."""
        return self._give("set", parallel=count)

    def set_range(self, name: str, low: float, high: float) -> Answer:
        """Give a parameter another range, for what is proposed from now on."""
        return self._give("set", space={name: [low, high]})

    def set_values(self, name: str, values: Sequence[Any]) -> Answer:
        """Give a choice or an ordinal parameter other values, for what is proposed from now on."""
        return self._give("set", space={name: list(values)})

    def note(self, text: str, trial: str | None = None) -> Answer:
        """Attach a text to the sweep, or to a trial."""
        return self._give("note", text=text, **_about(trial))

    def tag(self, *tags: str, trial: str | None = None, remove: bool = False) -> Answer:
        """Tag the sweep, or a trial, with words; or take these tags away."""
        return self._give("tag", tags=list(tags), remove=remove, **_about(trial))

    def withdraw(self, command: str) -> Answer:
        """Take back a command that waits, by the `id` of its answer; it is never carried out then.

        Raises UserError if a session has carried it out, or if there is none.
        """
        return self._give("withdraw", withdrawn=command)

    def widget(self) -> SweepWidget:
        """A live view for a notebook, with buttons that stop, pause and resume.

        It needs the extra `raysweep[notebook]`. Raises RunError without it.
        """
        try:
            from raysweep.tune.widget import SweepWidget
        except ImportError as error:
            raise RunError(
                f"the widget needs {error.name}: pip install 'raysweep[notebook]'"
            ) from None
        return SweepWidget(self.path)

    def _give(self, command: str, **arguments: Any) -> Answer:
        """Give a command. What this run shows from now on has been read anew."""
        from raysweep.tune.steer import give

        directory = RunDirectory(self._directory.path)
        answer = give(directory, command, arguments)
        self._directory = RunDirectory(self._directory.path)
        self.__dict__.pop("best", None)
        return answer

    def _repr_html_(self) -> str:
        """A summary for a notebook: the state, the best trial, and the trials by status."""
        from collections import Counter

        statuses = Counter(row["status"] for row in self._directory.rows)
        counts = ", ".join(f"{count:,} {status}" for status, count in statuses.items())
        interval = self._directory.interval
        best, place, label = DASH, DASH, f"best {self.metric}"
        if self._directory.has_front and self._directory.knee:
            names = self._directory.objective_names
            best = ", ".join(f"{name} {number(self.knee.metrics[name])}" for name in names)
            place, label = f"{interval.at(self.knee.epoch)} of {self.knee.trial}", "knee"
        elif run_directory.best_of(self._directory.histories):
            best, place = (
                number(self.best.value, 6),
                f"{interval.at(self.best.epoch)} of {self.best.trial}",
            )
        row = {"run": self.name, "state": self.state, label: best, "at": place}
        return html_table([row | {"trials": counts or "none yet"}])


def _about(trial: str | None) -> dict[str, str]:
    return {} if trial is None else {"trial": trial}


def _as_path(path: str | Path | None) -> Path | None:
    if path is None:
        return None
    return Path(path)


def load(path: str | Path) -> Run:
    """Load a run by the path or URL of its run directory.

    path: as `ray_results/cnn` or `s3://bucket/runs/cnn`. Raises RunError if there is no run; the
    message names runs near it.
    """
    return Run(run_directory.load(path))
