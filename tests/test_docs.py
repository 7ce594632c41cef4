"""The README and the pages of docs/: what they show is what there is, and their commands run.

Commands in blocks of `sh` run in the order of the pages, in one folder; a command that stands on
several pages runs once. If a block takes too long for this, a comment above it names the test that
runs its lines: <!-- run by tests/test_verbs.py -->. Blocks of `python` that import raysweep run,
too. The page about the file has a test of its own (`test_space_docs.py`), and so has the cluster
(`cluster/three_hosts.py`).
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.file.document import SpecificationError, parse
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [README, *DOCS]
FILE_PAGE = ROOT / "docs/reference/file-format.md"
COMMAND_LINE_PAGE = ROOT / "docs/reference/command-line.md"
LEDGER_PAGE = ROOT / "docs/reference/ledger.md"
CLUSTER_PAGE = ROOT / "docs/tutorials/cluster.md"
BLOCK = re.compile(r"^(?:<!-- run by (\S+) -->\n)?```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHORT = ["--set", "budget.trials=3", "--set", "budget.epochs=2", "--set", "parallel=1"]
"""Commands run as they are written, with a budget that a test can wait for."""
MINIMUM = {
    "trainable": "trainable: a:b",
    "metric": "metric: {name: loss, goal: minimize}",
    "budget": "budget: {epochs: 9, trials: 9}",
    "space": "space: {x: {float: [0, 1]}}",
}
"""What a block of YAML that shows only some keys needs to be a file."""


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[tuple[str, str, str]]:
    """The blocks of a page.

    Of each block: its language, the test that runs it elsewhere (or ""), and its content.
    """
    found = BLOCK.findall(page.read_text())
    return [(kind, elsewhere, text) for elsewhere, kind, text in found if kind in languages]


def commands(page: Path) -> list[str]:
    return [
        line
        for _, elsewhere, content in blocks(page, "sh")
        for line in content.splitlines()
        if not elsewhere
    ]


def scripts(page: Path) -> list[str]:
    """The blocks of Python that use raysweep. Others show a part of a train function."""
    return [content for _, _, content in blocks(page, "python") if "raysweep" in content]


def test_the_readme_is_one_page() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 200
    assert len(text.split()) <= 1200


@pytest.mark.parametrize("page", [README, ROOT / "docs/tutorials/your-own-training.md"], ids=named)
def test_the_example_is_the_file_and_at_most_30_lines(page: Path) -> None:
    train = (ROOT / "examples/quickstart/train.py").read_text()
    sweep = (ROOT / "examples/quickstart/sweep.yaml").read_text()
    assert train in [content for _, _, content in blocks(page, "python")]
    assert sweep in [content for _, _, content in blocks(page, "yaml")]
    assert len(train.splitlines()) <= 30


@pytest.mark.parametrize("page", [page for page in DOCS if page != FILE_PAGE], ids=named)
def test_every_yaml_block_can_be_part_of_a_file(page: Path, tmp_path: Path) -> None:
    for _, _, content in blocks(page, "yaml"):
        said = content.replace("metrics:", "metric:")
        lacking = [line for key, line in MINIMUM.items() if f"{key}:" not in said]
        path = tmp_path / "sweep.yaml"
        path.write_text("\n".join([*lacking, content]))
        assert read(str(path)).space.params
        assert parse(content, "sweep.yaml").data


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_python_block_is_python(page: Path) -> None:
    for _, _, content in blocks(page, "python"):
        ast.parse(content)


def test_the_mistake_that_is_shown_gives_this_message(tmp_path: Path) -> None:
    cnn = (ROOT / "search_spaces/cnn.yaml").read_text().splitlines()
    mistaken = [re.sub(r"\beta\b", "etta", line) for line in cnn if not line.startswith("#")]
    (tmp_path / "cnn.yaml").write_text("\n".join(mistaken))
    with pytest.raises(SpecificationError) as raised:
        load_sweep(str(tmp_path / "cnn.yaml"))
    message = str(raised.value).rpartition("/")[2]
    shown = (ROOT / "docs/tutorials/your-own-training.md").read_text()
    assert re.sub(r":\d+:", ":", message) in re.sub(r":\d+:", ":", shown)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_opens_with_one_word(page: Path) -> None:
    """What else follows the word would keep the site from seeing a block."""
    fences = [line for line in page.read_text().splitlines() if line.lstrip()[:3] == "```"]
    assert [fence for fence in fences if not re.fullmatch(r" *```\w*", fence)] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_table_stands_by_itself(page: Path) -> None:
    """A table that follows a line of text is text to Markdown."""
    shown = BLOCK.sub("", page.read_text()).splitlines()
    pairs = zip(["", *shown], shown, strict=False)
    assert not [line for before, line in pairs if line[:1] == "|" and before[:1] not in ("", "|")]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|src=\"([^\"]+)\"", page.read_text())
    for target in map("".join, links):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [page for page in DOCS if f": {page.relative_to(ROOT / 'docs')}" not in navigation]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_that_others_run_are_in_what_they_run(page: Path) -> None:
    assert page == CLUSTER_PAGE or not blocks(page, "bash", "shell", "console")
    for _, elsewhere, content in blocks(page, "sh"):
        if elsewhere:
            said = re.sub(r"\s+", " ", (ROOT / elsewhere).read_text())
            for line in content.splitlines():
                words = re.sub(r"\s+", " ", line.partition(" #")[0]).strip()
                assert words in said, f"{elsewhere} does not run {line}"


def test_the_page_about_the_command_line_has_every_verb_and_option(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = COMMAND_LINE_PAGE.read_text()
    sections = dict(re.findall(r"^## raysweep (\S+)\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.M))
    top = _help(capsys)
    assert all(verb in top for verb in sections)
    assert set(re.findall(r"^ {2,4}([a-z][a-z-]+) ", top, re.M)) <= set(sections)
    for verb, section in sections.items():
        options = set(re.findall(r"^ +(--[a-z][a-z-]+)", _help(capsys, verb), re.M))
        told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", section))
        assert options <= told, verb


def _help(capsys: pytest.CaptureFixture[str], *verb: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main([*verb, "--help"])
    return capsys.readouterr().out


def test_the_page_about_the_ledger_has_every_event() -> None:
    told = set(re.findall(r"`(\w+)`", LEDGER_PAGE.read_text()))
    ledgers = (ROOT / "tests/data/runs").rglob("ledger.jsonl")
    events = {name for path in ledgers for name in re.findall(r'"event":"(\w+)"', path.read_text())}
    assert len(events) >= 8
    assert events <= told


@pytest.mark.ray
@pytest.mark.examples
@pytest.mark.timeout(1800)
def test_the_commands_and_scripts_run(tmp_path: Path) -> None:
    for name in ("run_sweep.py", "examples", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    done: set[str] = set()
    for page in PAGES:
        for line in commands(page):
            command = line.partition(" #")[0].strip()
            if command and command not in done:
                run_command(command, tmp_path, named(page))
                done.add(command)
        for content in scripts(page):
            (tmp_path / "script.py").write_text(content)
            run([sys.executable, "script.py"], tmp_path, f"{named(page)}:\n{content}")


def run_command(command: str, folder: Path, page: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
    elif words[0] == "pip":
        assert "--editable" in (ROOT / "Makefile").read_text()
    else:
        run(shortened(words), folder, f"{page}: {command}")


def run(words: list[str], folder: Path, what: str) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'examples/quickstart'}",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{what}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, what


def shortened(words: list[str]) -> list[str]:
    """The command with a smaller budget. TensorBoard reads its files, and serves no page."""
    if words[0] == "tensorboard":
        return [*words, "--inspect"]
    trains = words[:2] in (["python", "run_sweep.py"], ["raysweep", "run"])
    if not trains or "--dry-run" in words:
        return words
    if "--resume" in words:  # the run keeps its small budget, or gets one more trial
        return [word.replace("budget.trials=80", "budget.trials=4") for word in words]
    return words + SHORT
