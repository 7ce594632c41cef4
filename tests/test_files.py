"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.files import atomic_file, atomic_write


@pytest.mark.parametrize("fsync", [False, True])
def test_the_new_content_replaces_the_old_one(tmp_path: Path, fsync: bool) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a much longer old content")
    atomic_write(path, "Größe\n", fsync=fsync)
    assert path.read_bytes() == b"Gr\xc3\xb6\xc3\x9fe\n"
    atomic_write(path, b"\x00\xff", fsync=fsync)
    assert path.read_bytes() == b"\x00\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_content_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    atomic_write(path, "old")
    with atomic_file(path) as file:
        file.write(b"half of the new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "half of the new"


def test_a_failure_leaves_the_old_content_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    atomic_write(path, "old")
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.write("text")  # type: ignore[call-overload]
    with pytest.raises(UnicodeEncodeError):
        atomic_write(path, "\udcff")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
