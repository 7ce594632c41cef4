"""How the metrics of a script are read, from the `metric:` and `script:` sections of a file."""

from __future__ import annotations

import re
from pathlib import PurePath

from raysweep.errors import did_you_mean
from raysweep.placeholders import placeholders
from raysweep.search_spaces.file.reader import Specification
from raysweep.search_spaces.file.script_spec import ScriptSpec
from raysweep.trainables.runtime.script.files import is_readable
from raysweep.trainables.runtime.script.records import POSITIONS, find_metric
from raysweep.trainables.runtime.script.sources import PRINTED_JSON, ReportSources

OWN = {"folder", "trial", "seed"}
"""Placeholders that are different in each trial."""


def report_sources(said: Specification, is_script: bool) -> ReportSources:
    """How the metrics are read. Raises SpecificationError if they cannot be."""
    metric = said.content.metric
    if not is_script:
        for key in ("pattern", "last"):
            if getattr(metric, key) is not None:
                text = f"metric.{key}: is for scripts; a train function calls run.report(...)"
                raise said.document.error(("metric", key), text)
        return PRINTED_JSON
    script = said.content.script or ScriptSpec()
    _check_files(said, script)
    _check_groups(said, bool(script.reports))
    return ReportSources(tuple(metric.pattern or ()), metric.last, tuple(script.reports))


def _check_groups(said: Specification, has_files: bool) -> None:
    """Refuse patterns of which none gives the metric, although one of them gives a number."""
    metric = said.content.metric
    compiled = [re.compile(pattern) for pattern in metric.pattern or ()]
    groups = {name: None for pattern in compiled for name in pattern.groupindex}
    positions = {name for names in POSITIONS.values() for name in names}
    numbers = [name for name in groups if name.lower() not in positions]
    if find_metric(groups, metric.name) is None and numbers and not has_files:
        wanted = re.sub(r"\W", "_", metric.name)
        raise said.document.error(
            ("metric", "pattern"),
            f"metric.pattern: no group is called '{wanted}', as the metric; groups: "
            f"{', '.join(groups)}{did_you_mean(wanted, numbers)}",
        )


def _check_files(said: Specification, script: ScriptSpec) -> None:
    """Refuse files that are no reports, and those that several trials would write."""
    for index, pattern in enumerate(script.reports):
        path = ("script", "reports", index)
        if not is_readable(PurePath(pattern)):
            raise said.document.error(
                path,
                f"script.reports: '{pattern}' has no known format; expected a folder, or a file "
                "called *tfevents*, *.csv, *.jsonl, *.json or *.log",
            )
        if said.content.parallel != 1 and not _is_own(pattern, script):
            raise said.document.error(
                path,
                f"script.reports: '{pattern}' is the same for all trials, which run at once; have "
                "each write files of its own: '{folder}' is a trial's folder, as an option's value "
                "or as script.folder",
            )


def _is_own(pattern: str, script: ScriptSpec) -> bool:
    """True if no two trials find the same files by a pattern."""
    if _named(pattern) & OWN:
        return True
    return not PurePath(pattern).is_absolute() and bool(_named(script.folder or "") & OWN)


def _named(text: str) -> set[str]:
    """The placeholders of a text."""
    return {name for name, _ in placeholders(text)}
