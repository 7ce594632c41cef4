"""Trains by a script: runs it, and passes on what it reports."""

from __future__ import annotations

import glob
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from raysweep.files import atomic_write
from raysweep.placeholders import fill
from raysweep.report_interval import amount
from raysweep.trainables.runtime.checkpoint import LAST
from raysweep.trainables.runtime.metrics import Metrics, ReportError
from raysweep.trainables.runtime.parent import copy_files
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.files import ReportFiles
from raysweep.trainables.runtime.script.heard import HEARD, Heard
from raysweep.trainables.runtime.script.output import Output, log
from raysweep.trainables.runtime.script.printed import Printed
from raysweep.trainables.runtime.script.process import Call, Paths, make_call, running
from raysweep.trainables.runtime.script.reason import NOTHING, fails_again, reason_and_lines
from raysweep.trainables.runtime.script.records import Record
from raysweep.trainables.runtime.script.reports import MISSING_SECONDS, Reports
from raysweep.trainables.runtime.script.sources import PRINTED_JSON, ReportSources

POLL_SECONDS = 0.1
"""How often the file of reports is read while the script prints nothing."""
ENDING_SECONDS = 60.0
"""How long a script may take to end by itself after its last report: it may save its model, or
evaluate it on other data."""
TOLD_ENDING_SECONDS = 3600.0
"""The same for a script that was told how long a trial is, and so does end by itself."""
GRACE_SECONDS = 5.0
"""How long it may take once it has reported what lies behind its last report: it trains on."""
PATIENCE_SECONDS = 2.0
"""By how much the file of reports may be behind what is printed, or the other way round."""
HABITS = "script_habits.json"
"""The file in a trial's folder that tells the next attempt how the script counts its epochs."""


class ScriptError(RuntimeError):
    """A script that ended with an error. The message has the reason, then its last lines.

    `fails_again`: it did not begin to train, and a further attempt would end in the same way.
    """

    fails_again = False


def train(
    script: Path,
    config: dict[str, Any],
    run: Run,
    command_line: CommandLine | None = None,
    sources: ReportSources = PRINTED_JSON,
) -> None:
    """Run the script and report what it reports."""
    with tempfile.TemporaryDirectory(prefix="raysweep-") as scratch:
        paths = Paths(script, (run.folder or Path(scratch)).resolve())
        if run.parent is not None and run.last_checkpoint == run.parent / LAST:
            copy_files(run.parent, paths.trial)
        call = make_call(paths, config, run, command_line or CommandLine())
        printed = Printed(run.metric, run.unit, sources.patterns)
        patterns = [
            fill(pattern, lambda name: glob.escape(call.values[name])) for pattern in sources.files
        ]
        files = ReportFiles(
            patterns, call.folder, printed, run.metric, run.unit, excluded=paths.reports
        )
        heard = Heard(
            paths.trial / HEARD,
            may_continue=call.saved.checkpoints is not None,
            continues=call.continues,
        )
        patience = TOLD_ENDING_SECONDS if call.knows_length else ENDING_SECONDS
        follower = None
        try:
            with running(paths, call) as process:
                output = Output(process, paths.reports, printed)
                follower = Follower(run, paths, sources, output, files, heard)
                follower.report_all()
                _wait(process, follower, (script.name, call.folder), patience)
                follower.check_reported()
        except (ScriptError, ReportError) as error:
            raise _blaming_checkpoint(error, call, follower) from error
        finally:
            if follower is not None:
                follower.hear_out()


def _blaming_checkpoint(error: Exception, call: Call, follower: Follower | None) -> Exception:
    """The error of a script that may have continued from a checkpoint that is to blame.

    A script that said nothing may not have been able to read it: the one before it is tried. One
    that said another epoch than the next is ahead of what is known: it begins again.
    """
    if not call.continues:
        return error
    if isinstance(error, ReportError):
        call.refuse_checkpoint(or_any=True)
        return ScriptError(f"continued from {call.saved.newest}: {error}")
    if follower is None or not follower.has_reported:
        call.refuse_checkpoint()
    if isinstance(error, ScriptError):
        error.fails_again = False  # the next attempt continues from another checkpoint
    return error


class Follower:
    """Follows a script while it runs: reads its output and its files, and reports."""

    def __init__(
        self,
        run: Run,
        paths: Paths,
        sources: ReportSources,
        output: Output,
        files: ReportFiles,
        heard: Heard,
    ) -> None:
        self.output = output
        self.has_reported = False
        """True once the script reported anything, of an epoch that is known already, too."""
        self._run, self._paths, self._sources, self._files = run, paths, sources, files
        self._heard = heard
        self._reports: Reports | None = None

    def report_all(self) -> None:
        """Report until the script ends, or the last report is sent."""
        for due in self._run.epochs():
            if self._reports is None:
                self._reports = self._begin(known=due - 1)
            metrics = self._next(self._reports, due)
            if metrics is None:
                break
            self._run.report(**metrics)

    def hear_out(self) -> None:
        """Keep what a script that has ended said after the last report that was taken."""
        while self._heard.is_kept and not self.output.ended:
            self._read()

    def _read(self) -> list[Record]:
        """What came since the last call; it is kept for an attempt that continues this one."""
        records = self.output.read(POLL_SECONDS)
        if self._sources.files:
            # A summary that is printed at the end names no epoch. Before the files were read, it
            # would count as the first report.
            records = [record for record in records if record.position is not None]
        records += self._files.read(self.output.ended)
        self.has_reported |= bool(records)
        self._heard.add(records)
        return records

    def _begin(self, known: int) -> Reports:
        """The reports, with what former attempts heard if this one continues them."""
        in_seconds = self._run.interval.unit == "seconds"
        # Time is counted from the start of an attempt, so what was heard earlier has no place.
        earlier = [] if in_seconds else list(self._heard.earlier())
        reports = self._make_reports(known, resumed=self._heard.continues and not earlier)
        for record in earlier:
            reports.add(record)
        return reports

    def _make_reports(self, known: int, resumed: bool) -> Reports:
        return Reports(
            self._run.metric,
            self._run.total_epochs,
            self._run.interval,
            known=known,
            last=self._sources.last,
            resumed=resumed,
            from_zero=_read_habits(self._paths.trial),
            patience=MISSING_SECONDS if self._sources.files else PATIENCE_SECONDS,
            say=log,
        )

    def _next(self, reports: Reports, due: int) -> Metrics | None:
        """The report that is due; None if the script ended before."""
        while True:
            metrics = reports.take(due, self.output.ended)
            if metrics is not None or self.output.ended:
                return metrics
            counted_from_one = not reports.numbering.from_zero
            for record in self._read():
                reports.add(record)
            if counted_from_one and reports.numbering.from_zero:
                atomic_write(self._paths.trial / HABITS, json.dumps({"epochs_from": 0}))

    @property
    def complete(self) -> bool:
        """True if the last report of the trial was sent."""
        return self._run.complete

    def trains_on(self) -> bool:
        """Read what came; True if any of it lies behind the last report of the trial."""
        records = self._read()
        if self._reports is None:
            return False
        for record in records:
            self._reports.add(record)
        return self._reports.numbering.current > self._run.total_epochs

    def check_reported(self) -> None:
        """Raise ReportError if the script ended well, but never said its metric.

        An end before the last report is said in the log.
        """
        run = self._run
        if run.reports and not run.complete:
            at, end = run.interval.at(run.reports[-1]["epoch"]), amount(run.length)
            log(f"raysweep: the script ended after {at} of {end}")
        if self._reports is None or run.reports:
            return
        text = self._reports.missing()
        if self._sources.files and not self._files.found:
            text += f"; no new file matches {', '.join(self._sources.files)}"
        raise ReportError(text)


def _read_habits(folder: Path) -> bool:
    """True if an earlier attempt found that the script counts its epochs from 0."""
    try:
        return bool(json.loads((folder / HABITS).read_text())["epochs_from"] == 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _wait(
    process: subprocess.Popen[bytes], follower: Follower, call: tuple[str, Path], seconds: float
) -> None:
    """Wait for the script to end; after its last report no longer than `seconds`.

    It may still write its files then. An exit code other than 0 raises ScriptError; after the last
    report the trial is complete all the same, with a note. `call`: the script's name, and the
    folder in which it runs.
    """
    until, complete = time.monotonic() + seconds, follower.complete
    while process.poll() is None and not (complete and time.monotonic() > until):
        # What it prints is read all the time: a script whose output is full would wait for ever.
        if follower.trains_on():
            until = min(until, time.monotonic() + GRACE_SECONDS)
    if process.returncode in (0, None):
        return
    said, (name, folder) = list(follower.output.lines), call
    reason, lines = reason_and_lines(said, folder)
    ended = f"{name} ended with exit code {process.returncode}"
    first = f"{ended} and {NOTHING}" if reason == NOTHING else f"{reason} ({ended})"
    error = ScriptError("\n".join([first, *lines]))
    error.fails_again = not follower.has_reported and fails_again(said, process.returncode)
    raise error
