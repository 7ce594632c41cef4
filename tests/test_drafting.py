"""`raysweep init` on programs in the style of public ones: what it finds, and that it is a file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.history import Trial
from raysweep.search_spaces.convert.any_file import read_text
from raysweep.search_spaces.drafting.draft import Draft, draft
from raysweep.search_spaces.drafting.interface import Option
from raysweep.search_spaces.drafting.program import ProgramError
from raysweep.search_spaces.drafting.ranges import suggest
from raysweep.search_spaces.drafting.sections import metric_name, script
from raysweep.search_spaces.drafting.write import text_of, warnings
from raysweep.search_spaces.file.document import parse
from raysweep.trainables.runtime.train_job import train_job
from raysweep.tune.cli.dry_run import first
from raysweep.tune.load import load_sweep, sweep_of
from raysweep.tune.make_job import job

NEEDS = {"glue.py": ["transformers"], "lightning_cli.py": ["lightning"]}
"""Libraries of programs that are not among those of the tests, for they are large."""
PROGRAMS = Path(__file__).resolve().parent / "data" / "programs"


def drafted(name: str, *words: str) -> Draft:
    return draft(str(PROGRAMS / name), list(words))


def active(made: Draft) -> dict[str, Any]:
    return {one.option.name: one.entry for one in made.active}


def file_of(made: Draft, folder: Path) -> str:
    """The text of a draft, which is checked as `--dry-run` does; so is every line in a comment."""
    text = text_of(made, folder / "sweep.yaml")
    sweep_of(read_text(text, folder / "sweep.yaml"))
    whole = re.sub(r"^  # (\S+: (?:\{|\[|\S+ ))", r"  \1", text, flags=re.M)
    entries = parse(whole, "whole").data["space"] or {}
    assert {one.option.name for one in made.suggestions} <= set(entries)
    return text


@pytest.mark.parametrize(
    ("name", "words", "tuned", "metric", "length"),
    [
        ("mnist.py", [], ["batch-size", "lr", "gamma"], "accuracy", (14, "epochs", "epochs")),
        (
            "imagenet.py",
            [],
            ["batch-size", "lr", "momentum", "wd"],
            "acc1",
            (90, "epochs", "epochs"),
        ),
        (
            "gpt/train.py",
            [],
            ["batch_size", "n_layer", "n_embd", "dropout", "learning_rate", "weight_decay"],
            "val_loss",
            (200, "steps", "max_iters"),
        ),
        (
            "two_parsers.py",
            [],
            ["batch-size", "momentum", "weight-decay", "lr-base", "smoothing", "drop"],
            "eval_top1",
            (300, "epochs", "epochs"),
        ),
        (
            "click_app.py",
            ["train", "./data"],
            ["lr", "hidden", "dropout", "activation"],
            "val_acc",
            (5, "epochs", "epochs"),
        ),
        (
            "typer_app.py",
            [],
            ["learning-rate", "optimizer", "num-layers"],
            "val/loss",
            (4, "epochs", "num-epochs"),
        ),
        (
            "fire_app.py",
            [],
            ["lr", "momentum", "hidden_size"],
            "valid_loss",
            (3, "epochs", "n_epochs"),
        ),
        (
            "absl_app.py",
            [],
            ["learning_rate", "batch_size", "optimizer"],
            "test_accuracy",
            (3, "epochs", "num_epochs"),
        ),
        (
            "constants.py",
            [],
            ["LEARNING_RATE", "BATCH_SIZE", "HIDDEN"],
            "accuracy",
            (3, "epochs", "NUM_EPOCHS"),
        ),
        (
            "by_file/train.py",
            [],
            [
                "optimizer.lr",
                "optimizer.weight_decay",
                "model.hidden_size",
                "model.dropout",
                "training.batch_size",
            ],
            "val_loss",
            (3, "epochs", "training.epochs"),
        ),
        (
            "by_option.py",
            [],
            ["lr", "batch_size", "nested.dropout"],
            "val_f1",
            (3, "epochs", "max_epochs"),
        ),
        (
            "hydra_project/src/train.py",
            [],
            ["data.batch_size", "model.optimizer.lr", "model.optimizer.weight_decay"],
            "val/acc",
            (4, "epochs", "trainer.max_epochs"),
        ),
        (
            "simple_parsing_app.py",
            [],
            ["lr", "momentum", "num_layers", "dropout"],
            "valid_perplexity",
            (3, "epochs", "max_epochs"),
        ),
        ("jsonargparse_app.py", [], ["width", "activation"], "val_mae", (3, "epochs", "epochs")),
        (
            "ppo.py",
            [],
            ["learning-rate", "gamma", "gae-lambda", "clip-coef", "ent-coef"],
            "charts/episodic_return",
            (20000, "steps", "total-timesteps"),
        ),
        pytest.param(
            "lightning_cli.py",
            [],
            ["model.width", "model.learning_rate", "data.batch_size"],
            "val_loss",
            (10, "epochs", "trainer.max_epochs"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "glue.py",
            ["--model_name_or_path", "tiny"],
            [
                "per_device_train_batch_size",
                "learning_rate",
                "weight_decay",
                "label_smoothing_factor",
            ],
            "eval_accuracy",
            (3, "epochs", "num_train_epochs"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_program_of_every_public_shape(
    name: str,
    words: list[str],
    tuned: list[str],
    metric: str,
    length: tuple[int, str, str],
    tmp_path: Path,
) -> None:
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module, reason=f"{module} is in the extra examples")
    made = drafted(name, *words)
    assert list(active(made)) == tuned
    assert metric_name(made.found[0]) == metric
    assert made.length.option is not None
    assert (made.length.count, made.length.unit, made.length.option.name) == length
    file_of(made, tmp_path)


@pytest.mark.examples
@pytest.mark.parametrize(
    ("name", "words", "reports"),
    [
        ("typer_app.py", [], 4),
        ("click_app.py", ["train", "./data"], 5),
        ("fire_app.py", [], 3),
        ("absl_app.py", [], 3),
        ("simple_parsing_app.py", [], 3),
        ("jsonargparse_app.py", [], 3),
        ("by_file/train.py", [], 3),
        ("by_option.py", [], 3),
        ("hydra_project/src/train.py", [], 4),
        ("gpt/train.py", [], 10),
        pytest.param("mnist.py", [], 14, marks=pytest.mark.slow),
        pytest.param("imagenet.py", [], 90, marks=pytest.mark.slow),
        pytest.param("ppo.py", [], 20, marks=pytest.mark.slow),
        pytest.param("lightning_cli.py", [], 10, marks=pytest.mark.slow),
    ],
)
def test_a_drafted_file_trains_the_unchanged_program(
    name: str, words: list[str], reports: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # an attempt changes it for its process
    for module in NEEDS.get(name, ()):
        pytest.importorskip(module, reason=f"{module} is in the extra examples")
    (tmp_path / "sweep.yaml").write_text(file_of(drafted(name, *words), tmp_path))
    sweep = load_sweep(str(tmp_path / "sweep.yaml"))
    config = first(sweep, sweep.studies()[0], 1)[0]
    heard: list[dict[str, Any]] = []
    made = job(sweep, tmp_path / "run", Trial(0, "auto", config, 0))
    outcome = train_job(made, heard.append)
    assert outcome.status == "completed", outcome.reason
    values = [message["metrics"][sweep.metric.name] for message in heard if "metrics" in message]
    assert len(values) == reports


def test_ranges_lie_around_the_defaults() -> None:
    assert active(drafted("fire_app.py")) == {
        "lr": {"float": [1e-3, 0.1], "log": True},
        "momentum": {"float": [0.5, 0.99], "log": "reverse"},
        "hidden_size": {"ordinal": [16, 32, 64]},
    }


def test_bounds_and_choices_of_the_program_are_kept() -> None:
    found = active(drafted("click_app.py", "train", "./data"))
    assert found["hidden"] == {"ordinal": [32, 64]}  # IntRange(8, 96)
    assert found["activation"] == {"choice": ["relu", "gelu"]}
    assert active(drafted("typer_app.py"))["num-layers"] == {"int": [1, 3]}


def test_each_line_says_why(tmp_path: Path) -> None:
    text = file_of(drafted("fire_app.py"), tmp_path)
    assert "# default 0.01; a learning rate: log scale, a decade to each side" in text
    assert "  # use_bias: {choice: [true, false]}  " in text
    assert "# Left as they are: name" in text
    assert "# printed in fire_app.py:8" in text


def test_the_file_names_its_program_from_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    program = tmp_path / "src" / "train.py"
    program.write_text((PROGRAMS / "fire_app.py").read_text())
    made = draft(str(program), [])
    assert "\ntrainable: src/train.py\n" in text_of(made, tmp_path / "sweep.yaml")
    assert f"\ntrainable: {program}\n" in text_of(made, tmp_path / "other" / "sweep.yaml")


@pytest.mark.parametrize(
    ("name", "words", "line"),
    [
        ("click_app.py", [], "click_app.py needs data: add that behind --, as in raysweep init"),
        ("click_app.py", [], "click_app.py -- train DATA"),
        ("none.py", [], "none.py: there is no such file; expected a Python file such as train.py"),
        ("gpt", [], "is a directory; expected a Python file"),
        ("by_option.json", [], "by_option.json: expected a Python file"),
    ],
)
def test_what_is_missing_is_said_in_one_line(name: str, words: list[str], line: str) -> None:
    with pytest.raises(ProgramError) as raised:
        drafted(name, *words)
    assert line in str(raised.value)
    assert "\n" not in str(raised.value)


COMMANDS = """
import argparse
parser = argparse.ArgumentParser()
commands = parser.add_subparsers()
for name in {names}:
    command = commands.add_parser(name)
    command.add_argument("--lr", type=float, default=0.1)
parser.parse_args()
"""


def program(folder: Path, code: str, name: str = "train.py") -> str:
    path = folder / name
    path.write_text(code)
    return str(path)


def test_of_several_commands_one_is_to_be_named(tmp_path: Path) -> None:
    name = program(tmp_path, COMMANDS.format(names=["pretrain", "finetune"]))
    with pytest.raises(ProgramError, match="has the commands pretrain, finetune: add one behind"):
        draft(name, [])
    assert draft(name, ["finetune"]).interface.words == ("finetune",)


def test_the_command_that_trains_needs_no_name(tmp_path: Path) -> None:
    name = program(tmp_path, COMMANDS.format(names=["fit", "test"]))
    made = draft(name, [])
    assert made.interface.words == ("fit",)
    assert list(active(made)) == ["lr"]


def test_words_behind_the_dashes_are_kept_and_what_they_say_is_fixed(tmp_path: Path) -> None:
    code = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=90)
parser.add_argument("--dropout", type=float, default=0.1)
parser.parse_args()
"""
    name = program(tmp_path, code)
    with pytest.raises(ProgramError, match=r"needs --data: add that behind --, .* -- --data VALUE"):
        draft(name, [])
    made = draft(name, ["--data", "/data", "--lr=0.2", "--epochs", "5"])
    assert list(active(made)) == ["dropout"]
    assert made.length.count == 5
    text = file_of(made, tmp_path)
    assert "arguments: [--data, /data, --lr=0.2, --epochs, '{epochs}']" in text
    text = file_of(draft(name, ["--data", "/data", "--epochs=5"]), tmp_path)
    assert "arguments: [--data, /data, '--epochs={epochs}']" in text
    assert "epochs: 5" in text


def test_a_length_in_steps_among_the_words_follows_the_budget(tmp_path: Path) -> None:
    text = file_of(drafted("gpt/train.py", "--max_iters=120"), tmp_path)
    assert "steps: 120" in text
    assert "'--max_iters={steps}'" in text
    assert "max_iters=120" not in text
    text = file_of(drafted("hydra_project/src/train.py", "trainer.max_epochs=3"), tmp_path)
    assert "'trainer.max_epochs={epochs}'" in text
    assert "max_epochs=3" not in text


def test_a_required_hyperparameter_needs_no_word(tmp_path: Path) -> None:
    code = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, required=True)
parser.parse_args()
"""
    assert list(active(draft(program(tmp_path, code), []))) == ["lr"]


def test_a_boolean_that_argparse_cannot_read_is_left_out_with_the_reason(tmp_path: Path) -> None:
    code = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--nesterov", type=bool, default=True)
parser.add_argument("--lr", type=float, default=0.1)
parser.parse_args()
"""
    made = draft(program(tmp_path, code), [])
    assert [one.option.name for one in made.suggestions] == ["lr"]
    assert "nesterov cannot be told: type=bool" in file_of(made, tmp_path)


def test_a_trials_files_go_to_its_own_folder(tmp_path: Path) -> None:
    made = drafted("gpt/train.py")
    assert [option.name for option in made.outputs] == ["out_dir"]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("LR = 0.1\nWIDTH = 32\n", "add below line 2: import json, os; globals().update"),
        ('config = {"lr": 0.1, "width": 32}\n', "add below line 1: import json, os; config.update"),
        (
            "from dataclasses import dataclass\n@dataclass\nclass Config:\n"
            "    lr: float = 3e-4\n    width: int = 2**5\nConfig()\n",
            "make the Config with what the trial is given",
        ),
    ],
)
def test_what_is_only_written_down_comes_with_the_line_that_lets_it_be_told(
    code: str, advice: str, tmp_path: Path
) -> None:
    made = draft(program(tmp_path, code), [])
    assert [name.lower() for name in active(made)] == ["lr", "width"]
    assert advice in made.interface.unread
    file_of(made, tmp_path)
    added = code + "import json, os; globals().update(json.loads(os.environ['RAYSWEEP_CONFIG']))\n"
    assert draft(program(tmp_path, added), []).interface.unread == ""


def test_a_file_that_a_program_finds_beside_itself_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("lr: 0.1\n")
    code = (
        "import yaml, pathlib\n"
        'yaml.safe_load(open(pathlib.Path(__file__).parent / "config.yaml"))\n'
    )
    made = draft(program(tmp_path, code), [])
    assert "reads config.yaml from its own folder, whatever it is told" in made.interface.unread


def test_a_dataclass_of_tyro_is_read_if_a_package_is_missing(tmp_path: Path) -> None:
    code = """
from dataclasses import dataclass
from typing import Optional
import not_there_at_all
import tyro
@dataclass
class Args:
    learning_rate: float = 1
    anneal_lr: bool = True
    target_kl: Optional[float] = None
    env_id: str = "CartPole-v1"
    total_timesteps: int = 500000
args = tyro.cli(Args)
"""
    made = draft(program(tmp_path, code), [])
    assert active(made) == {"learning-rate": {"float": [0.1, 10.0], "log": True}}
    assert [one.option.name for one in made.suggestions] == ["learning-rate", "anneal-lr"]
    assert (made.length.count, made.length.unit) == (500000, "steps")
    assert "No module named 'not_there_at_all'" in made.interface.notes[0]


def test_the_files_of_hydra_are_read_if_a_package_is_missing(tmp_path: Path) -> None:
    shutil.copytree(PROGRAMS / "hydra_project", tmp_path / "project")
    train = tmp_path / "project" / "src" / "train.py"
    expected = drafted("hydra_project/src/train.py")
    train.write_text(train.read_text().replace("import csv\n", "import csv\nimport not_there\n"))
    made = draft(str(train), [])
    assert active(made) == active(expected)
    assert made.length.count == expected.length.count
    assert made.found[0].name == expected.found[0].name
    assert "No module named 'not_there'" in made.interface.notes[0]


def test_the_option_that_ends_the_loop_over_epochs_is_the_length(tmp_path: Path) -> None:
    code = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--niter", type=int, default=25)
parser.add_argument("--lr", type=float, default=0.1)
opt = parser.parse_args()
for epoch in range(opt.niter):
    print(f"[{epoch}/{opt.niter}] Loss: {opt.lr}")
"""
    made = draft(program(tmp_path, code), [])
    assert made.length.option is not None
    assert (made.length.option.name, made.length.count) == ("niter", 25)


def test_a_module_of_a_package_is_run_as_python_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "options.py").write_text(
        "import argparse\nparser = argparse.ArgumentParser()\n"
        'parser.add_argument("--lr", type=float, default=0.1)\n'
    )
    program(tmp_path / "package", "from .options import parser\nparser.parse_args()\n")
    monkeypatch.chdir(tmp_path)
    made = draft("-m package.train", [])
    assert list(active(made)) == ["lr"]
    assert made.interface.notes == ()
    assert "\ntrainable: -m package.train\n" in file_of(made, tmp_path)
    with pytest.raises(ProgramError, match=r"-m package\.none: there is no package/none\.py"):
        draft("-m package.none", [])


@pytest.mark.parametrize(("asks", "launched"), [("os.environ['LOCAL_RANK']", True), ("0", False)])
def test_a_program_that_needs_a_rank_gets_a_launcher(
    asks: str, launched: bool, tmp_path: Path
) -> None:
    code = f"import argparse, os\nrank = {asks}\n" + COMMANDS.partition("commands =")[0]
    code += 'parser.add_argument("--lr", type=float, default=0.1)\nparser.parse_args()\n'
    made = draft(program(tmp_path, code), [])
    lines = {line.key: line.value for line in script(made, None, tmp_path / "sweep.yaml")}
    assert ("launcher" in lines) == launched


WRITES = """
import argparse, shutil, torch
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--save-model", action="store_true")
{options}
args = parser.parse_args()
def save_checkpoint(state, is_best, filename="checkpoint.pth.tar"):
    torch.save(state, filename)
    if is_best:
        shutil.copyfile(filename, "model_best.pth.tar")
{code}
"""


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ('"--save", default="model.pt", help="path to save the final model"', "{folder}/model.pt"),
        ('"--outf", default=".", help="folder to output images and checkpoints"', "{folder}"),
        ('"--logging_dir", default="./tmp/"', "{folder}/"),
        ('"--output", default=""', "{folder}"),
        ('"--log_dir"', "{folder}"),
        ('"--ckpt", default="best.pth", help="where to save the best model"', "{folder}/best.pth"),
        ('"--plots", default="figures/", help="directory where figures are saved"', "{folder}/"),
        ('"--ckpt", default="best.pth", help="path of the checkpoint to load"', ""),
        ('"--vocab", default="vocab.json", help="path of the vocabulary"', ""),
        ('"--onnx-export", default="", help="path to export the final model to"', ""),
    ],
)
def test_what_a_program_writes_goes_to_the_trials_folder(
    option: str, word: str, tmp_path: Path
) -> None:
    code = WRITES.format(options=f"parser.add_argument({option})", code="")
    made = draft(program(tmp_path, code), [])
    lines = {line.key: line.value for line in script(made, None, tmp_path / "sweep.yaml")}
    name = option.split('"')[1]
    assert lines.get("arguments", []) == ([f"{name}={word}"] if word else [])


@pytest.mark.parametrize(
    ("options", "code", "moved"),
    [
        ("", "", True),
        ("", "MNIST('../data')", False),
        ("", "open('vocab.txt')", False),
        ("", "torch.load('traindata.pt')", False),
        ("", "save_image(x, 'results/sample_' + str(1) + '.png')", False),
        ("", "os.makedirs('results')\nopen(f'results/{args.lr}.txt', 'w')", True),
        ('parser.add_argument("--data", default="imagenet")', "", False),
    ],
)
def test_files_that_trials_would_share_are_said(
    options: str, code: str, moved: bool, tmp_path: Path
) -> None:
    (tmp_path / "vocab.txt").write_text("a")
    made = draft(program(tmp_path, WRITES.format(options=options, code=code)), [])
    assert {"checkpoint.pth.tar", "model_best.pth.tar"} <= set(made.shared)
    text = file_of(made, tmp_path)
    assert ("\n  folder: '{folder}'" in text) == moved
    assert ("it writes checkpoint.pth.tar into its working folder" in text) != moved


def test_a_folder_that_a_name_is_put_behind_ends_with_a_slash(tmp_path: Path) -> None:
    code = WRITES.format(
        options='parser.add_argument("--logging_dir")',
        code='torch.save(model, args.logging_dir + "best.pt")',
    )
    made = draft(program(tmp_path, code), [])
    lines = {line.key: line.value for line in script(made, None, tmp_path / "sweep.yaml")}
    assert lines["arguments"] == ["--logging_dir={folder}/"]


def test_what_is_written_only_with_a_switch_is_not_shared(tmp_path: Path) -> None:
    code = WRITES.partition("def save")[0].format(options="")
    code += "state.copy(1, 'patch_')\nstore.save(1, 'name')\n"
    code += 'if args.save_model:\n    torch.save(model, "mnist_cnn.pt")\n'
    assert draft(program(tmp_path, code), []).shared == ()
    assert draft(program(tmp_path, code), ["--save-model"]).shared == ("mnist_cnn.pt",)


@pytest.mark.parametrize(
    ("option", "entry"),
    [
        (Option("lr", "float", 20), {"float": [1.0, 100.0], "log": True}),
        (Option("lr", "float", 0.01), {"float": [1e-3, 0.1], "log": True}),
        (Option("dropout", "float", 0.6), {"float": [0.0, 0.8]}),
        (Option("drop-block", "float"), {"float": [0.0, 0.4]}),
        (Option("bn-momentum", "float"), {"float": [0.01, 0.5], "log": True}),
        (Option("bn-momentum", "float", 0.9), {"float": [0.5, 0.99], "log": "reverse"}),
        (Option("warmup_ratio", "float", 0.3), {"float": [0.0, 0.65]}),
    ],
)
def test_a_range_is_of_its_kind_and_has_the_default(option: Option, entry: dict[str, Any]) -> None:
    found = suggest(option)
    assert found is not None
    assert found.entry == entry


@given(
    st.sampled_from(["lr", "wd", "momentum", "dropout", "gamma", "bn_momentum", "grad_clip", "x"]),
    st.floats(1e-6, 1e4),
)
def test_every_range_has_the_programs_default(name: str, default: float) -> None:
    found = suggest(Option(name, "float", default))
    assert found is not None
    low, high = found.entry["float"]
    assert low <= default <= high or (found.entry.get("log") == "reverse" and default >= 1)


EVALUATES = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=200)
parser.add_argument("--{name}", type=int, default=20, help="{text}")
parser.add_argument("--resume", default="")
args = parser.parse_args()
torch.save(state, "model_best.pth.tar")
torch.save(state, os.path.join(out, "{file}"))
{code}
"""


@pytest.mark.parametrize(
    ("name", "text", "code", "every"),
    [
        ("val-every", "epochs to wait for print training and validation evaluation", "", 20),
        ("eval_interval", "", "if (epoch + 1) % args.eval_interval == 0: test()", 20),
        ("val-every", "", "if epoch % val_every == 0: test()", 20),
        ("eval_interval", "batches between evaluations", "", 1),
        ("log-interval", "epochs between prints", "", 1),
    ],
)
def test_epochs_between_evaluations_are_those_between_reports(
    name: str, text: str, code: str, every: int, tmp_path: Path
) -> None:
    made = draft(
        program(tmp_path, EVALUATES.format(name=name, text=text, code=code, file="a.pt")), []
    )
    assert made.length.every == every
    assert ("report_every: 20" in file_of(made, tmp_path)) == (every > 1)


@pytest.mark.parametrize("file", ["last.pth.tar", "ckpt.pt", "checkpoint.pth"])
def test_the_hint_names_the_checkpoint_that_the_source_shows(file: str, tmp_path: Path) -> None:
    code = EVALUATES.format(name="x", text="", code="", file=file)
    text = file_of(draft(program(tmp_path, code), []), tmp_path)
    assert f'# checkpoint: "{{folder}}/**/{file}"' in text


RESUMES = [
    ('"--resume", action="store_true"', "resume: --resume"),
    ('"--start", default="scratch", choices=["scratch", "resume"]', "resume: --start=resume"),
    ('"--init", default="new", help="\'new\' or \'auto-resume\'"', "resume: --init=auto-resume"),
    ('"--resume", default="", help="a path, or \'resume\'"', "resume: --resume={checkpoint}"),
    ('"--no-resume", action="store_true"', ""),
    ('"--note", default="", help="why you resume it"', ""),
]


@pytest.mark.parametrize(("option", "said"), RESUMES)
def test_how_a_program_continues_is_drafted_in_a_comment(
    option: str, said: str, tmp_path: Path
) -> None:
    code = f"""
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--out_dir", default="out")
parser.add_argument({option})
args = parser.parse_args()
torch.save(state, args.out_dir + "/ckpt.pt")
"""
    text = file_of(draft(program(tmp_path, code), []), tmp_path)
    assert ("# resume: " in text) == bool(said)
    assert said in text
    checkpoint = 'checkpoint: "{folder}/**/ckpt.pt"'
    assert ("# " + checkpoint in text) == bool(said)
    assert checkpoint in text.replace("'", '"')
    whole = re.sub(r"^  # (resume|checkpoint): ", r"  \1: ", text, flags=re.M)
    sweep = sweep_of(read_text(whole, tmp_path / "sweep.yaml"))
    assert sweep.command_line is not None
    if said:
        asked = sweep.command_line.words(
            {"lr": 0.1}, {"epochs": "3", "folder": "f", "checkpoint": "c"}, continues=True
        )
        assert asked[-1] == said.removeprefix("resume: ").replace("{checkpoint}", "c")


SAVES = [
    ('args.out + "/model.pt"', '  checkpoint: "{folder}/**/model.pt"  # what it saves'),
    ('f"{args.out}/epoch_{n}.pt"', '  checkpoint: "{folder}/**/epoch_*.pt"  # what it saves'),
    ('"%s/net-%03d.pth" % (args.out, n)', '  checkpoint: "{folder}/**/net-*.pth"  # what it saves'),
    (
        '"last.pt"); torch.save(state, "best.pt"',
        '  checkpoint: "{folder}/**/best.pt"  # what it saves',
    ),
    ('"a.pt"); torch.save(state, "b.pt"', '  # checkpoint: "{folder}/**/b.pt"'),
    ("args.out", ""),
]


@pytest.mark.parametrize(("place", "said"), SAVES)
def test_the_model_that_a_program_saves_is_exported(place: str, said: str, tmp_path: Path) -> None:
    code = f"""
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--out", default="out")
args = parser.parse_args()
torch.save(state, {place})
"""
    text = file_of(draft(program(tmp_path, code), []), tmp_path).replace("'{folder", '"{folder')
    assert said in text.replace("'  #", '"  #')
    assert ("checkpoint:" in text) == bool(said)


POSITIONAL = """
import sys, yaml
path = sys.argv[1] if len(sys.argv) > 1 else "configs/base.yaml"
config = yaml.safe_load(open(path))
for epoch in range(config["train"]["epochs"]):
    print(f"epoch {epoch} val_loss {loss:.4f}")
torch.save(model, config["out_dir"] + "/best.pt")
"""
BASE = "out_dir: ./runs\nlr: 1\ndropout: 0\nwarmup: 500\ntrain: {epochs: 3, weight_decay: 0}\n"


@pytest.mark.parametrize("words", [[], ["other.yaml"], ["--quiet", "other.yaml"]])
def test_a_configuration_that_a_word_names(words: list[str], tmp_path: Path) -> None:
    """`python train.py configs/base.yaml`, which the program itself reads off sys.argv."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "base.yaml").write_text(BASE)
    (tmp_path / "other.yaml").write_text(BASE.replace("lr: 1", "lr: 20.0"))
    made = draft(program(tmp_path, POSITIONAL), words)
    assert active(made)["lr"] == {"float": [1.0, 100.0] if words else [0.1, 10.0], "log": True}
    assert active(made)["dropout"] == {"float": [0.0, 0.5]}
    assert active(made)["train.weight_decay"] == {"float": [1e-6, 0.01], "log": True, "or": [0]}
    text = file_of(made, tmp_path)
    assert f"arguments: [{', '.join([*words[:-1], repr('{config_file}')])}]" in text
    assert f"template: {words[-1] if words else 'configs/base.yaml'}" in text
    # Where its out_dir is each trial's own; unless it may need a file of its folder.
    assert ("  folder: '{folder}'" in text) == (not words)
    assert "train.weight_decay: 0" in text.partition("enqueue:")[2]


def test_the_configurator_says_how_it_resumes(tmp_path: Path) -> None:
    text = file_of(drafted("gpt/train.py"), tmp_path)
    assert "# resume: --init_from=resume" in text


def test_defaults_are_those_of_a_file_among_the_words(tmp_path: Path) -> None:
    shutil.copytree(PROGRAMS / "gpt", tmp_path / "gpt")
    (tmp_path / "gpt" / "small.py").write_text(
        "dropout = 0.2\nlearning_rate = 1e-3  # with baby networks\nmax_iters = 500\n"
        "n_layer = 2 * 2\nbatch_size = int(8)\nprint('small')\n"
    )
    made = draft(str(tmp_path / "gpt" / "train.py"), ["small.py", "--max_iters=120"])
    found = {option.name: option.default for option in made.interface.options}
    assert (found["dropout"], found["learning_rate"], found["n_layer"]) == (0.2, 1e-3, 4)
    assert made.length.count == 120
    assert made.interface.notes == ("small.py computes batch_size, which is not known here",)
    assert made.shared == ()  # out_dir is an option
    text = file_of(made, tmp_path)
    assert "arguments: [small.py, '--max_iters={steps}'" in text
    assert "which is more than" not in text
    made = draft(str(tmp_path / "gpt" / "train.py"), ["--max_iters=4", "--eval_interval=5"])
    assert "eval_interval is 5, which is more than the 4 steps" in " ".join(warnings(made))
    made = draft(str(tmp_path / "gpt" / "train.py"), ["small.py"])
    assert made.length.count == 500
    made = draft(str(tmp_path / "gpt" / "train.py"), ["missing.py"])
    assert "what missing.py sets is not known" in made.interface.notes[0]
