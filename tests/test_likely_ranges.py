"""A text of the space that looks like a range is refused with the form that was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

import raysweep as rs
from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.drafting.param_words import entry_of
from raysweep.search_spaces.file.document import SpecificationError, parse
from raysweep.search_spaces.file.likely_ranges import likely_range
from raysweep.search_spaces.file.param_specs import Entry
from raysweep.tune.load import load_run_sweep

FILE = """\
trainable: train.py
metric: {name: loss, goal: minimize}
budget: {trials: 3, epochs: 2}
searcher: random
space:
  x: {float: [0, 1]}
  lr: %s
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("")


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("loguniform(1e-4, 1e-1)", "{float: [1e-4, 1e-1], log: true}"),
        ("tune.uniform(0, 1)", "{float: [0, 1]}"),
        ("orion~loguniform(1e-5, 1.0)", "{float: [1e-5, 1.0], log: true}"),
        ("uniform(low=-1, high=1)", "{float: [-1, 1]}"),
        ("trial.suggest_float('lr', 1e-5, 1e-1, log=True)", "{float: [1e-5, 1e-1], log: true}"),
        ("Real(1e-4, 1e-1, prior='log-uniform')", "{float: [1e-4, 1e-1], log: true}"),
        ("randint(1, 10)", "{int: [1, 10]}"),
        ("tune.grid_search([32, 64])", "{choice: [32, 64]}"),
        ("hp.choice('act', ['relu', 'gelu'])", "{choice: ['relu', 'gelu']}"),
        ("1e-4 - 1e-1", "{float: [1e-4, 1e-1], log: true}"),
        ("1e-4-1.0", "{float: [1e-4, 1.0], log: true}"),
        ("0.1 to 0.5", "{float: [0.1, 0.5]}"),
        ("1e-1 - 1e-4", "{float: [1e-4, 1e-1], log: true}"),
        ("-1..-0.5", "{float: [-1, -0.5]}"),
        ("2-8", "{int: [2, 8]}"),
        ("16..256:16", "{int: [16, 256], step: 16}"),
        ("0.5..0.99:reverse", "{float: [0.5, 0.99], log: reverse}"),
    ],
)
def test_what_a_text_means_is_an_entry_of_the_file_and_of_the_command_line(
    text: str, entry: str
) -> None:
    found = likely_range(text)
    assert found is not None
    assert found.entry == entry
    data = parse(f"x: {entry}", "entry").data["x"]
    TypeAdapter(Entry).validate_python(data)
    assert entry_of(f"x={found.words}{':choice' if found.kind == 'choice' else ''}") == data


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("hp.loguniform('lr', -9, -2)", "{float: [low, high], log: true}"),
        ("np.random.normal(0, 1)", "{float: [low, high]}"),
        ("uniform(a, b)", "{float: [low, high]}"),
    ],
)
def test_ends_that_a_text_does_not_say_are_left_open(text: str, entry: str) -> None:
    found = likely_range(text)
    assert found is not None
    assert found.entry == entry


@pytest.mark.parametrize(
    "text",
    [
        "adam",
        "1e-3",
        "2024-01",
        "2024-01-31",
        "01-02",
        "3-1",
        "5-5",
        "resnet-50",
        "data/1-2.txt",
        "../data",
        "cuda:0",
        "12:30",
        "float(32)",
        "uniform()",
        "F(2, 3)",
        "32,64",
        "[0.9, 0.999]",
        "",
    ],
)
def test_an_ordinary_text_is_a_constant(text: str) -> None:
    assert likely_range(text) is None
    Path("s.yaml").write_text(FILE % f"'{text}'")
    assert read("s.yaml").space.constants == {"lr": text}


def test_a_file_is_refused_in_one_line_and_the_text_itself_can_be_meant() -> None:
    Path("s.yaml").write_text(FILE % "1e-4 - 1e-1")
    with pytest.raises(SpecificationError) as error:
        read("s.yaml")
    assert str(error.value) == (
        "s.yaml:7: space.lr: '1e-4 - 1e-1' is a text, the same for every trial; expected {float: "
        "[1e-4, 1e-1], log: true}, or {value: '1e-4 - 1e-1'} if the text itself is meant"
    )
    found = read("s.yaml", ["space.lr={value: '1e-4 - 1e-1'}"])
    assert found.space.constants == {"lr": "1e-4 - 1e-1"}
    with pytest.raises(SpecificationError, match=r"^--set space\.lr: '1e-4\.\.1' is a text"):
        read("s.yaml", ["space.lr=1e-4..1"])


def test_python_is_refused_alike() -> None:
    with pytest.raises(rs.UserError, match=r"space\.lr: 'uniform\(0, 1\)' is a text"):
        rs.Sweep(
            trainable="train.py",
            space={"lr": "uniform(0, 1)"},
            metric="loss",
            budget={"trials": 1, "epochs": 1},
        )


def test_a_run_of_an_earlier_version_keeps_such_a_constant(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(FILE % "1e-4 - 1e-1")
    assert load_run_sweep(tmp_path).space.constants == {"lr": "1e-4 - 1e-1"}


def test_a_constant_of_another_tool_stays_one() -> None:
    Path("w.yaml").write_text(
        "program: train.py\nmethod: random\nmetric: {name: loss, goal: minimize}\n"
        "parameters: {lr: {value: 0-3}, x: {min: 0.0, max: 1.0}}\n"
    )
    said = read("w.yaml", ["budget.trials=1", "budget.epochs=1"])
    assert said.space.constants == {"lr": "0-3"}
