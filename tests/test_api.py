"""`raysweep.Sweep`: the keys and the errors of a file, and train functions from everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raysweep as rs
from raysweep.history import Config, History
from raysweep.search_spaces.file.python_form import METRIC_WORDS
from raysweep.search_spaces.file.sweep_spec import SweepSpec
from raysweep.search_spaces.language.space import Space
from raysweep.trainables.runtime import pickled_function
from raysweep.trainables.runtime.import_trainable import TrainableError, load
from raysweep.trainables.runtime.run import LocalRun
from raysweep.tune.load import load_sweep
from raysweep.tune.make_job import for_workers
from raysweep.tune.searchers.tpe import Tpe
from raysweep.tune.specification import Keys
from raysweep.tune.train_function import TrainFunction, train_function
from tests import trainables

SPACE = {"x": rs.Float(0, 1)}
WIDTH = 3


def made(**changes: Any) -> rs.Sweep:
    keys: dict[str, Any] = {
        "trainable": trainables.bowl,
        "space": SPACE,
        "metric": "loss",
        "budget": {"trials": 2, "epochs": 3},
    }
    return rs.Sweep(**keys | changes)


def from_yaml(text: str, folder: Path) -> dict[str, Any]:
    path = folder / "sweep.yaml"
    path.write_text(text)
    return dict(load_sweep(str(path)).resolved)


def test_it_says_what_the_file_says(tmp_path: Path) -> None:
    sweep = made(
        space={
            "lr": rs.Float(1e-4, 1.0, log=True, around=0.1),
            "dropout": rs.Float(0.1, 0.5, or_=[0.0], step=0.1),
            "layers": rs.Int(1, 4, points=2),
            "bs": rs.Ordinal([16, 32, 64], around=32),
            "opt": rs.Choice(("sgd", "adam"), weights=[2, 1]),
            "momentum": rs.Float(0.5, 0.999, log="reverse", when={"opt": "sgd"}),
            "net": {"width": {"int": [8, 64], "log": True}, "act": rs.Choice(["relu", "tanh"])},
            "params": {"expr": "layers * bs"},
            "data": "digits",
            "size": np.int64(8),
        },
        constraints=["params < 200"],
        searcher=["random", {"name": "tpe", "startup": 4}],
        scheduler={"name": "median"},
        budget={"trials": 5, "epochs": 9, "time": "2h"},
        metric={"name": "loss", "goal": "minimize", "target": 0.1},
        seeds=2,
        resources={"cpu": 2},
        checkpoints={"keep": 3},
    )
    assert from_yaml(sweep.to_yaml(), tmp_path) == dict(sweep._sweep.resolved)
    text = """
trainable: tests.trainables:bowl
space:
  lr: {float: [1e-4, 1.0], log: true, around: 0.1}
  dropout: {float: [0.1, 0.5], or: [0.0], step: 0.1}
  layers: {int: [1, 4], points: 2}
  bs: {ordinal: [16, 32, 64], around: 32}
  opt: {choice: [sgd, adam], weights: [2, 1]}
  momentum: {float: [0.5, 0.999], log: reverse, when: {opt: sgd}}
  net.width: {int: [8, 64], log: true}
  net.act: {choice: [relu, tanh]}
  params: {expr: layers * bs}
  data: digits
  size: 8
constraints: [params < 200]
searcher: [random, {name: tpe, startup: 4}]
scheduler: {name: median}
budget: {trials: 5, epochs: 9, time: 2h}
metric: {name: loss, goal: minimize, target: 0.1}
seeds: 2
resources: {cpu: 2}
checkpoints: {keep: 3}
"""
    assert from_yaml(text, tmp_path) == dict(sweep._sweep.resolved)


def test_it_has_every_key_of_the_file() -> None:
    assert set(SweepSpec.model_fields) == {
        "trainable",
        "space",
        "metric",
        "budget",
        *Keys.__annotations__,
    }


def test_a_file_is_read_with_overrides() -> None:
    sweep = rs.Sweep.from_yaml("mlp.yaml", {"budget.trials": 4, "searcher": ["tpe", "random"]})
    assert sweep._sweep.budget.trials == 4
    assert list(sweep._sweep.searchers) == ["tpe", "random"]
    assert rs.Sweep.from_yaml("mlp", ["seed=7"])._sweep.seed == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": {"trials": "many", "epochs": 3}}, "budget.trials: expected a whole number"),
        ({"budget": {"trials": 3}}, "missing key 'epochs' in budget"),
        ({"buget": {}}, "unknown key 'buget' in the sweep; did you mean 'budget'?"),
        ({"seed": -1}, "seed: expected 0 or more, got -1"),
        ({"space": {"x": rs.Float(1, 0)}}, "space.x: the bounds [1, 0] are in the wrong order"),
        ({"space": {"x": rs.Float(0, 1, log=True)}}, "space.x: a log range must lie above zero"),
        ({"space": {"x": rs.Choice([])}}, "space.x.choice: expected at least one value"),
        ({"space": {"x": {"flaot": [0, 1]}}}, "space.x.flaot: a list; write"),
        ({"space": {"x": [0, 1]}}, "space.x: a list; write {choice: [0, 1]}"),
        ({"space": {"x": object}}, "space.x: expected a parameter such as"),
        ({"space": [1]}, "space: expected a mapping such as {lr: {float: [1e-4, 1e-1]"),
        ({"constraints": ["y < 1"]}, "constraints.0: unknown name 'y' in 'y < 1'"),
        ({"searcher": "tpee"}, "unknown searcher 'tpee'"),
        ({"searcher": {"name": "tpe", "startup": "a"}}, "searcher tpe: startup: expected"),
        ({"searcher": object()}, "searcher: expected a name, a mapping with a name, or an object"),
        ({"metric": {"name": "loss"}}, "missing key 'goal' in metric"),
        ({"metric": 3}, "metric: expected a mapping such as {name: val_loss, goal"),
        ({"trainable": "bowl"}, "trainable: expected package.module:function"),
        ({"trainable": 3}, "trainable: expected a function or its reference, got int"),
        ({"hang_after": "1y"}, "hang_after: expected seconds, or a duration"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(rs.UserError) as raised:
        made(**changes)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("word", METRIC_WORDS)
def test_the_goal_is_read_off_a_metrics_name(word: str) -> None:
    metric = made(metric=f"val_{word}")._sweep.metric
    assert (metric.name, metric.goal) == (f"val_{word}", METRIC_WORDS[word])


@pytest.mark.parametrize("name", ["quality", "accuracy_loss", "closeness"])
def test_a_name_that_says_no_goal_is_refused(name: str) -> None:
    with pytest.raises(rs.UserError, match=f"metric: '{name}' does not say which way is better"):
        made(metric=name)


def test_a_searcher_may_be_an_object() -> None:
    assert made(searcher=Tpe(startup=4))._sweep.resolved == (
        made(searcher={"name": "tpe", "startup": 4})._sweep.resolved
    )


def test_an_object_of_a_class_that_no_file_can_name_is_refused() -> None:
    @dataclass(frozen=True)
    class Local:
        def suggest(self, space: Space, history: History, seed: int) -> Config | None:
            return None

    with pytest.raises(rs.UserError, match="the class Local must be defined at the top of a mod"):
        made(searcher=Local())


def test_a_function_of_a_module_is_named_by_it() -> None:
    assert made()._sweep.trainable == "tests.trainables:bowl"


def test_a_function_of_a_file_beside_is_named_by_the_file(tmp_path: Path) -> None:
    path = tmp_path / "my_train.py"
    path.write_text("def train(config, run): ...\n")
    function, _ = load(f"{path}:train")
    assert train_function(function) == TrainFunction(f"{path}:train")


def test_a_function_of_a_function_travels_by_value(tmp_path: Path) -> None:
    offset = 0.25

    def train(config: Config, run: Any) -> None:
        for epoch in run.epochs():
            run.report(loss=config["x"] + offset + WIDTH + epoch)

    function = train_function(train)
    reference = function.written(tmp_path)
    assert reference == f"{tmp_path}/train_function.pkl:train"
    assert "run.report(loss=" in (tmp_path / "train_function.py").read_text()
    run = LocalRun(2, quiet=True)
    load(reference)[0]({"x": 1.0}, run)
    assert [report["metrics"]["loss"] for report in run.reports] == [5.25, 6.25]
    with pytest.raises(rs.UserError, match="to_yaml: the train function lies in no file"):
        made(trainable=train).to_yaml()


def test_a_function_that_cannot_travel_is_refused() -> None:
    file = sys.stdout.buffer
    with pytest.raises(rs.UserError, match="trainable: the function cannot be sent to workers: "):
        made(trainable=lambda config, run: file.write(b""))


def test_a_pickled_function_brings_what_raysweep_looks_for(tmp_path: Path) -> None:
    code = "def build(config): return 'a model'\ndef make():\n    return lambda config, run: None\n"
    names: dict[str, Any] = {}
    exec(code, names)
    train_function(names["make"]()).written(tmp_path)
    module = pickled_function.load(tmp_path / pickled_function.NAME)
    assert module.build({}) == "a model"


def test_a_pickled_function_is_loaded_from_where_the_run_lies(tmp_path: Path) -> None:
    here = tmp_path / "run"
    here.mkdir()
    reference = train_function(lambda config, run: None).written(here)
    assert for_workers(reference) == reference
    (here / ".origin").write_text("file:///store/run")
    assert for_workers(reference) == "file:///store/run/train_function.pkl:train"
    assert for_workers("tests.trainables:bowl") == "tests.trainables:bowl"


SCRIPT = """
import raysweep as rs

def train(config, run):
    for epoch in run.epochs():
        run.report(loss=config["x"] + 1 / epoch)

sweep = rs.Sweep(train, {"x": rs.Float(0, 1)}, "loss", {"trials": 2, "epochs": 2})
"""


def test_a_script_that_starts_its_sweep_when_a_trial_imports_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "unguarded.py"
    path.write_text(SCRIPT + "sweep.run()\n")
    with pytest.raises(TrainableError) as raised:
        load(f"{path}:train")
    assert str(raised.value) == (
        f"{path} starts a sweep when a trial imports it: put that under "
        '`if __name__ == "__main__":`'
    )


def test_a_function_of_the_script_is_named_by_the_scripts_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT + "print(sweep._sweep.trainable)\n")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}:train\n"


def test_a_function_typed_into_a_shell_travels_by_value(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + "print(sweep._sweep.trainable)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "train_function.pkl:train\n"


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("ray", "torch", "pandas", "numpy", "pydantic")
    code = f"""
import json, sys
import raysweep as rs
first = sorted(set({heavy!r}) & set(sys.modules))
rs.Sweep("tests.trainables:bowl", {{"x": rs.Float(0, 1)}}, "loss", {{"trials": 1, "epochs": 1}})
print(json.dumps([first, sorted({{"ray", "torch", "pandas"}} & set(sys.modules))]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], []]


def test_every_public_name_is_there() -> None:
    assert {name for name in rs.__all__ if getattr(rs, name).__doc__} == set(rs.__all__)
    assert set(rs.__all__) <= set(dir(rs))
    with pytest.raises(AttributeError, match="no attribute 'Swep'"):
        _ = rs.Swep


@pytest.mark.ray
def test_a_run_is_what_load_gives_and_can_be_resumed(tmp_path: Path, ray_here: Any) -> None:
    offset = 2.0

    def train(config: Config, run: Any) -> None:
        for epoch in run.epochs():
            run.report(loss=config["x"] + offset / epoch)

    keys: dict[str, Any] = {"trainable": train, "parallel": 1, "scheduler": "none"}
    sweep = made(**keys)
    run = sweep.run(name="mine", storage=tmp_path, quiet=True)
    assert run.path == tmp_path / "mine"
    assert list(run.trials["status"]) == ["completed", "completed"]
    assert run.best.value == pytest.approx(run.best.config["x"] + 2 / 3)
    assert run.sweep["trainable"] == "train_function.pkl:train"
    assert (tmp_path / "mine" / "report.html").exists()
    longer = made(**keys, budget={"trials": 3, "epochs": 3})
    more = longer.run(storage=tmp_path, resume="mine", quiet=True, executor="debug")
    assert len(more.trials) == 3
    again = rs.Sweep.from_yaml(tmp_path / "mine" / "sweep.yaml", {"budget.trials": 4})
    last = again.run(resume=tmp_path / "mine", quiet=True, executor="debug")
    assert len(last.trials) == 4


@pytest.mark.examples
@pytest.mark.ray
def test_a_mistake_leaves_no_run_behind(tmp_path: Path, ray_here: Any) -> None:
    path = tmp_path / "unguarded.py"
    path.write_text(SCRIPT.replace("sweep =", "if 1:\n    sweep =") + "    sweep.run()\n")
    sweep = rs.Sweep(f"{path}:train", SPACE, "loss", {"trials": 2, "epochs": 2})
    with pytest.raises(rs.UserError, match="starts a sweep when a trial imports it"):
        sweep.run(name="none", storage=tmp_path / "runs", quiet=True)
    with pytest.raises(rs.UserError, match="there is no file"):
        made(trainable=str(tmp_path / "no.py") + ":train")
