"""`--json` on the verbs that print, their examples, and the completion of shells."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from raysweep.tune.cli.app import listed_verbs, main, parser
from tests.made_up import Story, write_run

STORIES = [
    Story("random", [0.5, float("nan")], {"lr": 0.1, "act": "relu"}, status="diverged"),
    Story("random", [0.6, 0.8, 0.7], {"lr": 0.2, "act": "gelu"}),
    Story("tpe", [0.4], {"lr": 0.3, "act": "relu"}, status="failed", reason="ValueError: no\nx"),
]
SPACE = {"lr": {"float": [0.01, 1.0]}, "act": {"choice": ["relu", "gelu"]}}
CHANGING = ("init", "run", "resume")
"""Verbs whose `--json` is tested where the verbs are."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = write_run(tmp_path / "runs/a", STORIES, space=SPACE, searcher=["random", "tpe"])
    (path / "logs").mkdir()
    (path / "logs/random-1.log").write_text('10%\r20%\n"\x1b[31m\n')
    return path


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out, parse_constant=pytest.fail)


def test_runs_and_trials_are_printed_as_json(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = printed(capsys, "ls", str(run.parent))
    assert (found["run"], found["trials"], found["epochs"]) == ("a", 3, 6)
    assert found["best"]["trial"] == "random-1"
    rows = printed(capsys, "ls", str(run))
    assert [row["trial"] for row in rows] == ["random-1", "random-0", "tpe-0"]
    assert rows[0]["config/act"] == "gelu"
    best = printed(capsys, "best", str(run))
    assert (best["trial"], best["epoch"], best["value"]) == ("random-1", 2, 0.8)
    assert best["config"] == {"lr": 0.2, "act": "gelu"}
    trial = printed(capsys, "show", str(run), "random-0")
    assert (trial["status"], [report["epoch"] for report in trial["reports"]]) == (
        "diverged",
        [1, 2],
    )
    assert trial["reports"][1]["metrics"]["acc"] is None


def test_analyses_and_deletions_are_printed_as_json(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = printed(capsys, "compare", str(run))
    assert found["metric"] == "acc"
    assert found["findings"]
    assert {row["searcher"] for row in found["ranking"]} == {"random", "tpe"}
    assert Path(printed(capsys, "report", str(run))["report"]).exists()
    assert printed(capsys, "rm", str(run), "--yes") == {"deleted": [str(run)], "kept": []}


def test_a_log_is_printed_line_by_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", str(run), "random-1", "--json"]) == 0
    lines = [json.loads(line)["line"] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["10%", "20%", '"\x1b[31m']


def test_files_are_printed_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cluster.yaml").write_text("cluster_name: x\n")
    code = main(["check-cluster", str(tmp_path / "cluster.yaml"), "--json"])
    assert code == (2 if json.loads(capsys.readouterr().out) else 0)
    file = Path(__file__).parent / "data/dialects/katib/grid.yaml"
    found = printed(capsys, "convert", str(file))
    assert {"metric", "searcher", "space"} <= found.keys()


def test_each_verb_has_json_and_examples() -> None:
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    for name, verb in verbs.choices.items():
        assert "example" in (verb.epilog or ""), name
        if name not in ("completion", "serve"):
            assert "--json" in listed_verbs(parser())[name][1], name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_are_scripts_of_their_shell(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "enqueue" in text
    if shutil.which(shell) is None:
        return
    (tmp_path / "it").write_text(text)
    subprocess.run([shell, "-n", str(tmp_path / "it")], check=True)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["enq"], {"enqueue"}),
        (["status", ""], {"cnn", "mlp"}),
        (["status", "cnn", "--j"], {"--json"}),
        (["stop", "cnn", "random-3", "--n"], {"--now"}),
    ],
)
def test_bash_completes_verbs_runs_and_options(
    words: list[str], found: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    for name in ("cnn", "mlp"):
        (tmp_path / "ray_results" / name).mkdir(parents=True)
    assert main(["completion", "bash"]) == 0
    listed = " ".join(f"'{word}'" for word in ["raysweep", *words])
    script = capsys.readouterr().out + (
        f"COMP_WORDS=({listed}); COMP_CWORD={len(words)}\n"
        '_raysweep; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash"], input=script, text=True, capture_output=True, cwd=tmp_path, check=True
    )
    assert set(done.stdout.split()) == found
