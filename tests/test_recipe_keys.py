"""What a recipe needs from the configuration is known before it is trained, without torch."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from raysweep.trainables.runtime.import_trainable import TrainableError, check
from raysweep.trainables.runtime.recipe_keys import missing_key
from raysweep.tune.cli.app import main
from raysweep.tune.load import load_sweep

OF_ALL = {"batch_size", "optimizer", "lr"}
CALL = "train = rs.Recipe(build=build, data=lambda config: config['data'], loss=loss)"


def missing(build: str, *known: str, call: str = CALL) -> str | None:
    """The first key that is missing if the function `build` is in the file."""
    tree = ast.parse(f"{build}\n{call}\n")
    read = missing_key(tree, "train", OF_ALL | {"data"} | set(known))
    return read.key if read else None


@pytest.mark.parametrize(
    "body",
    [
        "    return Net(config['width'])",
        "    width: int = 2 * config['width']\n    return Net(width)",
        "    for _ in range(config['width']):\n        pass",
        "    if config['width'] > 3 or config['other']:\n        pass",
        "    print(config.get('other'))\n    return helper(config)",
        "    if config.get('other'):\n        log()\n    return [1 for _ in config['width']]",
    ],
)
def test_a_key_that_is_read_on_every_way_is_needed(body: str) -> None:
    helper = "def helper(given):\n    return given['width']\n"
    assert missing(f"{helper}def build(config):\n{body}") == "width"
    assert missing(f"{helper}def build(config):\n{body}", "width") is None


@pytest.mark.parametrize(
    "body",
    [
        "    return config['width'] if config.get('a') else 1",
        "    return config.get('width') or config['width']",
        "    if 'width' in config:\n        return config['width']",
        "    if 'width' not in config:\n        return 1\n    return config['width']",
        "    for name in ():\n        config['width']",
        "    try:\n        config['width']\n    except KeyError:\n        pass",
        "    config['width'] = 1\n    return config['width']",
        "    config.setdefault('width', 1)\n    return config['width']",
        "    fill(config)\n    return config['width']",
        "    config = fill(config)\n    return config['width']",
        "    return lambda: config['width']",
        "    return other['width']",
        "    return build(config)",
    ],
)
def test_a_key_that_may_not_be_read_is_not_needed(body: str) -> None:
    assert missing(f"def build(config):\n{body}") is None


def test_the_recipe_itself_needs_what_its_optimizer_reads() -> None:
    tree = ast.parse("train: rs.Recipe = Recipe(build, data, loss, evaluate)")
    assert [
        getattr(missing_key(tree, "train", known), "key", None)
        for known in (set(), {"batch_size"}, {"batch_size", "optimizer"}, OF_ALL)
    ] == ["batch_size", "optimizer", "lr", None]
    own = ast.parse("train = Recipe(build, data, loss, evaluate, make)")
    assert missing_key(own, "train", {"batch_size"}) is None
    assert missing_key(own, "other", set()) is None
    assert missing_key(ast.parse("train = make_recipe()"), "train", set()) is None


@pytest.mark.parametrize(
    ("name", "keys"),
    [("mlp", {"data", "layers", "width"}), ("cnn", {"data", "channels"})],
)
def test_what_ships_says_what_it_needs(name: str, keys: set[str]) -> None:
    needed = keys | OF_ALL
    check(f"{name}:train", needed)
    for key in needed:
        with pytest.raises(TrainableError, match=f"config\\['{key}'\\] .*the space has no '{key}'"):
            check(f"{name}:train", needed - {key})
    assert needed <= load_sweep(f"{name}.yaml").space.keys


def test_a_dry_run_names_it_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--space", "cnn.yaml", "--dry-run", "--set"]
    assert main([*words, "space={data: digits, chanels: 8, optimizer: sgd, lr: 1}"]) == 2
    line = "a Recipe reads config['batch_size'] (cnn.py:"
    [said] = capsys.readouterr().err.strip().splitlines()
    assert line in said
    space = "space={data: digits, chanels: 8, optimizer: sgd, lr: 1, batch_size: 8}"
    assert main([*words, space]) == 2
    [said] = capsys.readouterr().err.strip().splitlines()
    assert "`build` reads config['channels'] (cnn.py:" in said
    assert said.endswith("and the space has no 'channels'; did you mean 'chanels'?")


def test_keys_of_a_space_are_those_of_its_configurations(tmp_path: Path) -> None:
    space = (
        "space={a.b: 1, c: {float: [0, 1]}, d: {expr: 2 * c}, e: {choice: [1, 2], when: c > 0.5}}"
    )
    keys = load_sweep("cnn.yaml", [space]).space.keys
    assert {"a", "c", "d", "e"} <= keys
