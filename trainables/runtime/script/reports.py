"""From what a script says, at positions of its own, to one report for each interval of the budget.

Report k holds what was said of the positions above `(k - 1) * every`, up to `k * every`. A later
value replaces an earlier one. A report is complete once it has the metric and nothing more belongs
to it: something of a later one was said, or the script ended, or nothing came for a while.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping

from raysweep.errors import did_you_mean
from raysweep.report_interval import ReportInterval, amount
from raysweep.text_limits import visible
from raysweep.trainables.runtime.metrics import Metrics, ReportError
from raysweep.trainables.runtime.script.positions import BEFORE, Numbering
from raysweep.trainables.runtime.script.records import Record
from raysweep.trainables.runtime.script.settling import Draft, Settling

MISSING_SECONDS = 300.0
"""How long a script may be past a report without the metric of it, if that may come by a file.
TensorBoard's writer keeps values for 120 s before it writes them."""
SOON_SECONDS = 20.0
"""The same if values come by what is printed alone."""
TWIN_SECONDS = 2.0
"""The same if the metric has come under the name of its mean over an epoch."""
MEAN = "_epoch"
"""What Lightning adds to the name of that mean if a metric is logged by step, too."""
MOST_NAMES = 20
"""How many names of metrics an error message lists."""


class Reports:
    """Merges records into reports, which `take` gives out in order.

    `total`: how many reports a whole trial has. `last`: the mean of so many values of the metric is
    reported. `patience`: for how many seconds the metric of a report may come after that of a later
    one, from another source. `say`: shows a line to the user, at most once of each kind.
    """

    def __init__(
        self,
        metric: str | None,
        total: int,
        interval: ReportInterval,
        *,
        known: int = 0,
        last: int | None = None,
        resumed: bool = False,
        from_zero: bool = False,
        patience: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] = print,
    ) -> None:
        self.numbering = Numbering(
            interval, known=known, resumed=resumed, from_zero=from_zero, clock=clock
        )
        self._settling = Settling(interval)
        self._metric, self._total, self._interval = metric, total, interval
        self._known = self._sent = known
        self._clock, self._show = clock, say
        self._drafts: dict[int, Draft] = {}
        self._loose: Metrics = {}
        """What came without a position since the last value of the metric."""
        self._last_values: deque[float] | None = None
        if last is not None:
            self._last_values = deque(maxlen=last)
        self._value: float | None = None
        """The metric of the last report that was sent."""
        self._patience = patience
        self._past: tuple[int, float] | None = None
        """The report that the metric is missing of, and since when a later one has come."""
        self._names: dict[str, None] = {}
        self._problem = ""
        self._said: set[str] = set()

    def add(self, record: Record) -> None:
        """Add what the script said at once."""
        has_metric = self._has_metric(record.metrics)
        self._remember(record)
        if record.position is None and not record.firm:
            return  # the last state of the bar comes again, as a line
        counted_from_one = not self.numbering.from_zero
        number = self.numbering.number(record, has_metric)
        if counted_from_one and self.numbering.from_zero:
            self._say("zero", "the script counts its epochs from 0: epoch 0 there is epoch 1 here")
        if number is None or (number == BEFORE and not has_metric):
            self._loose.update(record.metrics)
        elif number == BEFORE:
            first = self._interval.unit[:-1]
            self._say("before", f"what came before the first {first} is left out")
        elif number <= self._sent:
            if number > self._known and has_metric and record.firm:
                at = self._interval.at(number)
                self._say("late", f"{at} was reported already; what came for it later is left out")
        else:
            self._merge(number, record, has_metric)

    def _merge(self, number: int, record: Record, has_metric: bool) -> None:
        draft = self._drafts.setdefault(min(number, self._total + 1), Draft())
        metrics: Metrics = dict(record.metrics)
        if record.position is not None and not record.counted:
            self._settling.has_amounts = True
        if has_metric:
            metrics = self._loose | metrics
            self._loose = {}
            if record.firm:
                self._count(number, draft, record, metrics)
        draft.metrics |= metrics
        draft.touched = self._clock()

    def _count(self, number: int, draft: Draft, record: Record, metrics: Metrics) -> None:
        """Count a value of the metric; with `last`, put the mean of the last ones in its place."""
        position = record.position
        if position is None:
            position = self._interval.position(number)
        elif record.counted and self.numbering.from_zero:
            position += 1
        value = metrics[self._metric] if self._metric is not None else None
        if draft.values and draft.position == position:
            if draft.last == value and self._metric is not None:
                metrics[self._metric] = draft.metrics[self._metric]
                return  # from another source, or from another process
            at = self._interval.at(number)
            self._say("twice", f"{at} has '{self._metric}' more than once; the last value counts")
        if not draft.values:
            draft.first = position
        draft.values += 1
        draft.position, draft.last = position, value
        draft.is_closed = not self.numbering.has_positions
        if self._last_values is not None and self._metric is not None and value is not None:
            self._last_values.append(value)
            # Not fmean, which raises an error for values that are infinite or nearly so.
            metrics[self._metric] = sum(self._last_values) / len(self._last_values)

    def take(self, due: int, ended: bool = False) -> Metrics | None:
        """The metrics of the report that is due; None if it is not complete.

        `ended`: nothing more will come. Raises ReportError if it will never be complete.
        """
        self._sent = due - 1
        draft = self._drafts.get(due)
        if draft is None or not self._has_metric(draft.metrics):
            metrics = self._without_metric(due, ended)
        elif ended or self._is_complete(due, draft):
            metrics = draft.metrics
            self._settling.sent(due, draft)
        else:
            metrics = None
        if metrics is not None:
            self._sent = due
            self._drafts.pop(due, None)
            if self._metric is not None:
                self._value = metrics[self._metric]
        return metrics

    def _is_complete(self, due: int, draft: Draft) -> bool:
        if draft.is_closed or self.numbering.current > due:
            return True
        if self._interval.unit == "seconds":
            return False
        return self._clock() - draft.touched >= self._settling.seconds(due, draft)

    def _without_metric(self, due: int, ended: bool) -> Metrics | None:
        """The metrics of a report for which the metric did not come.

        A value is repeated where it says no more than the last known one: in seconds, and in a mean
        of last values.
        """
        if self.numbering.current <= due:
            return None
        later, waited = self._later(due), self._waited(due)
        if self._interval.unit == "seconds" and (later or self._value is not None):
            return self._repeated(due, later)
        if later is None:
            if self._value is None and waited > self._missing_seconds:
                raise ReportError(f"{self.missing()}; the script is past {self._interval.at(1)}")
            return None  # it may still come, by a file
        # The report of a checkpoint may be lost with the attempt that was killed before sending it.
        if self._last_values is not None or (due == self._known + 1 and due > 1):
            return self._repeated(due, later)
        if ended or waited >= self._patience:
            raise ReportError(self._gap(due, later))
        return None

    @property
    def _missing_seconds(self) -> float:
        """How long to wait for the first value of the metric once the script is past its report."""
        if self._interval.unit == "seconds" or self._last_values is not None:
            return MISSING_SECONDS  # it need not come with each report
        if self._twin:
            return TWIN_SECONDS
        return max(SOON_SECONDS, self._patience)

    @property
    def _twin(self) -> str:
        """The mean over an epoch that was reported in place of the metric; "" if none was."""
        name = f"{self._metric}{MEAN}"
        return name if name in self._names else ""

    def _waited(self, due: int) -> float:
        """For how long the metric of a report has been missing, although a later one has come."""
        if self._past is None or self._past[0] != due:
            self._past = (due, self._clock())
        return self._clock() - self._past[1]

    def _repeated(self, due: int, later: Draft | None) -> Metrics:
        value = self._value
        if value is None:
            assert later is not None
            assert self._metric is not None
            value = later.metrics[self._metric]
            text = f"no value of '{self._metric}' came up to {self._interval.at(due)}"
            self._say("first", f"{text}; the first later one stands in its place")
        metrics: Metrics = {}
        if due in self._drafts:
            metrics = self._drafts[due].metrics
        return metrics | {str(self._metric): value}

    def _later(self, due: int) -> Draft | None:
        """The first later report that has the metric."""
        numbers = sorted(number for number in self._drafts if number > due)
        drafts = (self._drafts[number] for number in numbers)
        return next((draft for draft in drafts if self._has_metric(draft.metrics)), None)

    def _gap(self, due: int, later: Draft) -> str:
        unit = self._interval.unit
        every = later.first - self._interval.position(due - 1)
        return (
            f"the script reported {self._interval.place(later.first)} where "
            f"{self._interval.at(due)} was due; validation every {amount(every)} {unit} is "
            f"budget.report_every: {every:g}"
        )

    def missing(self) -> str:
        """What to tell the user if the metric never came."""
        if self._problem:
            return self._problem
        names = ", ".join(self._names) or "nothing"
        twin = self._twin
        hint = f"; did you mean '{twin}'?" if twin else did_you_mean(self._metric, self._names)
        return f"the metric '{self._metric}' was not reported; reported: {names}{hint}"

    def _remember(self, record: Record) -> None:
        """Keep what an error message will need if the metric never comes."""
        for name in record.metrics:
            if len(self._names) < MOST_NAMES:
                self._names[name] = None
        self._problem = self._problem or record.problem

    def _say(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._show(visible(f"raysweep: {text}"))

    def _has_metric(self, metrics: Mapping[str, float]) -> bool:
        if self._metric is None:
            return bool(metrics)
        return self._metric in metrics
