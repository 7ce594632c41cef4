"""TensorBoard event files: for each trial its metrics by epoch, its best value so far, and its
hyperparameters (the HParams tab).

They are written with TensorBoard's own record writer and messages, which need no torch, TensorFlow
or thread. No summary of the whole experiment is written: without one, TensorBoard derives the
columns from all trials, so that parameters which only some of them have are shown too.
"""

from __future__ import annotations

import math
import re
import shutil
import sys
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.history import Report, Trial
from raysweep.results.storage.tables import flatten
from raysweep.text_limits import visible

FOLDER = "tensorboard"
MAX_OPEN = 128
"""Event files that are open at once: well below the usual limit of 1,024 for a process."""
_START, _END = "_hparams_/session_start_info", "_hparams_/session_end_info"


@dataclass
class _File:
    """An open event file: TensorBoard's record writer and the file that it writes to."""

    records: Any
    handle: Any


class Writer:
    """Writes the files `tensorboard/<trial>/events...` of a run directory.

    A trial that a later session resumes gets a further file. At most `MAX_OPEN` files are open:
    with more trials than that, the file that was written to longest ago is closed, and opened again
    when its trial reports.
    """

    def __init__(self, folder: Path, metric: str) -> None:
        self._folder = folder / FOLDER
        self._metric = metric
        self._open: OrderedDict[str, _File] = OrderedDict()
        self._closed: dict[str, Path] = {}
        self._made = 0

    def report(self, trial: Trial, report: Report) -> None:
        """Write one epoch. Call it after the report was added to the trial."""
        values = dict(report.metrics)
        if trial.best is not None and math.isfinite(trial.best.loss):
            values[f"best/{self._metric}"] = trial.best.metrics[self._metric]
        self._write(trial, _scalars(values), report.time, report.epoch)

    def close(self, trial: Trial) -> None:
        """Write how the trial ended, and close its file.

        A trial that never reported gets a file too, with its hyperparameters.
        """
        self._write(
            trial, _session_end(trial), float(trial.notes.get("ended") or time.time()), trial.epoch
        )
        self._drop(trial.id)
        self._closed.pop(trial.id, None)

    def finish(self) -> None:
        """Close all files."""
        for name in list(self._open):
            self._drop(name)

    def _write(self, trial: Trial, summary: Any, when: float, epoch: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        file = self._file(trial)
        file.records.write(Event(wall_time=when, step=epoch, summary=summary).SerializeToString())
        file.handle.flush()  # so that TensorBoard shows the epoch now, and a kill loses nothing

    def _file(self, trial: Trial) -> _File:
        if trial.id not in self._open:
            # The first in the order is the one that was written to longest ago.
            while len(self._open) >= MAX_OPEN:
                self._drop(next(iter(self._open)))
            self._open[trial.id] = self._reopen(trial.id) or self._new_file(trial)
        self._open.move_to_end(trial.id)
        return self._open[trial.id]

    def _reopen(self, name: str) -> _File | None:
        """Open a trial's file again that was closed to make room; None if it has none yet."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        if name not in self._closed:
            return None
        handle = open(self._closed[name], "ab")  # noqa: SIM115
        return _File(RecordWriter(handle), handle)

    def _new_file(self, trial: Trial) -> _File:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = self._folder / trial.id
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self._made += 1
        # TensorBoard reads the files of a folder in the order of their names. The count keeps two
        # files of the same microsecond apart.
        name = f"events.out.tfevents.{now:017.6f}.{self._made:06d}"
        handle = open(folder / name, "wb")  # noqa: SIM115
        records = RecordWriter(handle)
        started = float(trial.notes.get("started") or now)
        # Each event file begins with its version, or TensorBoard does not read it.
        records.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        records.write(
            Event(wall_time=started, summary=_session_start(trial, started)).SerializeToString()
        )
        return _File(records, handle)

    def _drop(self, name: str) -> None:
        file = self._open.pop(name, None)
        if file is not None:
            self._closed[name] = Path(file.handle.name)
            file.handle.close()


def show(run: Path, trial: str) -> None:
    """Copy what a trial drew (histograms, images) to where the metrics of all trials are."""
    drawings = run / "trials" / trial / "board"
    if drawings.is_dir():
        shutil.copytree(drawings, run / FOLDER / trial / "board", dirs_exist_ok=True)


def best_model_folder(run: Path, trial: str) -> Path:
    """The folder in which the best model is drawn after a sweep; an older drawing is deleted.

    It is a folder of its own, because TensorBoard wants the epochs of a folder to ascend, and the
    best epoch is seldom the last.
    """
    folder = run / FOLDER / trial / "best"
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def tag(name: str) -> str:
    """A name as a tag: letters, digits and `-/_. ` are kept, every other character becomes `_`."""
    return re.sub(r"[^-/\w. ]", "_", name) or "_"


def _scalars(values: Mapping[str, float]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(
        value=[Summary.Value(tag=tag(name), simple_value=value) for name, value in values.items()]
    )


def _session_start(trial: Trial, started: float) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

    start = SessionStartInfo(group_name=trial.id, start_time_secs=started)
    for name, value in {"study": trial.study, **flatten(trial.config)}.items():
        field = start.hparams[tag(name)]
        if isinstance(value, bool):  # before the numbers: True is an int as well
            field.bool_value = value
        # The message holds a double. A whole number that is too large for one is written as text.
        elif isinstance(value, float) or (isinstance(value, int) and _fits(value)):
            field.number_value = value
        else:
            field.string_value = visible(str(value))
    return _hparams(_START, session_start_info=start)


def _fits(value: int) -> bool:
    """True if a whole number is in the range of floats."""
    return abs(value) <= sys.float_info.max


def _session_end(trial: Trial) -> Any:
    from tensorboard.plugins.hparams.api_pb2 import STATUS_FAILURE, STATUS_SUCCESS
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionEndInfo

    status = STATUS_FAILURE
    if trial.status.succeeded:
        status = STATUS_SUCCESS
    return _hparams(
        _END,
        session_end_info=SessionEndInfo(
            status=status, end_time_secs=float(trial.notes.get("ended") or time.time())
        ),
    )


def _hparams(name: str, **content: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = SummaryMetadata.PluginData(
        plugin_name="hparams", content=HParamsPluginData(version=0, **content).SerializeToString()
    )
    return Summary(value=[Summary.Value(tag=name, metadata=SummaryMetadata(plugin_data=data))])
