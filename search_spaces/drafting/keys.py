"""Which keys this version's files have: a draft holds no other ones."""

from __future__ import annotations

import typing
from collections.abc import Sequence

from pydantic import BaseModel

from raysweep.search_spaces.drafting.sections import Line
from raysweep.search_spaces.file.budget_spec import BudgetSpec
from raysweep.search_spaces.file.metric_spec import MetricSpec
from raysweep.search_spaces.file.script_spec import ScriptSpec

MODELS: dict[str, type[BaseModel]] = {
    "metric": MetricSpec,
    "budget": BudgetSpec,
    "script": ScriptSpec,
}


def known(section: str, lines: Sequence[Line]) -> list[Line]:
    """The lines of a section that a file may have, without placeholders where there are none."""
    fields = MODELS[section].model_fields
    kept = [line for line in lines if line.key in fields]
    if section == "budget" and "steps" not in fields:
        kept += _as_epochs(lines)
    if section == "script":
        kept = [line for one in kept if (line := _possible(one)) is not None]
    return kept


def _as_epochs(lines: Sequence[Line]) -> list[Line]:
    """A number of steps as one of reports."""
    values = {line.key: line.value for line in lines}
    if "steps" not in values:
        return []
    return [Line("epochs", values["steps"] // values["report_every"], "reports in a trial")]


def _possible(line: Line) -> Line | None:
    """A line as far as a file may have it; None if nothing is left."""
    fields = ScriptSpec.model_fields
    if line.key == "flags" and isinstance(line.value, list) and fields["flags"].annotation is bool:
        return None
    if line.key == "values" and line.value not in typing.get_args(fields["values"].annotation):
        return None
    if line.key != "arguments":
        return line
    unknown = "{steps}"
    if "after" not in fields:
        unknown = "{"
    if "steps" in BudgetSpec.model_fields and unknown == "{steps}":
        return line
    words = [word for word in line.value if unknown not in word]
    if words:
        return Line(line.key, words, line.comment)
    return None
