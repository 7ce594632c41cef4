"""Sweeps from Python: `raysweep.Sweep`, with the keys of a YAML file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from raysweep.errors import UserError
from raysweep.results.run import Run, load
from raysweep.results.storage.object_store import is_url
from raysweep.results.storage.run_directory import load as load_directory
from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.file.reader import Specification
from raysweep.search_spaces.file.writer import write
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.import_trainable import check as check_trainable
from raysweep.trainables.runtime.import_trainable import check_not_importing
from raysweep.tune import notebook, run_folders
from raysweep.tune.load import sweep_of
from raysweep.tune.specification import Keys, Metric, Trainable, specified
from raysweep.tune.train_function import TrainFunction, main_name, train_function

if TYPE_CHECKING:
    from raysweep.results.storage.run_directory import RunDirectory
    from raysweep.tune.callbacks.base import Observer
    from raysweep.tune.executors.base import Executor
    from raysweep.tune.sweep import Sweep as ResolvedSweep


class RunError(UserError):
    """Arguments of `Sweep.run` that cannot be followed, in one line."""


@dataclass(frozen=True)
class RunOptions:
    """How `Sweep.run` runs a sweep; its arguments, as that method describes them."""

    executor: Literal["ray", "debug"] | Executor
    address: str | None
    retry_failed: bool
    accept_changes: bool
    quiet: bool

    @property
    def debug(self) -> bool:
        return self.executor == "debug"

    def check(self) -> None:
        """Raise RunError if they cannot be followed."""
        executor = self.executor
        if executor not in ("ray", "debug") and not callable(getattr(executor, "run", None)):
            raise RunError(
                "executor: expected 'ray', 'debug' or an object with a method `run`, "
                f"got {executor!r}"
            )
        if executor != "ray" and self.address is not None:
            raise RunError("address: a cluster is joined by the executor 'ray' only")

    def chosen_executor(self) -> Executor | None:
        """The executor itself; None for Ray, which a session makes by itself."""
        if isinstance(self.executor, str):
            from raysweep.tune.executors.debug import DebugExecutor

            return DebugExecutor() if self.debug else None
        return self.executor


class Sweep:
    """A hyperparameter sweep, described by the keys of a YAML file.

        import raysweep as rs

        def train(config, run):
            for epoch in run.epochs():
                run.report(val_loss=(config["lr"] - 0.1) ** 2 / epoch)

        if __name__ == "__main__":
            sweep = rs.Sweep(
                trainable=train,
                space={"lr": rs.Float(1e-4, 1.0, log=True), "width": rs.Int(16, 256, log=True)},
                metric="val_loss",
                budget={"trials": 20, "epochs": 9},
            )
            run = sweep.run()
            print(run.best.config)

    `trainable` is a train function, or its reference as in a file: `"package.module:function"`,
    `"path/to/train.py:function"`, or the path of a script. Workers import the file of a function
    that a script defines, so the script starts its sweep under `if __name__ == "__main__":`. A
    function of a notebook cell, a lambda or a nested function is pickled into the run directory;
    loading it runs its code, as importing a `.py` file does.

    `space` maps the names of parameters to `Float`, `Int`, `Ordinal` and `Choice`, to the YAML form
    of any entry (`{"float": [0, 1]}`, `{"expr": "4 * width"}`), to constants, or to a mapping of
    such entries. `metric` is a mapping with `name` and `goal`, or the name alone if it says which
    way is better (`val_accuracy`, `loss`). `metrics`, in its place, is a list of two or more such
    mappings, some of which may have a `limit`. `budget` has the keys `trials`, `epochs`,
    `total_epochs` and `time`. `searcher` and `scheduler` are names, mappings with a name and
    options, or objects; `searcher` may be a list of them. The other keys are those of the file.

    Raises UserError, in one line that names the key, for whatever a file would be refused for.
    """

    def __init__(
        self,
        trainable: Trainable,
        space: Mapping[str, Any],
        metric: Metric | None = None,
        budget: Mapping[str, Any] | None = None,
        **keys: Unpack[Keys],
    ) -> None:
        function = train_function(trainable)
        if budget is None:
            raise UserError("missing key 'budget' in the sweep")
        said = specified(function.reference, space, metric, budget, keys)
        self._set(said, function, main_name())

    def _set(self, said: Specification, function: TrainFunction, stem: str) -> None:
        self._sweep = sweep_of(said)
        self._function = function
        self._stem = stem

    @classmethod
    def from_yaml(
        cls, path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()
    ) -> Sweep:
        """The sweep of a YAML file, or of a shipped one by its name.

        `overrides` changes keys of the file: `["budget.trials=5"]` or `{"budget.trials": 5}`.

            run = rs.Sweep.from_yaml("cnn.yaml", {"budget.trials": 4}).run()
        """
        if isinstance(overrides, Mapping):
            overrides = [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
        said = read(str(path), overrides)
        sweep = cls.__new__(cls)
        sweep._set(said, TrainFunction(said.content.trainable), Path(path).stem)
        return sweep

    def to_yaml(self) -> str:
        """The sweep as the text of a YAML file, with every default written out.

        Raises UserError if the train function is in no file, for then no file can name it.
        """
        if self._function.content:
            raise UserError(
                "to_yaml: the train function lies in no file; write it into one, train.py, "
                'and name it: trainable="train.py:train"'
            )
        return write(json.loads(json.dumps(self._sweep.resolved)))

    def __repr__(self) -> str:
        searchers, metric = ", ".join(self._sweep.searchers), self._sweep.metric
        what = f"{metric.goal} {metric.name}"
        if self._sweep.objectives:
            what = ", ".join(self._sweep.metric_names)
        return f"<Sweep of {self._sweep.trainable}: {searchers}; {what}>"

    def run(
        self,
        *,
        name: str | None = None,
        storage: str | Path = "ray_results",
        address: str | None = None,
        executor: Literal["ray", "debug"] | Executor = "ray",
        resume: str | Path | bool = False,
        retry_failed: bool = False,
        accept_changes: bool = False,
        quiet: bool = False,
    ) -> Run:
        """Run the sweep and return its run directory, as `raysweep.load` does.

        `name` names the run directory (by default the script's name and the time) and `storage` the
        folder or URL in which it is made. `address` joins a Ray cluster, `"auto"` or `host:port`.

        `executor="debug"` trains one trial after another in this process, without Ray, so that
        breakpoints, `print` and profilers work; the first trial that fails raises its exception. An
        object with the method `run` of `raysweep.tune.executors.base.Executor` trains as it likes.

        `resume=True` continues the newest run of this sweep in `storage`, and a name, path or URL
        that run; `retry_failed` then runs again what failed, and `accept_changes` continues even if
        the train function's code changed. `quiet` shows nothing.

        Ctrl-C, or the stop button of a notebook, lets the running epochs end. The run is returned
        then, too, and can be resumed. Raises UserError for what a user can mend.
        """
        options = RunOptions(executor, address, retry_failed, accept_changes, quiet)
        options.check()
        check_not_importing()
        if not self._function.content:
            check_trainable(self._sweep.trainable, self._sweep.space.keys)
        place = str(storage) if is_url(storage) else Path(storage)
        if resume is False:
            folder = run_folders.begin_anywhere(place, self._stem, name or self._sweep.name)
            try:
                self._session(folder, self._placed(folder), options)
            except (KeyboardInterrupt, UserError):
                run_folders.discard(folder)
                raise
        else:
            wanted = "" if resume is True else str(resume)
            stem = name or self._sweep.name or self._stem
            folder = run_folders.resumed_anywhere(place, stem, wanted)
            self._resume(folder, options)
        return load(folder)

    def _placed(self, folder: Path) -> ResolvedSweep:
        """The sweep for a run directory, into which a function that travels by value is written."""
        from raysweep.results.storage.mirror import is_locked, upload

        if not self._function.content:
            return self._sweep
        if is_locked(folder):
            return self._sweep  # the session refuses to begin, and names the process that holds it
        sweep = replace(self._sweep, trainable=self._function.written(folder))
        upload(folder)  # workers fetch the function from object storage
        return sweep

    def _resume(self, folder: Path, options: RunOptions) -> None:
        """Continue a run, unless nothing is left to do or its train function changed."""
        from raysweep.results.storage import ledger
        from raysweep.tune import code_changes, session
        from raysweep.tune.cli.summary import finished

        run_folders.check_unchanged(folder, self._sweep)
        past = ledger.read(folder)
        before = pickled_function.read(folder)
        sweep = self._placed(folder)
        controller = session.former(sweep, past, options.retry_failed)
        if finished(folder, controller):
            return
        try:
            code_changes.check(folder, controller, past, options.accept_changes)
        except UserError:
            if before is not None:
                pickled_function.write(folder, *before)
            raise
        self._session(folder, sweep, options)

    def _session(self, folder: Path, sweep: ResolvedSweep, options: RunOptions) -> None:
        """Run a session, show it, and write what follows from it: the best model and the page."""
        from raysweep.results.storage.mirror import display_path
        from raysweep.tune import session
        from raysweep.tune.cli.summary import finish
        from raysweep.tune.executors.ray.connection import Machines

        resume = f"sweep.run(resume={display_path(folder)!r})"
        settings = session.Options(
            Machines(options.address), retry_failed=options.retry_failed, resume=resume
        )
        observer = _observer(folder, options)
        try:
            code = session.run(sweep, folder, settings, observer, options.chosen_executor())
        except KeyboardInterrupt:
            if not run_folders.has_begun(folder):
                raise
            code = session.INTERRUPTED
        if options.quiet or notebook.is_notebook():
            write_results(load_directory(folder), code == session.GOOD)
            observer.say(_last_line(folder, code, resume))
        else:
            finish(folder, code, False, resume)


def write_results(run: RunDirectory, succeeded: bool) -> None:
    """Export the best model of a sweep that succeeded, and write the page about the run."""
    from raysweep.results.export import export
    from raysweep.results.storage.mirror import upload
    from raysweep.results.storage.run_directory import RunError
    from raysweep.results.views.html.report import write as write_page
    from raysweep.results.views.tensorboard import show

    if succeeded:
        with contextlib.suppress(RunError):  # the train function named no model to export
            show(run.path, export(run, draw=True).trial)
    write_page(run)
    upload(run.path)


def _last_line(folder: Path, code: int, resume: str) -> str:
    """What a notebook shows below the table at the end."""
    from raysweep.results.storage.mirror import display_path
    from raysweep.results.views.html.report import NAME
    from raysweep.tune.session import INTERRUPTED, NONE_SUCCEEDED

    if code == INTERRUPTED:
        return f"interrupted; to continue it: {resume}"
    if code == NONE_SUCCEEDED:
        return "no trial succeeded: the reasons are in run.trials"
    return f"report: {display_path(folder / NAME)}"


def _observer(folder: Path, options: RunOptions) -> Observer:
    """What shows the sweep: nothing, a table of the notebook, or what the command line shows.

    A live screen would hide what a train function prints, and the prompt of a debugger.
    """
    from raysweep.results.storage.mirror import display_path
    from raysweep.tune.callbacks.screen import observer

    if options.quiet:
        return notebook.Silence()
    if notebook.is_notebook():
        return notebook.NotebookView(folder.name)
    return observer(folder.name, False, plain_lines=options.debug, place=display_path(folder))
