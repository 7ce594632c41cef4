"""The files that scripts write while they train, as loggers write them and as they grow."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.report_interval import Unit
from raysweep.trainables.runtime.script.event_file import EventFile
from raysweep.trainables.runtime.script.file_formats import table_rows
from raysweep.trainables.runtime.script.files import READ_SECONDS, ReportFiles
from raysweep.trainables.runtime.script.printed import Printed
from raysweep.trainables.runtime.script.records import Record, record_of


class Files:
    """The report files below a folder, read at times of a clock of its own."""

    def __init__(self, folder: Path, *patterns: str, unit: Unit = "epochs") -> None:
        self.now = 0.0
        printed = Printed("acc", unit, [r"epoch (?P<epoch>\d+) acc (?P<acc>\S+)"])
        self.files = ReportFiles(patterns, folder, printed, "acc", unit, clock=lambda: self.now)

    def read(self, ended: bool = False) -> list[Record]:
        self.now += READ_SECONDS + 1
        return self.files.read(ended)

    def values(self, ended: bool = False) -> list[tuple[float | None, float | None]]:
        """The positions and the values of the metric that came."""
        return [(record.position, record.metrics.get("acc")) for record in self.read(ended)]


def append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(text)


def test_json_lines_are_read_as_they_grow(tmp_path: Path) -> None:
    files = Files(tmp_path, "log/*.jsonl")
    assert files.values() == []
    append(tmp_path / "log/a.jsonl", '{"epoch": 1, "acc": 0.1}\n{"epoch": 2, "a')
    assert files.values() == [(1, 0.1)]
    assert files.values() == []
    append(tmp_path / "log/a.jsonl", 'cc": 0.2}\nno json\n{"epoch": 3, "acc": 0.3}')
    assert files.values() == [(2, 0.2)]
    assert files.values(ended=True) == [(3, 0.3)]


def test_files_are_read_only_now_and_then(tmp_path: Path) -> None:
    files = Files(tmp_path, "a.jsonl")
    assert files.values() == []
    append(tmp_path / "a.jsonl", '{"epoch": 1, "acc": 0.1}\n')
    assert files.files.read() == []
    assert files.values() == [(1, 0.1)]


def test_what_another_trial_wrote_is_left_out(tmp_path: Path) -> None:
    append(tmp_path / "run0/a.jsonl", '{"epoch": 1, "acc": 0.9}\n')
    append(tmp_path / "shared.csv", "epoch,acc\n1,0.9\n")
    append(tmp_path / "shared.jsonl", '{"epoch": 1, "acc": 0.9}\n{"epo')
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"epoch": 1, "acc": 0.9}]}')
    files = Files(tmp_path, ".")
    assert files.values() == []
    append(tmp_path / "shared.csv", "1,0.1\n")
    append(tmp_path / "run1/a.jsonl", '{"epoch": 1, "acc": 0.2}\n')
    text = '{"log_history": [{"epoch": 1, "acc": 0.9}, {"epoch": 2, "acc": 0.3}]}'
    (tmp_path / "trainer_state.json").write_text(text)
    assert sorted(files.values()) == [(1, 0.1), (1, 0.2), (2, 0.3)]
    copied = tmp_path / "copied.jsonl"
    append(copied, '{"epoch": 1, "acc": 0.9}\n')
    os.utime(copied, (time.time() - 3600,) * 2)  # as `cp -p` of an older run's file
    assert files.values(ended=True) == []


LIGHTNING = """\
epoch,step,train_loss_step,acc
0,4,1.49,
0,9,0.28,
0,9,,0.37
"""


def test_a_table_has_separate_rows_for_training_and_validation(tmp_path: Path) -> None:
    files = Files(tmp_path, "**/metrics.csv")
    append(tmp_path / "lightning_logs/version_0/metrics.csv", LIGHTNING + "1,14,0.97")
    assert files.read() == [
        Record({"step": 4.0, "train_loss_step": 1.49}, 0, counted=True),
        Record({"step": 9.0, "train_loss_step": 0.28}, 0, counted=True),
        Record({"step": 9.0, "acc": 0.37}, 0, counted=True),
    ]
    append(tmp_path / "lightning_logs/version_0/metrics.csv", ",\n1,19,,0.25\n")
    assert files.values() == [(1, None), (1, 0.25)]


def test_a_table_that_gets_a_column_is_written_anew_and_its_rows_are_known(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    files = Files(tmp_path, "metrics.csv")
    path.write_text(LIGHTNING)
    assert len(files.read()) == 3
    path.write_text("epoch,late,step")  # in the middle of being written
    assert files.values() == []
    path.write_text("epoch,late,step,train_loss_step,acc\n0,,4,1.49,\n")
    assert files.values() == []
    rows = "0,,4,1.49,\n0,,9,0.28,\n0,,9,,0.37\n1,1.0,19,,0.25\n"
    path.write_text("epoch,late,step,train_loss_step,acc\n" + rows)
    assert files.values() == [(1, 0.25)]
    path.unlink()
    assert files.values() == []
    path.write_text("epoch,acc\n2,0.5\n")
    assert files.values(ended=True) == [(2, 0.5)]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("epoch, train/loss , acc\n 1, 2 ,3\n", [{"epoch": "1", "train/loss": "2", "acc": "3"}]),
        ("\ufeffepoch;acc\n1;2\n", [{"epoch": "1", "acc": "2"}]),
        ("epoch\tacc\n1\t2\n", [{"epoch": "1", "acc": "2"}]),
        ("a,b\n1,2,3\n1\n", [{"a": "1", "b": "2"}, {"a": "1"}]),
        ('a,b\n"1","2\n', [{"a": "1", "b": "2"}]),
        ("a,b\n" + "x" * 200_000 + "\n", []),
        ("", []),
        ("\n", []),
    ],
)
def test_tables_as_loggers_write_them(text: str, rows: Any) -> None:
    assert table_rows(text.encode(), ended=False) == rows


@pytest.mark.slow
def test_the_csv_logger_of_lightning(tmp_path: Path) -> None:
    logger = pytest.importorskip("lightning.pytorch.loggers").CSVLogger(tmp_path)
    files = Files(tmp_path, "lightning_logs/**/metrics.csv")
    found = []
    for epoch in range(3):
        logger.log_metrics({"loss": 1 / (epoch + 1), "epoch": epoch}, step=10 * epoch + 9)
        logger.log_metrics({"acc": epoch / 2, "epoch": epoch}, step=10 * epoch + 9)
        if epoch == 1:
            logger.log_metrics({"late": 7.0, "epoch": epoch}, step=10 * epoch + 9)
        logger.save()
        found += files.values()
    assert [pair for pair in found if pair[1] is not None] == [(0, 0.0), (1, 0.5), (2, 1.0)]


def test_the_state_of_the_trainer_of_transformers_is_in_several_checkpoints(tmp_path: Path) -> None:
    files = Files(tmp_path, "out/**/trainer_state.json")
    history: list[dict[str, float]] = []
    found = []
    for epoch in (1, 2):
        history.append({"loss": 0.7, "epoch": epoch - 0.5, "step": 10 * epoch - 5})
        history.append({"acc": epoch / 10, "eval_runtime": 1.0, "epoch": float(epoch)})
        state = tmp_path / f"out/checkpoint-{10 * epoch}/trainer_state.json"
        text = json.dumps({"best_metric": None, "log_history": history}, indent=2)
        append(state, text[: len(text) // 2])  # it is read while it is written
        assert files.values() == []
        append(state, text[len(text) // 2 :])
        found += files.values()
    assert found == [(0.5, None), (1, 0.1), (1.5, None), (2, 0.2)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"iteration": 19, "acc": 1}\n{"iteration": 39, "acc": 2}\n', [(19, 1.0), (39, 2.0)]),
        ('[{"step": 1, "acc": 3}, 7]', [(1, 3.0)]),
        ('{"acc": 4}', [(None, 4.0)]),
        ('{"log_history": 5}', []),
        ("7", []),
        ("[" * 100_000, []),
    ],
    ids=["lines", "list", "object", "no list", "number", "deep"],
)
def test_json_documents(tmp_path: Path, text: str, found: Any) -> None:
    files = Files(tmp_path, "metrics.json", unit="steps")
    (tmp_path / "metrics.json").write_text(text)
    assert files.values() == found


def test_a_log_is_matched_against_the_patterns(tmp_path: Path) -> None:
    files = Files(tmp_path, "train.log")
    append(tmp_path / "train.log", 'INFO epoch 1 acc 0.5\n{"epoch": 2, "acc": 0.6}\n')
    assert files.values() == [(1, 0.5), (2, 0.6)]


def test_files_of_mlflow(tmp_path: Path) -> None:
    run = tmp_path / "mlruns/0/abc"
    append(run / "meta.yaml", "")
    files = Files(tmp_path, "mlruns/**")
    append(run / "metrics/acc", "1700000000000 0.5 0\n1700000000001 0.6 1\n1700000000002 0.")
    append(run / "metrics/val/loss", "1700000000000 nan 0\nx\n")
    append(run / "params/lr", "0.1")
    assert [record for record in files.read() if "acc" in record.metrics] == [
        Record({"acc": 0.5}, 0, counted=True),
        Record({"acc": 0.6}, 1, counted=True),
    ]
    append(run / "metrics/acc", "7 1\n")
    assert files.values() == [(None, 0.7)]  # step 1 again: this program names no steps


def test_the_database_of_mlflow(tmp_path: Path) -> None:
    files = Files(tmp_path, "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute(
            "create table metrics (key text, value double, timestamp bigint, run_uuid text, "
            "step bigint, is_nan boolean, primary key (key, timestamp, step, run_uuid, value))"
        )
        database.execute("insert into metrics values ('acc', 0.5, 1, 'r', 0, 0)")
    assert files.values() == [(0, 0.5)]
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("insert into metrics values ('acc', 0.6, 2, 'r', 1, 0)")
    assert files.values() == [(1, 0.6)]
    assert files.values() == []


def write_events(folder: Path, *scalars: tuple[int, str, float]) -> Path:
    """Write an event file with TensorBoard's own writer."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    for step, tag, value in scalars:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
        writer.add_event(Event(step=step, summary=summary))
    writer.close()
    return next(folder.glob("*tfevents*"))


LIGHTNING_EVENTS = (
    (0, "hp_metric", -1.0),
    (9, "train_loss", 0.5),
    (9, "epoch", 0.0),
    (9, "acc", 0.25),
    (9, "epoch", 0.0),
    (19, "acc", 0.5),
    (19, "epoch", 1.0),
)


def test_events_of_a_step_are_a_record(tmp_path: Path) -> None:
    files = Files(tmp_path, "runs/**/events*")
    write_events(tmp_path / "runs/a", *LIGHTNING_EVENTS)
    assert files.read(ended=True) == [
        Record({"hp_metric": -1.0}, 0, counted=True),
        Record({"train_loss": 0.5, "acc": 0.25}, 0, counted=True),
        Record({"acc": 0.5}, 1, counted=True),
    ]


@pytest.mark.parametrize("unit", ["steps", "samples"])
def test_the_step_of_an_event_is_the_position_in_the_unit(tmp_path: Path, unit: Unit) -> None:
    files = Files(tmp_path, "runs", unit=unit)
    write_events(tmp_path / "runs/a", (137, "acc", 0.25), (250, "acc", 0.5))
    assert files.values(ended=True) == [(137, 0.25), (250, 0.5)]


def test_events_as_tensors(tmp_path: Path) -> None:
    """As TensorFlow and `add_scalar(..., new_style=True)` write them."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path / "runs"))
    files = Files(tmp_path / "none", str(tmp_path / "runs"))
    writer.add_event(Event(step=3, summary=scalar_pb("acc", 0.5)))
    writer.close()
    assert files.values(ended=True) == [(3, 0.5)]


@given(st.data())
def test_events_do_not_depend_on_how_they_arrive(data: st.DataObject) -> None:
    content = EVENTS["content"]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    pieces = [content[i:j] for i, j in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    reader = EventFile(
        Path("none"), lambda values, step: record_of(values, "acc", "epochs", step=step)
    )
    found = [record for piece in pieces for record in reader._parse(piece)]
    assert found + reader._finish_step() == EVENTS["records"]


EVENTS: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def _events(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write_events(tmp_path_factory.mktemp("events"), *LIGHTNING_EVENTS)
    reader = EventFile(path, lambda values, step: record_of(values, "acc", "epochs", step=step))
    EVENTS.update(content=path.read_bytes(), records=reader.read(ended=True))


def test_damaged_files_raise_nothing(tmp_path: Path) -> None:
    files = Files(tmp_path, ".")
    generator = random.Random(0)
    for name in ("events.out.tfevents.1", "a.csv", "a.jsonl", "a.json", "a.db", "a.log"):
        content = bytearray(EVENTS["content"])
        for _ in range(20):
            content[generator.randrange(len(content))] = generator.randrange(256)
        (tmp_path / name).write_bytes(content)
    files.read()
    files.read(ended=True)
    assert len(files.files.found) == 6
