"""The `metric` section: what is optimized, and how it is read from what a script prints."""

from __future__ import annotations

import re
import warnings
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from raysweep.objectives import REPORT_COLUMNS
from raysweep.search_spaces.file.param_specs import STRICT, Positive


def metric_name(name: str) -> str:
    """Raise ValueError if a metric is called as a column of the data frames is."""
    if name in REPORT_COLUMNS:
        raise ValueError(
            f"the data frames have a column {name} already; report the metric under another name"
        )
    return name


MetricName = Annotated[str, AfterValidator(metric_name)]


def pattern(text: str) -> str:
    """Raise ValueError if a text is no pattern that can give a metric or a position."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what Python will read differently one day
            compiled = re.compile(text)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"'{text}' is not a regular expression: {error}") from None
    if not compiled.groupindex:
        raise ValueError(
            f"'{text}' has no named group; (?P<accuracy>[\\d.]+) reads a number as accuracy"
        )
    if "\n" in text or r"\n" in text.replace(r"\\", ""):
        raise ValueError(f"'{text}' spans lines; each line is matched by itself")
    return text


def listed(value: Any) -> Any:
    """A single word as the list that it stands for."""
    if isinstance(value, str):
        return [value]
    return value


Pattern = Annotated[str, AfterValidator(pattern)]
Patterns = Annotated[
    list[Pattern],
    BeforeValidator(listed, json_schema_input_type=str | list[str]),
    Field(min_length=1),
]


class MetricSpec(BaseModel):
    """What is optimized; `target` ends the sweep when it is reached.

    `pattern` reads metrics from the lines that a script prints. `last`: the mean of so many last
    values is reported.
    """

    model_config = STRICT
    name: MetricName
    goal: Literal["minimize", "maximize"]
    target: float | None = None
    pattern: Annotated[
        Patterns | None,
        Field(
            description=(
                "regular expressions for the lines that a script prints; a named group is a "
                "metric, or a position (epoch, step, samples)"
            )
        ),
    ] = None
    last: Annotated[
        Positive | None, Field(description="the mean of so many last values is reported")
    ] = None
