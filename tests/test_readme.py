"""What the README says: its examples are the files that it shows, and its commands run, in the order in which they stand there.

A block of commands that needs more says in which file its lines stand and are run: "```sh run-by=tests/test_verbs.py".
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.search_spaces.file.document import SpecificationError
from raysweep.tune.load import load_sweep

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: run-by=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHORT = ["--set", "budget.trials=3", "--set", "budget.epochs=2", "--set", "parallel=1"]
"""Commands are run as they are written, with a budget that a test can wait for."""


def blocks(language: str) -> list[tuple[str, str]]:
    return [
        (elsewhere, content)
        for found, elsewhere, content in BLOCK.findall(TEXT)
        if found == language
    ]


def commands() -> list[str]:
    return [
        line
        for elsewhere, content in blocks("sh")
        for line in content.splitlines()
        if not elsewhere
    ]


def test_the_example_is_the_file_and_at_most_30_lines() -> None:
    example = (ROOT / "examples/quickstart/train.py").read_text()
    assert example in [content for _, content in blocks("python")]
    assert len(example.splitlines()) <= 30
    assert (ROOT / "examples/quickstart/sweep.yaml").read_text() in [
        content for _, content in blocks("yaml")
    ]


def test_the_file_that_is_explained_is_one(tmp_path: Path) -> None:
    shown = next(content for _, content in blocks("yaml") if "tpe" in content)
    (tmp_path / "s.yaml").write_text(shown)
    sweep = load_sweep(str(tmp_path / "s.yaml"), ["searcher=[random, tpe]"])
    assert list(sweep.searchers) == ["random", "tpe"]
    lines = [
        line
        for line in (ROOT / "search_spaces/cnn.yaml")
        .read_text()
        .replace("eta", "etta")
        .splitlines()
        if line[:1] != "#"
    ]
    (tmp_path / "cnn.yaml").write_text("\n".join(lines).replace("betta", "beta"))
    with pytest.raises(SpecificationError) as raised:
        load_sweep(str(tmp_path / "cnn.yaml"))
    message = str(raised.value).rpartition("/")[2]
    assert re.sub(r":\d+:", ":", message) in re.sub(r":\d+:", ":", TEXT)


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", TEXT):
        place = "".join(target)
        assert place.startswith("https://") or (ROOT / place).exists(), place


def test_commands_that_others_run_are_in_what_they_run() -> None:
    for place, content in blocks("sh"):
        if place:
            said = re.sub(r"\s+", " ", (ROOT / place).read_text())
            for line in content.splitlines():
                assert re.sub(r"\s+", " ", line.partition(" #")[0]).strip() in said, (
                    f"{place} does not run {line}"
                )


@pytest.mark.ray
@pytest.mark.examples
@pytest.mark.timeout(400)
def test_its_commands_run(tmp_path: Path) -> None:
    for name in ("run_sweep.py", "examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    for line in commands():
        words = shlex.split(line.partition(" #")[0])
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
        elif words[0] == "pip":
            assert "--editable" in (ROOT / "Makefile").read_text()
        elif words:
            done = subprocess.run(
                short(words),
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            assert "Traceback" not in done.stderr
    lines = next(
        content for _, content in blocks("python") if "from raysweep import load" in content
    )
    code = f"{lines}\nassert len(run.trials) >= 9 and len(run.curves) > 9\nassert run.best.checkpoint.exists()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def short(words: list[str]) -> list[str]:
    """The command with a smaller budget; a server's, with the option that has it look at its files and end."""
    if words[0] == "tensorboard":
        return [*words, "--inspect"]
    trains = words[:2] in (["python", "run_sweep.py"], ["raysweep", "run"])
    return words + SHORT if trains and "--dry-run" not in words else words
