"""The configuration file of a script: YAML, JSON or TOML, new or from a template."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from raysweep.placeholders import escaped
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.trainables.runtime.script.config_file import ConfigFile, TemplateError

ODD = ["yes", "no", "on", "1e-5", "010", "0x10", "12:30", "null", "~", "2024-01-01", "", "- a"]
ODD += ["a: b", "#x", ".5", "1_000", "=", "<<", "!x", "&a", "*a", "{a}", "[a", "%x", "'", '"', "\\"]
TEXT = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBERS = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
CONFIGS = st.dictionaries(st.sampled_from(["a", "b.c", "b.d", "b.e.f", "g-h", "i j"]), VALUES)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name, value in flat.items():
        *outer, last = name.split(".")
        inner = config
        for part in outer:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return config


def read_yaml_12(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@settings(max_examples=60, deadline=None)
@given(CONFIGS, CONFIGS)
def test_every_reader_reads_the_configuration_back(
    config: dict[str, Any], base: dict[str, Any]
) -> None:
    """`yaml.safe_load` is of YAML 1.1, where `yes` is true and `1e-05` a word."""
    for name, read, template in (
        ("c.yaml", yaml.safe_load, ConfigFile("t.yaml").text(base, {})),
        ("c.yml", read_yaml_12, ConfigFile("t.yaml").text(base, {})),
        ("c.json", json.loads, json.dumps(nested(base))),
        ("c.toml", tomllib.loads, ConfigFile("t.toml").text(base, {})),
    ):
        assert as_json(read(ConfigFile(name).text(config, {}))) == as_json(nested(config))
        replaced = ConfigFile(name, escaped(template)).text(config, {})
        assert as_json(read(replaced)) == as_json(nested(base | config)), name


def as_json(data: Any) -> str:
    """Data as text that tells 1 from 1.0 and from true; the order of keys is not told."""
    return json.dumps(data, sort_keys=True)


def test_null_is_said_or_left_out() -> None:
    assert ConfigFile("c.yaml").text({"a": None, "b": [None]}, {}) == "a: null\nb: [null]\n"
    assert json.loads(ConfigFile("c.json").text({"a": None}, {})) == {"a": None}
    toml = ConfigFile("c.toml", "a = 1\n[b]\nc = 2\nd = 3\n")
    assert tomllib.loads(toml.text({"a": None, "b.c": None}, {})) == {"b": {"d": 3}}
    with pytest.raises(TemplateError, match=r"c.toml: TOML has no null, so a list cannot hold it"):
        ConfigFile("c.toml").text({"a": [None]}, {})


TEMPLATE = """\
# the rate of Adam
lr: 1e-5   # a word to PyYAML, which must stay as it is
amp: yes
precise: 5.915044278245413e+16
opt: &opt {name: sgd, lr: 0.1}
copy: *opt
merged:
  <<: *opt
  data: !include data.yaml
  deep.key: 3
"""


def test_a_yaml_template_keeps_what_is_not_replaced() -> None:
    text = ConfigFile("c.yaml", TEMPLATE).text(
        {"lr": 1e-7, "merged.deep.key": "no", "merged.new.x": [1.5, "yes"]}, {}
    )
    assert text.splitlines() == [
        "# the rate of Adam",
        "lr: 1.0e-07 # a word to PyYAML, which must stay as it is",
        "amp: yes",
        "precise: 5.915044278245413e+16",
        "opt: &opt {name: sgd, lr: 0.1}",
        "copy: *opt",
        "merged:",
        "  <<: *opt",
        "  data: !include data.yaml",
        '  deep.key: "no"',
        "  new:",
        '    x: [1.5, "yes"]',
    ]


def test_a_parameter_goes_to_its_placeholder_or_to_its_key() -> None:
    file = ConfigFile("c.yaml", "rate: {lr}\nout: {folder}\nwidth: 1\n")
    text = file.text({"lr": 1e-5, "width": 8}, {"lr": "1e-05", "folder": "/x"})
    assert text == "rate: 1e-05\nout: /x\nwidth: 8\n"


def test_a_file_of_any_kind_is_filled_in() -> None:
    file = ConfigFile("c.py", 'lr = {lr}\nname = f"{{lr}}-{epochs}"\nd = {"a": {}}\n', "c")
    assert file.text({"lr": 0.1}, {"lr": "0.1", "epochs": "9"}) == (
        'lr = 0.1\nname = f"{lr}-9"\nd = {"a": {}}\n'
    )
    with pytest.raises(TemplateError, match=r"c has no place for the parameter 'width'"):
        file.text({"lr": 0.1, "width": 1}, {"lr": "0.1", "epochs": "9"})


def test_a_toml_template_keeps_its_dates() -> None:
    text = ConfigFile("c.toml", 'day = 2024-01-01\n[a."b c"]\nx = [{y = 1}]\n').text({"lr": 1}, {})
    assert text == 'day = 2024-01-01\nlr = 1\n[a."b c"]\nx = [{y = 1}]\n'


def test_it_is_written_into_the_trials_folder(tmp_path: Path) -> None:
    config = {"optimizer": {"args": {"lr": 0.5}}, "seed": 7, "skip": 1}
    how = CommandLine(names={"optimizer.args.lr": "rate", "skip": None})
    path = ConfigFile("conf/c.yaml").write(tmp_path, how.in_file(config), {})
    assert path == tmp_path / "conf/c.yaml"
    assert path.read_text() == "rate: 0.5\nseed: 7\n"
