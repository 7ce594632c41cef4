"""Runs a script as a trainable, whatever it trains with: `trainable: path/to/train.py`.

It is run once for each trial, in its own folder, by the same Python. The configuration comes as
options, `--lr=0.1 --optimizer.args.lr=0.1 --nesterov=true`, and as JSON in `RAYSWEEP_CONFIG`; the
file's `script:` section says how else options are written.

For each epoch the script reports one JSON object that has the metric, on a line of its own. It
prints that line, or appends it to the file that `RAYSWEEP_REPORTS` names. An object with `epoch`
(1, 2, ...) is the report of that epoch; without it, objects are counted.

`RAYSWEEP_EPOCHS` says how many epochs there are, `RAYSWEEP_SEED` the seed, `RAYSWEEP_DEVICE` `cpu`
or `cuda`, and `RAYSWEEP_FOLDER` where the script may keep its files. The folder is the same when a
trial is resumed, so a script that saves checkpoints can continue from them. A script that does not
starts anew, and the epochs that are known already are skipped. A script that is stopped gets
SIGTERM, and SIGKILL five seconds later.
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

POLL_SECONDS = 0.1
"""How often the file of reports is read while the script prints nothing."""
GRACE_SECONDS = 5.0
"""How long a script may take to end by itself after its last epoch."""
LAST_LINES = 20
"""How many of the last printed lines the message about a failed script has."""


class ScriptError(RuntimeError):
    """A script that ended with an error. The message has its last line, then those before it."""


@dataclass(frozen=True)
class CommandLine:
    """How a configuration is written on a command line: the `script:` section of a sweep's file.

    `arguments`: what comes before the options. `options`: their form. `values`: how true, null and
    lists are written. `flags`: true is written as `--name`, and false is left out. `names`: the
    options that differ from their parameters' names; None for a parameter without an option.
    """

    arguments: Sequence[str] = ()
    options: Literal["--name=value", "--name value", "name=value", "none"] = "--name=value"
    values: Literal["json", "python"] = "json"
    flags: bool = False
    names: Mapping[str, str | None] = field(default_factory=dict)

    def words(self, config: Mapping[str, Any]) -> list[str]:
        """The words of the command line for a configuration."""
        words = list(self.arguments)
        if self.options != "none":
            for name, value in self._named(config):
                words += self._option(name, value)
        return words

    def _named(
        self, config: Mapping[str, Any], path: str = "", shown: str = ""
    ) -> Iterator[tuple[str, Any]]:
        """The options with their values. The names of nested ones are joined by dots.

        `path` is the outer part of the parameter's name, `shown` that of the option's name.
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
            if value:
                return [f"--{name}"]
            return []
        if self.options == "--name=value":
            return [f"--{name}={self._text(value)}"]
        return [f"--{name}", self._text(value)]

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        if self.values == "json":
            return json.dumps(value)
        return str(value)


def train(
    script: Path, config: dict[str, Any], run: Run, command_line: CommandLine | None = None
) -> None:
    """Run the script and report what it reports."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        paths = Paths(script, (run.folder or Path(scratch)).resolve())
        words = (command_line or CommandLine()).words(config)
        with _running(paths, words, _environment(paths, config, run)) as process:
            output = Output(process, paths.reports, run.metric)
            reports = output.reports()
            for epoch in run.epochs():
                metrics = _report_of(epoch, reports)
                if metrics is None:
                    break
                run.report(**metrics)
            _wait(process, output, paths, run.complete)


@dataclass(frozen=True)
class Paths:
    """The script, and the folder of the trial."""

    script: Path
    folder: Path

    @property
    def reports(self) -> Path:
        return self.folder / "reports.jsonl"


def _report_of(epoch: int, reports: Iterator[tuple[int, dict[str, Any]]]) -> dict[str, Any] | None:
    """The next report that is of this epoch; None if the script ended before.

    Reports of earlier epochs, which a script repeats that starts anew, are skipped.
    """
    for number, report in reports:
        if number > epoch or number < 1:
            raise ReportError(
                f"the script reported epoch {number} where epoch {epoch} was due; "
                "epochs count from 1, each once"
            )
        if number == epoch:
            return report
    return None


def _wait(process: subprocess.Popen[str], output: Output, paths: Paths, complete: bool) -> None:
    """Wait for the script to end.

    After its last epoch it may still write its files for a while, and how it ends then does not
    matter. Before that, an exit code other than 0 raises ScriptError.
    """
    if complete:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
        return
    code = process.wait()
    if code:
        reason = f"{paths.script.name} ended with exit code {code}: {output.last}"
        raise ScriptError("\n".join([reason, *output.lines]))


class Output:
    """What a script prints and writes. What is not a report is passed on to the trial's log."""

    def __init__(self, process: subprocess.Popen[str], file: Path, metric: str | None) -> None:
        self._file, self._metric = file, metric
        self._printed: queue.Queue[str | None] = queue.Queue()
        self.lines: deque[str] = deque(maxlen=LAST_LINES)
        self._bytes_read = 0
        threading.Thread(target=self._pump, args=(process,), daemon=True).start()

    @property
    def last(self) -> str:
        """The last line that is not a report."""
        if not self.lines:
            return "it printed nothing"
        return self.lines[-1]

    def reports(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each report with its epoch, as they come, until the script ends."""
        ended, epoch = False, 0
        while not ended:
            try:
                printed = self._printed.get(timeout=POLL_SECONDS)
            except queue.Empty:
                printed = ""
            # The file is read once more after the end of the output, for the last report.
            ended = printed is None
            for line in [printed or "", *self._written()]:
                report = self._report(line)
                if report is not None:
                    epoch = int(report.pop("epoch", epoch + 1))
                    yield epoch, report

    def _pump(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._printed.put(line)
        self._printed.put(None)

    def _written(self) -> list[str]:
        """The whole lines that were appended to the file of reports since the last call."""
        if not self._file.exists():
            return []
        with open(self._file, "rb") as file:
            file.seek(self._bytes_read)
            # The script may be in the middle of a line: the rest is read the next time.
            lines, newline, _ = file.read().rpartition(b"\n")
        self._bytes_read += len(lines) + len(newline)
        return lines.decode(errors="replace").splitlines()

    def _report(self, line: str) -> dict[str, Any] | None:
        """A line as a report: its numbers, and the metric, whatever type that has.

        None for any other line, which goes to the log.
        """
        content = _json_object(line)
        if content is not None and (
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


def _json_object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        content = json.loads(line)
    except ValueError:
        return None
    if not isinstance(content, dict):
        return None
    return content


@contextmanager
def _running(
    paths: Paths, words: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The script as a process that ends with the body, or when this process dies."""
    paths.folder.mkdir(parents=True, exist_ok=True)
    # What an earlier attempt reported is in the ledger. Read again, it would count for this one.
    paths.reports.unlink(missing_ok=True)
    # -I -S: the guard needs no packages, and so starts in milliseconds.
    guard = [sys.executable, "-I", "-S", kill_with_parent.__file__]
    process = subprocess.Popen(
        [*guard, sys.executable, str(paths.script), *words],
        cwd=paths.script.parent,
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
        process.stdin.close()  # which ends the script, if it still runs
        process.wait()


def _environment(paths: Paths, config: dict[str, Any], run: Run) -> dict[str, str]:
    return {
        "PYTHONUNBUFFERED": "1",  # or reports would stay in a buffer
        "RAYSWEEP_CONFIG": json.dumps(config),
        "RAYSWEEP_DEVICE": run.device,
        "RAYSWEEP_EPOCHS": str(run.total_epochs),
        "RAYSWEEP_FOLDER": str(paths.folder),
        "RAYSWEEP_REPORTS": str(paths.reports),
        "RAYSWEEP_SEED": str(run.seed),
    }
