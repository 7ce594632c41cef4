"""A specification file is read as it was meant, or refused in one line that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.file.document import SpecificationError, parse
from raysweep.search_spaces.file.reader import SHIPPED
from raysweep.search_spaces.file.writer import write
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, RangeOrValues

FILE = """\
# A comment.
trainable: trainables.cnn:train
metric: {name: val_accuracy, goal: maximize}
searcher: [grid, random, {name: bohb, random_fraction: 0.2}]
scheduler: {name: asha, type: stopping, grace: 1, eta: 3}
budget: {trials: 27, epochs: 9}
parallel: auto
seed: 0
resources: {cpu: 1, gpu: 0.25}
space:
  lr: {float: [1e-4, 1.0], log: true}
  channels: {int: [8, 64], step: 8}
  batch_size: {ordinal: [32, 64, 128]}
  optimizer: {choice: [sgd, adam]}
  data: digits
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def mistake(text: str, *overrides: str) -> str:
    """The one line in which reading `text` ends."""
    Path("s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SpecificationError) as error:
        read("s.yaml", overrides)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_the_file_of_the_documentation() -> None:
    Path("s.yaml").write_text(FILE)
    said = read("s.yaml")
    assert said.space.params == {
        "lr": Float(1e-4, 1.0, log=True),
        "channels": Int(8, 64, step=8),
        "batch_size": Ordinal((32, 64, 128)),
        "optimizer": Choice(("sgd", "adam")),
    }
    assert said.space.constants == {"data": "digits"}
    assert said.content.metric.goal == "maximize"
    assert said.content.budget.trials == 27


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_file_reads_by_its_name_and_says_how_it_is_run(path: Path) -> None:
    said = read(path.name)
    assert said.path == path
    assert read(path.stem).content == said.content
    comment = path.read_text().split("trainable:")[0]
    assert comment.startswith("# ")
    assert f"python run_sweep.py --space {path.name}" in comment


def test_a_path_comes_before_a_shipped_name() -> None:
    Path("cnn.yaml").write_text(FILE.replace("seed: 0", "seed: 7"))
    assert read("cnn.yaml").content.seed == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1e5", 1e5),
        ("-1.5", -1.5),
        ("on", "on"),
        ("no", "no"),
        ("true", True),
        ("12:30", "12:30"),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1_000", 1000),
        ("'1e-4'", "1e-4"),
        ("2001-01-01", "2001-01-01"),
        (".inf", float("inf")),
        ("~", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = parse(f"a: {text}", "s.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("yes", True),
        ("on", True),
        ("Off", False),
        ("y", "y"),
        ("010", 8),
        ("-010", -8),
        ("08", "08"),
        ("0b101", 5),
        ("0x1F", 31),
        ("0o10", "0o10"),
        ("1_000", 1000),
        ("12:30", 750),
        ("1:30.5", 90.5),
        ("'yes'", "yes"),
        ("!!str 12", "12"),
        ("!!float 1", 1.0),
        ("2001-01-01", "2001-01-01"),
        ("~", None),
    ],
)
def test_scalars_of_other_tools_are_those_of_yaml_1_1(text: str, value: Any) -> None:
    found = parse(f"a: {text}", "s.yaml", "1.1").data["a"]
    assert found == value
    assert type(found) is type(value)
    assert parse(f"%YAML 1.1\n---\na: {text}", "s.yaml").data["a"] == value


def test_a_merge_key_takes_over_what_is_not_written() -> None:
    text = """
a: &a {x: 1, y: 2}
b: &b {x: 5, z: {<<: *a, y: 0}}
one: {<<: *a, y: 7}
several: {<<: [*b, *a]}
quoted: {"<<": 3}
"""
    document = parse(text, "s.yaml")
    assert document.data["one"] == {"x": 1, "y": 7}
    assert document.data["several"] == {"x": 5, "y": 2, "z": {"x": 1, "y": 0}}
    assert document.data["quoted"] == {"<<": 3}
    assert document.place(("several", "y")) == "s.yaml:2"


def test_a_merged_parameter_of_our_own() -> None:
    x = "  lr: &a {float: [0, 1]}\n  again: {<<: *a, points: 3}\n"
    Path("s.yaml").write_text(FILE.replace(f"  lr: {LR}\n", x))
    assert read("s.yaml").space.params["again"] == Float(0, 1, points=3)


def test_merge_keys_that_grow_without_end_are_read() -> None:
    """Each level merges the one before ten times; the keys stay few, and so does the work."""
    levels = "\n".join(
        f"l{i}: &l{i} {{<<: [{', '.join([f'*l{i - 1}'] * 10)}]}}" for i in range(1, 40)
    )
    assert parse(f"l0: &l0 {{a: 1}}\n{levels}\n", "s.yaml").data["l39"] == {"a": 1}


def test_values_that_are_lists_mappings_and_null() -> None:
    more = """\
  sizes: {choice: [[64, 64], [128], null]}
  arch: {ordinal: [{kind: mlp, act: {name: relu}}, {kind: cnn}]}
  warmup: {int: [1, 9], or: [null]}
  betas: {value: [0.9, 0.999]}
  net.head: {value: {kind: linear}}
  nothing: {value: null}
"""
    Path("s.yaml").write_text(FILE + more)
    space = read("s.yaml").space
    assert space.params["sizes"] == Choice(([64, 64], [128], None))
    assert space.params["warmup"] == RangeOrValues((None,), Int(1, 9))
    assert space.constants["betas"] == [0.9, 0.999]
    for u in (0.0, 0.3, 0.6, 0.99):
        config = space.from_unit([u] * len(space))
        assert config in space
        assert space.from_unit(space.to_unit(config)) == config
    assert config["net"] == {"head": {"kind": "linear"}}
    assert config["nothing"] is None
    assert config["arch"] == {"kind": "cnn"}
    config["betas"].append(1)
    config["arch"]["kind"] = "changed"
    fresh = space.from_unit([0.99] * len(space))
    assert (fresh["betas"], fresh["arch"]) == ([0.9, 0.999], {"kind": "cnn"})


def test_a_number_in_a_list_is_not_another_of_the_same_value() -> None:
    Path("s.yaml").write_text(FILE.replace(OPTIMIZER, "{choice: [[1], [true], [1.0], {a: 1}]}"))
    param = read("s.yaml").space.params["optimizer"]
    assert isinstance(param, Choice)
    back = [param.from_unit(param.to_unit(value)) for value in ([1], [True], [1.0])]
    assert [type(value[0]) for value in back] == [int, bool, float]
    assert {"a": 1} in param
    assert {"a": True} not in param


def test_an_expression_about_a_value_that_may_be_a_list() -> None:
    """It has no value there, as with a word; where the value never is a number, it is refused."""
    mixed = (
        FILE.replace(OPTIMIZER, "{choice: [[1, 2], 3, null]}") + "  twice: {expr: 2 * optimizer}\n"
    )
    Path("s.yaml").write_text(mixed)
    space = read("s.yaml").space
    assert {space.sample(np.random.default_rng(i))["twice"] for i in range(20)} == {6}
    lists = mixed.replace("[[1, 2], 3, null]", "[[1], [2]]")
    assert mistake(lists).endswith(
        "in '2 * optimizer', 'optimizer' is a list, a mapping or null; expected a number"
    )


SCRIPT = FILE.replace("trainables.cnn:train", "train.py") + "script: {options: name=value}\n"


def test_a_script_section() -> None:
    Path("s.yaml").write_text(SCRIPT)
    script = read(
        "s.yaml", ["script.names.lr=learning-rate", "script.names.data=null"]
    ).content.script
    assert script is not None
    assert (script.options, script.values, script.flags) == ("name=value", "json", False)
    assert script.names == {"lr": "learning-rate", "data": None}


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("{option: none}", "unknown key 'option' in script; did you mean 'options'?"),
        (
            "{options: --name}",
            "script.options: expected '--name=value', '--name value', 'name=value' or 'none', "
            "got '--name'; did you mean '--name=value'?",
        ),
        ("{values: yaml}", "script.values: expected 'json', 'python' or 'hydra', got 'yaml'"),
        (
            "{flags: true, options: name=value}",
            "script: flags: expected options --name=value or --name value, got name=value",
        ),
        (
            "{options: none, names: {lr: x}}",
            "script: names: with options: none, no parameter has an option to name",
        ),
        (
            "{names: {chanels: x}}",
            "script.names: the space has no 'chanels'; did you mean 'channels'?",
        ),
        (
            "{names: {lr: --rate}}",
            "script.names.lr: expected the name of an option without dashes before it, "
            "spaces or '=', got '--rate'",
        ),
        (
            "{names: {lr: data}}",
            "script.names: 'lr' and 'data' have the same option, 'data'",
        ),
        (
            "{arguments: [--x, true]}",
            "script.arguments.1: expected a word, got true; in quotes it is one: 'true'",
        ),
    ],
)
def test_a_mistake_in_a_script_section_is_one_line(section: str, line: str) -> None:
    assert mistake(SCRIPT.replace("{options: name=value}", section)) == f"s.yaml:16: {line}"


def test_an_alias_means_what_it_points_to() -> None:
    assert parse("a: &x [1, 2]\nb: *x", "s.yaml").data == {"a": [1, 2], "b": [1, 2]}


LR, CHANNELS, OPTIMIZER = (
    "{float: [1e-4, 1.0], log: true}",
    "{int: [8, 64], step: 8}",
    "{choice: [sgd, adam]}",
)
BUDGET, SEARCHER, GPU = (
    "budget: {trials: 27, epochs: 9}",
    "searcher: [grid, random, {name: bohb, random_fraction: 0.2}]",
    "gpu: 0.25",
)

MISTAKES = [
    (
        BUDGET,
        "trials: 27",
        "s.yaml:6: unknown key 'trials' in the sweep; it belongs to budget: {trials: ...}",
    ),
    (
        BUDGET,
        f"{BUDGET}\nwidth: 64",
        "s.yaml:7: unknown key 'width' in the sweep; parameters and constants belong under space",
    ),
    ("space:", "params:", "s.yaml:10: unknown key 'params' in the sweep; it is called space"),
    (
        BUDGET,
        f"{BUDGET}\nplateau: {{patience: 3}}",
        "s.yaml:7: unknown key 'patience' in plateau; expected trials",
    ),
    (
        BUDGET,
        f"{BUDGET}\nconfirm: true",
        "s.yaml:7: confirm: expected a mapping such as {top: 3, seeds: 5}, got true",
    ),
    (
        "trials: 27",
        "trials: 1e3",
        "s.yaml:6: budget.trials: expected a whole number, got 1000.0; write 1000",
    ),
    (
        "goal: maximize",
        "goal: max",
        "s.yaml:3: metric.goal: expected 'minimize' or 'maximize', got 'max'; did you mean "
        "'maximize'?",
    ),
    (
        LR,
        "{min: 1e-4, max: 1.0, distribution: log_uniform}",
        "s.yaml:11: space.lr: no kind of parameter is written; expected {float: [0.0001, 1.0], "
        "log: true}",
    ),
    (
        CHANNELS,
        "{min: 8, max: 64}",
        "s.yaml:12: space.channels: no kind of parameter is written; expected {int: [8, 64]}",
    ),
    (
        OPTIMIZER,
        "{values: [sgd, adam]}",
        "s.yaml:14: space.optimizer: no kind of parameter is written; expected {choice: [sgd, "
        "adam]}",
    ),
    (
        LR,
        "{loguniform: [1e-4, 1.0]}",
        "s.yaml:11: space.lr: no kind of parameter is written; expected {float: [0.0001, 1.0], "
        "log: true}",
    ),
    (
        LR,
        "{float: [1e-4, 1.0], scale: log}",
        "s.yaml:11: unknown key 'scale' in space.lr; a log scale is log: true",
    ),
    (
        LR,
        "{expr: 5}",
        "s.yaml:11: space.lr.expr: expected an expression such as '4 * channels', got 5",
    ),
    (
        LR,
        "{float: [1e-4, 1.0], when: depth > 2}",
        "s.yaml:11: space.lr.when: unknown name 'depth' in 'depth > 2'; the space has data, lr, "
        "channels, batch_size, optimizer",
    ),
    (
        FILE,
        "a:\n\tb: 1",
        "s.yaml:2: not valid YAML: while scanning for the next token found "
        "character '\\t' that cannot start any token; indent with spaces",
    ),
    ("budget:", "bugdet:", "s.yaml:6: unknown key 'bugdet' in the sweep; did you mean 'budget'?"),
    (
        "trials: 27",
        "tirals: 27",
        "s.yaml:6: unknown key 'tirals' in budget; did you mean 'trials'?",
    ),
    (
        BUDGET,
        "budget: {trials: 27}",
        "s.yaml:6: missing key 'epochs' in budget; or steps, samples or seconds, with report_every",
    ),
    (
        BUDGET,
        "budget: {trials: 27, epochs: 9, steps: 500}",
        "s.yaml:6: budget: expected one length of a trial, got epochs and steps",
    ),
    (
        BUDGET,
        "budget: {trials: 27, steps: 10000}",
        "s.yaml:6: budget: with steps, report_every says how many of them lie between two reports, "
        "such as 500",
    ),
    (
        BUDGET,
        "budget: {trials: 27, steps: 10000, report_every: 3000}",
        "s.yaml:6: budget: steps: 10,000 is no multiple of report_every, 3,000; 9,000 or 12,000 "
        "would do",
    ),
    (
        BUDGET,
        "budget: {trials: 27, epochs: 3, report_every: 5}",
        "s.yaml:6: budget: report_every: 5 is more than all epochs of a trial, 3",
    ),
    (
        BUDGET,
        "budget: {steps: 10, report_every: 5, total_epochs: 9}",
        "s.yaml:6: budget: total_epochs: expected total_steps, because trials are measured in "
        "steps",
    ),
    (
        BUDGET,
        "budget: {seconds: 60, report_every: 5}",
        "s.yaml:6: budget: nothing ends the sweep; expected trials, total_seconds, time or worth",
    ),
    (
        BUDGET,
        "budget: {trials: 1, seconds: 60, report_every: 0}",
        "s.yaml:6: budget.report_every: expected more than 0, got 0",
    ),
    (
        "goal: maximize",
        "goal: maximize, pattern: '(acc'",
        "s.yaml:3: metric.pattern: '(acc' is not a regular expression: missing ), unterminated "
        "subpattern at position 0",
    ),
    (
        "goal: maximize",
        "goal: maximize, pattern: ['acc (.*)']",
        "s.yaml:3: metric.pattern.0: 'acc (.*)' has no named group; (?P<accuracy>[\\d.]+) reads a "
        "number as accuracy",
    ),
    (
        "goal: maximize",
        "goal: maximize, pattern: 'epoch\\n(?P<acc>.*)'",
        "s.yaml:3: metric.pattern: 'epoch\\n(?P<acc>.*)' spans lines; each line is matched by "
        "itself",
    ),
    (
        "goal: maximize",
        "goal: maximize, pattern: 3",
        "s.yaml:3: metric.pattern: expected a list, got 3",
    ),
    (
        "goal: maximize",
        "goal: maximize, last: 0",
        "s.yaml:3: metric.last: expected 1 or more, got 0",
    ),
    (
        BUDGET,
        "budget: {epochs: 9}",
        "s.yaml:6: budget: nothing ends the sweep; expected trials, total_epochs, time or worth",
    ),
    (
        BUDGET,
        "budget: 9",
        "s.yaml:6: budget: expected a mapping such as {trials: 20, epochs: 9}, got 9",
    ),
    (
        "metric: {name: val_accuracy, goal: maximize}\n",
        "metric: {name: val_accuracy, mode: max}\n",
        "s.yaml:3: unknown key 'mode' in metric; the metric says it: metric: {name: ..., goal: "
        "maximize}",
    ),
    (
        "metric: {name: val_accuracy, goal: maximize}\n",
        "metric: val_accuracy\n",
        "s.yaml:3: metric: expected a mapping such as {name: val_accuracy, goal: maximize}, got "
        "'val_accuracy'",
    ),
    (
        BUDGET,
        f"{BUDGET}\nseeds_per_trial: {{most: 1}}",
        "s.yaml:7: seeds_per_trial.most: expected 2 or more, got 1",
    ),
    (
        BUDGET,
        "budget: {epochs: 9, time: 3 hours}",
        "s.yaml:6: budget.time: expected seconds, or a duration such as 30m, 2h30m or 1d, got '3 "
        "hours'",
    ),
    (
        BUDGET,
        "budget: {epochs: 9, time: 0}",
        "s.yaml:6: budget.time: expected a duration above zero, got 0",
    ),
    ("trials: 27", "trials: 0", "s.yaml:6: budget.trials: expected 1 or more, got 0"),
    ("trials: 27", "trials: ten", "s.yaml:6: budget.trials: expected a whole number, got 'ten'"),
    ("trials: 27", "trials: 2.5", "s.yaml:6: budget.trials: expected a whole number, got 2.5"),
    (
        "metric: {name: val_accuracy, goal: maximize}\n",
        "",
        "s.yaml:2: missing key 'metric' in the sweep, as in metric: {name: val_loss, goal: "
        "minimize}",
    ),
    (
        "maximize",
        "maximise",
        "s.yaml:3: metric.goal: expected 'minimize' or 'maximize', got 'maximise'; did you mean "
        "'maximize'?",
    ),
    (
        "maximize",
        "maximize, target: high",
        "s.yaml:3: metric.target: expected a number, got 'high'",
    ),
    ("seed: 0", "seed: -1", "s.yaml:8: seed: expected 0 or more, got -1"),
    ("seed: 0", "seed: 0\nseed: 1", "s.yaml:9: duplicate key 'seed'"),
    ("seed: 0", "seed: true", "s.yaml:8: seed: expected a whole number, got true"),
    (
        "parallel: auto",
        "parallel: atuo",
        "s.yaml:7: parallel: expected a whole number or 'auto', got 'atuo'; did you mean 'auto'?",
    ),
    (GPU, "gpu: 1.5", "s.yaml:9: resources: gpu: a number above 1 must be whole, got 1.5"),
    (
        GPU,
        "spread: true",
        "s.yaml:9: resources: spread: expected workers: 2 or more; one process runs on one machine",
    ),
    (
        GPU,
        "workers: 2, gpu: auto, spread: true",
        "s.yaml:9: resources: spread: expected gpu as a number; what a process on another "
        "machine uses is not measured",
    ),
    (
        GPU,
        "workers: 2, gpu: 3, spread: true",
        "s.yaml:9: resources: spread: 3 GPUs cannot be divided evenly between 2 processes",
    ),
    (GPU, "gpu: -1", "s.yaml:9: resources.gpu: expected 0 or more or 'auto', got -1"),
    (GPU, "custom: {tpu: many}", "s.yaml:9: resources.custom.tpu: expected a number, got 'many'"),
    (
        SEARCHER,
        "searcher: 3",
        "s.yaml:4: searcher: expected a name, a mapping with a name, or a list of these, got 3",
    ),
    (SEARCHER, "searcher: []", "s.yaml:4: searcher: expected at least one value, got []"),
    (
        SEARCHER,
        "searcher: [grid, 4]",
        "s.yaml:4: searcher.1: expected a name or a mapping with a name, got 4",
    ),
    (
        SEARCHER,
        "searcher: {nam: bohb}",
        "s.yaml:4: missing key 'name' in searcher: "
        "say whose options these are, as in searcher: {name: tpe, startup: 10}",
    ),
    (
        LR,
        "{flaot: [1, 2]}",
        "s.yaml:11: space.lr: no kind of parameter is written; "
        "expected one of float, int, ordinal, choice, expr, value; did you mean 'float'?",
    ),
    (
        LR,
        "{float: [1.0, 1e-4]}",
        "s.yaml:11: space.lr: the bounds [1, 0.0001] are in the wrong order; expected [0.0001, 1]",
    ),
    (
        LR,
        "{float: [1.0, 1.0]}",
        "s.yaml:11: space.lr: the bounds [1, 1] leave one value; write it plainly, without braces",
    ),
    (
        LR,
        "{float: [0, 1], log: true}",
        "s.yaml:11: space.lr: a log range must lie above zero, got the lower bound 0",
    ),
    (
        LR,
        "{float: [0, 1], log: reverse}",
        "s.yaml:11: space.lr: a reverse log range must lie in 0 to 1, without 1, got [0, 1]",
    ),
    (
        LR,
        "{float: [0, 1], log: yes}",
        "s.yaml:11: space.lr.log: expected true or false or 'reverse', got 'yes'",
    ),
    (
        LR,
        "{float: [0, 1, 2]}",
        "s.yaml:11: space.lr.float: expected a list [low, high], got [0, 1, 2]",
    ),
    (LR, "{float: [0]}", "s.yaml:11: space.lr.float: expected a list [low, high], got [0]"),
    (LR, "{float: 3}", "s.yaml:11: space.lr.float: expected a list [low, high], got 3"),
    (
        LR,
        "{float: ['0', 1]}",
        "s.yaml:11: space.lr.float.0: expected a number, got '0'; without quotes it is a number: 0",
    ),
    (LR, "{float: [.nan, 1]}", "s.yaml:11: space.lr.float.0: expected a finite number, got nan"),
    (
        LR,
        "{float: [0, 1], lgo: true}",
        "s.yaml:11: unknown key 'lgo' in space.lr; did you mean 'log'?",
    ),
    (
        LR,
        "{float: [0, 1], or: [0.5]}",
        "s.yaml:11: space.lr: or: 0.5 lies in the range [0, 1] already",
    ),
    (LR, "{float: [0, 1], around: 2}", "s.yaml:11: space.lr: around: 2.0 is none of its values"),
    (
        LR,
        "{float: [0, 1], int: [0, 1]}",
        "s.yaml:11: space.lr: expected one kind of parameter; 'int' is another",
    ),
    (
        LR,
        "",
        "s.yaml:11: space.lr: expected a parameter such as {float: [0, 1]} or a plain value, got "
        "nothing",
    ),
    (
        LR,
        "[1, 2]",
        "s.yaml:11: space.lr: a list; write {choice: [1, 2]}, {ordinal: [1, 2]} or "
        "{float: [low, high]}; {value: [1, 2]} is a constant",
    ),
    (
        CHANNELS,
        "{int: [8, 64], step: 9}",
        "s.yaml:12: space.channels: step 9 from 8 misses the upper bound 64; 62 or 71 would do",
    ),
    (
        CHANNELS,
        "{int: [8, 64], step: 0}",
        "s.yaml:12: space.channels: step must be above zero, got 0",
    ),
    (
        CHANNELS,
        "{int: [8, 6.5]}",
        "s.yaml:12: space.channels.int.1: expected a whole number, got 6.5",
    ),
    (
        OPTIMIZER,
        "{choice: []}",
        "s.yaml:14: space.optimizer.choice: expected at least one value, got []",
    ),
    (OPTIMIZER, "{choice: [sgd, sgd]}", "s.yaml:14: space.optimizer: duplicate value 'sgd'"),
    (
        OPTIMIZER,
        "{choice: [[1, 2], [1, 2]]}",
        "s.yaml:14: space.optimizer: duplicate value [1, 2]",
    ),
    (
        OPTIMIZER,
        "{choice: [sgd, [.nan]]}",
        "s.yaml:14: space.optimizer.choice.1: expected a finite number, got nan",
    ),
    (
        LR,
        "{float: [-1.7e308, 1.7e308]}",
        "s.yaml:11: space.lr: the range [-1.7e+308, 1.7e+308] is wider than the largest number",
    ),
    (
        CHANNELS,
        f"{{int: [0, 1{'0' * 400}]}}",
        "s.yaml:12: space.channels: a bound has more than 300 digits",
    ),
    (
        OPTIMIZER,
        "{float: [0, 1], <<: 3}",
        "s.yaml:14: << merges mappings: expected one, or a list of them",
    ),
    (FILE, "a: &x {<<: *x}", "s.yaml:1: an alias that contains itself"),
    (
        "seed: 0",
        "script: {options: none}",
        "s.yaml:8: script: the trainable 'trainables.cnn:train' is a function; leave script out",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], when: lr = 3}",
        "s.yaml:14: space.optimizer.when: 'lr = 3' is not an expression: invalid syntax; equality "
        "is written ==",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], when: 3}",
        "s.yaml:14: space.optimizer.when: expected an expression, or names with the values (or "
        "lists of values) that they must have, got 3",
    ),
    (
        OPTIMIZER,
        "{ordinal: [1, .nan]}",
        "s.yaml:14: space.optimizer.ordinal.1: expected a finite number, got nan",
    ),
    (
        OPTIMIZER,
        "{float: [1]}",
        "s.yaml:14: space.optimizer.float: expected a list [low, high], got [1]",
    ),
    (
        OPTIMIZER,
        "{float: [1, 2], points: 1000000}",
        "s.yaml:14: space.optimizer.points: expected 100000 or less, got 1000000",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], when: channels > 100}",
        "s.yaml:14: space.optimizer.when: in 'channels > 100', 'channels' is never above 100; it "
        "is between 8 and 64",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], when: 32 > batch_size}",
        "s.yaml:14: space.optimizer.when: in '32 > batch_size', 'batch_size' is never below 32; "
        "it is between 32 and 128",
    ),
    (
        "  data: digits",
        "  data: {int: [1, 3], when: optimizer == adam}",
        "s.yaml:15: space.data.when: unknown name 'adam' in 'optimizer == adam'; the word is "
        "written 'adam', in quotes",
    ),
    (
        "  data: digits",
        "  a-b: {int: [1, 3]}\n  data: {int: [1, 3], when: a-b > 1}",
        "s.yaml:16: space.data.when: unknown name 'a' in 'a-b > 1'; the name 'a-b' cannot stand "
        "in an expression",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], when: if > 1}",
        "s.yaml:14: space.optimizer.when: 'if > 1' is not an expression: invalid syntax; the name "
        "'if' cannot stand in an expression",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], when: lr > 0.1 && channels > 8}",
        "s.yaml:14: space.optimizer.when: 'lr > 0.1 && channels > 8' is not an expression: "
        "invalid syntax; write `and`, `or`",
    ),
    (
        OPTIMIZER,
        "{expr: channels / 0}",
        "s.yaml:14: space.optimizer.expr: 'channels / 0' had a value in none of 1,000 draws",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], weights: [1]}",
        "s.yaml:14: space.optimizer: weights: expected one for each of the 2 values, got 1",
    ),
    (
        OPTIMIZER,
        "{choice: [a, b], weights: [0, 0]}",
        "s.yaml:14: space.optimizer: weights: expected numbers above 0, got [0.0, 0.0]; leave out "
        "what is never to be drawn",
    ),
    (
        "  data: digits",
        "  data: {choice: [{x: 1}, digits]}\n  data.x: 1",
        "s.yaml:16: space.data.x: 'data' is a mapping, so what it holds is said in its value",
    ),
    (
        "  data: digits",
        "  .data: digits",
        "s.yaml:15: space..data: a name must not be empty, nor begin or end with a dot",
    ),
    (
        OPTIMIZER,
        "{choice: [sgd, adam], when: chanels > 8}",
        "s.yaml:14: space.optimizer.when: unknown name 'chanels' in 'chanels > 8'; did you mean "
        "'channels'?",
    ),
    (
        OPTIMIZER,
        "{choice: [sgd, adam], when: {chanels: 8}}",
        "s.yaml:14: space.optimizer.when: unknown name 'chanels'; did you mean 'channels'?",
    ),
    (
        OPTIMIZER,
        "{choice: [sgd, adam], when: {channels: 9}}",
        "s.yaml:14: space.optimizer.when.channels: 'channels' is never 9; it is between 8 and 64",
    ),
    (
        OPTIMIZER,
        "{choice: [sgd, adam], when: channels + 1}",
        "s.yaml:14: space.optimizer.when: 'channels + 1' is neither true nor false; expected a "
        "comparison",
    ),
    (
        OPTIMIZER,
        "{expr: optimizer}",
        "s.yaml:14: space.optimizer: circular dependency between parameters: optimizer",
    ),
    (
        "space:",
        'constraints: ["channels > 8", "lr * lr < 1e-9"]\nspace:',
        "s.yaml:10: constraints: fewer than 1 in 10,000 configurations satisfy the constraints; "
        "'lr * lr < 1e-9' held in none of 1,000",
    ),
    (
        "space:",
        "space: [",
        "s.yaml:12: not valid YAML: while parsing a flow sequence expected ',' or ']', but got "
        "'<scalar>'",
    ),
    ("seed: 0", "seed: 0\n\tx: 1", "s.yaml:9: not valid YAML: "),
    (
        "seed: 0",
        "seed: !!python/name:os.system x",
        "s.yaml:8: the tag tag:yaml.org,2002:python/name:os.system is not known here; leave it out",
    ),
    ("seed: 0", "? [a]\n: 3", "s.yaml:8: a key must be a word"),
    ("seed: 0", "seed: \x01", "s.yaml:8: not valid YAML: special characters are not allowed"),
    ("seed: 0", f"seed: {'9' * 5000}", f"s.yaml:8: '{'9' * 40}' is not a number"),
    (FILE, "", "s.yaml:1: the file is empty; expected keys such as trainable, metric and space"),
    (
        FILE,
        "# nothing\n",
        "s.yaml:1: the file is empty; expected keys such as trainable, metric and space",
    ),
    (
        FILE,
        "- a\n",
        "s.yaml:1: expected a mapping of keys such as trainable, metric and space, got a list",
    ),
    (
        FILE,
        "words",
        "s.yaml:1: expected a mapping of keys such as trainable, metric and space, got a text "
        "without a key",
    ),
    (FILE, "a: &x [*x]", "s.yaml:1: an alias that contains itself"),
    (FILE, "[" * 600, "s.yaml:1: the file nests too deeply"),
    (
        FILE,
        "---\na: 1\n---\nb: 2\n",
        "s.yaml:3: not valid YAML: expected a single document in the stream but found another "
        "document",
    ),
]


@pytest.mark.parametrize(
    ("old", "new", "line"), MISTAKES, ids=[line[:60] for _, _, line in MISTAKES]
)
def test_every_mistake_is_one_line(old: str, new: str, line: str) -> None:
    assert old in FILE
    found = mistake(FILE.replace(old, new))
    assert found == line or (line.endswith(": ") and found.startswith(line))


def test_a_bomb_of_aliases_is_refused() -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 9))
    assert mistake(f"l0: &l0 [a]\n{levels}\n").endswith("the file has more than 100,000 parts")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cn.yaml", "cn.yaml: there is no such file; did you mean 'cnn.yaml'?"),
        (".", ".: is a directory; expected a YAML file"),
        ("", ": is a directory; expected a YAML file"),
    ],
)
def test_what_is_no_file(name: str, line: str) -> None:
    with pytest.raises(SpecificationError) as error:
        read(name)
    assert str(error.value).startswith(line)


def test_binary_content_is_refused_with_its_line() -> None:
    Path("s.yaml").write_bytes(b"a: 1\nb: \x89PNG")
    with pytest.raises(
        SpecificationError, match=r"^s.yaml:2: not a text file: byte 0x89 is not UTF-8$"
    ):
        read("s.yaml")


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("s.yaml").write_text(FILE)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SpecificationError, match=r"^s.yaml: cannot be read: Permission denied$"):
        read("s.yaml")


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("budget.trials=5", ("budget", "trials"), 5),
        ("seed=3", ("seed",), 3),
        ("space.data=fashion_mnist", ("space", "data"), "fashion_mnist"),
        ("space.lr=1e-3", ("space", "lr"), 1e-3),
        ("space.lr={float: [0, 1]}", ("space", "lr"), {"float": [0, 1]}),
        ("space.lr.log=false", ("space", "lr", "log"), False),
        ("searcher=[tpe]", ("searcher",), ["tpe"]),
        ("searcher.2.random_fraction=0.5", ("searcher", 2, "random_fraction"), 0.5),
        ("metric.target=0.9", ("metric", "target"), 0.9),
        ("plateau.trials=9", ("plateau", "trials"), 9),
        ("name='007'", ("name",), "007"),
    ],
)
def test_a_setting_overrides_a_key(setting: str, path: tuple[str | int, ...], value: Any) -> None:
    Path("s.yaml").write_text(FILE)
    found: Any = read("s.yaml", [setting]).document.data
    for part in path:
        found = found[part]
    assert found == value


def test_a_setting_reaches_options_of_what_was_only_named() -> None:
    Path("s.yaml").write_text(
        FILE.replace("{name: asha, type: stopping, grace: 1, eta: 3}", "asha")
    )
    assert read("s.yaml", ["scheduler.eta=4"]).document.data["scheduler"] == {
        "name": "asha",
        "eta": 4,
    }


def test_a_setting_finds_dotted_names() -> None:
    Path("s.yaml").write_text(FILE + "  model.width: {int: [1, 9]}\n")
    assert read("s.yaml", ["space.model.width.log=true"]).space.params["model.width"] == Int(
        1, 9, log=True
    )


def test_the_last_setting_wins() -> None:
    Path("s.yaml").write_text(FILE)
    assert read("s.yaml", ["seed=1", "seed=2"]).content.seed == 2


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("budget.trials=ten", "--set budget.trials: expected a whole number, got 'ten'"),
        (
            "bugdet.trials=3",
            "--set bugdet.trials: unknown key 'bugdet' in the sweep; did you mean 'budget'?",
        ),
        (
            "budget.tirals=3",
            "--set budget.tirals: unknown key 'tirals' in budget; did you mean 'trials'?",
        ),
        (
            "space.channels.step=9",
            "--set space.channels.step: space.channels: step 9 from 8 misses the upper bound 64; "
            "62 or 71 would do",
        ),
        (
            "searcher.7=grid",
            "--set searcher.7: expected an index of a list of 3, 0 to 2, got '7'",
        ),
        ("searcher=[grid", "--set searcher: not valid YAML: "),
        ("seed={a: 1, a: 2}", "--set seed: duplicate key 'a'"),
        ("seed", "--set seed: expected key=value, as in budget.trials=5"),
        ("=3", "--set =3: expected key=value, as in budget.trials=5"),
        (
            "space.data=",
            "--set space.data: expected a parameter such as {float: [0, 1]} or a plain value, got "
            "nothing",
        ),
    ],
)
def test_a_mistake_in_a_setting_names_the_setting(setting: str, line: str) -> None:
    found = mistake(FILE, setting)
    assert found == line or (line.endswith(": ") and found.startswith(line))


def test_zero_or_log_uniform() -> None:
    Path("s.yaml").write_text(
        FILE.replace(LR, "{float: [1e-6, 1e-2], log: true, or: [0], around: 1e-4}")
    )
    assert read("s.yaml").space.params["lr"] == RangeOrValues(
        (0,), Float(1e-6, 1e-2, log=True, around=1e-4)
    )


def test_parameters_are_decided_after_what_they_look_at() -> None:
    Path("s.yaml").write_text(
        FILE.replace(LR, "{float: [0, 1], when: width > 16}") + "  width: {expr: 2 * channels}\n"
    )
    space = read("s.yaml").space
    assert space.names == ("channels", "batch_size", "optimizer", "lr")
    assert "lr" not in space.from_unit([0.0, 0.5, 0.5, 0.5])
    assert "lr" in space.from_unit([1.0, 0.5, 0.5, 0.5])


def test_what_is_written_reads_back() -> None:
    data = parse(FILE, "s.yaml").data | {
        "odd": ["1e-4", "true", "12:30", 1e-5, 1e22, True, "a: b", "# no", ""]
    }
    assert parse(write(data), "s.yaml").data == data
