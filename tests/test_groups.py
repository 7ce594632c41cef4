"""Names that have a value of their own although others lie in them, as Hydra's groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import raysweep as rs
from raysweep.history import History, Trial
from raysweep.search_spaces.file.document import SpecificationError
from raysweep.search_spaces.language.space import flatten, nest, parents
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.tune.load import load_sweep
from raysweep.tune.searchers import SEARCHERS
from raysweep.tune.sweep import Sweep

FILE = """\
trainable: train.py
metric: {name: loss, goal: minimize}
budget: {trials: 4, epochs: 1}
script: {options: name=value}
space:
  trainer: cpu
  trainer.max_epochs: 2
  optimizer: {choice: [sgd, adam]}
  optimizer.lr: {float: [0.1, 0.2]}
  optimizer.args.momentum: {float: [0.5, 0.9], when: optimizer == 'sgd'}
constraints: [optimizer.lr < 0.19 or optimizer == 'sgd']
"""
NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").touch()
    Path("s.yaml").write_text(FILE)


@given(st.sets(NAMES, min_size=1))
def test_any_names_are_nested_and_come_back(names: set[str]) -> None:
    flat = {name: number for number, name in enumerate(sorted(names))}
    groups = {parent for name in names for parent in parents(name)} & names
    assert flatten(nest(flat, groups)) == flat


@pytest.mark.usefixtures("here")
def test_a_member_keeps_its_whole_name() -> None:
    space = load_sweep("s.yaml").space
    config = space.from_unit([0.0, 0.5, 0.5])
    assert config == {
        "trainer": "cpu",
        "trainer.max_epochs": 2,
        "optimizer": "sgd",
        "optimizer.lr": pytest.approx(0.15),
        "optimizer.args.momentum": pytest.approx(0.7),
    }
    assert config in space
    np.testing.assert_allclose(space.to_unit(config), [0.25, 0.5, 0.5])
    assert CommandLine(options="name=value").words(config)[:3] == [
        "trainer=cpu",
        "trainer.max_epochs=2",
        "optimizer=sgd",
    ]


@pytest.mark.usefixtures("here")
def test_python_says_the_same() -> None:
    space = {
        "trainer": "cpu",
        "trainer.max_epochs": 2,
        "optimizer": rs.Choice(["sgd", "adam"]),
        "optimizer.lr": rs.Float(0.1, 0.2),
        "optimizer.args": {"momentum": rs.Float(0.5, 0.9, when="optimizer == 'sgd'")},
    }
    sweep = rs.Sweep(
        "train.py",
        space,
        metric={"name": "loss", "goal": "minimize"},
        budget={"trials": 4, "epochs": 1},
        script={"options": "name=value"},
        constraints=["optimizer.lr < 0.19 or optimizer == 'sgd'"],
    )
    said = YAML(typ="safe", pure=True).load(sweep.to_yaml())
    assert said["space"] == load_sweep("s.yaml").resolved["space"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("name", sorted(SEARCHERS))
def test_every_searcher_searches_it(name: str) -> None:
    sweep = load_sweep("s.yaml", [f"searcher={name}"])
    study = sweep.studies()[0]
    history = History((1,), False)
    for number in range(14):  # past the random trials that each model begins with
        config = study.searcher.suggest(sweep.space, history, study.seed)
        if config is None:
            assert name == "grid"
            break
        assert config in sweep.space
        history.add(Trial(number, study.name, config, 0))
        history.start(number)
    assert len(history) >= 9


def space_of(setting: str) -> Sweep:
    return load_sweep("s.yaml", [setting])


@pytest.mark.usefixtures("here")
def test_a_setting_adds_a_member_to_a_plain_value() -> None:
    assert space_of("space.trainer.precision=16").space.constants["trainer.precision"] == 16
    assert "trainer.width" in space_of("space.trainer.width={int: [1, 4]}").space.params
    assert "trainer.depth" in space_of("space.trainer.depth.int=[1, 4]").space.params
    with pytest.raises(SpecificationError, match=r"unknown key 'stepp' in space.optimizer.lr"):
        space_of("space.optimizer.lr.stepp=0.1")


@pytest.mark.usefixtures("here")
def test_a_mapping_says_itself_what_it_holds() -> None:
    text = FILE.replace("trainer: cpu", "trainer: {choice: [{max_epochs: 1}, cpu]}")
    Path("s.yaml").write_text(text)
    with pytest.raises(
        SpecificationError, match=r"s.yaml:7: space.trainer.max_epochs: 'trainer' is a mapping"
    ):
        load_sweep("s.yaml")
