"""Hydra's sweeper sections: what their functions become, and how the script is told the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysweep.search_spaces.convert.convert_file import convert
from raysweep.search_spaces.convert.dialects import document_of
from raysweep.search_spaces.convert.hydra_grammar import (
    Call,
    GrammarError,
    Listed,
    Quoted,
    parse,
    written,
)
from raysweep.search_spaces.convert.hydra_sweeps import Choices, Interval, Steps, sweep
from raysweep.search_spaces.file.document import Document, SpecificationError
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal
from raysweep.tune.load import check_components, load_sweep
from tests.test_convert import notes_of, sample

SCRIPT, EPOCHS = "trainable=train.py", "budget.epochs=9"
METRIC = "metric={name: loss, goal: minimize}"
RUN_DIR = "hydra.run.dir={folder}"
OPTUNA = "defaults:\n  - override hydra/sweeper: optuna\nhydra:\n  sweeper:\n    params:\n"
BASIC = "hydra:\n  sweeper:\n    params:\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1_000", -1000),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("TRUE", True),
        ("null", None),
        ("007", "007"),
        ("10k", "10k"),
        ("torch.optim.Adam", "torch.optim.Adam"),
        ("x y", "x y"),
        (r"a\,b", "a,b"),
        ("[1, [a, 'b c']]", [1, ["a", Quoted("b c", "'b c'")]]),
        ("{a: 1, b: [2]}", {"a": 1, "b": [2]}),
        (r"'it\'s'", Quoted("it's", r"'it\'s'")),
        ("a,1,true", Listed(["a", 1, True])),
        ("range(1, 5, step=2)", Call("range", [1, 5], {"step": 2})),
        ("tag(log, interval(1, 2))", Call("tag", ["log", Call("interval", [1, 2])])),
        ("", ""),
    ],
)
def test_values_are_read_as_hydra_reads_them(text: str, value: Any) -> None:
    read = parse(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text", ["choice(1", "[1", "a(b", "'a", "{a}", "a=b", "1,", "é", "f(a=1, 2)", "[" * 99]
)
def test_what_hydra_cannot_read_is_an_error(text: str) -> None:
    with pytest.raises(GrammarError):
        parse(text)


@pytest.mark.parametrize(
    "value", [1, 0.001, True, None, "a", "a,b", "x: y", [1, "a b"], {"a": [1, None]}, "c:\\d"]
)
def test_what_is_written_reads_back(value: Any) -> None:
    assert parse(written(value)) == value


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("choice(1, '2', [3])", Choices([1, "2", [3]])),
        ("range(4)", Steps(0, 4)),
        ("range(1, 9, 2)", Steps(1, 9, 2)),
        ("interval(1, 9)", Interval(1.0, 9.0)),
        ("int(interval(1, 9))", Interval(1, 9)),
        ("tag(log, int(interval(1, 9)))", Interval(1, 9, frozenset({"log"}))),
        ("int(tag(log, interval(1, 9)))", Interval(1, 9, frozenset({"log"}))),
        ("shuffle(range(3))", Steps(0, 3, shuffled=True)),
        ("float(range(1, 3))", Steps(1.0, 3.0, 1.0)),
        ("sort(choice(3, 1))", Choices([1, 3])),
        ("bool(choice('true', 0))", Choices([True, False])),
        ("int(3.7)", 3),
        ("str(1)", "1"),
    ],
)
def test_functions_mean_what_they_mean_there(text: str, meaning: Any) -> None:
    assert sweep(text) == meaning


@pytest.mark.parametrize(
    "text",
    [
        "uniform(0, 1)",
        "choice()",
        "choice(null)",
        "choice(choice(1, 2), 3)",
        "interval(a, 1)",
        "interval(1)",
        "range(1, 2, nonsense=3)",
        "tag(log, 3)",
        "int(choice(a))",
        "shuffle([1, 2])",
        "[choice(1, 2)]",
        "sort(range(3), reverse=true)",
    ],
)
def test_a_sweep_that_means_nothing_is_an_error(text: str) -> None:
    with pytest.raises(GrammarError):
        sweep(text)


def test_a_range_without_its_end_is_counted_in_decimals() -> None:
    assert Steps(0, 0.3, 0.1).values() == [0.0, 0.1, 0.2]
    assert Steps(5, 0, -2).values() == [5, 3, 1]
    assert Steps(3, 3).values() == []
    assert Steps(0, 10, 4).values() == [0, 4, 8]
    for endless in (Steps(0, 1e9), Steps(0, 1, 0), Steps(0, float("inf"))):
        with pytest.raises(GrammarError):
            endless.values()


def test_a_sweep_of_optuna() -> None:
    said = sample("hydra/optuna.yaml", SCRIPT)
    assert said.space.params == {
        "model.optimizer.lr": Float(1e-5, 3e-2, log=True),
        "model.optimizer.weight_decay": Float(0.0, 1.0),
        "model.net.width": Int(16, 512, log=True),
        "model.net.depth": Int(2, 6),
        "model.net.dropout": Float(0.0, 0.5, step=0.1),
        "model.net.sizes": Choice(([64, 64], [128], [32, 32, 32])),
        "model.net.act": Choice(("relu", "gelu", "leaky relu")),
        "data.batch_size": Choice((32, 64, 128)),
        "trainer.gradient_clip_val": Choice((0.5, 1)),
    }
    assert said.content.metric.name == "val/f1_best"
    assert said.content.metric.goal == "maximize"
    assert said.document.data["searcher"] == {"name": "tpe", "startup": 8}
    assert (said.content.seed, said.content.parallel) == (11, 1)
    assert (said.content.budget.trials, said.content.budget.epochs) == (30, 12)
    assert said.content.scheduler == "none"
    assert said.document.data["script"] == {
        "options": "name=value",
        "names": {"trainer.gradient_clip_val": "+trainer.gradient_clip_val"},
        "arguments": ["hydra.run.dir={folder}", "~callbacks.early_stopping"],
    }


def test_hydras_own_sweeper_tries_every_combination() -> None:
    said = sample("hydra/grid.yaml", SCRIPT, METRIC)
    assert said.content.searcher == "grid"
    assert said.content.budget.trials == 2 * 3 * 3 * 3 * 2
    assert len(list(said.space.grid(3))) == 108
    assert said.space.params["seed"] == Int(1, 3, points=3)
    assert said.space.params["warmup"] == Float(0.0, 0.2, step=0.1, points=3)
    assert said.content.budget.epochs == 20
    assert said.document.data["script"]["arguments"] == ["hydra.mode=RUN", RUN_DIR]


def test_ranges_of_ax_and_of_nevergrad() -> None:
    said = sample("hydra/ax.yaml", SCRIPT, EPOCHS)
    assert said.space.params == {
        "net.width": Int(16, 256),
        "optim.lr": Float(1e-4, 1.0, log=True),
        "net.depth": Ordinal((1, 2, 4)),
    }
    assert said.space.constants == {"optim.name": "sgd"}
    assert (said.content.metric.goal, said.content.seed) == ("maximize", 3)
    assert "ends after 5 batches without a better trial" in notes_of(said.document)
    said = sample("hydra/nevergrad.yaml", SCRIPT, EPOCHS, "metric.name=loss")
    assert said.space.params == {
        "clip": Float(0.1, 10.0, log=True),
        "lr": Float(0.001, 1.0, log=True),
        "dropout": Float(0.0, 1.0),
        "width": Int(8, 64),
        "batch_size": Ordinal((16, 32, 64)),
        "depth": Choice((1, 2, 3)),
    }
    assert (said.content.budget.trials, said.content.parallel) == (60, 4)


def test_a_search_space_as_hydra_1_1_has_it() -> None:
    said = sample("hydra/search_space.yaml", SCRIPT, EPOCHS, "metric.name=loss")
    assert said.space.params == {
        "lr": Float(1e-4, 0.1, log=True),
        "momentum": Float(0.5, 0.9, step=0.1),
        "layers": Int(1, 4),
        "optimizer": Choice(("adam", "sgd")),
    }
    assert "13: 0.95 is no step of the range, which ends with 0.9" in notes_of(said.document)


def translated(text: str, path: Path) -> Document:
    """The text of a file as ours, after `convert` has printed it and read it back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    printed = convert(str(path), check_components)
    document = document_of(text, str(path), path.parent)
    assert document_of(printed, "ours.yaml", Path()).data == document.data
    return document


GROUP_FILE = """# @package _global_
defaults:
  - override /model: unet
  - override /hydra/sweeper: optuna
optimized_metric: val/loss
trainer: {max_epochs: 7}
hydra:
  mode: MULTIRUN
  sweeper:
    n_trials: 5
    direction: minimize
    params:
      model: choice(unet, vit)
      model.lr: interval(0.1, 0.2)
"""


def test_an_option_of_a_group_is_handed_to_the_script(tmp_path: Path) -> None:
    """With a plus where the configuration does not name the group among its defaults."""
    file = tmp_path / "configs" / "hparams_search" / "unet.yaml"
    document = translated(GROUP_FILE, file)
    assert document.data["script"]["arguments"] == [
        "+hparams_search=unet",
        "hydra.mode=RUN",
        RUN_DIR,
    ]
    assert document.data["budget"] == {"trials": 5, "epochs": 7}
    (tmp_path / "configs" / "train.yaml").write_text("defaults:\n  - hparams_search: null\n")
    document = translated(GROUP_FILE, file)
    assert document.data["script"]["arguments"] == [
        "hparams_search=unet",
        "hydra.mode=RUN",
        RUN_DIR,
    ]
    deeper = tmp_path / "configs" / "hparams_search" / "small" / "unet.yaml"
    document = translated(GROUP_FILE, deeper)
    assert document.data["script"]["arguments"][0] == "hparams_search=small/unet"


def test_the_command_of_a_hydra_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    translated(GROUP_FILE, tmp_path / "conf" / "hpo" / "unet.yaml")
    Path("train.py").touch()
    sweep = load_sweep("conf/hpo/unet.yaml", ["trainable=train.py"])
    assert sweep.command_line is not None
    config = sweep.space.from_unit([0.9, 0.0])
    assert sweep.command_line.words(config, {"folder": "/trial"}) == [
        "+hpo=unet",
        "hydra.mode=RUN",
        "hydra.run.dir=/trial",
        "model=vit",
        "model.lr=0.1",
    ]


def test_glob_takes_the_options_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "conf" / "db").mkdir(parents=True)
    for name in ("mysql", "postgres", "sqlite"):
        (tmp_path / "conf" / "db" / f"{name}.yaml").touch()
    text = BASIC + "      db: glob(*,exclude=s*)\n"
    document = translated(text, tmp_path / "conf" / "config.yaml")
    assert document.data["space"]["db"] == {"choice": ["mysql", "postgres"]}


def test_a_sweeper_that_the_project_names_elsewhere(tmp_path: Path) -> None:
    """The end of a range depends on the sweeper, so it must be known."""
    file = tmp_path / "conf" / "model" / "forest.yaml"
    text = BASIC + "      depth: range(2, 8)\n      rate: interval(0, 1)\n"
    with pytest.raises(SpecificationError, match="the file names no sweeper, on which the end"):
        translated(text, file)
    (tmp_path / "conf" / "config.yaml").write_text(
        "defaults:\n  - model: forest\n  - override hydra/sweeper: optuna\n"
    )
    document = translated(text, file)
    assert document.data["space"] == {"depth": {"int": [2, 8]}, "rate": {"float": [0.0, 1.0]}}
    assert "searcher" not in document.data
    assert "the sweeper is optuna, as the project's configuration says" in notes_of(document)


def test_a_reference_to_the_file_itself_is_filled_in(tmp_path: Path) -> None:
    text = "seed: 4\nbest: maximize\n" + OPTUNA.replace(
        "    params:", "    sampler: {seed: '${seed}'}\n    direction: ${best}\n    params:"
    )
    document = translated(text + "      lr: interval(0, ${seed})\n", tmp_path / "c.yaml")
    assert document.data["seed"] == 4
    assert document.data["metric"] == {"goal": "maximize"}
    assert document.data["space"] == {"lr": {"float": [0.0, 4.0]}}


def test_a_grid_of_optuna_leaves_the_end_of_a_range_out(tmp_path: Path) -> None:
    text = OPTUNA.replace("    params:", "    sampler: grid\n    n_trials: 50\n    params:")
    document = translated(
        text + "      x: range(1, 9, 2)\n      y: choice(a, b)\n", tmp_path / "c.yaml"
    )
    assert document.data["space"]["x"] == {"int": [1, 7], "step": 2, "points": 4}
    assert document.data["budget"] == {"trials": 8}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lr: uniform(0, 1)", "6: hydra.sweeper.params.lr: 'uniform(0, 1)' is nothing that Hydra"),
        ("lr: [1, 2]", "6: hydra.sweeper.params.lr: Hydra takes no list here; expected a"),
        ("lr: {type: float}", "6: hydra.sweeper.params.lr: Hydra takes no mapping here"),
        ("lr: ${other.lr}", "6: hydra.sweeper.params.lr: '${other.lr}' is filled in by Hydra"),
        ("lr: tag(log, interval(0, 1))", "6: hydra.sweeper.params.lr: a log range must lie above"),
        ("lr: range(5, 1)", "6: hydra.sweeper.params.lr: a range needs an end above its start"),
        ("'a b': 1", "6: hydra.sweeper.params.a b: 'a b' is no name of a value in Hydra"),
        ("db: glob(*)", "6: hydra.sweeper.params.db: glob chooses among the files of the group"),
        ("x: choice('a,b')", "6: hydra.sweeper.params.x: 'a,b' would be a sweep in itself"),
    ],
)
def test_a_parameter_that_cannot_be_said_is_refused_by_its_line(
    line: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(OPTUNA + f"      {line}\n")
    with pytest.raises(SpecificationError) as error:
        convert(str(path))
    assert str(error.value).startswith(f"{path}:{message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OPTUNA.replace("optuna", "smac"), "2: defaults.0: 'smac' has no equal here; expected one"),
        (
            OPTUNA.replace("    params:", "    direction: [minimize, maximize]\n    params:"),
            "5: hydra.sweeper.direction: several directions have no equal here",
        ),
        (
            OPTUNA.replace("    params:", "    custom_search_space: my.configure\n    params:"),
            "5: hydra.sweeper.custom_search_space: 'my.configure' has no equal here",
        ),
        (
            OPTUNA.replace("    params:", "    pruner: x\n    params:"),
            "5: hydra.sweeper.pruner: 'pruner' has no equal here",
        ),
        (BASIC, "2: hydra.sweeper: the sweeper has no params in this file"),
    ],
)
def test_a_sweeper_that_cannot_be_said_is_refused_by_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text + "      lr: choice(1, 2)\n" if text != BASIC else text)
    with pytest.raises(SpecificationError) as error:
        convert(str(path))
    assert str(error.value).startswith(f"{path}:{message}")
