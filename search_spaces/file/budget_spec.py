"""The `budget` section: how long a trial trains, how often it reports, and what ends the sweep."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from raysweep.report_interval import UNITS, ReportInterval, Unit, amount
from raysweep.search_spaces.file.param_specs import STRICT, Positive

NO_LENGTH = "no_length"
"""The type of pydantic's error for a budget that does not say how long a trial trains."""
SUGGESTED_REPORTS = 20
"""The most reports of a trial that an error message suggests."""
ROUNDING = 1e-9
"""The relative error of a quotient that counts as rounding: 0.3 is a multiple of 0.1."""
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?[smhd])+")


def seconds(value: int | float | str) -> float:
    """A duration in seconds: a number of them, or `30m`, `2h30m`, `1d`."""
    if isinstance(value, str):
        if not _DURATION.fullmatch(value):
            raise ValueError(
                f"expected seconds, or a duration such as 30m, 2h30m or 1d, got '{value}'"
            )
        value = sum(
            float(part[:-1]) * _DURATION_UNITS[part[-1]]
            for part in re.findall(r"[\d.]+[smhd]", value)
        )
    if value <= 0:
        raise ValueError(f"expected a duration above zero, got {value}")
    return float(value)


def rate(value: float | str) -> float:
    """An improvement of the metric per second, from `0.002/hour` or `1e-4 / 10m`."""
    amount, slash, period = str(value).replace(" ", "").partition("/")
    try:
        gain, per = float(amount), _PERIODS.get(period) or seconds(period)
    except ValueError:
        gain, per = 0.0, 1.0
    if not slash or not 0.0 < gain < math.inf:
        raise ValueError(
            f"expected an improvement of the metric in a time, such as 0.002/hour, got '{value}'"
        )
    return gain / per


def _checked_rate(value: float | str) -> float | str:
    rate(value)
    return value


Duration = Annotated[int | float | str, AfterValidator(seconds)]
Rate = Annotated[int | float | str, AfterValidator(_checked_rate)]
Interval = Annotated[int | float, Field(gt=0)]


class BudgetSpec(BaseModel):
    """What ends the sweep.

    `epochs`, `steps`, `samples` or `seconds` is the length of a trial, which reports after each
    `report_every` of them. That, `trials` and the total are for each searcher; `time` is for the
    whole sweep, and so is `worth`: the sweep ends when its best value is expected to improve more
    slowly than that.
    """

    model_config = STRICT
    epochs: Positive | None = None
    steps: Positive | None = None
    samples: Positive | None = None
    seconds: Interval | None = None
    report_every: Interval | None = None
    trials: Positive | None = None
    total_epochs: Positive | None = None
    total_steps: Positive | None = None
    total_samples: Positive | None = None
    total_seconds: Interval | None = None
    time: Duration | None = None
    worth: Rate | None = None

    @model_validator(mode="after")
    def _has_a_length(self) -> BudgetSpec:
        said = [unit for unit in UNITS if getattr(self, unit) is not None]
        if not said:
            raise PydanticCustomError(NO_LENGTH, "expected the length of a trial")
        if len(said) > 1:
            raise ValueError(f"expected one length of a trial, got {' and '.join(said)}")
        return self

    @model_validator(mode="after")
    def _has_whole_reports(self) -> BudgetSpec:
        if self.report_every is None:
            if self.unit == "epochs":
                return self
            raise ValueError(
                f"with {self.unit}, report_every says how many of them lie between two reports, "
                f"such as {amount(self._suggested_interval())}"
            )
        reports = self.length / self.report_every
        if reports < 1:
            raise ValueError(
                f"report_every: {amount(self.report_every)} is more than all {self.unit} of a "
                f"trial, {amount(self.length)}"
            )
        if abs(reports - round(reports)) > ROUNDING * reports:
            below, above = (self.report_every * (int(reports) + more) for more in (0, 1))
            raise ValueError(
                f"{self.unit}: {amount(self.length)} is no multiple of report_every, "
                f"{amount(self.report_every)}; {amount(below)} or {amount(above)} would do"
            )
        return self

    @model_validator(mode="after")
    def _ends(self) -> BudgetSpec:
        totals = {unit: getattr(self, f"total_{unit}") for unit in UNITS}
        for unit, total in totals.items():
            if total is not None and unit != self.unit:
                raise ValueError(
                    f"total_{unit}: expected total_{self.unit}, because trials are measured in "
                    f"{self.unit}"
                )
        if {self.trials, totals[self.unit], self.time, self.worth} == {None}:
            raise ValueError(
                f"nothing ends the sweep; expected trials, total_{self.unit}, time or worth"
            )
        return self

    @property
    def unit(self) -> Unit:
        """What the length of a trial is given in."""
        return next(unit for unit in UNITS if getattr(self, unit) is not None)

    @property
    def length(self) -> float:
        """The length of a trial in its unit."""
        return float(getattr(self, self.unit))

    @property
    def interval(self) -> ReportInterval:
        """How often a trial reports."""
        return ReportInterval.of({self.unit: self.length, "report_every": self.report_every or 1})

    @property
    def reports(self) -> int:
        """How many reports a whole trial has."""
        return self.interval.report(self.length)

    @property
    def total_reports(self) -> int | None:
        """How many reports the trials of a searcher may have in all; None if there is no limit."""
        total = getattr(self, f"total_{self.unit}")
        if total is None:
            return None
        return self.interval.report(total)

    @property
    def time_limit(self) -> float | None:
        """Seconds that the whole sweep may take; None if there is no limit."""
        return None if self.time is None else seconds(self.time)

    @property
    def worth_per_second(self) -> float | None:
        """The improvement in a second that is worth it; None if any is."""
        return None if self.worth is None else rate(self.worth)

    def _suggested_interval(self) -> float:
        """An interval that divides the length into at most `SUGGESTED_REPORTS` reports."""
        for reports in range(SUGGESTED_REPORTS, 0, -1):
            if (self.length / reports).is_integer():
                return self.length / reports
        return self.length
