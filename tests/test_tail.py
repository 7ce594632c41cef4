"""A ledger that is followed gives each event once, whatever the writer does meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.results.storage import ledger, tail
from raysweep.results.storage.ledger import NAME, Event, Ledger, LedgerError
from raysweep.results.storage.tail import LedgerTail, ReplacedError


def event(number: int, size: int = 10) -> Event:
    return {"event": "noted", "trial": f"a-{number}", "notes": {"text": "ö" * size}}


def all_of(followed: LedgerTail) -> list[Event]:
    found = followed.read()
    while not followed.at_end:
        found += followed.read()
    return found


def test_parts_of_any_size_give_the_same_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [0, 5, 100, 1000, 3, 50]
    writer = Ledger(tmp_path)
    for number, size in enumerate(sizes):
        writer.append(event(number, size))
    for chunk in (1, 7, 64, 500, 10_000):
        monkeypatch.setattr(tail, "CHUNK_BYTES", chunk)
        assert all_of(LedgerTail(tmp_path)) == ledger.read(tmp_path)
    writer.close()


def test_what_is_appended_comes_once_and_a_line_without_its_end_waits(tmp_path: Path) -> None:
    writer, followed = Ledger(tmp_path), LedgerTail(tmp_path)
    seen: list[Event] = []
    for number in range(5):
        writer.append(event(number))
        seen += followed.read()
        assert followed.read() == []
    line = ledger.encode(event(5), 5)
    with open(tmp_path / NAME, "ab") as file:
        file.write(line[:-9])
        file.flush()
        assert followed.read() == []
        assert followed.at_end
        file.write(line[-9:])
    assert [*seen, *followed.read()] == [event(number) for number in range(6)]
    writer.close()


def test_a_damaged_line_is_named_after_those_before_it_were_read(tmp_path: Path) -> None:
    with open(tmp_path / NAME, "wb") as file:
        file.writelines([ledger.encode(event(0), 0), b'{"n":1}\n', ledger.encode(event(2), 2)])
    followed = LedgerTail(tmp_path)
    assert followed.read() == [event(0)]
    assert not followed.at_end
    for _ in range(2):
        with pytest.raises(LedgerError, match=rf"{NAME}:2: the line is damaged"):
            followed.read()


def test_another_or_a_shorter_file_is_noticed(tmp_path: Path) -> None:
    path, other = tmp_path / NAME, tmp_path / "other"
    lines = [ledger.encode(event(number), number) for number in range(3)]
    path.write_bytes(b"".join(lines))
    followed = LedgerTail(tmp_path)
    assert len(followed.read()) == 3
    path.write_bytes(b"".join(lines[:2]))
    with pytest.raises(ReplacedError):
        followed.read()
    followed = LedgerTail(tmp_path)
    assert len(followed.read()) == 2
    other.write_bytes(b"".join(lines))
    other.rename(path)
    with pytest.raises(ReplacedError):
        followed.read()
