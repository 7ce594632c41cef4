"""What scripts print, as lines and as records: progress bars, colours, JSON and patterns."""

from __future__ import annotations

import io
import json
import math
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tqdm import tqdm

from raysweep.trainables.runtime.metrics import ReportError
from raysweep.trainables.runtime.script.lines import (
    LINE_CHARACTERS,
    Line,
    LineReader,
    json_objects,
    printed_dictionaries,
)
from raysweep.trainables.runtime.script.patterns import Patterns
from raysweep.trainables.runtime.script.printed import Printed
from raysweep.trainables.runtime.script.records import Record, record_of

PIECES = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b"\r\n",
            b"\x1b[A",
            b"\x1b[31m",
            b"\x1b]8;;x\x1b\\",
            b" 45%|#### | 45/100 [00:01<00:01, 43.21it/s, loss=0.5]",
            b'{"epoch": 1, "loss": 0.5}',
            b"{'eval_loss': 0.5, 'epoch': 1.0}",
            b'{"a": ' * 30,
            b"{" * 50,
            "\u00e9\u2588".encode(),
            b"\xff\xfe",
            b"epoch 3: loss=nan",
        ]
    ),
)
"""What comes out of programs, and what never should."""


NAN: Any = pytest.approx(float("nan"), nan_ok=True)


def lines(*pieces: bytes) -> list[Line]:
    reader = LineReader()
    return [line for piece in pieces for line in reader.feed(piece)] + reader.end()


def texts(content: bytes) -> list[str]:
    return [line.text for line in lines(content) if not line.overwritten]


@given(st.lists(PIECES, max_size=12), st.data())
def test_lines_do_not_depend_on_how_they_arrive(pieces: list[bytes], data: st.DataObject) -> None:
    content = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    ends = [0, *cuts, len(content)]
    arrived = [content[begin:end] for begin, end in pairwise(ends)]
    assert lines(*arrived) == lines(content)


@given(st.lists(PIECES, max_size=12))
@example([b'{"epoch": ' + b"[" * 100_000])
@example([b'{"epoch": 1' + b"0" * 5000 + b"}"])
@example([b'{"loss": 1' + b"0" * 400 + b"}"])
@example([b"{'a': " * 20_000])
@example([b'{"\\ud800": 1, "loss": "\\ud800"}'])
def test_nothing_that_is_printed_raises(pieces: list[bytes]) -> None:
    printed = Printed("loss", "epochs", [r"epoch (?P<epoch>\S+): loss=(?P<loss>\S*)"])
    for line in lines(*pieces):
        for record in printed.read(line)[0]:
            assert all(isinstance(value, float) for value in record.metrics.values())
            json.dumps(dict(record.metrics), ensure_ascii=False).encode()  # as files need it


def test_a_progress_bar_is_one_line_with_its_last_state() -> None:
    out = io.StringIO()
    bar = tqdm(range(3), file=out, mininterval=0, miniters=1, ascii=True)
    for index in bar:
        bar.set_postfix(acc=index / 2)
    found = lines(out.getvalue().encode())
    assert [line.overwritten for line in found[:-1]] == [True] * (len(found) - 1)
    assert not found[-1].overwritten
    assert "3/3" in found[-1].text
    assert "acc=1" in found[-1].text


def test_nested_bars_do_not_make_lines_of_their_states() -> None:
    out = io.StringIO()
    for _ in tqdm(range(3), file=out, mininterval=0, position=0):
        for _ in tqdm(range(4), file=out, mininterval=0, position=1, leave=False):
            pass
    firm = [line.text for line in lines(out.getvalue().encode()) if not line.overwritten]
    assert len(firm) <= 4, firm  # three epochs of four batches would have more than twelve


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"10%\r20%\r\n", ["20%"]),
        (b"10%\r      \r\n", [""]),  # tqdm clears its line so before another one is printed
        (b"\x1b[1mbold\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\n", ["bold link"]),
        (b"no end", ["no end"]),
        (b"", []),
        (b"\xc3", ["\ufffd"]),
    ],
)
def test_lines_as_a_terminal_shows_them(content: bytes, shown: list[str]) -> None:
    assert texts(content) == shown


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    long = b"x" * (LINE_CHARACTERS + 7) + b"\ny\n"
    assert [len(text) for text in texts(long)] == [LINE_CHARACTERS, 1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', [({"a": 1}, True)]),
        (' 45%|##| [00:01, 3it/s]{"a": 1}', [({"a": 1}, False)]),
        ('{"a": 1}{"a": 2}', [({"a": 1}, False), ({"a": 2}, False)]),  # two processes print
        ('INFO {x} {"a": {"b": 1}} done', [({"a": {"b": 1}}, False)]),
        (
            '{"a": NaN, "b": Infinity}',
            [({"a": NAN, "b": float("inf")}, True)],
        ),
        ("{1: 2}", []),
        ("[1, 2]", []),
    ],
)
def test_json_is_found_anywhere_in_a_line(text: str, found: list[Any]) -> None:
    assert list(json_objects(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{'eval_loss': 0.69, 'epoch': 1.0}", [{"eval_loss": "0.69", "epoch": "1.0"}]),
        ("{'loss': '1.2e-05', 'epoch': '0.5'}", [{"loss": "1.2e-05", "epoch": "0.5"}]),
        ("{'loss': nan, 'b': -inf, 'c': 'nan'}", [{"loss": "nan", "b": "-inf", "c": "nan"}]),
        ("{'a': np.float64(0.5), 'b': tensor(1.)}", [{"a": "0.5", "b": "1."}]),
        ("100%|##| 3/3 {'a': 1, 'name': \"it's 5\"}", [{"a": "1"}]),
        ("{'train': {'loss': 1}, 'val': {'loss': 2}}", []),
        ("epoch 1: {'a': 1} {'b': 2}", [{"a": "1"}, {"b": "2"}]),
        ("{}", []),
    ],
)
def test_a_python_dictionary_is_read_without_evaluating_it(text: str, found: list[Any]) -> None:
    assert list(printed_dictionaries(text)) == found


def test_a_pattern_that_backtracks_without_end_is_stopped() -> None:
    with pytest.raises(ReportError, match=r"takes more than 1 s for a line of 41 characters"):
        list(Patterns([r"(?P<loss>(?:a+)+)$"]).matches("a" * 40 + "b"))


def records(text: str, metric: str, pattern: str = r"(?P<none>$^)") -> list[Record]:
    printed = Printed(metric, "epochs", [pattern])
    return [record for line in lines(text.encode()) for record in printed.read(line)[0]]


def test_a_pattern_reads_the_accuracy_of_the_mnist_example() -> None:
    text = "\nTest set: Average loss: 0.0404, Accuracy: 9871/10000 (99%)\n\n"
    pattern = r"loss: (?P<loss>[\d.]+), Accuracy: \d+/\d+ \((?P<accuracy>[\d.]+)%\)"
    assert records(text, "accuracy", pattern) == [Record({"loss": 0.0404, "accuracy": 99.0})]


@pytest.mark.parametrize(
    ("shown", "accuracy"), [("9871/10000", 0.9871), ("3/0", math.nan), ("nan/5", math.nan)]
)
def test_a_group_divides_another(shown: str, accuracy: float) -> None:
    pattern = r"Accuracy: (?P<accuracy>\w+)/(?P<accuracy_of>\w+)"
    (record,) = records(f"Accuracy: {shown} (99%)\n", "accuracy", pattern)
    assert record.metrics == pytest.approx({"accuracy": accuracy}, nan_ok=True)


def test_a_pattern_reads_positions_and_states_of_a_bar() -> None:
    text = "Epoch 3:  10%|# | loss=0.9\rEpoch 3:  99%|###| loss=0.7\n"
    assert records(text, "loss", r"Epoch (?P<epoch>\d+):.*loss=(?P<loss>[\d.]+)") == [
        Record({"loss": 0.9}, 3, counted=True, firm=False),
        Record({"loss": 0.7}, 3, counted=True),
    ]


def test_the_settings_of_a_script_are_no_report() -> None:
    text = 'Namespace: {"lr": 0.1}\n{\'lr\': 0.1, \'epochs\': 5}\nhello {"loss": "mse"}\n'
    assert records(text, "acc") == []


@pytest.mark.parametrize(
    ("values", "metric", "unit", "record"),
    [
        ({"val": {"loss": 1}}, "val/loss", "epochs", Record({"val/loss": 1.0})),
        ({"val": {"loss": 1}}, "val.loss", "epochs", Record({"val.loss": 1.0})),
        ({"val_loss": "1"}, "val/loss", "epochs", Record({"val/loss": 1.0})),
        ({"Epoch": 0, "a": True}, "a", "epochs", Record({"a": 1.0}, 0.0, counted=True)),
        ({"epoch": "2", "a": 1}, "a", "epochs", Record({"a": 1.0}, 2.0, counted=True)),
        ({"epoch": 1.5, "a": 1}, "a", "epochs", Record({"a": 1.0}, 1.5)),
        ({"epoch": True, "a": 1}, "a", "epochs", Record({"a": 1.0}, 1.0)),
        (
            {"epoch": float("nan"), "a": 1},
            "b",
            "epochs",
            Record({"epoch": NAN, "a": 1.0}),
        ),
        ({"epoch": 3, "step": 70, "a": 1}, "a", "steps", Record({"epoch": 3.0, "a": 1.0}, 70.0)),
        ({"trainer/global_step": 9, "a": 1}, "a", "steps", Record({"a": 1.0}, 9.0)),
        ({"_step": 9, "_runtime": 3.5, "a": 1}, "a", "epochs", Record({"a": 1.0})),
        (
            {"samples": 9, "a": 1, "b": "x", "c": None, "d": [1]},
            "a",
            "samples",
            Record({"a": 1.0}, 9.0),
        ),
        ({"epoch": 0, "eval_runtime": 1.0}, "a", "epochs", Record({"eval_runtime": 1.0}, 0.0)),
    ],
)
def test_a_mapping_as_a_record(values: Any, metric: str, unit: Any, record: Record) -> None:
    assert record_of(values, metric, unit) == record


def test_a_metric_that_is_no_number_says_so() -> None:
    found = record_of({"loss": "cross_entropy", "lr": 0.1}, "loss", "epochs")
    assert found.problem == "the metric 'loss' is 'cross_entropy', a str; expected a number"
    assert found.metrics == {"lr": 0.1}


def test_names_and_numbers_are_what_every_file_can_hold() -> None:
    found = record_of({"\ud800" * 300: 1, "big": 10**400, "deep": {"a": {"b": 1}}}, None, "epochs")
    assert [len(name) <= 200 for name in found.metrics] == [True] * 3
    assert found.metrics["big"] == float("inf")
    assert found.metrics["deep/a/b"] == 1.0
    many = record_of({f"m{index}": index for index in range(5000)}, None, "epochs")
    assert len(many.metrics) == 200
    assert re.fullmatch(r"m\d+", next(iter(many.metrics)))
