"""The shipped JSON Schema is current, agrees with the reader, and accepts every shipped file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pydantic
import pytest

from raysweep.schedulers import SCHEDULERS
from raysweep.search_spaces.file.document import parse
from raysweep.tune import json_schema
from raysweep.tune.load import options_of
from raysweep.tune.searchers import SEARCHERS
from tests.test_reader import FILE

ROOT = Path(__file__).parents[1]
SHIPPED: dict[str, Any] = json.loads(json_schema.PATH.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SHIPPED)


def specifications() -> list[Path]:
    """Every YAML file of the repository that describes a sweep to this version of raysweep."""
    found = [
        path
        for path in ROOT.rglob("*.yaml")
        if not any(
            part.startswith(".") or part in ("ray_results", "dialects", "runs")
            for part in path.parts
        )
    ]
    return sorted(path for path in found if "\nspace:" in path.read_text(encoding="utf-8"))


@pytest.mark.skipif(
    pydantic.VERSION.startswith("2.10."), reason="pydantic 2.10 writes 0.0 where later ones write 0"
)
def test_the_schema_is_current() -> None:
    assert json_schema.PATH.read_text(encoding="utf-8") == json_schema.text(), (
        "an option changed: python -m raysweep.tune.json_schema writes the schema anew"
    )


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SHIPPED)


@pytest.mark.parametrize("path", specifications(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_specification_in_the_repository_meets_it(path: Path) -> None:
    VALIDATOR.validate(parse(path.read_text(encoding="utf-8"), path.name).data)


def test_there_are_specifications_to_check() -> None:
    assert {"cnn.yaml", "mlp.yaml"} <= {path.name for path in specifications()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("budget:", "bugdet:"),
        ("trials: 27", "tirals: 27"),
        ("trials: 27", "trials: ten"),
        ("maximize", "maximise"),
        ("eta: 3", "etta: 3"),
        ("eta: 3", "eta: three"),
        ("eta: 3", "eta: 1"),
        ("name: asha", "name: ahsa"),
        ("[grid, random,", "[grid, rondom,"),
        ("random_fraction: 0.2", "random_fraction: 2"),
        ("float: [1e-4, 1.0]", "flaot: [1e-4, 1.0]"),
        ("float: [1e-4, 1.0]", "float: [1e-4]"),
        ("log: true", "lgo: true"),
        ("{choice: [sgd, adam]}", "[sgd, adam]"),
        ("parallel: auto", "parallel: atuo"),
    ],
)
def test_what_an_editor_marks(old: str, new: str) -> None:
    assert VALIDATOR.is_valid(parse(FILE, "s.yaml").data)
    assert not VALIDATOR.is_valid(parse(FILE.replace(old, new), "s.yaml").data)


@pytest.mark.parametrize(
    "entry",
    [
        "{float: [0, 1], log: reverse, or: [0, none], around: 0.5, when: {optimizer: [sgd, adam]}}",
        "{int: [1, 9], step: 2, ends: half, when: channels > 8}",
        "{ordinal: [1, 2, 4], weights: [1, 2, 1]}",
        "{choice: [a, 1, true, 0.5], weights: [1, 2, 3, 4]}",
        "{choice: [[1, 2], {a: [b]}, null]}",
        "{value: [1, 2]}",
        "{value: null}",
        "{expr: 4 * channels}",
        "true",
    ],
)
def test_every_kind_of_parameter_is_known_to_it(entry: str) -> None:
    VALIDATOR.validate(parse(f"{FILE}  more: {entry}\n", "s.yaml").data)


def test_the_script_section_is_known_to_it() -> None:
    script = (
        "script: {options: name=value, flags: false, names: {lr: x, data: null}, arguments: [a]}"
    )
    VALIDATOR.validate(parse(f"{FILE}{script}\n", "s.yaml").data)
    for wrong in ("{options: name}", "{flags: 1}", "{option: none}", "{names: {lr: 3}}"):
        assert not VALIDATOR.is_valid(parse(f"{FILE}script: {wrong}\n", "s.yaml").data)


@pytest.mark.parametrize(("what", "registry"), [("searcher", SEARCHERS), ("scheduler", SCHEDULERS)])
def test_every_option_is_offered(what: str, registry: dict[str, type[Any]]) -> None:
    for name, kind in registry.items():
        assert set(SHIPPED["$defs"][f"{what}.{name}"]["properties"]) == {"name", *options_of(kind)}
