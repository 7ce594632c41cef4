"""CUDA's MPS is started only where that is allowed, and ended with the session.

No GPU takes part.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import raysweep as rs
from raysweep.tune.executors.mps import LOGS, PIPES, control, mps
from tests.fused_trainables import train


class Played:
    """NVIDIA's program, which a test plays."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.asked: list[tuple[list[str], str]] = []
        self.folders: list[str] = []
        self.lines: list[str] = []

    def control(self, words: list[str], said: str) -> str:
        self.asked.append((words, said))
        self.folders.append(os.environ[PIPES])
        return self.fails


def test_it_runs_as_long_as_the_session() -> None:
    played = Played()
    with mps(True, played.lines.append, played.control):
        assert os.environ[PIPES] == os.environ[LOGS] == played.folders[0]
        assert Path(os.environ[PIPES]).is_dir()
        assert played.asked == [(["nvidia-cuda-mps-control", "-d"], "")]
    assert played.asked[1:] == [(["nvidia-cuda-mps-control"], "quit\n")]
    assert played.folders[0] == played.folders[1]
    assert not Path(played.folders[0]).exists()
    assert PIPES not in os.environ
    assert played.lines == ["mps: started, so trials that share a GPU compute at the same time"]


def test_it_ends_with_a_session_that_fails() -> None:
    played = Played()
    with pytest.raises(ZeroDivisionError), mps(True, played.lines.append, played.control):
        raise ZeroDivisionError
    assert len(played.asked) == 2
    assert LOGS not in os.environ


def test_where_it_cannot_be_started_a_line_says_why() -> None:
    played = Played("no permission\nmore")
    with mps(True, played.lines.append, played.control):
        assert PIPES not in os.environ
    assert len(played.asked) == 1
    assert played.lines == [
        "mps: it could not be started, so trials that share a GPU take turns: no permission"
    ]


def test_it_is_off_unless_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played()
    with mps(False, played.lines.append, played.control):
        assert PIPES not in os.environ
    monkeypatch.setenv(PIPES, "/tmp/mine")
    with mps(True, played.lines.append, played.control):
        assert os.environ[PIPES] == "/tmp/mine"
    assert os.environ[PIPES] == "/tmp/mine"
    assert played.asked == []
    assert played.lines == [f"mps: {PIPES} is set, so the daemon there is used"]


def test_what_the_program_says_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-cuda-mps-control"
    program.write_text('#!/bin/sh\nread word\necho "got $word" >&2\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert control([program.name], "quit\n") == "got quit"
    program.write_text("#!/bin/sh\nexit 3\n")
    assert control([program.name], "") == "it ended with exit code 3"
    program.write_text("#!/bin/sh\n")
    assert control([program.name], "") == ""
    assert control(["no-such-program"], "") == "there is no no-such-program here"


def test_the_file_allows_it_for_trials_that_share_a_gpu() -> None:
    def made(resources: dict[str, object]) -> rs.Sweep:
        return rs.Sweep(
            trainable=train,
            space={"x": rs.Float(0, 1)},
            metric="loss",
            budget={"trials": 1, "epochs": 1},
            resources=resources,
        )

    made({"gpu": "auto", "mps": True, "fuse": "auto"})
    made({"gpu": 0.5, "mps": True})
    with pytest.raises(rs.UserError, match=r"mps: .*share a GPU"):
        made({"gpu": 1, "mps": True})
