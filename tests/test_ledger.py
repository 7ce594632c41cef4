"""The ledger: what was written is read back, and a damaged line is found and named."""

from __future__ import annotations

import fcntl
import json
import math
import multiprocessing
import os
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.results.storage.ledger import (
    NAME,
    Ledger,
    LedgerError,
    LedgerLockedError,
    decode,
    encode,
    read,
)

EVENTS: list[dict[str, Any]] = [
    {"event": "opened", "time": 1.0},
    {
        "event": "proposed",
        "study": "random",
        "number": 0,
        "config": {"x": "NaN", "läuft": True},
        "seed": 7,
        "time": 2.0,
    },
    {
        "event": "reported",
        "trial": "random-0",
        "epoch": 1,
        "loss": math.inf,
        "metrics": {"a": math.nan},
        "seconds": 0.1,
        "time": 3.0,
    },
    {
        "event": "ended",
        "trial": "random-0",
        "status": "diverged",
        "reason": 'a "quoted"\nline',
        "time": 4.0,
    },
]


def filled(folder: Path) -> Path:
    ledger = Ledger(folder)
    for event in EVENTS:
        ledger.append(event)
    ledger.close()
    return folder / NAME


def test_events_come_back(tmp_path: Path) -> None:
    filled(tmp_path)
    assert str(read(tmp_path)) == str(EVENTS)


def test_each_line_is_json(tmp_path: Path) -> None:
    lines = filled(tmp_path).read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [0, 1, 2, 3]


def test_a_torn_line_is_dropped_and_said(tmp_path: Path) -> None:
    path = filled(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    ledger = Ledger(tmp_path)
    assert ledger.torn
    assert len(ledger.past) == 3
    ledger.append(EVENTS[3])
    ledger.close()
    assert path.read_bytes() == content


def test_appending_goes_on_with_the_numbers(tmp_path: Path) -> None:
    filled(tmp_path)
    ledger = Ledger(tmp_path)
    ledger.append({"event": "closed", "time": 5.0})
    ledger.close()
    assert len(read(tmp_path)) == 5


def test_no_ledger_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda lines: [lines[0], lines[2], lines[1], lines[3]],
            ":2: a line is missing, repeated or out of order",
        ),
        (
            lambda lines: [lines[0], lines[0], *lines[1:]],
            ":2: a line is missing, repeated or out of order",
        ),
        (lambda lines: [lines[0], *lines[2:]], ":2: a line is missing, repeated or out of order"),
        (
            lambda lines: [lines[0], lines[1].replace(b"random", b"rondom"), *lines[2:]],
            ":2: the line is damaged",
        ),
        (lambda lines: [b"\xff\xfe", *lines], ":1: the line is damaged: not UTF-8"),
        (lambda lines: [b"", *lines], ":1: the line is damaged"),
        (lambda lines: [b"[1, 2]", *lines], ":1: the line is damaged"),
    ],
)
def test_damage_is_named(tmp_path: Path, change: Any, words: str) -> None:
    path = filled(tmp_path)
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())) + b"\n")
    with pytest.raises(LedgerError, match=words):
        read(tmp_path)


def test_a_thousand_damaged_ledgers_are_read_or_refused_with_the_line(tmp_path: Path) -> None:
    whole = filled(tmp_path).read_bytes()
    draw = random.Random(0)
    outcomes = set()
    for _ in range(1000):
        content = bytearray(whole)
        kind = draw.randrange(4)
        place = draw.randrange(len(content))
        if kind == 0:
            del content[place:]
        elif kind == 1:
            content[place:place] = bytes(draw.randrange(256) for _ in range(draw.randrange(1, 20)))
        elif kind == 2:
            del content[place : place + draw.randrange(1, 30)]
        else:
            content[place] ^= 1 << draw.randrange(8)
        (tmp_path / NAME).write_bytes(content)
        outcomes.add(outcome(tmp_path))
    assert outcomes == {"read", "refused"}


def outcome(folder: Path) -> str:
    """Read: the beginning of what was written. Refused: with the place. Anything else raises."""
    try:
        events = read(folder)
    except LedgerError as error:
        return "refused" if f"{NAME}:" in str(error) else "refused without a place"
    return "read" if str(events) == str(EVENTS[: len(events)]) else "read wrongly"


@given(
    st.dictionaries(
        st.text(),
        st.one_of(
            st.text(),
            st.integers(),
            st.booleans(),
            st.none(),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
    )
)
def test_any_configuration_survives(config: dict[str, Any]) -> None:
    event = {"event": "proposed", "config": config}
    assert decode(encode(event, 3).rstrip(b"\n"), 3) == event


def hold(folder: str, ready: Any, done: Any) -> None:
    ledger = Ledger(Path(folder))
    ready.set()
    done.wait(30)
    ledger.close()


def test_a_second_process_hears_who_holds_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(str(tmp_path), ready, done))
    holder.start()
    try:
        assert ready.wait(30)
        with pytest.raises(LedgerLockedError, match=f"is held by process {holder.pid} on "):
            Ledger(tmp_path)
    finally:
        done.set()
        holder.join()
    Ledger(tmp_path).close()


def write_until_killed(folder: str, confirmed: Any) -> None:
    ledger = Ledger(Path(folder))
    for number in range(1_000_000):
        ledger.append({"event": "reported", "loss": 0.5, "metrics": {}, "number": number})
        confirmed.value = number + 1


def test_what_append_confirmed_survives_a_sigkill(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    confirmed = context.Value("l", 0)
    writer = context.Process(target=write_until_killed, args=(str(tmp_path), confirmed))
    writer.start()
    while confirmed.value < 500:
        os.sched_yield()
    writer.kill()
    writer.join()
    assert len(read(tmp_path)) >= confirmed.value


def test_a_full_disk_leaves_a_whole_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append(EVENTS[0])
    whole = (tmp_path / NAME).read_bytes()
    ledger._file.close()
    with open("/dev/full", "ab", buffering=0) as full:
        ledger._file = full
        with pytest.raises(OSError, match="No space left"):
            ledger.append(EVENTS[1])
    ledger.close()
    assert (tmp_path / NAME).read_bytes() == whole


def test_a_ledger_that_was_moved_away_takes_no_event_and_is_whole_when_it_is_back(
    tmp_path: Path,
) -> None:
    folder, away = tmp_path / "run", tmp_path / "away"
    ledger = Ledger(folder)
    ledger.append(EVENTS[0])
    folder.rename(away)
    with pytest.raises(OSError, match="No such file"):
        ledger.append(EVENTS[1])
    folder.mkdir()
    (folder / NAME).touch()
    with pytest.raises(OSError, match="Stale file handle"):
        ledger.append(EVENTS[1])
    ledger.close()
    assert read(away) == [EVENTS[0]]


def test_a_reader_that_asks_for_the_lock_keeps_no_writer_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(tmp_path).close()
    with open(tmp_path / "lock", "rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(reader, fcntl.LOCK_UN))
        Ledger(tmp_path).close()
