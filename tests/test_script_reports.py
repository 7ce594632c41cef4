"""From records to reports: positions, merging, and when a report is complete."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.report_interval import ReportInterval, Unit
from raysweep.trainables.runtime.metrics import ReportError
from raysweep.trainables.runtime.script.lines import LineReader
from raysweep.trainables.runtime.script.printed import Printed
from raysweep.trainables.runtime.script.records import record_of
from raysweep.trainables.runtime.script.reports import (
    MISSING_SECONDS,
    SOON_SECONDS,
    TWIN_SECONDS,
    Reports,
)
from raysweep.trainables.runtime.script.settling import FIRST_SETTLE_SECONDS, SETTLE_SECONDS

EPOCHS = ReportInterval()
STEPS = ReportInterval("steps", 500)


@dataclass
class Script:
    """Plays what a script says, at times of a clock that stands still unless `wait` is called."""

    interval: ReportInterval = EPOCHS
    total: int = 20
    known: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0
    said: list[str] = field(default_factory=list)
    all_sent: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reports = Reports(
            "acc",
            self.total,
            self.interval,
            known=self.known,
            clock=lambda: self.now,
            say=self.said.append,
            **self.options,
        )
        self.due = self.known + 1

    def says(self, **values: Any) -> list[dict[str, float]]:
        """The reports that are complete after the script has said this."""
        names = {name.replace("__", "/"): value for name, value in values.items()}
        self.reports.add(record_of(names, "acc", self.interval.unit))
        return self.sent()

    def wait(self, seconds: float) -> list[dict[str, float]]:
        self.now += seconds
        return self.sent()

    def sent(self, ended: bool = False) -> list[dict[str, float]]:
        sent = []
        while self.due <= self.total and (metrics := self.reports.take(self.due, ended)):
            sent.append(metrics)
            self.all_sent.append(metrics)
            self.due += 1
        return sent

    def ends(self) -> list[dict[str, float]]:
        return self.sent(ended=True)


def values(reports: list[dict[str, float]]) -> list[float]:
    return [report["acc"] for report in reports]


def test_objects_without_a_position_are_counted_and_sent_at_once() -> None:
    script = Script()
    assert script.says(loss=1) == []
    assert script.says(acc=0.1, lr=3) == [{"loss": 1.0, "acc": 0.1, "lr": 3.0}]
    assert script.says(acc=0.2) == [{"acc": 0.2}]
    assert script.says(test_acc=0.9) == []
    assert script.ends() == []


def test_the_lines_of_an_epoch_are_merged() -> None:
    script = Script()
    assert script.says(epoch=1, loss=1) == []
    assert script.says(epoch=1, acc=0.1) == []
    assert script.says(epoch=1, lr=0.5) == []
    assert script.says(epoch=2, loss=2) == [{"loss": 1.0, "acc": 0.1, "lr": 0.5}]
    script.says(epoch=2, acc=0.2)
    assert script.ends() == [{"loss": 2.0, "acc": 0.2}]


def test_a_later_value_of_the_same_epoch_replaces_an_earlier_one_which_is_said_once() -> None:
    script = Script()
    for epoch in (1, 2):
        script.says(epoch=epoch, acc=0.1)
        script.says(epoch=epoch, acc=0.2 * epoch)
    assert script.ends() == [{"acc": 0.4}]
    assert script.said == ["raysweep: epoch 1 has 'acc' more than once; the last value counts"]


def test_a_metric_without_a_position_belongs_to_the_epoch_of_the_lines_around_it() -> None:
    before = Script()
    for epoch in (1, 2, 3):
        before.says(epoch=epoch, loss=1)
        before.says(acc=epoch)
    behind = Script()
    for epoch in (1, 2, 3):
        behind.says(acc=epoch)
        behind.says(epoch=epoch, loss=1)
    assert values(before.ends()) == [3]
    assert before.due == behind.due + len(behind.ends()) == 4


def test_the_first_report_waits_longer_because_the_metric_may_come_again() -> None:
    script = Script()
    assert script.says(epoch=1, acc=0.1) == []
    assert script.wait(FIRST_SETTLE_SECONDS - 1) == []
    assert values(script.wait(1)) == [0.1]
    assert script.says(epoch=2, acc=0.2) == []
    assert values(script.wait(SETTLE_SECONDS)) == [0.2]


def test_a_metric_of_each_batch_is_reported_with_its_last_value() -> None:
    script = Script()
    for epoch in (1, 2, 3):
        for batch in range(4):
            script.says(epoch=epoch, acc=epoch + batch / 10)
            script.wait(2)
    assert (script.due, values(script.ends())) == (4, [])
    assert script.said == ["raysweep: epoch 1 has 'acc' more than once; the last value counts"]


def test_what_comes_for_a_report_that_was_sent_is_left_out_and_said_once() -> None:
    script = Script()
    script.says(epoch=1, acc=1)
    script.says(epoch=2, acc=2)
    assert script.says(epoch=1, acc=9) == script.says(epoch=1, acc=8) == []
    assert values(script.ends()) == [2]
    assert script.said == [
        "raysweep: epoch 1 was reported already; what came for it later is left out"
    ]


@pytest.mark.parametrize(
    "lines", [[{"epoch": 0, "acc": 0.5}], [{"epoch": 0, "lr": 1}, {"acc": 0.5}]]
)
def test_epochs_that_are_counted_from_0_are_shifted(lines: list[dict[str, float]]) -> None:
    script = Script()
    for line in lines:
        script.says(**line)
    assert values(script.says(epoch=1, loss=1)) == [0.5]
    script.says(epoch=1, acc=0.6)
    assert values(script.ends()) == [0.6]
    assert script.said == [
        "raysweep: the script counts its epochs from 0: epoch 0 there is epoch 1 here"
    ]
    assert script.reports.numbering.from_zero


def test_other_numbers_at_0_do_not_shift_epochs() -> None:
    script = Script()
    script.says(epoch=0, hp_metric=-1)
    script.says(epoch=1, acc=0.5)
    assert script.ends() == [{"hp_metric": -1.0, "acc": 0.5}]
    assert script.said == []


def test_the_next_attempt_knows_that_epochs_are_counted_from_0() -> None:
    script = Script(known=5, options={"from_zero": True, "resumed": True})
    script.says(epoch=5, acc=0.5)
    assert values(script.says(epoch=6, acc=0.6)) == [0.5]


def test_epochs_of_the_trainer_of_transformers_are_amounts() -> None:
    script = Script()
    assert script.says(epoch=0, acc=0.1, eval_runtime=1) == []  # before the first step
    assert script.says(epoch=0.5, loss=2) == []
    script.says(epoch=1.0, acc=0.2, eval_runtime=1)
    assert script.wait(SETTLE_SECONDS) == [{"loss": 2.0, "acc": 0.2, "eval_runtime": 1.0}]
    script.says(epoch=1.9984, acc=0.3)
    assert values(script.ends()) == [0.3]
    assert script.said == ["raysweep: what came before the first epoch is left out"]


def test_epochs_that_are_known_are_left_out_without_a_word() -> None:
    script = Script(known=2)
    for epoch in (1, 2, 3):
        script.says(epoch=epoch, acc=epoch)
    assert values(script.ends()) == [3]
    assert script.said == []


def test_a_script_that_is_resumed_counts_behind_what_is_known() -> None:
    assert values(Script(known=2, options={"resumed": True}).says(acc=0.3)) == [0.3]
    assert values(Script(known=2).says(acc=0.3)) == []


def test_a_report_that_was_lost_with_the_last_attempt_gets_the_value_of_the_next_one() -> None:
    """The script had saved its checkpoint of epoch 3, and was killed before it was reported."""
    script = Script(known=2, options={"resumed": True})
    assert values(script.says(epoch=4, acc=0.4) + script.ends()) == [0.4, 0.4]
    assert "epoch 3" in script.said[0]


def test_an_epoch_without_the_metric_is_an_error_that_names_the_key() -> None:
    script = Script()
    for epoch in (1, 2, 3, 4):
        assert script.says(epoch=epoch, loss=1) == []
    with pytest.raises(
        ReportError,
        match=r"^the script reported epoch 5 where epoch 1 was due; "
        r"validation every 5 epochs is budget.report_every: 5$",
    ):
        script.says(epoch=5, acc=1)


def test_validation_every_fifth_epoch() -> None:
    script = Script(ReportInterval("epochs", 5), total=3)
    for epoch in range(1, 16):
        script.says(epoch=epoch, loss=epoch)
        if epoch % 5 == 0:
            script.says(epoch=epoch, acc=epoch)
    assert (script.due, script.ends()) == (3, [{"loss": 15.0, "acc": 15.0}])


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_validation_every_fifth_epoch_of_those_counted_from_0(offset: int) -> None:
    script = Script(ReportInterval("epochs", 5), total=3)
    sent = []
    for epoch in range(15):
        sent += script.says(epoch=epoch, loss=epoch)
        if epoch % 5 == offset:
            sent += script.says(epoch=epoch, acc=epoch)
    assert values(sent + script.ends()) == [offset, offset + 5, offset + 10]


def test_steps_belong_to_the_report_that_ends_behind_them() -> None:
    script = Script(STEPS, total=3)
    assert script.says(step=0, acc=0) == []  # before the first step
    assert script.says(step=250, loss=5) == []
    assert script.says(step=500, acc=1) == []
    assert script.wait(SETTLE_SECONDS) == [{"loss": 5.0, "acc": 1.0}]
    assert script.says(step=501, acc=7) == []
    assert script.wait(600) == []  # step 1,000 is still to come
    assert script.says(step=1000, acc=2) == []
    assert script.says(step=1001, loss=1) == [{"acc": 2.0}]
    script.says(step=1499, acc=3)
    assert script.says(step=2000, acc=4) == [{"loss": 1.0, "acc": 3.0}]
    assert script.said == ["raysweep: what came before the first step is left out"]


def test_steps_that_are_counted_from_0_end_in_time() -> None:
    script = Script(STEPS, total=2)
    script.says(step=499, acc=1)
    assert values(script.wait(SETTLE_SECONDS)) == [1]


def test_a_regular_position_in_the_interval_is_learned() -> None:
    script = Script(STEPS, total=4)
    script.says(step=400, acc=1)
    assert script.wait(600) == []
    assert values(script.says(step=900, acc=2)) == [1]
    assert values(script.wait(SETTLE_SECONDS)) == [2]


def test_a_metric_every_2000_steps_asks_for_a_larger_interval() -> None:
    script = Script(STEPS)
    with pytest.raises(ReportError, match=r"step 2,000 where step 500 was due.*report_every: 2000"):
        script.says(global_step=2000, acc=1)


def test_lines_without_a_step_belong_to_the_last_step_that_was_said() -> None:
    script = Script(STEPS, total=2)
    script.says(step=500, loss=1)
    script.says(acc=0.1)
    script.says(acc=0.2)
    assert script.says(step=1000, loss=2) == [{"loss": 1.0, "acc": 0.2}]


def test_the_mean_of_the_last_values_bridges_an_interval_without_one() -> None:
    script = Script(STEPS, total=4, options={"last": 3})
    for step, value in ((100, 1), (200, 2), (300, 3), (400, 4)):
        script.says(step=step, acc=value)
    assert values(script.says(step=1700, acc=8)) == [3, 3, 3]
    assert values(script.ends()) == [5]


def test_the_same_value_from_two_sources_counts_once() -> None:
    script = Script(STEPS, total=2, options={"last": 2})
    for step, value in ((100, 1), (200, 4)):
        script.says(step=step, acc=value)
        script.says(step=step, acc=value)
    assert values(script.ends()) == [2.5]
    assert script.said == []


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1.7e308])
def test_a_mean_of_extreme_values_raises_nothing(value: float) -> None:
    script = Script(STEPS, options={"last": 5})
    for step in (100, 200, 300):
        script.says(step=step, acc=value if step < 300 else math.inf)
    assert not math.isfinite(values(script.ends())[0])


def test_a_mean_with_a_value_that_is_not_finite_is_not_finite() -> None:
    script = Script(options={"last": 2})
    script.says(acc=1)
    assert math.isnan(values(script.says(acc=math.nan))[0])
    assert math.isnan(values(script.says(acc=1))[0])
    assert values(script.says(acc=1)) == [1]


def test_seconds_repeat_the_last_known_value() -> None:
    script = Script(ReportInterval("seconds", 60), total=5)
    assert script.wait(59) == []
    assert script.says(acc=1, step=7) == []
    assert script.wait(2) == [{"acc": 1.0, "step": 7.0}]
    assert script.wait(118) == [{"acc": 1.0}]
    assert script.says(acc=2, loss=1) == []
    script.says(acc=3)
    assert script.wait(1) == []
    assert script.wait(1) == [{"acc": 3.0, "loss": 1.0}]


def test_seconds_before_the_first_value_get_that_value() -> None:
    script = Script(ReportInterval("seconds", 60), total=5)
    assert script.wait(130) == []
    assert values(script.says(acc=1)) == [1, 1]
    assert "no value of 'acc' came up to 60 s" in script.said[0]
    assert values(script.ends()) == [1]


@pytest.mark.parametrize(
    ("patience", "name", "seconds"),
    [
        (2.0, "accuracy", SOON_SECONDS),  # it is printed
        (MISSING_SECONDS, "accuracy", MISSING_SECONDS),  # it may come by a file
        (MISSING_SECONDS, "acc_epoch", TWIN_SECONDS),
    ],
)
def test_the_metric_that_never_comes_is_an_error_before_the_budget_is_spent(
    patience: float, name: str, seconds: float
) -> None:
    script = Script(options={"patience": patience})
    script.says(epoch=1, acc_step=1, lr=0.1)
    script.says(epoch=1, **{name: 1})
    script.says(epoch=2, acc_step=1)
    assert script.wait(seconds) == []
    text = rf"'acc' was not reported; reported: acc_step, lr, {name}.*past epoch 1$"
    with pytest.raises(ReportError, match=text):
        script.wait(1)


def test_a_metric_that_does_not_come_with_each_report_has_longer() -> None:
    script = Script(options={"patience": 2.0, "last": 3})
    script.says(epoch=1, loss=1)
    script.says(epoch=2, loss=1)
    assert script.wait(SOON_SECONDS + 1) == []


def test_the_mean_over_an_epoch_is_what_was_meant() -> None:
    script = Script()
    script.says(epoch=1, acc_step=1)
    script.says(epoch=1, acc_epoch=1)
    assert script.reports.missing().endswith("; did you mean 'acc_epoch'?")


def test_settings_that_look_like_a_position_do_no_harm() -> None:
    script = Script(total=100)
    script.says(epoch=100, lr=0.1)  # print(json.dumps(vars(args)))
    script.says(acc=0.5)
    assert values(script.says(acc=0.6)) in ([0.5], [0.6])
    assert script.due + len(script.ends()) == 3


UNITS: list[Unit] = ["epochs", "steps", "samples", "seconds"]
ANY = st.one_of(st.floats(), st.integers(-5, 30), st.booleans(), st.text(max_size=3))


@given(
    st.sampled_from(UNITS),
    st.floats(0.1, 50),
    st.lists(
        st.tuples(
            st.dictionaries(
                st.sampled_from(["acc", "epoch", "step", "samples", "loss"]), ANY, max_size=4
            ),
            st.floats(0, 400),
        ),
        max_size=30,
    ),
    st.booleans(),
    st.sampled_from([None, 1, 3]),
    st.integers(0, 3),
)
def test_whatever_a_script_says_ends_in_reports_or_in_a_report_error(
    unit: Unit, every: float, says: Any, resumed: bool, last: int | None, known: int
) -> None:
    script = Script(ReportInterval(unit, every), 10, known, {"last": last, "resumed": resumed})
    lines = ["one"]
    try:
        for record, seconds in says:
            script.says(**record)
            script.wait(seconds)
        script.ends()
    except ReportError as error:
        lines = str(error).splitlines()
    assert len(lines) == 1
    assert all(isinstance(report["acc"], float) for report in script.all_sent)
    assert len(script.all_sent) <= 10 - known


@given(
    st.sampled_from(["epochs", "steps"]),
    st.sampled_from([1, 3, 10]),
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=20),
    st.data(),
)
def test_reports_do_not_depend_on_how_the_output_arrives(
    unit: Unit, every: int, moves: list[tuple[int, bool]], data: st.DataObject
) -> None:
    position, text = 1, ""
    for move, has_metric in moves:
        position += move
        name = "acc" if has_metric else "loss"
        text += f'10%|# |\r20%|# |{{"{unit[:-1]}": {position}, "{name}": {len(text)}}}\n'
    content = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    pieces = [content[i:j] for i, j in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert _played([content], unit, every) == _played(pieces, unit, every)


def _played(pieces: list[bytes], unit: Unit, every: int) -> tuple[list[dict[str, float]], str]:
    """The reports of an output that arrives in these pieces, and the error that ends it."""
    script, reader = Script(ReportInterval(unit, every)), LineReader()
    printed, error = Printed("acc", unit), ""
    try:
        for piece in [*pieces, b"\n"]:
            for line in reader.feed(piece):
                for record in printed.read(line)[0]:
                    script.reports.add(record)
            script.sent()
        script.ends()
    except ReportError as raised:
        error = str(raised)
    return script.all_sent, error
