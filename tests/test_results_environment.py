"""What `environment.json` says, and what it must not say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.results import environment


def test_it_names_versions_and_hardware(tmp_path: Path) -> None:
    written = environment.write(tmp_path)
    content = json.loads((tmp_path / "environment.json").read_text())
    assert content == written
    assert content["packages"]["torch"].count(".") >= 2
    assert content["hardware"]["cores"] >= 1
    assert content["python"] == ".".join(map(str, sys.version_info[:3]))


def test_no_environment_variable_gets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2-hunter2")
    environment.write(tmp_path)
    assert "hunter2" not in (tmp_path / "environment.json").read_text()


def test_the_commit_and_whether_it_is_dirty(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "core.hooksPath=/dev/null"]
        subprocess.run(["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True)

    assert environment.commit(tmp_path) == {}
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    clean = environment.commit(tmp_path)
    assert (len(clean["commit"]), clean["dirty"]) == (40, False)
    (tmp_path / "file").write_text("2")
    assert environment.commit(tmp_path) == clean | {"dirty": True}
