"""Optuna's, SageMaker's, Vertex AI's, Polyaxon's, Orion's, Ray Tune's and Guild's files."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raysweep.search_spaces.convert.convert_file import convert
from raysweep.search_spaces.convert.dialects import document_of
from raysweep.search_spaces.convert.python_call import CallError, PythonCall, parse
from raysweep.search_spaces.file.document import Document, SpecificationError
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, Param
from raysweep.tune.load import load_sweep
from tests.test_convert import notes_of, sample

SCRIPT, EPOCHS, TRIALS = "trainable=train.py", "budget.epochs=9", "budget.trials=9"
METRIC = "metric={name: loss, goal: minimize}"
SAMPLES = Path(__file__).parent / "data" / "dialects"


def words(name: str, tmp_path: Path, *settings: str, u: float = 0.0) -> list[str]:
    """The command of the trial at a corner of the space, as our sweep of the file runs it."""
    path = tmp_path / Path(name).name
    path.write_text((SAMPLES / name).read_text())
    script = document_of(path.read_text(), str(path), tmp_path).data.get("trainable", "train.py")
    (tmp_path / script).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / script).touch()
    sweep = load_sweep(str(path), list(settings))
    assert sweep.command_line is not None
    config = sweep.space.from_unit([u] * len(sweep.space))
    given = sweep.command_line.placeholders(config) | {"folder": "/trial", "trial": "0"}
    return sweep.command_line.words(config, given)


def translated(data: Any, name: str = "theirs.json") -> Document:
    return document_of(json.dumps(data), name, Path())


def refusal(data: Any) -> str:
    with pytest.raises(SpecificationError) as error:
        translated(data)
    return str(error.value)


def same_draws(param: Param, reference: Callable[[float], float]) -> None:
    """Whether equally spaced points of the unit interval become the values that theirs do."""
    points = [(i + 0.5) / 20_000 for i in range(20_000)]
    ours = Counter(param.from_unit(param.draw(u)) for u in points)
    theirs = Counter(round(reference(u), 10) for u in points)
    assert {round(value, 10) for value in ours} == set(theirs)
    for value, count in ours.items():
        assert abs(count - theirs[round(value, 10)]) <= 20


def test_optunas_distributions() -> None:
    said = sample("optuna/space.json", SCRIPT, METRIC, EPOCHS, TRIALS)
    assert said.space.params == {
        "lr": Float(1e-5, 0.1, log=True),
        "dropout": Float(0.0, 0.5, step=0.1),
        "layers": Int(1, 6),
        "units": Int(16, 512, log=True),
        "heads": Int(4, 16, step=4),
        "activation": Choice(("relu", "gelu", None)),
    }
    said = sample("optuna/version2.json", SCRIPT, METRIC, EPOCHS, TRIALS)
    assert said.space.params == {
        "lr": Float(1e-4, 0.1, log=True),
        "momentum": Float(0.5, 0.99),
        "dropout": Float(0.0, 0.5, step=0.25),
        "layers": Int(2, 8, step=3),
        "width": Int(8, 128, log=True),
        "optimizer": Choice(("sgd", "adam")),
    }


def test_a_distribution_may_be_a_text_of_json() -> None:
    text = json.dumps({"name": "IntDistribution", "attributes": {"low": 1, "high": 9, "step": 2}})
    document = translated({"x": text})
    assert document.data["space"] == {"x": {"int": [1, 9], "step": 2}}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"low": 0, "high": 1, "log": True}, "a log range must lie above zero"),
        ({"low": 2, "high": 1, "log": False}, "the bounds [2, 1] are in the wrong order"),
        ({"low": 0, "high": 1, "step": 0.0}, "a range needs an end above its start, and a step"),
        ({"low": 0, "high": "a"}, "x.attributes.high: expected a number, got 'a'"),
        ({"low": 0, "high": 1, "q": 0.1}, "x.attributes.q: 'q' has no equal here"),
    ],
)
def test_a_distribution_that_cannot_be_said_is_refused(
    attributes: dict[str, Any], message: str
) -> None:
    assert message in refusal({"x": {"name": "FloatDistribution", "attributes": attributes}})


def test_a_sagemaker_job() -> None:
    said = sample("sagemaker/job.json")
    assert said.space.params == {
        "lr": Float(1e-4, 0.1, log=True),
        "momentum": Float(0.5, 0.99, log="reverse"),
        "dropout": Float(0.0, 0.6),
        "hidden": Int(32, 256),
        "optimizer": Choice(("sgd", "adam")),
        "batch-size": Choice((64, 128)),
    }
    assert said.space.constants == {"epochs": 12, "amp": True}
    assert said.document.data["metric"] == {
        "name": "test_loss",
        "goal": "minimize",
        "pattern": "Average loss: (?P<test_loss>[0-9\\.]+)",
    }
    assert (said.content.budget.trials, said.content.parallel) == (24, 3)
    assert said.content.scheduler == "median"
    assert "the scale of dropout is chosen there" in notes_of(said.document)
    assert "test-loss is called test_loss here" in notes_of(said.document)


def test_a_sagemaker_script_is_called_as_there(tmp_path: Path) -> None:
    said = " ".join(words("sagemaker/job.json", tmp_path))
    assert said == (
        "--epochs 12 --amp True --lr 0.0001 --momentum 0.5 --dropout 0.0 --hidden 32 "
        "--optimizer sgd --batch-size 64"
    )


def test_sagemakers_hyperband_and_grid() -> None:
    said = sample("sagemaker/config.json", SCRIPT)
    assert said.document.data["scheduler"] == {"name": "asha", "type": "stopping", "grace": 3}
    assert (said.content.budget.epochs, said.content.budget.time_limit) == (27, 7200)
    assert said.content.metric.target == 0.97
    assert said.content.plateau is not None
    assert said.content.plateau.trials == 15
    said = sample("sagemaker/grid.json", SCRIPT, EPOCHS)
    assert (said.content.searcher, said.content.budget.trials) == ("grid", 6)


def sagemaker(**changes: Any) -> dict[str, Any]:
    data = json.loads((SAMPLES / "sagemaker/grid.json").read_text())
    return {**data, **changes}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (sagemaker(Strategy="Sobol"), "Strategy: 'Sobol' has no equal here; expected one of"),
        (sagemaker(ParameterRanges={"AutoParameters": []}), "its range is chosen there"),
        (
            sagemaker(
                ParameterRanges={
                    "ContinuousParameterRanges": [{"Name": "x", "MinValue": "a", "MaxValue": "1"}]
                }
            ),
            "ContinuousParameterRanges.0.MinValue: expected a number, got 'a'",
        ),
        (sagemaker(ParameterRanges={}), "ParameterRanges: no ranges are given"),
        (
            {"HyperParameterTuningJobConfig": sagemaker(), "WarmStartConfig": {"a": 1}},
            "a sweep begins from nothing here",
        ),
    ],
)
def test_a_sagemaker_job_that_cannot_be_said_is_refused(data: Any, message: str) -> None:
    assert message in refusal(data)


def test_a_vertex_job(tmp_path: Path) -> None:
    said = sample("vertex/job.yaml")
    assert said.space.params == {
        "lr": Float(1e-4, 0.3, log=True),
        "mirrored_decay": Float(0.5, 0.99, log=True),
        "units": Int(16, 128),
        "batch_size": Ordinal((32, 64, 128)),
        "optimizer": Choice(("adam", "sgd")),
        "momentum": Float(0.0, 0.95),
    }
    assert said.document.data["space"]["momentum"]["when"] == {"optimizer": "sgd"}
    assert (said.content.budget.trials, said.content.parallel) == (30, 3)
    assert said.content.resources.gpu == 1
    first = words("vertex/job.yaml", tmp_path)
    assert first[:3] == ["--epochs=15", "--data=/gcs/data", "--lr=0.0001"]
    assert "--decay=0.99" in first
    assert not any("mirrored" in word for word in first)
    assert "--optimizer=adam" in first
    assert not any(word.startswith("--momentum") for word in first)


def test_a_reverse_log_scale_is_the_one_that_vizier_has() -> None:
    """The sum of the bounds, less what is drawn on a log scale."""
    said = sample("vertex/job.yaml")
    for u in (0.0, 0.2, 0.5, 0.9, 1.0):
        config = said.space.from_unit([u] * len(said.space))
        expected = 1.49 - 0.5 * (0.99 / 0.5) ** u
        assert config["decay"] == pytest.approx(expected, abs=1e-12)


def test_a_vertex_study_and_a_job_of_ai_platform() -> None:
    said = sample("vertex/study.json", SCRIPT, EPOCHS, TRIALS)
    assert said.space.params == {"lr": Float(0.001, 1.0), "layers": Int(1, 5)}
    assert (said.content.searcher, said.content.scheduler) == ("random", "none")
    said = sample("vertex/ai_platform.yaml", EPOCHS)
    assert said.content.trainable == "-m trainer.task"
    assert said.space.params == {
        "learning-rate": Float(1e-4, 0.1, log=True),
        "embedding": Int(3, 30),
        "activation": Choice(("relu", "tanh")),
        "batch": Ordinal((16, 64, 256)),
    }
    assert (said.content.metric.name, said.content.scheduler) == ("rmse", "median")
    assert said.document.data["script"] == {"arguments": ["--train-steps=1000"]}


def vertex(**spec: Any) -> dict[str, Any]:
    parameter = {"parameterId": "x", "doubleValueSpec": {"minValue": 0.1, "maxValue": 1.0}}
    return {"studySpec": {"metrics": [{"metricId": "m"}], "parameters": [parameter | spec]}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (vertex(scaleType="UNIT_CUBE"), "'UNIT_CUBE' has no equal here; expected one of"),
        (
            vertex(integerValueSpec={"minValue": 1, "maxValue": 2}),
            "expected one of doubleValueSpec",
        ),
        (vertex(doubleValueSpec={"minValue": 0, "maxValue": 1}, scaleType="UNIT_LOG_SCALE"), "log"),
        (
            {"studySpec": {"metrics": [{"metricId": "a"}, {"metricId": "b"}], "parameters": []}},
            "several metrics have no equal here",
        ),
    ],
)
def test_a_vertex_study_that_cannot_be_said_is_refused(data: Any, message: str) -> None:
    assert message in refusal(data)


def test_a_polyaxon_operation(tmp_path: Path) -> None:
    said = sample("polyaxon/random.yaml")
    low, high = (pytest.approx(math.exp(end)) for end in (-9.21, -2.3))
    assert said.space.params == {
        "lr": Float(low, high, log=True),  # type: ignore[arg-type]
        "dropout": Float(0.0, 0.5),
        "width": Int(16, 48, step=16),
        "depth": Int(1, 4),
        "decay": Ordinal((1e-5, 1e-4, 1e-3)),
        "optimizer": Choice(("sgd", "adam"), weights=(0.25, 0.75)),
    }
    assert (said.content.metric.name, said.content.metric.target) == ("accuracy", 0.98)
    assert (said.content.seed, said.content.parallel, said.content.budget.trials) == (12, 5, 25)
    called = words("polyaxon/random.yaml", tmp_path)
    assert called[0] == "--verbose"
    assert "--learning-rate=0.000100034042991" in called
    assert "--width=16" in called
    assert "--epochs=8" in called


def test_values_are_written_as_python_shows_them(tmp_path: Path) -> None:
    """As Polyaxon's templates and Orion do."""
    hunt = tmp_path / "hunt.sh"
    hunt.write_text("orion hunt a.py --amp~'choices([True, False])' --sizes~'choices([[1, 2]])'\n")
    assert document_of(hunt.read_text(), str(hunt), tmp_path).data["script"]["values"] == "python"
    data = polyaxon("choice", [True, None])
    command = ["python", "train.py", "--x={{ x }}"]
    data["component"] = {"run": {"container": {"command": command}}}
    document = translated(data)
    assert document.data["script"] == {"values": "python"}
    assert "x may be null, written None there; its option is left out here" in notes_of(document)


def test_a_polyaxon_command_whose_words_are_no_options_is_kept_in_order(tmp_path: Path) -> None:
    data = polyaxon("choice", ["a.json", "b.json"])
    words = [
        "python3",
        "-m",
        "runner.main",
        "-c",
        "{{ x }}",
        "--out={{ globals.run_outputs_path }}",
    ]
    data["component"] = {"run": {"container": {"command": words}}}
    document = translated(data)
    assert document.data["trainable"] == "-m runner.main"
    assert document.data["script"] == {
        "options": "none",
        "arguments": ["-c", "{x}", "--out={folder}"],
    }


@pytest.mark.parametrize(
    ("cmd", "script"),
    [
        # The lines of a plain YAML text become one, with the backslashes in it.
        ("python t.py --lr={{ lr }} \\ --n={{ epochs }} \\", {"names": {"epochs": "n"}}),
        (
            ["cd code", "python t.py {{ lr }} \\\n {{ epochs }}"],
            {"options": "none", "arguments": ["{lr}", "12"]},
        ),
    ],
)
def test_commands_of_polyaxons_groups(cmd: Any, script: dict[str, Any]) -> None:
    group = {
        "version": 1,
        "kind": "group",
        "params": {"epochs": 12},
        "hptuning": {"matrix": {"lr": {"values": [1, 2]}}},
        "run": {"cmd": cmd},
    }
    document = translated(group)
    assert document.data["script"] == script
    assert document.data["trainable"] in ("t.py", "code/t.py")
    group["run"] = {"cmd": "train --lr={{ lr }}"}
    assert "how a trial is started there is not read: train --lr=⟨lr⟩" in notes_of(
        translated(group)
    )


def test_polyaxons_hyperband_and_its_groups(tmp_path: Path) -> None:
    said = sample("polyaxon/hyperband.yaml", SCRIPT, TRIALS)
    assert said.space.constants == {"epochs": 27}
    assert said.document.data["scheduler"] == {"name": "asha", "type": "stopping", "eta": 3}
    assert said.content.budget.epochs == 27
    called = words("polyaxon/group.yaml", tmp_path, METRIC, EPOCHS)
    assert called == ["--batch-size=128", "--lr=0.1", "--width=16.0"]


def polyaxon(kind: str, value: Any) -> dict[str, Any]:
    matrix = {"kind": "random", "numRuns": 3, "params": {"x": {"kind": kind, "value": value}}}
    return {"kind": "operation", "matrix": matrix}


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0, 1, 0.25), (2, 9, 2), (0.05, 0.93, 0.1), (16, 64, 16)]
)
def test_polyaxon_rounds_quantized_values_down(low: float, high: float, step: float) -> None:
    document = translated(polyaxon("quniform", [low, high, step]))
    param = sample_of(document, "x")
    same_draws(param, lambda u: math.floor((low + u * (high - low)) / step + 1e-12) * step)


def test_a_number_that_is_too_large_is_refused() -> None:
    message = refusal(polyaxon("uniform", [0, 10**400]))
    assert "matrix.params.x.value: expected a number, got 1000" in message


@pytest.mark.parametrize(("low", "high", "step"), [(0, 3, 2), (0, 2.5, 1)])
def test_polyaxon_rounds_log_values_down(low: float, high: float, step: float) -> None:
    param = sample_of(translated(polyaxon("qloguniform", [low, high, step])), "x")
    same_draws(param, lambda u: math.floor(math.exp(low + u * (high - low)) / step + 1e-12) * step)


def sample_of(document: Document, name: str) -> Param:
    from raysweep.search_spaces.convert.convert_file import _STAND_INS
    from raysweep.search_spaces.file.document import override
    from raysweep.search_spaces.file.reader import specification

    for key in ("trainable", "metric", "budget.epochs", "budget.trials"):
        document = override(document, f"{key}={_STAND_INS[key]}")
    return specification(document, Path("x.yaml")).space.params[name]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (polyaxon("normal", [0, 1]), "a distribution without bounds has no equal here"),
        (polyaxon("range", [1, 5]), "expected start, stop, step, got 2 numbers"),
        (polyaxon("range", "5:1:1"), "a range from 5 to 1 in steps of 1 is none"),
        (polyaxon("loguniform", [1, 1e9]), "are these values, not exponents?"),
        (polyaxon("uniforn", [0, 1]), "did you mean 'uniform'?"),
        ({"matrix": {"kind": "mapping", "values": []}}, "'mapping' has no equal here"),
    ],
)
def test_a_polyaxon_operation_that_cannot_be_said_is_refused(data: Any, message: str) -> None:
    assert message in refusal(data)


def test_an_orion_hunt(tmp_path: Path) -> None:
    said = sample("orion/hunt.sh", "metric.name=loss")
    assert said.space.params == {
        "lr": Float(1e-5, 1.0, log=True),
        "width": Int(16, 128),
        "act": Choice(("relu", "gelu")),
        "pool": Choice(("max", "mean"), weights=(0.25, 0.75)),
        "dropout": Float(0.0, 0.5),
    }
    assert said.space.constants == {"epochs": 16}
    assert (said.content.budget.trials, said.content.budget.epochs) == (40, 16)
    assert said.document.places[("space", "pool")].endswith("hunt.sh:11")
    called = words("orion/hunt.sh", tmp_path, "metric.name=loss")
    assert called[:6] == ["fit", "--verbose", "--epochs", "16", "--lr", "1e-05"]


def test_the_settings_of_an_orion_hunt_are_read(tmp_path: Path) -> None:
    (tmp_path / "orion.yaml").write_text(
        "experiment:\n  max_trials: 99\n  algorithm: {asha: {seed: 5}}\nstorage: {type: legacy}\n"
    )
    path = tmp_path / "hunt.sh"
    path.write_text((SAMPLES / "orion/hunt.sh").read_text())
    document = document_of(path.read_text(), str(path), tmp_path)
    assert document.data["searcher"] == {"name": "random"}
    assert document.data["scheduler"] == {
        "name": "asha",
        "type": "stopping",
        "eta": 4,
        "grace": 1,
    }
    assert document.data["budget"] == {"trials": 40, "epochs": 16}
    assert document.data["seed"] == 5


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train.py --lr~'normal(0, 1)'", "1: --lr: 'normal' has no equal here"),
        ("train.py --lr~'uniform(1, 2, shape=3)'", "a parameter that is an array has no equal"),
        ("train.py --lr~'uniform(1)'", "'uniform(1)' is no prior: uniform needs high"),
        ("train.py --lr~'uniform(a, b)'", "is no prior: 'a' is no plain value"),
        ("train.py {trial.params} --lr~'uniform(0, 1)'", "the argument '{trial.params}' has no"),
        ("t.py --lr~'uniform(0, 1)' 3", "does not take '--lr~uniform(0, 1)' for a prior"),
        ("t.py --a 3 'orion~uniform(0, 1)'", "does not take 'orion~uniform(0, 1)' for a prior"),
        ("t.py --lr=~'uniform(0, 1)'", "does not take '--lr=~uniform(0, 1)' for a prior"),
        ("t.py lr~'uniform(0, 1)' --a 3", "does not take 'lr~uniform(0, 1)' for a prior"),
        ("train.py --lr~'>other'", "'>other' changes an earlier experiment"),
        ("train.py --lr 3", "no option has a prior, as in --lr~'loguniform(1e-5, 1.0)'"),
        ("--unknown 3 train.py", "the option '--unknown' of orion hunt has no equal here"),
        ("train.py --lr~'uniform(0, 1)", "1: a quote has no end"),
    ],
)
def test_a_hunt_that_cannot_be_said_is_refused(command: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "hunt.sh"
    path.write_text(f"orion hunt -n x {command}\n".replace("-n x --unknown", "--unknown"))
    with pytest.raises(SpecificationError) as error:
        convert(str(path))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("command", "called"),
    [
        ("python t.py -x~'uniform(0, 1)' --lr~'uniform(0, 1)'", "-x 0.0 --lr 0.0"),
        ("./t.py 'orion~uniform(0, 1)' --out {trial.working_dir}/m", "0.0 --out /trial/m"),
        ("./t.py --id {exp.name}-{trial.id} --lr~'uniform(2, 3)'", "--id x-0 --lr 2.0"),
        ("./t.py --lr 'orion~uniform(2, 3)'", "--lr 2.0"),
    ],
)
def test_a_hunt_passes_its_words_as_there(command: str, called: str, tmp_path: Path) -> None:
    (tmp_path / "t.py").touch()
    path = tmp_path / "hunt.sh"
    path.write_text(f"orion hunt -n x {command}\n")
    sweep = load_sweep(str(path), [EPOCHS, TRIALS, "metric.name=loss"])
    assert sweep.command_line is not None
    config = sweep.space.from_unit([0.0] * len(sweep.space))
    given = sweep.command_line.placeholders(config) | {"folder": "/trial", "trial": "0"}
    assert " ".join(sweep.command_line.words(config, given)) == called


def test_priors_in_the_file_of_a_hunts_script_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "hunt.sh"
    path.write_text("orion hunt -n x t.py --config own.yaml --lr~'uniform(0, 1)'\n")
    note = "own.yaml cannot be read; Orion looks for priors there, too"
    assert any(note in one for one in document_of(path.read_text(), str(path), tmp_path).notes)
    (tmp_path / "own.yaml").write_text("data: ~\nname: a\n")
    assert document_of(path.read_text(), str(path), tmp_path).data["space"].keys() == {"lr"}
    (tmp_path / "own.yaml").write_text("data: a\nwidth: orion~loguniform(8, 64, discrete=True)\n")
    with pytest.raises(SpecificationError, match=r"1: --config: the prior in own\.yaml, line 2"):
        convert(str(path))


def test_two_hunts_are_two_sweeps(tmp_path: Path) -> None:
    path = tmp_path / "hunt.sh"
    path.write_text("orion hunt a.py --x~'uniform(0, 1)'\n\norion hunt b.py --y~'uniform(0, 1)'\n")
    with pytest.raises(SpecificationError, match=r"hunt.sh:3: a second 'orion hunt'; expected one"):
        convert(str(path))


def test_ray_tunes_ranges() -> None:
    said = sample("ray/ranges.json", SCRIPT, METRIC, TRIALS)
    assert said.space.params == {
        "hidden_dim": Choice((32, 64, 128)),
        "learning_rate": Float(1e-5, 0.1, log=True),
        "dropout": Float(0.0, 0.5, step=0.1, ends="half"),
        "layers": Int(1, 4),
        "heads": Int(2, 8, step=2),
        "network.units": Float(0.5, 1.5),
    }
    assert said.space.constants == {"network.norm": True, "epochs": 30}
    said = sample("ray/search_space.yaml", SCRIPT, METRIC, EPOCHS, TRIALS)
    assert said.space.params == {"model.lr": Float(1e-6, 0.01, log=True), "seed": Int(0, 99)}


def test_a_ray_experiment_with_a_grid() -> None:
    said = sample("ray/experiment.yaml", SCRIPT, METRIC)
    assert said.content.searcher == "grid"
    assert (said.content.budget.trials, said.content.budget.epochs) == (6, 60)
    assert said.space.params["lr"] == Choice((0.01, 0.001, 0.0001))
    assert said.space.constants["model.fcnet_hiddens"] == [64, 64]
    assert "a trial there ends when episode_reward_mean is 200; not here" in notes_of(said.document)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"x": "tune.randn(0, 1)"}, "'tune.randn' has no equal here; expected one of choice"),
        ({"x": "tune.sample_from(lambda spec: 1)"}, "is no plain value"),
        ({"x": "tune.uniform(0)"}, "is no range: tune.uniform needs upper"),
        ({"x": "tune.randint(3, 3)"}, "has no value: the upper bound is left out"),
        ({"x": [1, "tune.choice([1])"]}, "a range inside a list has no equal here"),
        (
            {"x": {"grid_search": [1]}, "y": "tune.choice([1])"},
            "x: a grid beside draws has no equal here; write tune.choice(...)",
        ),
        (
            {"a": {"run": "PPO", "config": {}}, "b": {"run": "PPO", "config": {}}},
            "several experiments are several sweeps here",
        ),
        ({"a": {"run": "PPO", "config": {"lr": 1}}}, "no value is a range; expected grid_search"),
    ],
)
def test_a_ray_file_that_cannot_be_said_is_refused(data: Any, message: str) -> None:
    assert message in refusal(data)


def test_a_guild_operation(tmp_path: Path) -> None:
    said = sample("guild/guild.yml")
    assert said.space.params == {
        "lr": Float(1e-4, 0.1, log=True),
        "width": Int(16, 128),
        "dropout": Float(0.0, 0.5),
        "activation": Choice(("relu", "gelu")),
    }
    assert said.space.constants == {"epochs": 20, "momentum": 0.9}
    assert (said.content.metric.name, said.content.metric.goal) == ("val_acc", "maximize")
    assert (said.content.searcher, said.content.budget.trials) == ("auto", 15)
    called = words("guild/guild.yml", tmp_path)
    assert called[:7] == ["--quiet", "--epochs", "20", "--mom", "0.9", "--lr", "0.0001"]


def test_guilds_lists_are_a_grid_and_its_ranges_are_draws(tmp_path: Path) -> None:
    said = sample("guild/grid.yml", EPOCHS)
    assert (said.content.searcher, said.content.budget.trials) == ("grid", 24)
    assert said.space.params["decay"] == Ordinal((1e-4, 1e-3, 1e-2))
    assert (said.content.metric.name, said.content.metric.goal) == ("accuracy", "maximize")
    assert "--nesterov" in words("guild/grid.yml", tmp_path, EPOCHS)
    called = words("guild/exec.yml", tmp_path, METRIC, EPOCHS)
    assert called == ["--data", "data", "--rate", "0.001", "--units", "8"]


def test_a_script_whose_variables_guild_sets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "guild.yml"
    path.write_text("train:\n  main: train\n  flags:\n    lr: [1, 2]\n")
    (tmp_path / "train.py").write_text("lr = 1\nprint(lr)\n")
    with pytest.raises(SpecificationError, match=r"train\.py takes no options, and Guild sets"):
        convert(str(path))
    (tmp_path / "train.py").write_text("import argparse\n")
    assert "lr: {choice: [1, 2]}" in convert(str(path))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"flags": {"x": 3}}, "no flag is a list or a range, as in lr: loguniform[1e-4:1e-1]"),
        ({"flags": {"x": "gamma[1:2]"}}, "'gamma' has no equal here; expected one of uniform"),
        ({"flags": {"x": "uniform[1:2:3:4]"}}, "uniform takes 2 to 3 numbers, got 4"),
        ({"flags": {"x": [1, 2], "$include": "a"}}, "what lies elsewhere is not read"),
        ({"flags": {"x": [1, 2]}, "flags-dest": "globals"}, "in a way that is none here"),
        ({"flags": {"x": [1, 2]}, "steps": ["a"]}, "is not one sweep"),
    ],
)
def test_a_guild_operation_that_cannot_be_said_is_refused(
    rule: dict[str, Any], message: str
) -> None:
    assert message in refusal({"train": {"main": "train", **rule}})


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("uniform(-3, 5)", PythonCall("uniform", [-3, 5], {})),
        ("tune.choice(['a', None, 1.5])", PythonCall("tune.choice", [["a", None, 1.5]], {})),
        ("choices((1, 2), k=True)", PythonCall("choices", [[1, 2]], {"k": True})),
        (" f({'a': 0.1}) ", PythonCall("f", [{"a": 0.1}], {})),
    ],
)
def test_a_call_is_read_without_evaluation(text: str, call: PythonCall) -> None:
    assert parse(text) == call


@pytest.mark.parametrize(
    "text",
    [
        "f",
        "f(",
        "f(x)",
        "f(g(1))",
        "f(2**99)",
        "f(*[1])",
        "f(**{})",
        "f(1)(2)",
        "f(b'x')",
        "f(1e999)",
        "__import__('os').system('true')",
        "f(lambda: 1)",
        "(" * 999,
        "f(" + "1," * 9999 + ")",
        "f('\x00')",
    ],
)
def test_a_text_that_is_no_plain_call_is_an_error(text: str) -> None:
    with pytest.raises(CallError):
        parse(text)


def test_a_hunt_may_start_a_shell_script(tmp_path: Path) -> None:
    path = tmp_path / "hunt.sh"
    path.write_text("orion hunt -n x ./run.sh --lr~'uniform(0, 1)'\n")
    converted = convert(str(path))
    assert "trainable: run.sh\n" in converted
    assert "launcher: [bash]" in converted
