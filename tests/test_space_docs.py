"""docs/reference/file-format.md: its examples are read, its commands run, its messages are real."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.file.document import SpecificationError, parse
from raysweep.search_spaces.file.error_messages import keys
from raysweep.search_spaces.file.param_specs import (
    ChoiceSpec,
    ExprSpec,
    FloatSpec,
    IntSpec,
    OrdinalSpec,
    ValueSpec,
)
from raysweep.search_spaces.file.script_spec import ScriptSpec
from raysweep.search_spaces.language.params import PRIOR_WEIGHT, PRIOR_WIDTH, Float, RangeOrValues
from raysweep.search_spaces.language.space import MOST_DRAWS
from raysweep.trainables.runtime.script.launchers import with_free_port
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep
from tests.test_schema import VALIDATOR

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs/reference/file-format.md").read_text()
HEAD = "trainable: a:b\nmetric: {name: loss, goal: minimize}\nbudget: {epochs: 9, trials: 9}\n"
MISTAKES = """\
space:
  lr: {float: [1e-4, 1.0], log: 'yes'}
  channels: {int: [8, 64], stepp: 8}
  dropout: {float: [0, 0.5], step: 0.2}
  momentum: {float: [0, 0.9], when: optimiser == 3}
  decay: {float: [0, 1], when: {optimizer: adamw}}
  optimizer: {choice: [sgd, adam]}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_example_is_read(block: str, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(block if "trainable:" in block else HEAD + block)
    assert read(str(path)).space.params
    VALIDATOR.validate(parse(path.read_text(), "s.yaml").data)


def test_every_key_of_the_script_section_is_told_and_its_examples_are_called_so(
    tmp_path: Path,
) -> None:
    examples = [block for block in blocks("yaml") if "\nscript:" in block]
    sections = [parse(block, "s.yaml").data["script"] for block in examples]
    assert {key for section in sections for key in section} == set(keys(ScriptSpec))
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab/train.py").touch()
    (tmp_path / "train.py").touch()
    for block in examples:
        (tmp_path / "s.yaml").write_text(block)
        sweep = load_sweep(str(tmp_path / "s.yaml"))
        line = sweep.command_line
        assert line is not None
        config = sweep.space.from_unit([0.575, 0.1, 0.1, 0.9][: len(sweep.space)])
        config |= {"lr": 0.02} if "lr" in config else {}
        values = line.placeholders(config) | {
            "folder": "FOLDER",
            "config_file": "FOLDER/config.yaml",
        }
        script = ["-m", line.module] if line.module else ["train.py"]
        launcher = with_free_port(line.launcher or ["python"])
        said = shlex.join([*launcher, *script, *line.words(config, values)])
        assert f"`{said}`" in TEXT


def test_there_is_an_example_of_every_key_of_a_parameter() -> None:
    entries = [
        entry for block in blocks("yaml") for entry in parse(block, "s.yaml").data["space"].values()
    ]
    written = {key for entry in entries if isinstance(entry, dict) for key in entry}
    models = (FloatSpec, IntSpec, OrdinalSpec, ChoiceSpec, ExprSpec, ValueSpec)
    assert written == {key for model in models for key in keys(model)}


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_every_command_runs(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(line)
    assert main(["run", *words[2:]] if words[0] == "python" else words[1:]) == 0
    assert "space:\n" in capsys.readouterr().out


@pytest.mark.parametrize("line", blocks("text")[0].splitlines())
def test_every_message_is_what_the_mistake_gives(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other mistakes are taken out, and their lines left empty."""
    monkeypatch.chdir(tmp_path)
    number = int(line.split(":")[1]) - 4
    kept = [
        text if place in (0, number, 6) else "" for place, text in enumerate(MISTAKES.splitlines())
    ]
    Path("s.yaml").write_text(HEAD + "\n".join(kept) + "\n")
    with pytest.raises(SpecificationError) as error:
        read("s.yaml")
    assert str(error.value) == line


def test_the_line_for_editors_leads_to_the_schema() -> None:
    place = re.search(r"\$schema=(\S+)", blocks("yaml")[-1])
    assert place is not None
    assert (
        ROOT / "docs/reference" / place.group(1)
    ).resolve() == ROOT / "search_spaces/file/schema.json"


def test_numbers_that_are_written_are_those_of_the_code() -> None:
    assert f"{PRIOR_WIDTH} of the axis" in TEXT
    assert PRIOR_WEIGHT == 4 / 5
    assert "4 in 5" in TEXT
    assert f"1 in {MOST_DRAWS:,}" in TEXT
    zero = RangeOrValues((0,), Float(1e-6, 1e-2, log=True))
    assert [zero.from_unit(u) for u in (0.0, 0.1999)] == [0, 0]
    assert zero.from_unit(0.2001) != 0
