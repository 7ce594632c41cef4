"""The `metrics` section: several metrics in place of one, as objectives or with limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from raysweep.objectives import REPORT_COLUMNS
from raysweep.search_spaces.file.document import Document
from raysweep.search_spaces.file.metric_spec import MetricName
from raysweep.search_spaces.file.param_specs import STRICT
from raysweep.search_spaces.file.python_form import goal_of

MOST_OBJECTIVES = 4
"""Beyond four objectives nearly every trial is on the front, so that a search has no direction."""


class ObjectiveSpec(BaseModel):
    """A metric of several: an objective, or with `limit` a metric that must keep that limit.

    Without `goal`, the words in the name decide (`val_accuracy` is maximized), else it is minimize.
    """

    model_config = STRICT
    name: MetricName
    goal: Literal["minimize", "maximize"] | None = None
    limit: Annotated[
        float | None,
        Field(description="the most that it may be; the least, if the goal is maximize"),
    ] = None

    def resolved(self) -> ObjectiveSpec:
        """The same with its goal written out."""
        goal = self.goal or goal_of(self.name) or "minimize"
        return self.model_copy(update={"goal": goal})


def with_first_metric(document: Document) -> Any:
    """The data of a file, with the first objective of `metrics` as its `metric`.

    So what needs one number of a trial finds it in either form. Raises SpecificationError if the
    file has both, or if `metrics` has too few entries or too many objectives.
    """
    data = document.data
    if not isinstance(data, Mapping) or data.get("metrics") is None:
        return data
    single = data.get("metric")
    if isinstance(single, Mapping):  # `--set metric.target=null` of a recording says nothing
        single = {key: value for key, value in single.items() if value is not None}
    if single:
        text = "metrics: takes the place of metric; a sweep has one of the two"
        raise document.error(("metrics",), text)
    entries = data["metrics"]
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        text = "metrics: expected a list of mappings, as [{name: val_loss}, {name: ms, limit: 20}]"
        raise document.error(("metrics",), text)
    objectives = [entry for entry in entries if entry.get("limit") is None]
    if problem := _problem(entries, objectives):
        raise document.error(("metrics",), f"metrics: {problem}")
    first = objectives[0].get("name")
    goal = objectives[0].get("goal") or (goal_of(first) if isinstance(first, str) else None)
    # A wrong type is reported where it was written, under `metrics`.
    known = first if isinstance(first, str) and first not in REPORT_COLUMNS else "metric"
    goal = goal if goal in ("minimize", "maximize") else "minimize"
    return {**data, "metric": {"name": known, "goal": goal}}


def _problem(entries: list[Any], objectives: list[Any]) -> str:
    """What is wrong with the number of metrics or their names; "" if nothing is."""
    names = [entry.get("name") for entry in entries]
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        return f"{repeated} is listed twice"
    if len(entries) < 2:
        return "expected two metrics or more; a single one is written as metric"
    if not objectives:
        return "every entry has a limit; at least one must be without, to be optimized"
    if len(objectives) > MOST_OBJECTIVES:
        return f"at most {MOST_OBJECTIVES} may be without a limit, got {len(objectives)}"
    return ""
