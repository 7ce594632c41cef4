"""Files of other tools: what they become, what is refused, and that distributions are kept."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.search_spaces.convert.any_file import read
from raysweep.search_spaces.convert.convert_file import convert
from raysweep.search_spaces.convert.dialects import DIALECTS, claiming, document_of, parsed
from raysweep.search_spaces.file.document import Document, SpecificationError, parse
from raysweep.search_spaces.file.script_spec import ScriptSpec
from raysweep.search_spaces.file.writer import write
from raysweep.search_spaces.language.params import Choice, Float, Int, Ordinal, Param
from raysweep.tune.cli.app import main
from raysweep.tune.load import check_components, load_sweep
from tests.test_reader import FILE

SAMPLES = Path(__file__).parent / "data" / "dialects"
MISSING = [
    "trainable=train.py",
    "metric.name=loss",
    "metric.goal=minimize",
    "budget.epochs=9",
    "budget.trials=9",
]
"""What files of other tools need not say, as settings."""


def sample(name: str, *settings: str) -> Any:
    return read(str(SAMPLES / name), settings)


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_sample_reads_and_what_is_printed_reads_back_to_the_same(
    path: Path, tmp_path: Path
) -> None:
    printed = convert(str(path))
    again = tmp_path / "s.yaml"
    again.write_text(printed)
    assert read(str(again), MISSING).space == read(str(path), MISSING).space
    data = parse(printed, "s.yaml").data
    kept = [key for key in data if key not in ("trainable", "metric", "budget")]
    assert read(str(again), MISSING).document.data == read(str(path), MISSING).document.data
    assert "space" in kept


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_sample_is_a_space_on_the_command_line(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--space FILE --dry-run`, with settings for what the file does not say."""
    assert (
        main(
            [
                "run",
                "--space",
                str(path),
                "--dry-run",
                *(f"--set={one}" for one in [*MISSING, "trainable=tests.trainables:bowl"]),
            ]
        )
        == 0
    )
    shown = capsys.readouterr().out
    data = document_of(path.read_text(), str(path), path.parent).data
    assert shown.count("# the first configurations of ") == 1
    assert all(f"  {name}: " in shown for name in data["space"])


def test_the_verb_prints_a_file_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(SAMPLES / "wandb/bayes.yaml")]) == 0
    printed = capsys.readouterr().out
    notes = "# Line 26: an iteration there is one logged step; an epoch here\n"
    assert f"{notes}# Line 18: epochs is taken as the length of a trial\n" in printed
    (tmp_path / "s.yaml").write_text(printed)
    (tmp_path / "train.py").write_text("")
    assert main(["run", "--space", str(tmp_path / "s.yaml"), "--dry-run"]) == 0
    assert "learning_rate: {float: [0.0001, 0.1], log: true}" in capsys.readouterr().out


def test_the_verb_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "cnn.yaml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "raysweep: cnn.yaml:3: no file of another tool that is known here; expected a Katib "
        "Experiment, "
    )


def test_each_dialect_has_three_samples_at_least() -> None:
    names = Counter(
        document_of(path.read_text(), path.name, path.parent).dialect.split()[1]
        for path in SAMPLES.glob("*/*")
    )
    assert {name.split()[1] for name in (dialect.name for dialect in DIALECTS)} == set(names)
    assert min(names.values()) >= 3


@pytest.mark.parametrize(
    "path", sorted(SAMPLES.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_two_dialects_claim_the_same_file(path: Path) -> None:
    found = claiming(parsed(path.read_text(), path.name))
    assert [dialect.name for dialect in found] == [
        document_of(path.read_text(), path.name, path.parent).dialect
    ]


def test_a_wandb_sweep() -> None:
    said = sample("wandb/bayes.yaml")
    assert said.content.trainable == "train.py"
    assert said.content.searcher == "auto"
    assert said.document.data["scheduler"] == {
        "name": "asha",
        "type": "stopping",
        "grace": 3,
        "eta": 3,
    }
    assert said.content.budget.trials == 40
    assert said.space.params == {
        "learning_rate": Float(1e-4, 0.1, log=True),
        "batch_size": Int(32, 256, log=True, step=8, ends="half"),
        "dropout": Choice((0.3, 0.4, 0.5)),
        "fc_layer_size": Int(64, 512),
        "optimizer": Choice(("adam", "sgd"), weights=(0.75, 0.25)),
    }
    assert said.space.constants == {"epochs": 10}
    assert said.content.budget.epochs == 10


def test_a_nested_wandb_sweep_with_exponents_and_a_command() -> None:
    said = sample("wandb/nested.yaml")
    assert said.space.params["model.learning_rate"] == Float(
        pytest.approx(math.exp(-4.6)),  # type: ignore[arg-type]
        pytest.approx(math.exp(-2.3)),  # type: ignore[arg-type]
        log=True,
    )
    assert said.space.params["model.subsample"] == Float(0.0, 1.0, step=0.25, ends="half")
    assert said.space.constants == {}
    assert said.document.data["script"] == {"folder": ".", "arguments": ["--epochs=27"]}
    assert said.document.data["scheduler"] == {"name": "asha", "type": "stopping", "grace": 3}
    assert said.content.budget.epochs == 27
    assert said.content.metric.target == 0.98
    assert any("log_uniform takes exponents" in note for note in said.document.notes)


def test_a_wandb_grid_ends_with_its_last_cell() -> None:
    said = sample("wandb/grid.yaml", "budget.epochs=3")
    assert said.content.budget.trials == 12 == len(list(said.space.grid(3)))
    assert said.content.scheduler == "none"
    assert said.content.metric.goal == "minimize"


def test_a_determined_experiment() -> None:
    said = sample("determined/adaptive.yaml")
    assert said.space.params["learning_rate"] == Float(1e-4, 1.0, log=True)
    assert said.space.params["n_filters1"] == Int(8, 64)
    assert said.space.constants == {"global_batch_size": 64}
    assert said.document.data["scheduler"] == {
        "name": "asha",
        "type": "stopping",
        "grace": 1,
        "eta": 4,
    }
    assert (said.content.budget.epochs, said.content.budget.trials) == (64, 16)


def test_a_determined_grid() -> None:
    said = sample("determined/grid.yaml")
    assert said.space.params["optimizer_config.learning_rate"] == Float(
        1e-5, 10.0, log=True, points=4
    )
    assert said.content.metric.goal == "maximize"
    assert (
        said.content.seed,
        said.content.parallel,
        said.content.retries,
        said.content.resources.gpu,
    ) == (42, 4, 0, 2)
    assert len(list(said.space.grid(3))) == 72


def test_a_determined_entry_point_with_arguments() -> None:
    said = sample("determined/random.yaml")
    assert said.content.trainable == "train.py"
    assert said.document.data["script"] == {"arguments": ["--data", "cifar10"], "options": "none"}
    assert said.space.params["lr"] == Float(2**-10, 0.5, log=True)


def test_a_katib_experiment() -> None:
    said = sample("katib/random.yaml", "budget.epochs=9")
    assert said.content.trainable == "/opt/pytorch-mnist/mnist.py"
    assert said.space.params == {"lr": Float(0.01, 0.05), "momentum": Float(0.5, 0.9)}
    assert said.document.data["script"] == {"arguments": ["--epochs=1", "--batch-size=16"]}
    assert said.content.metric.target == 0.001


def test_katib_numbers_are_strings_and_a_step_may_miss_the_bound() -> None:
    said = sample("katib/distribution.yaml", "budget.epochs=9", "trainable=a:b")
    assert said.space.params == {
        "lr": Float(1e-5, 0.1, log=True),
        "momentum": Float(0.001, 0.901, step=0.1),
        "epochs": Int(1, 3),
        "batch_size": Int(32, 64, log=True),
        "width": Int(8, 64, step=8),
    }
    assert said.document.data["scheduler"] == {"name": "median", "grace": 5, "trials": 3}
    assert said.document.data["searcher"] == {"name": "tpe", "startup": 5}
    assert said.content.seed == 10


def test_a_katib_grid_takes_every_step() -> None:
    said = sample("katib/grid.yaml", *MISSING)
    assert said.space.params["num-layers"] == Ordinal((2, 4, 8))
    assert len(list(said.space.grid(2))) == 27


def test_an_nni_experiment_with_its_search_space() -> None:
    said = sample("nni/experiment.yaml", "budget.epochs=9")
    assert said.space.params["hidden_size"] == Int(124, 1023)
    assert said.space.params["batch_size"] == Ordinal((2.0, 5.0, 10.0), weights=(1, 10, 5))
    assert said.content.resources.gpu == 0.5
    assert said.content.budget.time_limit == 86400
    assert said.content.parallel == 2


def test_an_nni_choice_among_spaces_is_a_condition() -> None:
    said = sample("nni/nested.yaml", "budget.epochs=9")
    rng = np.random.default_rng(0)
    layers = [said.space.sample(rng)["layer0"] for _ in range(400)]
    assert {frozenset(layer) for layer in layers if layer["_name"] == "Empty"} == {
        frozenset(["_name"])
    }
    assert {frozenset(layer) for layer in layers if layer["_name"] == "Conv"} == {
        frozenset(["_name", "kernel_size"])
    }
    assert {frozenset(layer) for layer in layers if "pool" in layer["_name"]} == {
        frozenset(["_name", "pooling_size"])
    }


def test_an_nni_experiment_of_schema_1() -> None:
    said = sample("nni/schema1.yaml")
    assert said.content.trainable == "src/mnist.py"
    assert said.document.data["searcher"] == {"name": "bohb"}
    assert said.document.data["scheduler"] == {
        "name": "asha",
        "type": "stopping",
        "grace": 1,
        "eta": 3,
    }
    assert (said.content.budget.epochs, said.content.budget.time_limit) == (27, 3600)


def test_an_nni_experiment_in_snake_case_under_hyperband() -> None:
    said = sample("nni/snake.yaml")
    assert said.space.params["layers"] == Int(1, 4)
    assert said.content.trainable == "code/model.py"
    assert said.document.data["searcher"] == {"name": "random"}
    assert said.document.data["scheduler"] == {"name": "asha", "type": "stopping", "eta": 3}
    assert (said.content.budget.epochs, said.content.budget.trials, said.content.resources.gpu) == (
        81,
        10,
        0.25,
    )


def test_a_template_config_with_ranges() -> None:
    said = sample("template/config.json", "budget.trials=9")
    assert said.space.params == {
        "data_loader.args.batch_size": Ordinal((32, 64, 128)),
        "optimizer.args.lr": Float(1e-4, 0.1, log=True),
    }
    assert said.content.metric.name == "val_loss"
    assert said.content.metric.goal == "minimize"
    assert said.content.budget.epochs == 20
    assert said.space.constants["config"].endswith("config.json")


def test_a_setting_overrides_the_translated_file() -> None:
    said = sample(
        "wandb/bayes.yaml", "budget.epochs=27", "space.dropout={float: [0, 1]}", "searcher=random"
    )
    assert said.space.params["dropout"] == Float(0, 1)
    assert said.content.searcher == "random"


def test_what_a_file_does_not_say_is_asked_for() -> None:
    with pytest.raises(SpecificationError) as error:
        sample("wandb/grid.yaml")
    assert str(error.value).endswith(
        "grid.yaml:1: missing key 'epochs' in budget, which a W&B sweep need not say; "
        "add it with --set budget.epochs=..."
    )
    assert "# Still to be said: budget.epochs.\n" in convert(str(SAMPLES / "wandb/grid.yaml"))
    assert "# Still to be said: budget.epochs, budget.trials, metric, trainable.\n" in convert(
        str(SAMPLES / "nni/search_space.json")
    )


def test_a_file_of_ours_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(FILE)
    with pytest.raises(
        SpecificationError,
        match=(
            r"s.yaml:2: no file of another tool that is known here; expected a Katib Experiment, "
            r"a Det"
        ),
    ):
        convert(str(path))


REFUSED = [
    (
        "wandb/bayes.yaml",
        "program: train.py",
        "program: train.py\nprogam: x",
        "2: progam: 'progam' has no equal here; did you mean 'program'?",
    ),
    (
        "wandb/bayes.yaml",
        "method: bayes",
        "method: custom",
        "2: method: 'custom' has no equal here; expected one of grid, random, bayes",
    ),
    (
        "wandb/bayes.yaml",
        "log_uniform_values",
        "normal",
        "8: parameters.learning_rate.distribution: 'normal' has no equal here; expected one of",
    ),
    (
        "wandb/bayes.yaml",
        "    min: 32\n",
        "",
        "11: parameters.batch_size: the distribution q_log_uniform_values needs min",
    ),
    (
        "wandb/bayes.yaml",
        "max: 0.1",
        "max: 0.1\n    q: 3",
        "11: parameters.learning_rate.q: 'q' has no equal here",
    ),
    (
        "wandb/bayes.yaml",
        "[0.75, 0.25]",
        "[0.75]",
        "25: parameters.optimizer.probabilities: expected one for each of the 2 values, got 1",
    ),
    (
        "wandb/bayes.yaml",
        "max: 0.1",
        "max: 0.1\n    mu: 3",
        "11: parameters.learning_rate.mu: 'mu' has no equal here",
    ),
    (
        "wandb/bayes.yaml",
        "min: 0.0001",
        "min: low",
        "9: parameters.learning_rate.min: expected a number, got 'low'",
    ),
    (
        "wandb/bayes.yaml",
        "min: 0.0001",
        "min: 0",
        "7: parameters.learning_rate: a log range must lie above zero, got the lower bound 0",
    ),
    (
        "wandb/bayes.yaml",
        "    q: 8\n    min: 32\n    max: 256",
        "    q: 8\n    min: 33\n    max: 9999",
        "11: parameters.batch_size: the bounds are no multiples of q",
    ),
    (
        "wandb/bayes.yaml",
        "log_uniform_values\n    min: 0.0001\n    max: 0.1",
        "log_uniform\n    min: 0.0001\n    max: 1000",
        "7: parameters.learning_rate: 2.71828 to the",
    ),
    (
        "wandb/bayes.yaml",
        "type: hyperband",
        "type: envelope",
        "27: early_terminate.type: 'envelope' has no equal here",
    ),
    (
        "wandb/nested.yaml",
        "  - --epochs=27",
        "  - ${args}",
        "17: command: the parameters stand in it twice: ${args} and ${args}",
    ),
    (
        "wandb/nested.yaml",
        "  - ${interpreter}\n  - ${program}",
        "  - autolightning",
        "17: command: 'autolightning --epochs=27 ${args}' has no equal here; expected `python",
    ),
    (
        "determined/adaptive.yaml",
        "adaptive_asha",
        "pbt",
        "18: searcher.name: 'pbt' has no equal here; expected one of single, random, grid, "
        "adaptive_asha",
    ),
    (
        "determined/adaptive.yaml",
        "max_trials: 16",
        "max_trials: 16\n  source_trial_id: 3",
        "22: searcher.source_trial_id: 3 has no equal here: a trial begins from nothing here",
    ),
    (
        "determined/random.yaml",
        "[python3, train.py, --data, cifar10]",
        "python3 -m determined.launch.horovod train.py",
        "15: entrypoint: 'determined.launch.horovod' has no equal here; expected one of torch_",
    ),
    (
        "katib/random.yaml",
        "algorithmName: random",
        "algorithmName: hyperband",
        "13: spec.algorithm.algorithmName: 'hyperband' has no equal here; expected one of random",
    ),
    (
        "katib/random.yaml",
        'max: "0.05"',
        'max: "0.05"\n        distribution: normal',
        "23: spec.parameters.0.feasibleSpace.distribution: 'normal' has no equal here; expected",
    ),
    (
        "katib/random.yaml",
        'max: "0.05"',
        'max: "many"',
        "22: spec.parameters.0.feasibleSpace.max: expected a number, got 'many'",
    ),
    (
        "katib/random.yaml",
        "maxTrialCount: 12",
        "maxTrialCount: 12\n  nasConfig: {}",
        "16: spec.nasConfig: 'nasConfig' has no equal here",
    ),
    (
        "nni/search_space.json",
        '"uniform"',
        '"normal"',
        "2: dropout_rate._type: 'normal' has no equal here; expected one of choice, randint",
    ),
    (
        "nni/snake.yaml",
        "trial_command",
        "trialCommand: python x.py\ntrial_command",
        "7: trial_command: 'trialCommand' says the same",
    ),
    (
        "nni/snake.yaml",
        "optimize_mode: maximize, R",
        "optimise_mode: maximize, R",
        "13: advisor.classArgs.optimise_mode: ",
    ),
    (
        "nni/snake.yaml",
        "name: Hyperband",
        "class_name: Mine",
        "11: advisor: a tuner of one's own has no equal here",
    ),
    (
        "nni/schema1.yaml",
        "maxTrialNum: 10",
        "maxTrialNum: 10\ntrialGpuNumber: -1",
        "6: trialGpuNumber: expected 0 or more, got -1",
    ),
    (
        "nni/search_space.json",
        "[124, 1024]",
        "[5, 5]",
        "4: hidden_size._value: randint leaves its upper bound out, so [5, 5] has no value",
    ),
    (
        "nni/nested.yaml",
        "{_name: Avg_pool, pooling_size: {_type: choice, _value: [2, 3, 5]}}",
        "{_name: Avg_pool, pooling_size: {_type: choice, _value: [2]}}",
        "8: searchSpace.layer0._value.3.pooling_size: 'pooling_size' has another range in another "
        "branch",
    ),
    (
        "nni/nested.yaml",
        "{name: Random}",
        "{name: SMAC}",
        "14: tuner.name: 'smac' has no equal here; expected one of tpe, random, gridsearch, bohb, "
        "gptuner, hyperband",
    ),
    (
        "nni/nested.yaml",
        "python3 mnist.py --data mnist",
        "cd x; pip install y; python3 mnist.py",
        "10: trialCommand: 'pip install y' is a command of its own; expected one",
    ),
    (
        "nni/nested.yaml",
        "maxTrialNumber: 30",
        "maxTrialNumber: 30\nmaxTrialDuration: 1h",
        "14: maxTrialDuration: '1h' has no equal here: a trial is not ended by the clock",
    ),
    (
        "template/config.json",
        '"min val_loss"',
        '"best val_loss"',
        "18: trainer.monitor: expected 'min metric' or 'max metric', got 'best val_loss'",
    ),
    (
        "template/config.json",
        '"top_k_acc"',
        '{"int": [1, 2]}',
        "11: metrics.1: a range inside a list has no equal here",
    ),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    REFUSED,
    ids=[f"{name} {line[:50]}" for name, _, _, line in REFUSED],
)
def test_what_has_no_equal_is_an_error_with_its_line(
    name: str, old: str, new: str, line: str, tmp_path: Path
) -> None:
    text = (SAMPLES / name).read_text()
    assert old in text
    path = tmp_path / Path(name).name
    (tmp_path / "search_space.json").write_text((SAMPLES / "nni/search_space.json").read_text())
    path.write_text(text.replace(old, new))
    with pytest.raises(SpecificationError) as error:
        read(str(path), MISSING)
    assert str(error.value).startswith(f"{path}:{line}")


def test_a_search_space_that_cannot_be_read_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text((SAMPLES / "nni/experiment.yaml").read_text())
    with pytest.raises(
        SpecificationError,
        match=r"experiment.yaml:2: searchSpaceFile: 'search_space.json' cannot be read",
    ):
        read(str(path), MISSING)


WANDB = "program: train.py\nmethod: random\nmetric: {name: loss, goal: minimize}\n"
COMMAND = 'command: ["${env}", "${interpreter}", "${program}"'


def translated(text: str) -> Document:
    """A file of another tool as ours, after `convert` has printed it and read it back."""
    path = Path("theirs.yaml")
    path.write_text(text)
    printed = convert(str(path), check_components)
    document = document_of(text, "theirs.yaml", Path())
    assert document_of(printed, "ours.yaml", Path()).data == document.data
    return document


def notes_of(document: Document) -> str:
    return "\n".join(document.notes)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


X = "parameters: {x: {min: 0.1, max: 0.2}}\n"
FLAG = "parameters: {flag: {values: [true, false]}}\n"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "script", "words"),
    [
        (X, None, ["--x=0.1"]),
        (FLAG, {"values": "python"}, ["--flag=True"]),
        (X + COMMAND + ', "${args}"]', None, ["--x=0.1"]),
        (X + COMMAND + ', "${args_no_hyphens}"]', {"options": "name=value"}, ["x=0.1"]),
        (X + COMMAND + ', "${args_no_equals}"]', {"options": "--name value"}, ["--x", "0.1"]),
        (FLAG + COMMAND + ', "${args_no_boolean_flags}"]', {"flags": True}, ["--flag"]),
        (X + COMMAND + "]", {"options": "none"}, []),
        (
            X + COMMAND + ', fit, -v, --id, "007", --amp, "${args}"]',
            {"arguments": ["fit", "-v", "--id", "007", "--amp"]},
            ["fit", "-v", "--id", "007", "--amp", "--x=0.1"],
        ),
        (
            "parameters: {sizes: {values: [[64, a], [8]]}}\n",
            {"values": "python"},
            ["--sizes=[64, 'a']"],
        ),
        (
            'command: ["${env}", python3, -u, train.py, -u, "${args}"]\n' + X,
            {"arguments": ["-u"]},
            ["-u", "--x=0.1"],
        ),
        (
            X + 'command: ["${env}", A=b, torchrun, -n, 2, "${program}", "${args}", --x=3]',
            {
                "launcher": ["torchrun", "-n", "2"],
                "environment": {"A": "b"},
                "after": ["--x=3"],
            },
            ["--x=0.1", "--x=3"],
        ),
        (
            X + 'command: ["${interpreter}", -W, ignore, "${program}", "run={x}", "${args}"]',
            {"launcher": ["python", "-W", "ignore"], "arguments": ["run={{x}}"]},
            ["run={x}", "--x=0.1"],
        ),
        (
            X + COMMAND + ', "dir=${x}/${paths.out}", "--f={\\"a\\": 1}", "${args_append_hydra}"]',
            {
                "arguments": ["dir=${{x}}/${{paths.out}}", '--f={"a": 1}'],
                "options": "name=value",
                "names": {"x": "+x"},
            },
            ["dir=${x}/${paths.out}", '--f={"a": 1}', "+x=0.1"],
        ),
        (
            X + COMMAND + ', "${args_override_hydra}"]',
            {"options": "name=value", "names": {"x": "++x"}},
            ["++x=0.1"],
        ),
        (
            X + COMMAND + ', --json, "${args_json}", -v]',
            {"arguments": ["--json", "{config}", "-v"], "options": "none"},
            ["--json", '{"x": 0.1}', "-v"],
        ),
        (
            X + COMMAND + ', "${args_json_file}"]',
            {
                "arguments": ["{config_file}"],
                "options": "none",
                "config_file": {"name": "args.json"},
            },
            ["/trial/args.json"],
        ),
        (
            X + COMMAND + ', "--data=${envvar:DATA_1}/x", "${args}"]',
            {"arguments": ["--data={env:DATA_1}/x"]},
            ["--data=/data/x", "--x=0.1"],
        ),
    ],
)
def test_a_wandb_script_is_called_as_there(
    text: str, script: dict[str, Any] | None, words: list[str]
) -> None:
    document = translated(WANDB + text)
    assert document.data.get("script") == script
    Path("train.py").touch()
    sweep = load_sweep("theirs.yaml", ["budget={epochs: 1, trials: 1}"])
    line, config = sweep.command_line, sweep.space.from_unit([0.0])
    assert line is not None
    given = {"config": json.dumps(config), "config_file": "/trial/args.json"}
    given |= {"env:DATA_1": "/data"} | line.placeholders(config)
    assert line.words(config, given) == words
    assert sweep.resolved["script"] == ScriptSpec(**(script or {})).section()


@pytest.mark.usefixtures("here")
def test_a_script_that_asks_wandb_gets_no_options_and_a_note_says_so() -> None:
    document = translated(WANDB + X + COMMAND + "]")
    assert "theirs.yaml:5: the script gets no options there, for it asks wandb.config" in notes_of(
        document
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "parameters: {a.b: {value: 1}}\n" + COMMAND + ', "${args_json}"]',
            "5: command: ${args_json} has the key 'a.b' there; here names with dots nest",
        ),
        (X + COMMAND + ', "${args}", "${args_no_hyphens}"]', "5: command: the parameters stand in"),
        (
            X + 'command: [bash, -c, "python t.py | tee x"]',
            "5: command: '|' has no equal here, where no shell runs",
        ),
        (X + 'command: [mytool, "${args}"]', "5: command: 'mytool ${args}' has no equal here"),
        (X + "job: a/b:latest", "5: job: 'a/b:latest' has no equal here: a W&B job is started by"),
        (
            "parameters: {a.b: {value: 1}, a: {parameters: {b: {value: 2}}}}",
            "4: parameters.a.parameters.b: duplicate parameter 'a.b'",
        ),
        (
            X + "early_terminate: {type: hyperband, min_iter: 3, eta: 1}",
            "5: scheduler asha: eta: expected more than 1, got 1",
        ),
        ("parameters: {a..b: {value: 1}}", "4: space.a..b: a name must not be empty"),
        ("parameters: {a: {value: .nan}}", "4: space.a: expected a finite number, got nan"),
        (
            "parameters: {a: {min: -1.7e+308, max: 1.7e+308}}",
            "4: space.a: the range [-1.7e+308, 1.7e+308] is wider than the largest number",
        ),
    ],
)
def test_a_wandb_file_that_cannot_be_said_is_not_printed(
    text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `--space` refuses, `convert` refuses: with the line in the other tool's file."""
    Path("theirs.yaml").write_text(WANDB + text)
    assert main(["convert", "theirs.yaml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"raysweep: theirs.yaml:{line}")


@pytest.mark.usefixtures("here")
def test_a_hydra_group_beside_its_members() -> None:
    text = "parameters: {optimizer: {values: [sgd, adam]}, optimizer.lr: {min: 0.1, max: 0.2}}\n"
    document = translated(WANDB + text + COMMAND + ', "${args_no_hyphens}"]')
    assert document.data["script"] == {"options": "name=value"}
    assert list(document.data["space"]) == ["optimizer", "optimizer.lr"]
    Path("train.py").touch()
    sweep = load_sweep("theirs.yaml", ["budget={epochs: 1, trials: 1}"])
    assert sweep.command_line is not None
    words = sweep.command_line.words(sweep.space.from_unit([0.0, 0.0]))
    assert words == ["optimizer=sgd", "optimizer.lr=0.1"]


HYPERBAND = WANDB + "early_terminate: {type: hyperband, max_iter: 30, min_iter: 20, s: 2, eta: 3}\n"


@pytest.mark.usefixtures("here")
def test_max_iter_places_rungs_and_the_length_is_a_constant() -> None:
    document = translated(HYPERBAND + "parameters: {x: {min: 0.1, max: 0.2}, epochs: {value: 100}}")
    assert document.data["budget"] == {"epochs": 100}
    assert document.data["scheduler"] == {"name": "asha", "type": "stopping", "eta": 3, "grace": 3}
    assert "4: trials are compared at 3, 10 there; at 3, 9, 27, 81 here" in notes_of(document)
    assert "5: epochs is taken as the length of a trial" in notes_of(document)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "parameters",
    [
        "{x: {min: 1, max: 2}}",
        "{epochs: {values: [10, 20]}}",
        "{a.epochs: {value: 3}, b.epochs: {value: 4}}",
        "{epochs: {value: many}}",
        "{epochs: {value: true}}",
    ],
)
def test_without_a_constant_the_length_is_asked_for(parameters: str) -> None:
    document = translated(f"{HYPERBAND}parameters: {parameters}")
    assert "budget" not in document.data
    assert "Still to be said: budget.epochs, budget.trials." in convert("theirs.yaml")
    assert read("theirs.yaml", ["budget={epochs: 9, trials: 1}"]).content.budget.epochs == 9


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("words", ["--max_epochs, '9'", "--num-epochs=9", "trainer.max_epochs=9"])
def test_a_length_among_the_fixed_arguments(words: str) -> None:
    document = translated(WANDB + X + COMMAND + f', {words}, "${{args}}"]')
    assert document.data["budget"] == {"epochs": 9}


@pytest.mark.usefixtures("here")
def test_a_wandb_file_is_yaml_1_1() -> None:
    text = """
parameters:
  amp: {values: [yes, no]}
  shuffle: {value: on}
  octal: {value: 010}
  minutes: {value: 12:30}
  lr: {values: [1e-3, 1e-4]}
  day: {value: 2024-01-01}
  word: {value: 'yes'}
  none: {values: [None, relu]}
"""
    assert translated(WANDB + text).data["space"] == {
        "amp": {"choice": [True, False]},
        "shuffle": True,
        "octal": 8,
        "minutes": 750,
        "lr": {"choice": [1e-3, 1e-4]},
        "day": "2024-01-01",
        "word": "yes",
        "none": {"choice": ["None", "relu"]},
    }


@pytest.mark.usefixtures("here")
def test_wandb_parameters_that_are_merged_listed_or_rounded() -> None:
    text = """
parameters:
  a: &base {min: 0.001, max: 0.1}
  b: {<<: *base, max: 0.5}
  width: {distribution: q_uniform, min: 8, max: 64}
  halves: {distribution: q_uniform, min: 0, max: 1, q: 0.5}
  twice: {values: [0.1, 0.2, 0.1]}
  likely: {values: [a, b, a], probabilities: [0.25, 0.5, 0.25]}
  sizes: {values: [[64, 64], [128], null, {kind: mlp}]}
  layers: {value: [64, 64]}
  nothing: {value: null}
"""
    document = translated(WANDB + text)
    assert document.data["space"] == {
        "a": {"float": [0.001, 0.1]},
        "b": {"float": [0.001, 0.5]},
        "width": {"int": [8, 64], "step": 1, "ends": "half"},
        "halves": {"float": [0.0, 1.0], "step": 0.5, "ends": "half"},
        "twice": {"choice": [0.1, 0.2], "weights": [2, 1]},
        "likely": {"choice": ["a", "b"], "weights": [0.5, 0.5]},
        "sizes": {"choice": [[64, 64], [128], None, {"kind": "mlp"}]},
        "layers": {"value": [64, 64]},
        "nothing": {"value": None},
    }
    assert "12: sizes is one option there, --sizes={...}; here each of its keys is one" in (
        notes_of(document)
    )
    assert "14: nothing may be null, which is None there; left out here" in notes_of(document)


@pytest.mark.usefixtures("here")
def test_a_wandb_grid_takes_what_it_takes_there() -> None:
    grid = WANDB.replace("random", "grid")
    text = "parameters: {w: {distribution: q_uniform, min: 8, max: 64, q: 8}, n: {min: 1, max: 4}}"
    document = translated(grid + text)
    assert document.data["space"]["w"] == {"int": [8, 56], "step": 8, "points": 7}
    assert "4: a grid there leaves out the upper bound of q_uniform, 64" in notes_of(document)
    assert document.data["budget"] == {"trials": 28}
    for parameters in (
        "{lr: {min: 0.1, max: 0.2}}",
        "{lr: {values: [1, 2], probabilities: [0.5, 0.5]}}",
        "{lr: {distribution: q_log_uniform_values, min: 1, max: 8}}",
    ):
        with pytest.raises(SpecificationError, match=r"^theirs.yaml:4: .*a grid"):
            translated(f"{grid}parameters: {parameters}")


KATIB = """\
kind: Experiment
spec:
  objective: {type: maximize, objectiveMetricName: accuracy}
  algorithm: {algorithmName: random}
  parameters:
    - {name: --lr, parameterType: double, feasibleSpace: {min: "1e-4", max: "1e-1"}}
    - {name: use_bn, parameterType: categorical, feasibleSpace: {list: ["yes", "no"]}}
    - {name: bs, parameterType: discrete, feasibleSpace: {list: ["16", "32", "16"]}}
  trialTemplate:
    primaryContainerName: train
    trialParameters: [{name: learningRate, reference: --lr}, {name: bn, reference: use_bn}]
    trialSpec:
      kind: Job
      spec: {template: {spec: {containers: [{name: sidecar}, {name: train, COMMAND}]}}}
"""
LR_AND_BS = (
    '"--learning-rate=${trialParameters.learningRate}", "--batch-size=${trialParameters.bs}"'
)


def katib(container: str) -> Document:
    return translated(KATIB.replace("COMMAND", container))


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("container", "script"),
    [
        (
            f"command: [python3, /opt/train.py, fit, {LR_AND_BS}]",
            {
                "arguments": ["fit"],
                "names": {"lr": "learning-rate", "use_bn": None, "bs": "batch-size"},
            },
        ),
        (
            'workingDir: /opt, command: [python3], args: [-u, train.py, "--lr", "${trialParameters.'
            'learningRate}", "--use_bn", "${trialParameters.bn}", "--bs", "${trialParameters.bs}"]',
            {"options": "--name value"},
        ),
        (
            'command: [python3, /opt/train.py, "opt.lr=${trialParameters.learningRate}"]',
            {"options": "name=value", "names": {"lr": "opt.lr", "use_bn": None, "bs": None}},
        ),
        ("command: [python3, /opt/train.py]", {"options": "none"}),
        (
            'command: [python3, /opt/train.py, "${trialParameters.bs}", '
            '"x=${trialParameters.bn},{b}", "${trialParameters.bs}"]',
            {"arguments": ["{bs}", "x={use_bn},{{b}}", "{bs}"], "options": "none"},
        ),
        (
            'command: [python3, /opt/train.py, "--bs=${trialParameters.bs}", -v, '
            '"--lr=${trialParameters.learningRate}"]',
            {"arguments": ["--bs={bs}", "-v", "--lr={lr}"], "options": "none"},
        ),
        (
            'command: [python3, /opt/train.py, "--bs=${trialParameters.bs}", --epochs, "9"]',
            {"names": {"lr": None, "use_bn": None}, "after": ["--epochs", "9"]},
        ),
        (
            'command: [sh, -c, "A=$HOME python3 /opt/train.py --lr=${trialParameters.learningRate}'
            ' --x"]',
            {
                "environment": {"A": "{env:HOME}"},
                "names": {"use_bn": None, "bs": None},
                "after": ["--x"],
            },
        ),
        (
            "env: [{name: A, value: b}], command: [torchrun, -n, 2, /opt/train.py]",
            {"launcher": ["torchrun", "-n", "2"], "environment": {"A": "b"}, "options": "none"},
        ),
    ],
)
def test_a_katib_script_is_called_as_there(container: str, script: dict[str, Any]) -> None:
    document = katib(container)
    assert document.data["script"] == script
    assert document.data["trainable"] == "/opt/train.py"
    assert document.data["space"]["bs"] == {"ordinal": [16, 32], "weights": [2, 1]}


@pytest.mark.usefixtures("here")
def test_what_a_katib_template_says_otherwise_is_noted() -> None:
    env = "envFrom: [{secretRef: {name: s}}], env: [{name: A, valueFrom: {fieldRef: {}}}]"
    noted = notes_of(katib(f"{env}, command: [python, train.py, {LR_AND_BS}]"))
    assert "14: envFrom: variables from there are not set here" in noted
    assert "14: the variable A is not set here" in noted
    assert "14: bs is not among trialParameters; taken as the parameter bs" in noted
    assert "14: use_bn is not passed to the script there, nor here" in noted
    noted = notes_of(katib("command: [my-tool, train]"))
    assert (
        "9: how a trial is started there is not read; trainable is to be said, and script" in noted
    )


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("COMMAND", 'command: [python, x.py, "--a=${trialSpec.Name}"]', "14: spec.trialTemplate."),
        ("COMMAND", 'command: [python, x.py, "--a=${trialParameters.none}"]', "14: spec.trial"),
        (
            '["yes", "no"]',
            "[yes, no]",
            "7: spec.parameters.1.feasibleSpace.list.0: expected a word, got true",
        ),
        ("name: use_bn", "name: lr", "7: spec.parameters.1: duplicate parameter 'lr'"),
        ("algorithmName: random", "algorithmName: grid", "6: lr: a grid needs a step"),
    ],
)
def test_what_a_katib_template_has_no_equal_for(old: str, new: str, line: str) -> None:
    with pytest.raises(SpecificationError) as error:
        translated(KATIB.replace(old, new))
    assert str(error.value).startswith(f"theirs.yaml:{line}")


DETERMINED = """\
entrypoint: python3 train.py --data cifar
hyperparameters: {lr: {type: log, base: 10, minval: -4, maxval: -1}}
searcher: {name: random, metric: loss, max_trials: 4, LENGTH}
"""


@pytest.mark.usefixtures("here")
def test_determined_values_and_keys_of_its_own() -> None:
    text = DETERMINED.replace("LENGTH", "max_length: {epochs: 3}").replace(
        "hyperparameters: {",
        "hyperparameters: {layers: [64, 64], norm: null, "
        "act: {type: categorical, vals: [[1], [1], a]}, ",
    )
    more = "min_checkpoint_period: {epochs: 1}\nmin_validation_period: {batches: 100}\n"
    more += "perform_initial_validation: true\ndata: {a: {b: 1}, c: [1]}\n"
    document = translated(text + more)
    assert document.data["space"] == {
        "layers": {"value": [64, 64]},
        "norm": {"value": None},
        "act": {"choice": [[1], "a"], "weights": [2, 1]},
        "lr": {"float": [1e-4, 0.1], "log": True},
        "data.a": {"value": {"b": 1}},
        "data.c": {"value": [1]},
    }
    assert document.data["script"] == {"arguments": ["--data", "cifar"], "options": "none"}
    noted = notes_of(document)
    assert "1: the script gets no options there, for it asks Determined" in noted
    assert "4: min_checkpoint_period: {epochs: 1} (how often a trial is saved there" in noted
    assert "5: min_validation_period: {batches: 100} (how often a trial is validated" in noted
    assert "1: a trial there holds one slot" in noted


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "type: log",
            "type: logarithmic",
            "2: hyperparameters.lr.type: 'logarithmic' has no equal",
        ),
        ("name: random", "name: grid", "2: hyperparameters.lr: a grid needs count"),
        ("searcher:", "optimizations: {a: 1}\nsearcher:", "3: optimizations: {a: 1} has no equal"),
        ("train.py", "train.py > log", "1: entrypoint: '>' has no equal here, where no shell"),
        ("train.py", "train.py $(ls)", "1: entrypoint: '(' has no equal here, where no shell"),
        ("train.py", "train.py $1", "1: entrypoint: '$1' has no equal here, where no shell runs"),
        ("train.py", "train.py ${A:-b}", "1: entrypoint: '${A:-b}' has no equal here, where no"),
    ],
)
def test_what_determined_says_and_cannot_be_said(old: str, new: str, line: str) -> None:
    with pytest.raises(SpecificationError) as error:
        translated(DETERMINED.replace("LENGTH", "max_length: {epochs: 3}").replace(old, new))
    assert str(error.value).startswith(f"theirs.yaml:{line}")


NNI = """\
searchSpace: {lr: {_type: choice, _value: [[1], [2], [1]]}, n: {_type: randint, _value: [1, 9]}}
trialCommand: python3 train.py --epochs 7
tuner: {name: TPE}
useAnnotation: no
"""


@pytest.mark.usefixtures("here")
def test_an_nni_script_asks_for_its_parameters() -> None:
    document = translated(NNI)
    assert document.data["script"] == {"arguments": ["--epochs", "7"], "options": "none"}
    assert document.data["space"]["lr"] == {"choice": [[1], [2]], "weights": [2, 1]}
    assert document.data["budget"] == {"epochs": 7}
    assert document.data["metric"] == {"name": "default", "goal": "minimize"}
    noted = notes_of(document)
    assert "2: the script gets no options there, for it asks NNI" in noted
    assert "3: without optimize_mode, tpe takes minimize" in noted


@pytest.mark.usefixtures("here")
def test_an_nni_grid_takes_every_whole_number_and_has_no_goal_of_its_own() -> None:
    document = translated(NNI.replace("TPE", "GridSearch"))
    assert document.data["space"]["n"] == {"int": [1, 8], "points": 8}
    with pytest.raises(
        SpecificationError,
        match=r"missing key 'goal' in metric, for the tuner there is told no optimize_mode; add",
    ):
        read("theirs.yaml")


@pytest.mark.usefixtures("here")
def test_a_train_function_in_place_of_a_script_has_no_options() -> None:
    translated(WANDB + FLAG)
    said = read("theirs.yaml", ["budget={epochs: 1, trials: 1}", "trainable=a:b"])
    assert said.content.script is None
    assert said.document.notes[-1] == (
        "theirs.yaml:4: how the script is called is left out, for a:b is a function"
    )
    with pytest.raises(
        SpecificationError, match=r"^--set script.flags: script: the trainable 'a:b'"
    ):
        read("theirs.yaml", ["budget={epochs: 1, trials: 1}", "trainable=a:b", "script.flags=true"])


def test_convert_reads_back_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that changes a value is a bug, and is not printed."""
    monkeypatch.setattr(
        "raysweep.search_spaces.convert.convert_file.write",
        lambda data: write({**data, "searcher": "tpe"}),
    )
    with pytest.raises(AssertionError, match="reads back as"):
        convert(str(SAMPLES / "wandb/bayes.yaml"))


DRAWS = 1000


def quantiles(param: Param) -> list[Any]:
    """What even draws become, in order: the quantiles of the distribution."""
    return [param.from_unit(param.draw((i + 0.5) / DRAWS)) for i in range(DRAWS)]


def converted(dialect: str, rule: dict[str, Any]) -> Param:
    """The parameter `x` that a rule in a file of that dialect becomes."""
    wandb = {
        "method": "random",
        "program": "train.py",
        "metric": {"name": "loss"},
        "run_cap": 9,
        "parameters": {"x": rule},
    }
    searcher = {"name": "random", "metric": "loss", "max_trials": 3, "max_length": {"epochs": 9}}
    files = {
        "wandb": wandb,
        "nni": {"x": rule},
        "determined": {"hyperparameters": {"x": rule}, "searcher": searcher, "entrypoint": "a:b"},
        "katib": {"kind": "Experiment", "spec": {"parameters": [{"name": "x", **rule}]}},
    }
    document = document_of(json.dumps(files[dialect]), "x.json", Path())
    entry = document.data["space"]["x"]
    text = json.dumps(
        {
            "trainable": "a:b",
            "metric": {"name": "loss", "goal": "minimize"},
            "budget": {"epochs": 1, "trials": 1},
            "space": {"x": entry if isinstance(entry, dict) else {"choice": [entry]}},
        }
    )
    from raysweep.search_spaces.file.build_space import space
    from raysweep.search_spaces.file.reader import check

    said = parse(text, "x.json")
    return space(check(said), said).params["x"]


def even() -> np.ndarray[Any, Any]:
    return (np.arange(DRAWS) + 0.5) / DRAWS


def uniform(low: float, high: float) -> Any:
    return low + even() * (high - low)


def log_uniform(low: float, high: float) -> Any:
    return np.exp(uniform(math.log(low), math.log(high)))


RANGES = st.tuples(st.floats(1e-4, 10), st.floats(0.1, 100)).map(
    lambda pair: (pair[0], pair[0] + pair[1])
)
STEPPED = st.tuples(st.integers(1, 30), st.integers(1, 40), st.sampled_from([1, 2, 8]))


@settings(max_examples=30)
@given(RANGES)
def test_uniform_ranges_are_the_same(bounds: tuple[float, float]) -> None:
    low, high = bounds
    for dialect, rule in (
        ("wandb", {"min": low, "max": high}),
        ("wandb", {"distribution": "uniform", "min": low, "max": high}),
        ("nni", {"_type": "uniform", "_value": [low, high]}),
        ("determined", {"type": "double", "minval": low, "maxval": high}),
        (
            "katib",
            {"parameterType": "double", "feasibleSpace": {"min": str(low), "max": str(high)}},
        ),
    ):
        np.testing.assert_allclose(
            quantiles(converted(dialect, rule)), uniform(low, high), rtol=1e-9
        )


@settings(max_examples=30)
@given(RANGES)
def test_log_ranges_are_the_same(bounds: tuple[float, float]) -> None:
    low, high = bounds
    exponents = [math.log(low), math.log(high)]
    for dialect, rule in (
        ("wandb", {"distribution": "log_uniform_values", "min": low, "max": high}),
        ("wandb", {"distribution": "inv_log_uniform_values", "min": low, "max": high}),
        ("wandb", {"distribution": "log_uniform", "min": exponents[0], "max": exponents[1]}),
        ("wandb", {"distribution": "inv_log_uniform", "min": -exponents[1], "max": -exponents[0]}),
        ("nni", {"_type": "loguniform", "_value": [low, high]}),
        (
            "determined",
            {"type": "log", "base": math.e, "minval": exponents[0], "maxval": exponents[1]},
        ),
        (
            "katib",
            {
                "parameterType": "double",
                "feasibleSpace": {"min": str(low), "max": str(high), "distribution": "logUniform"},
            },
        ),
    ):
        np.testing.assert_allclose(
            quantiles(converted(dialect, rule)), log_uniform(low, high), rtol=1e-8
        )


@settings(max_examples=30)
@given(STEPPED)
def test_integers_include_their_upper_bound_where_theirs_do(rule: tuple[int, int, int]) -> None:
    low, count, _ = rule
    high = low + count
    expected = np.floor(uniform(low, high + 1)).astype(int)
    np.testing.assert_array_equal(
        quantiles(converted("wandb", {"distribution": "int_uniform", "min": low, "max": high})),
        expected,
    )
    np.testing.assert_array_equal(
        quantiles(converted("wandb", {"min": low, "max": high})), expected
    )
    np.testing.assert_array_equal(
        quantiles(converted("determined", {"type": "int", "minval": low, "maxval": high})), expected
    )
    np.testing.assert_array_equal(
        quantiles(converted("nni", {"_type": "randint", "_value": [low, high + 1]})), expected
    )
    feasible = {"min": str(low), "max": str(high)}
    np.testing.assert_array_equal(
        quantiles(converted("katib", {"parameterType": "int", "feasibleSpace": feasible})), expected
    )


def agree(found: list[Any], expected: Any) -> None:
    """The same values, each as often but for one draw on either side of a boundary."""
    ours, theirs = (
        Counter(round(float(one), 9) for one in found),
        Counter(round(float(one), 9) for one in expected),
    )
    assert set(ours) == set(theirs)
    assert max(abs(ours[value] - theirs[value]) for value in ours) <= 2


@settings(max_examples=30)
@given(STEPPED, st.integers(0, 3), st.booleans())
def test_quantized_ranges_are_the_same(rule: tuple[int, int, int], shift: int, log: bool) -> None:
    """Values are rounded to multiples of q, and in NNI also clipped to the bounds.

    The bounds may be multiples or not.
    """
    first, count, q = rule
    low, high = first * q + min(shift, q - 1), (first + count) * q
    drawn = log_uniform(low, high) if log else uniform(low, high)
    expected = np.round(drawn / q) * q
    kind = "q_log_uniform_values" if log else "q_uniform"
    agree(
        quantiles(converted("wandb", {"distribution": kind, "min": low, "max": high, "q": q})),
        expected,
    )
    rule_there = {"_type": "qloguniform" if log else "quniform", "_value": [low, high, q]}
    agree(quantiles(converted("nni", rule_there)), np.clip(expected, low, high))


@settings(max_examples=30)
@given(st.lists(st.floats(0.1, 5), min_size=2, max_size=5))
def test_probabilities_are_weights(weights: list[float]) -> None:
    values = list(range(len(weights)))
    total = sum(weights)
    rule = {"values": values, "probabilities": [one / total for one in weights]}
    shares = Counter(quantiles(converted("wandb", rule)))
    assert all(
        abs(shares[value] / DRAWS - weight / total) < 2 / DRAWS
        for value, weight in zip(values, weights, strict=True)
    )


def test_what_is_never_drawn_there_is_left_out() -> None:
    assert converted(
        "wandb", {"values": ["a", "b", "c"], "probabilities": [0.5, 0, 0.5]}
    ) == Choice(("a", "c"), (0.5, 0.5))


@pytest.mark.parametrize(
    ("dialect", "rule"),
    [
        ("wandb", {"values": ["a", "b", 3]}),
        ("nni", {"_type": "choice", "_value": ["a", "b", 3]}),
        ("determined", {"type": "categorical", "vals": ["a", "b", 3]}),
        ("katib", {"parameterType": "categorical", "feasibleSpace": {"list": ["a", "b", "3"]}}),
    ],
)
def test_a_choice_is_even(dialect: str, rule: dict[str, Any]) -> None:
    shares = Counter(quantiles(converted(dialect, rule)))
    assert len(shares) == 3
    assert max(shares.values()) - min(shares.values()) <= 1
