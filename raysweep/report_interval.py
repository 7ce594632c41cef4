"""How a training is measured: in epochs, steps, samples or seconds, and how often it reports.

Everything else counts reports: what the ledger, the schedulers and the tables call an epoch is the
number of a report. With `budget: {steps: 10000, report_every: 500}`, report 3 is of step 1,500.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from raysweep.formatting import duration, plural

Unit = Literal["epochs", "steps", "samples", "seconds"]
UNITS: tuple[Unit, ...] = ("epochs", "steps", "samples", "seconds")
ROUNDING = 1e-9
"""The relative error of a position that counts as rounding: 0.1 * 3 is report 3 of every 0.1."""


@dataclass(frozen=True)
class ReportInterval:
    """A report comes after each `every` of `unit`."""

    unit: Unit = "epochs"
    every: float = 1

    @classmethod
    def of(cls, budget: Mapping[str, Any]) -> ReportInterval:
        """The interval that the `budget` section of a resolved sweep says."""
        unit = next((unit for unit in UNITS if unit in budget), UNITS[0])
        every = float(budget.get("report_every", 1))
        return cls(unit, int(every) if every.is_integer() else every)

    @property
    def is_epoch(self) -> bool:
        """True if a report comes after each epoch, which is the default."""
        return self.unit == "epochs" and self.every == 1

    def position(self, report: int) -> float:
        """Where a report is due: how much of the unit is trained by then."""
        return report * self.every

    def report(self, position: float) -> int:
        """The number of the report that a position belongs to: report k ends at `k * every`."""
        reports = position / self.every
        return math.ceil(reports - ROUNDING * max(1.0, abs(reports)))

    def at(self, report: int) -> str:
        """Where a report is due, in words: `epoch 3`, `step 1,500`, `12 s`."""
        return self.place(self.position(report))

    def place(self, position: float) -> str:
        """A position in words."""
        if self.unit == "seconds":
            return duration(position)
        return f"{self.unit[:-1]} {amount(position)}"

    def within(self, report: int) -> str:
        """Where a value was reported, in words: `in epoch 3`, `at step 1,500`, `after 12 s`."""
        word = {"epochs": "in", "seconds": "after"}.get(self.unit, "at")
        return f"{word} {self.at(report)}"

    def amount(self, reports: int) -> str:
        """How much so many reports are, as a number of the unit: `1,500`."""
        return amount(self.position(reports))

    def trained(self, reports: int) -> str:
        """How much so many reports are, in words: `27 epochs`, `54,000 steps`, `12 min 00 s`."""
        total = self.position(reports)
        if self.unit == "seconds":
            return duration(total)
        if float(total).is_integer():
            return plural(int(total), self.unit[:-1])
        return f"{amount(total)} {self.unit}"


def amount(value: float) -> str:
    """A number of epochs, steps, samples or seconds; whole numbers are written as such."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:g}"


EVERY_EPOCH = ReportInterval()
