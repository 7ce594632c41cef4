"""Trains by a script: runs it, and passes on what it reports."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raysweep.trainables.runtime.run import ReportError, Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.heard import HEARD, Heard
from raysweep.trainables.runtime.script.process import Call, Paths, make_call, running
from raysweep.trainables.runtime.script.reports import Output

GRACE_SECONDS = 5.0
"""How long a script may take to end by itself after its last epoch."""


class ScriptError(RuntimeError):
    """A script that ended with an error. The message has its last line, then those before it."""


def train(
    script: Path, config: dict[str, Any], run: Run, command_line: CommandLine | None = None
) -> None:
    """Run the script and report what it reports."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        paths = Paths(script, (run.folder or Path(scratch)).resolve())
        call = make_call(paths, config, run, command_line or CommandLine())
        heard = Heard(
            paths.trial / HEARD,
            may_continue=call.saved.checkpoints is not None,
            continues=call.continues,
        )
        output = None
        try:
            with running(paths, call) as process:
                output = Output(process, paths.reports, run.metric, heard)
                _follow(process, output, paths, run)
        except (ScriptError, ReportError) as error:
            raise _blaming_checkpoint(error, call, output) from error
        finally:
            if output is not None:
                output.hear_out()


def _follow(process: subprocess.Popen[str], output: Output, paths: Paths, run: Run) -> None:
    """Report what the script reports, until it ends or has reported its last epoch."""
    reports = output.reports()
    for epoch in run.epochs():
        metrics = _report_of(epoch, reports)
        if metrics is None:
            break
        run.report(**metrics)
    _wait(process, output, paths, run.complete)


def _blaming_checkpoint(error: Exception, call: Call, output: Output | None) -> Exception:
    """The error of a script that may have continued from a checkpoint that is to blame.

    A script that said nothing may not have been able to read it: the one before it is tried. One
    that said another epoch than the next is ahead of what is known: it begins again.
    """
    if not call.continues:
        return error
    if isinstance(error, ReportError):
        call.refuse_checkpoint(or_any=True)
        return ScriptError(f"continued from {call.saved.newest}: {error}")
    if output is None or not output.has_reported:
        call.refuse_checkpoint()
    return error


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
