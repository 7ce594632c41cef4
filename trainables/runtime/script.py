"""A script as a trainable, whatever it trains with: `trainable: path/to/train.py`, without a function.

It is run once for each trial, in its own folder, by the same Python. The configuration comes as
options, `--lr=0.1 --optimizer.args.lr=0.1 --nesterov=true`, and as JSON in `RAYSWEEP_CONFIG`; the
file's `script:` section says how else options are written.

For each epoch it reports one JSON object that has the metric, on a line of its own:
printed, or appended to the file that `RAYSWEEP_REPORTS` names. An object with `epoch` (1, 2, ...) is taken for that epoch; others count up.

`RAYSWEEP_EPOCHS` says how many epochs there are, `RAYSWEEP_SEED` the seed, `RAYSWEEP_DEVICE` cpu or cuda, and `RAYSWEEP_FOLDER` where it
may keep its files: the same folder when a trial is taken up again, so that a script with checkpoints can go on from them. One without
starts anew, and the epochs that are known already are passed over. A script that is stopped gets SIGTERM, and SIGKILL five seconds later.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from raysweep.trainables.runtime import kill_with_parent
from raysweep.trainables.runtime.run import ReportError, Run

POLL = 0.1
PATIENCE = 5.0
"""Seconds that a script has to end by itself after its last epoch."""
LAST_LINES = 20


class ScriptError(RuntimeError):
    """A script that ended with an error: its last line, and the lines before it."""


@dataclass(frozen=True)
class CommandLine:
    """How a configuration is written on a command line: the `script:` section of a sweep's file.

    `arguments`: what stands before the options. `options`: their form. `values`: how true,
    null and lists are written. `flags`: whether a boolean is `--name` or nothing. `names`: options
    not called as their parameters; None for a parameter that has no option.
    """

    arguments: Sequence[str] = ()
    options: Literal["--name=value", "--name value", "name=value", "none"] = "--name=value"
    values: Literal["json", "python"] = "json"
    flags: bool = False
    names: Mapping[str, str | None] = field(default_factory=dict)

    def words(self, config: Mapping[str, Any]) -> list[str]:
        """The words of the command line for one configuration."""
        words = list(self.arguments)
        if self.options != "none":
            for name, value in self._named(config):
                words += self._option(name, value)
        return words

    def _named(
        self, config: Mapping[str, Any], path: str = "", shown: str = ""
    ) -> Iterator[tuple[str, Any]]:
        """The options with their values, nested names with dots.

        `path` is the parameter's name so far, `shown` the option's.
        """
        for key, value in config.items():
            name = self.names.get(path + key, shown + key)
            if name is None:
                continue
            if isinstance(value, Mapping):
                yield from self._named(value, f"{path}{key}.", f"{name}.")
            else:
                yield name, value

    def _option(self, name: str, value: Any) -> list[str]:
        if self.options == "name=value":
            return [f"{name}={self._text(value)}"]
        if value is None:
            return []  # an option that is left out is how a command line says null
        if self.flags and isinstance(value, bool):
            return [f"--{name}"] if value else []
        text = self._text(value)
        return [f"--{name}={text}"] if self.options == "--name=value" else [f"--{name}", text]

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return json.dumps(value) if self.values == "json" else str(value)


def train(
    script: Path, config: dict[str, Any], run: Run, command_line: CommandLine | None = None
) -> None:
    """Run the script and report what it reports."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        place = Place(script, (run.folder or Path(scratch)).resolve())
        words = (command_line or CommandLine()).words(config)
        with _running(place, words, _environment(place, config, run)) as process:
            output = Output(process, place.reports, run.metric)
            reports = output.reports()
            for epoch in run.epochs():
                metrics = _next(reports, epoch)
                if metrics is None:
                    break
                run.report(**metrics)
            _finish(process, output, place, run.complete)


@dataclass(frozen=True)
class Place:
    """The script, and the folder of the trial."""

    script: Path
    folder: Path

    @property
    def reports(self) -> Path:
        return self.folder / "reports.jsonl"


def _next(reports: Iterator[tuple[int, dict[str, Any]]], epoch: int) -> dict[str, Any] | None:
    """The report of an epoch, earlier ones passed over; None where the script ended before."""
    for number, report in reports:
        if number > epoch or number < 1:
            raise ReportError(
                f"the script reported epoch {number} where epoch {epoch} was due; epochs count from 1, each once"
            )
        if number == epoch:
            return report
    return None


def _finish(process: subprocess.Popen[str], output: Output, place: Place, complete: bool) -> None:
    """After its last epoch a script may still write what it has to write; before, it must not have failed."""
    if complete:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
    elif code := process.wait():
        raise ScriptError(
            "\n".join(
                [f"{place.script.name} ended with exit code {code}: {output.last}", *output.lines]
            )
        )


class Output:
    """What a script prints and writes: reports taken out, the rest passed on to the trial's log."""

    def __init__(self, process: subprocess.Popen[str], file: Path, metric: str | None) -> None:
        self._file, self._metric = file, metric
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self._read = 0
        threading.Thread(target=self._pump, args=(process,), daemon=True).start()

    @property
    def last(self) -> str:
        """The last line that is no report."""
        return self.lines[-1] if self.lines else "it printed nothing"

    def reports(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Reports as they come with their epochs, until the script ends."""
        ended, epoch = False, 0
        while not ended:
            try:
                line = self._lines.get(timeout=POLL)
            except queue.Empty:
                line = ""
            ended = line is None
            for one in [line or "", *self._written()]:
                report = self._report(one)
                if report is not None:
                    epoch = int(report.pop("epoch", epoch + 1))
                    yield epoch, report

    def _pump(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _written(self) -> list[str]:
        """Whole lines that were appended to the file of reports since the last look."""
        if not self._file.exists():
            return []
        with open(self._file, "rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")
        self._read += len(whole[0]) + len(whole[1])
        return whole[0].decode(errors="replace").splitlines()

    def _report(self, line: str) -> dict[str, Any] | None:
        """A line as a report: its numbers, and the metric whatever it is. None for any other line, which goes to the log."""
        try:
            content = json.loads(line) if line.lstrip().startswith("{") else None
        except ValueError:
            content = None
        if isinstance(content, dict) and (
            self._metric in content or "epoch" in content or self._metric is None
        ):
            return {
                key: value
                for key, value in content.items()
                if isinstance(value, int | float) or key == self._metric
            }
        if line.strip():
            self.lines.append(line.rstrip())
            print(line.rstrip())
        return None


@contextmanager
def _running(
    place: Place, words: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The script as a process on a leash, which is let go of at the end."""
    place.folder.mkdir(parents=True, exist_ok=True)
    place.reports.unlink(missing_ok=True)
    process = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            kill_with_parent.__file__,
            sys.executable,
            str(place.script),
            *words,
        ],
        cwd=place.script.parent,
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait()


def _environment(place: Place, config: dict[str, Any], run: Run) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",
        "RAYSWEEP_CONFIG": json.dumps(config),
        "RAYSWEEP_DEVICE": run.device,
        "RAYSWEEP_EPOCHS": str(run.total_epochs),
        "RAYSWEEP_FOLDER": str(place.folder),
        "RAYSWEEP_REPORTS": str(place.reports),
        "RAYSWEEP_SEED": str(run.seed),
    }
