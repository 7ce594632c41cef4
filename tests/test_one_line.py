"""A sweep without a file: `raysweep run train.py --param ...`, and what `--save` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysweep.search_spaces.drafting.one_line import Said, meaning
from raysweep.search_spaces.file.document import parse
from raysweep.tune.cli.app import main
from raysweep.tune.cli.dry_run import first
from raysweep.tune.load import load_sweep
from raysweep.tune.sweep import Sweep

SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--learning_rate", type=float, default=0.1)
parser.add_argument("--batch-size", "--bs", type=int, default=64)
parser.add_argument("--act", choices=["relu", "gelu"], default="relu")
parser.add_argument("--nesterov", action="store_true")
parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--wrong", type=bool, default=True)
parser.add_argument("-k", type=int, default=3)
parser.add_argument("--epochs", type=int, default=14)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
for epoch in range(args.epochs):
    print(f"epoch {epoch + 1}: val accuracy {1 - args.learning_rate / (epoch + 1)}")
"""
TYPED = [
    "--param",
    "learning_rate=1e-5..1e-1:log",
    "--param",
    "batch-size=32,64,128",
    "--param",
    "act=relu,gelu",
    "--param",
    "seed=1",
    "--metric",
    "val_accuracy:max",
    "--trials",
    "20",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)


def mistake(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The line that a command ends with, besides the one that says what is looked at."""
    assert main(["run", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if not line.startswith("looking at")]
    assert len(lines) == 1
    return lines[0]


def told(*params: str, **more: Any) -> dict[str, Any]:
    """The data of the sweep that `--param`s of the script mean."""
    said: dict[str, Any] = {"metric": "val_accuracy:max", "trials": 20} | more
    data: dict[str, Any] = meaning(Said("train.py", params, **said)).document.data
    return data


def proposals(sweep: Sweep) -> list[Any]:
    return first(sweep, sweep.studies()[0])


def test_the_file_that_is_saved_is_the_same_sweep(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "train.py", *TYPED, "--save", "sweep.yaml", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert main(["run", "--space", "sweep.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out == shown
    sweep = load_sweep("sweep.yaml")
    assert sweep.metric.name == "val_accuracy"
    assert sweep.budget.trials == 20
    assert set(proposals(sweep)[0]) == {"learning_rate", "batch-size", "act", "seed"}


def test_the_file_is_commented_and_says_what_was_typed(tmp_path: Path) -> None:
    assert main(["run", "train.py", *TYPED, "--save", "sweep.yaml", "--dry-run"]) == 0
    text = Path("sweep.yaml").read_text()
    assert text.startswith("# What this means: raysweep run train.py --param learning_rate=1e-5..")
    assert "--save" not in text
    assert "  learning_rate: {float: [1e-5, 0.1], log: true}\n" in text
    assert "# the default of --epochs" in text


def test_saving_twice_is_no_mistake_but_another_file_is_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    save = ["--save", "sweep.yaml", "--dry-run"]
    assert main(["run", "train.py", *TYPED, *save]) == 0
    assert main(["run", "train.py", *TYPED, *save]) == 0
    capsys.readouterr()
    line = mistake(capsys, "train.py", *TYPED, "--epochs", "3", *save)
    assert line == "raysweep: --save sweep.yaml: the file exists; name another, or move it away"


def test_a_file_that_is_saved_elsewhere_finds_its_program(tmp_path: Path) -> None:
    (tmp_path / "sweeps").mkdir()
    assert main(["run", "train.py", *TYPED, "--save", "sweeps/a.yaml", "--dry-run"]) == 0
    assert load_sweep("sweeps/a.yaml").trainable == str(tmp_path / "train.py")


def test_settings_are_part_of_what_is_saved(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "searcher=random", "--set", "space.act=relu", "--set", "seed=3"]
    saved = ["--save", "sweep.yaml", "--dry-run"]
    assert main(["run", "train.py", *TYPED, *settings, *saved]) == 0
    shown = capsys.readouterr().out
    assert main(["run", "--space", "sweep.yaml", "--dry-run"]) == 0
    assert capsys.readouterr().out == shown
    data = parse(Path("sweep.yaml").read_text(), "sweep.yaml").data
    assert (data["searcher"], data["space"]["act"], data["seed"]) == ("random", "relu", 3)


def test_what_is_enqueued_is_part_of_what_is_saved(tmp_path: Path) -> None:
    """The configurations of `--enqueue` come before those of `--set`."""
    best = {"learning_rate": 0.01, "batch-size": 32, "act": "gelu"}
    (tmp_path / "best.json").write_text(json.dumps(best))
    own = {"learning_rate": 0.1, "batch-size": 64, "act": "relu"}
    more = ["--enqueue", "best.json", "--set", f"enqueue={json.dumps([own])}"]
    assert main(["run", "train.py", *TYPED, *more, "--save", "sweep.yaml", "--dry-run"]) == 0
    data = parse(Path("sweep.yaml").read_text(), "sweep.yaml").data
    assert data["enqueue"] == [best, own]
    assert [config["seed"] for config in load_sweep("sweep.yaml").enqueue] == [1, 1]


def test_the_programs_options_decide_how_a_parameter_is_told() -> None:
    data = told("learning-rate=1..5", "bs=16..64", "nesterov=true,false")
    assert data["space"]["learning-rate"] == {"float": [1.0, 5.0]}  # type=float
    assert data["space"]["bs"] == {"int": [16, 64]}
    assert data["script"]["names"] == {"learning-rate": "learning_rate"}
    assert data["script"]["flags"] is True


def test_the_length_is_the_programs_own_unless_it_is_said() -> None:
    assert told("seed=1")["budget"]["epochs"] == 14
    assert told("seed=1", epochs=3)["budget"]["epochs"] == 3
    assert told("epochs=5")["budget"]["epochs"] == 5


def test_a_train_function_has_no_options_to_look_at() -> None:
    said = Said("train.py:train", ["lr=0.0..1.0"], "loss", 3, 2)
    assert meaning(said).document.data == {
        "trainable": "train.py:train",
        "metric": {"name": "loss", "goal": "minimize"},
        "budget": {"trials": 3, "epochs": 2},
        "space": {"lr": {"float": [0.0, 1.0]}},
    }


def test_a_program_that_reads_its_words_by_itself_gets_what_is_said(tmp_path: Path) -> None:
    Path("train.py").write_text("import sys\nprint(sys.argv)\n")
    assert told("anything=1..5", epochs=1)["space"] == {"anything": {"int": [1, 5]}}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "--param is missing: what is tuned, as in --param lr=1e-5..1e-1:log"),
        (["--param", "lr"], "--param 'lr': expected NAME=VALUES, as in lr=1e-5..1e-1:log"),
        (
            ["--param", "learning_rat=0.1..0.2"],
            "--param 'learning_rat=0.1..0.2': train.py has no option 'learning_rat'; did you mean "
            "'learning_rate'?",
        ),
        (
            ["--param", "xyz=1"],
            "train.py has no option 'xyz'; it has learning_rate, batch-size, act",
        ),
        (["--param", "act=relu,glu"], "--act takes relu, gelu, not 'glu'; did you mean 'gelu'?"),
        (["--param", "nesterov=1,2"], "--nesterov takes no value; expected nesterov=true,false"),
        (["--param", "batch-size=0.5..2"], "'0.5..2' has fractions"),
        (["--param", "wrong=true,false"], "--wrong of train.py cannot be given a value"),
        (["--param", "epochs=2..5"], "that is the length of a trial; expected --epochs 14"),
        (["--param", "seed=1", "--param", "seed=2"], "--param 'seed=2': 'seed' stands twice"),
        (
            ["--param", "seed=1", "--", "--seed", "3"],
            "--param 'seed=1': --seed is among the words behind --, too",
        ),
        (
            ["--param", "seed=1"],
            "--metric is missing: what is optimized, as in --metric val_accuracy",
        ),
        (
            ["--param", "seed=1", "--metric", "val_accuracy"],
            "--trials is missing: how many configurations are tried, as in --trials 20",
        ),
        (
            ["--param", "seed=1", "--metric", "quality", "--trials", "3"],
            "--metric 'quality': the name does not say which way is better; expected quality:max",
        ),
        (
            ["--param", "seed=1", "--metric", "val_accuracy:maxx", "--trials", "3"],
            "'maxx' is no goal; expected val_accuracy:max or val_accuracy:min",
        ),
        (
            ["--param", "seed=1", "--metric", "val_accuracy", "--trials", "3", "--set", "budgt=1"],
            "--set budgt: unknown key 'budgt' in the sweep; did you mean 'budget'?",
        ),
        (["--space", "sweep.yaml"], "train.py and --space sweep.yaml both say what is trained"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in mistake(capsys, "train.py", *words)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--save", "x.yaml"], "--save x.yaml: there is no program; --save writes what"),
        (["--space", "cnn.yaml", "--", "fit"], "-- fit: words behind -- are for a program"),
        (["cnn.yaml", "--space", "cnn.yaml"], "cnn.yaml and --space cnn.yaml are two files"),
        (["none.py", "--param", "x=1"], "none.py: there is no such file; expected a Python file"),
        (
            ["train.py:train", "--param", "x=1", "--metric", "loss", "--trials", "1"],
            "--epochs is missing: how many epochs one trial trains",
        ),
        (
            ["train.py:train", "--param", "x=1", "--", "fit"],
            "-- fit: words behind -- are for a script, and train.py:train is a function",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in mistake(capsys, *words)


def test_a_time_is_an_end_too() -> None:
    words = ["--param", "seed=1", "--metric", "val_accuracy", "--set", "budget.time=30m"]
    assert main(["run", "train.py", *words, "--dry-run"]) == 0


def test_a_metric_that_nothing_prints_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--param", "seed=1", "--metric", "f1", "--trials", "2", "--dry-run"]
    assert main(["run", "train.py", *words]) == 0
    said = capsys.readouterr().err
    assert "note: nothing that prints or logs 'f1' was found in train.py, but val_accuracy" in said


def test_a_file_takes_the_same_options_in_the_place_of_its_own_keys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [
        "--param",
        "lr=1e-3..0.1:log",
        "--metric",
        "val_loss",
        "--trials",
        "7",
        "--epochs",
        "2",
    ]
    assert main(["run", "mlp.yaml", *words, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "metric: {name: val_loss, goal: minimize}" in shown
    assert "budget: {epochs: 2, trials: 7}" in shown
    assert "  lr: {float: [0.001, 0.1], log: true}" in shown


def test_it_runs(tmp_path: Path) -> None:
    """A script that reports by JSON lines, from the command line to the run directory."""
    Path("train.py").write_text(
        SCRIPT.replace("    print(f", "    import json\n    print(json.dumps({'epoch': epoch + 1, ")
        .replace('"epoch {epoch + 1}: val accuracy {1 -', "'val_accuracy': 1 -")
        .replace('(epoch + 1)}")', "(epoch + 1)}))")
    )
    words = ["--param", "learning_rate=0.1..0.5", "--metric", "val_accuracy:max", "--trials", "2"]
    words += ["--epochs", "2", "--set", "scheduler=none", "--name", "one", "--debug"]
    assert main(["run", "train.py", *words]) == 0
    ledger = Path("ray_results/one/ledger.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in ledger]
    assert sum("metrics" in event for event in events) == 4


def test_a_length_that_is_only_in_a_file_of_the_program_is_told_there() -> None:
    Path("config.yaml").write_text("lr: 0.1\nepochs: 14\n")
    Path("train.py").write_text('import yaml\nconfig = yaml.safe_load(open("config.yaml"))\n')
    assert told("lr=0.1..0.2", epochs=3)["space"] == {"lr": {"float": [0.1, 0.2]}, "epochs": 3}
    assert told("lr=0.1..0.2")["budget"]["epochs"] == 14
