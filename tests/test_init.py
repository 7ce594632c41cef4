"""`raysweep init` as a user types it: the file, what is printed, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
args = parser.parse_args()
for epoch in range(args.epochs):
    print(f"epoch {epoch + 1}: val accuracy {1 - args.lr / (epoch + 1)}")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)


def test_it_writes_a_file_that_a_dry_run_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "train.py", "--", "--data", "here"]) == 0
    said = capsys.readouterr()
    assert said.err == "looking at train.py; nothing is trained\n"
    assert said.out.splitlines() == [
        "wrote sweep.yaml: look at each line of it",
        "  tunes   lr",
        "  metric  maximize val_accuracy, printed in train.py:9",
        "  trains  3 epochs a trial, the default of --epochs",
        "see what it means   raysweep run --space sweep.yaml --dry-run",
        "run it              raysweep run --space sweep.yaml",
    ]
    assert main(["run", "sweep.yaml", "--dry-run"]) == 0
    assert "--data here" in capsys.readouterr().out


def test_a_dash_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "train.py", "--out", "-", "--", "--data", "here"]) == 0
    text = capsys.readouterr().out
    assert not Path("sweep.yaml").exists()
    Path("printed.yaml").write_text(text)
    assert list(load_sweep("printed.yaml").space.params) == ["lr"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train.py"],
            "train.py needs --data: add that behind --, as in raysweep init train.py -- ",
        ),
        (["none.py"], "none.py: there is no such file"),
        (["train.py", "--out", "train.py"], "--out train.py: the file exists; name another"),
        (["train.py", "--out", "no/sweep.yaml"], "--out no/sweep.yaml: there is no folder no"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *words]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"raysweep: {line}")
    assert sorted(path.name for path in Path().iterdir()) == ["train.py"]
    assert Path("train.py").read_text() == SCRIPT


def test_a_link_to_a_project_is_followed_by_nothing_but_the_program(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "train.py").write_text(SCRIPT)
    (tmp_path / "link").symlink_to("real")
    assert main(["init", "link/train.py", "--", "--data", "here"]) == 0
    assert "\ntrainable: link/train.py\n" in Path("sweep.yaml").read_text()
