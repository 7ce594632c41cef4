"""Callbacks for training libraries, with the libraries themselves.

The same contract for each: what is reported is what was trained, a trial that is resumed gives the
numbers of one that is not, a stopped one ends, and its best epoch's model is kept.
"""

from __future__ import annotations

import contextlib
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from raysweep.integrations.checkpoint_files import extract
from raysweep.trainables.runtime import checkpoint
from raysweep.trainables.runtime.run import CheckpointError, Objective, ReportError, Run
from tests import libraries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.examples,
    # The libraries' own, about loaders without workers, their coming versions and the like.
    pytest.mark.filterwarnings("ignore"),
]
PAGE = Path(__file__).resolve().parent.parent / "docs/how-to/frameworks.md"
TITLES = {
    "lightning": "PyTorch Lightning",
    "transformers": "Hugging Face's Trainer",
    "accelerate": "Accelerate",
    "ignite": "Ignite",
    "fastai": "fastai",
}
METRIC = {"transformers": "eval_loss", "fastai": "valid_loss"}


def library(name: str, module: str) -> Any:
    """A library as a parameter; its tests are skipped if it is not installed."""
    absent = pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")
    return pytest.param(name, marks=absent)


LIBRARIES = [
    library(name, name) for name in ("lightning", "transformers", "accelerate", "ignite", "fastai")
]
each_library = pytest.mark.parametrize("name", LIBRARIES)
needs_lightning = pytest.mark.skipif(not find_spec("lightning"), reason="not installed")
needs_transformers = pytest.mark.skipif(not find_spec("transformers"), reason="not installed")


class Stopped(BaseException):
    """The receiver wants no more."""


def run_in(folder: Path, epochs: int = 4, stop_at: int = 0, metric: str = "val_loss") -> Run:
    def send(message: dict[str, Any]) -> None:
        if message["epoch"] == stop_at:
            raise Stopped

    return Run(epochs, send, seed=3, folder=folder, objective=Objective(metric, maximize=False))


def train(name: str, run: Run, **config: Any) -> list[dict[str, float]]:
    """Train with a library; the metrics of all of the trial's reports."""
    torch.manual_seed(3)
    getattr(libraries, name)({"lr": 0.05} | config, run)
    return [report["metrics"] for report in run.reports]


@each_library
def test_a_resumed_trial_gives_the_numbers_of_one_that_was_not_stopped(
    name: str, tmp_path: Path
) -> None:
    metric = METRIC.get(name, "val_loss")
    whole = train(name, run_in(tmp_path / "whole", metric=metric))
    with pytest.raises(Stopped):
        train(name, run_in(tmp_path / "parts", stop_at=2, metric=metric))
    resumed = run_in(tmp_path / "parts", metric=metric)
    parts = train(name, resumed)
    assert [report["epoch"] for report in resumed.reports] == [1, 2, 3, 4]
    assert [metrics[metric] for metrics in parts] == [metrics[metric] for metrics in whole]
    assert len({metrics[metric] for metrics in whole}) == 4


@each_library
def test_the_best_epochs_model_gives_its_metric_back(name: str, tmp_path: Path) -> None:
    metric = METRIC.get(name, "val_loss")
    run = run_in(tmp_path, metric=metric)
    losses = [metrics[metric] for metrics in train(name, run, lr=0.02)]
    best = checkpoint.load(tmp_path / checkpoint.BEST)
    assert best["metrics"][metric] == min(losses)
    weights = {
        key.removeprefix("layers."): value for key, value in best["model_state_dict"].items()
    }
    model = libraries.network()
    model.load_state_dict(weights)
    assert libraries.validate(model) == pytest.approx(min(losses), rel=1e-5)


@each_library
def test_nothing_is_left_to_train_after_the_last_epoch(name: str, tmp_path: Path) -> None:
    metric = METRIC.get(name, "val_loss")
    whole = train(name, run_in(tmp_path, metric=metric))
    again = run_in(tmp_path, metric=metric)
    assert train(name, again) == whole
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".pt"] == []


@each_library
def test_the_run_ends_the_training_whatever_the_library_was_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two epochs are left when the budget ends: the library stops by its own means."""
    run = run_in(tmp_path, epochs=2, metric=METRIC.get(name, "val_loss"))
    monkeypatch.setattr(run, "total_epochs", 4)
    epochs = run.epochs
    monkeypatch.setattr(run, "epochs", lambda **state: short(epochs(**state)))
    assert len(train(name, run)) == 2


def short(epochs: Any) -> Any:
    for epoch in epochs:
        yield epoch
        if epoch == 2:
            return


def in_a_script(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any], **options: Any
) -> list[dict[str, float]]:
    """What a script with a library reports to the sweep that runs it."""
    file = folder / "reports.jsonl"
    monkeypatch.setenv("RAYSWEEP_REPORTS", str(file))
    torch.manual_seed(3)
    getattr(libraries, name)({"lr": 0.05} | config, None, **options)
    return [json.loads(line) for line in file.read_text().splitlines()]


@each_library
def test_a_script_reports_the_same_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = METRIC.get(name, "val_loss")
    reports = in_a_script(name, tmp_path, monkeypatch, {"names": (metric,)})
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4]
    expected = train(name, run_in(tmp_path / "trial", metric=metric))
    assert [report[metric] for report in reports] == [metrics[metric] for metrics in expected]


@each_library
def test_outside_of_a_sweep_and_in_other_processes_nothing_is_reported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAYSWEEP_REPORTS", raising=False)
    getattr(libraries, name)({"lr": 0.05}, None)
    monkeypatch.setattr("raysweep.integrations.script.is_first_process", lambda: False)
    monkeypatch.setenv("RAYSWEEP_REPORTS", str(tmp_path / "reports.jsonl"))
    getattr(libraries, name)({"lr": 0.05}, None)
    assert not (tmp_path / "reports.jsonl").exists()


@each_library
def test_a_metric_that_was_not_logged_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "accelerate":
        pytest.skip("what is logged without the metric is no report")
    with pytest.raises(ReportError, match=r"the metric 'val_los' was not logged; logged: .*loss"):
        in_a_script(name, tmp_path, monkeypatch, {"names": ("val_los",)})


@needs_lightning
@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_reports_the_epochs_own_training_loss_and_no_sanity_check(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = in_a_script("lightning", tmp_path, monkeypatch, {}, package=package)
    assert [(report["epoch"], report["step"]) for report in reports] == [
        (1.0, 3.0),
        (2.0, 6.0),
        (3.0, 9.0),
        (4.0, 12.0),
    ]
    assert all(set(report) == {"epoch", "step", "val_loss", "train_loss"} for report in reports)
    # If it were that of the epoch before, the first would be missing and all others late.
    assert len({report["train_loss"] for report in reports}) == 4


@needs_lightning
def test_lightning_reports_several_validations_of_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = in_a_script(
        "lightning", tmp_path, monkeypatch, {}, val_check_interval=1 / 3, max_epochs=2
    )
    assert [report["epoch"] for report in reports] == pytest.approx(
        [1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2]
    )
    assert [report["step"] for report in reports] == [1, 2, 3, 4, 5, 6]


@needs_lightning
def test_lightning_without_validation_reports_each_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = in_a_script("lightning", tmp_path, monkeypatch, {}, limit_val_batches=0)
    assert [set(report) for report in reports] == [{"epoch", "step", "train_loss"}] * 4


@needs_lightning
def test_lightnings_own_checkpoint_of_the_best_epoch_can_be_taken_out(tmp_path: Path) -> None:
    train("lightning", run_in(tmp_path / "trial"))
    path = extract(tmp_path / "trial" / checkpoint.BEST, tmp_path / "out")
    content = torch.load(path, weights_only=True)
    assert content["hyper_parameters"] == {"lr": 0.05}
    best = checkpoint.load(tmp_path / "trial" / checkpoint.BEST)
    assert content["epoch"] + 1 == best["epoch"]
    assert content["state_dict"].keys() == best["model_state_dict"].keys()


@needs_lightning
def test_a_module_with_objects_among_its_hyperparameters_is_resumed(tmp_path: Path) -> None:
    whole = train("lightning", run_in(tmp_path / "whole"))
    with pytest.raises(Stopped):
        train("lightning", run_in(tmp_path / "parts", stop_at=2), keeps_objects=True)
    assert train("lightning", run_in(tmp_path / "parts"), keeps_objects=True) == whole
    path = extract(tmp_path / "parts" / checkpoint.BEST, tmp_path / "out")
    assert "hyper_parameters" not in torch.load(path, weights_only=True)


def test_a_checkpoint_without_one_of_a_library_says_so(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {}, [{"epoch": 1, "metrics": {}}], best=True)
    with pytest.raises(CheckpointError, match=r"best.pt holds no checkpoint of a library"):
        extract(tmp_path / checkpoint.BEST, tmp_path / "out")
    torch.save({"files_state_dict": {"../x": torch.empty(0)}}, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match=r"would write outside of .*out: \.\./x"):
        extract(tmp_path / "foreign.pt", tmp_path / "out")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("lightning", r"pass ckpt_path=report.ckpt_path to", marks=needs_lightning),
        pytest.param(
            "transformers", r"trainer.train\(resume_from_checkpoint=", marks=needs_transformers
        ),
    ],
)
def test_a_library_that_was_not_told_where_to_continue_is_noticed(
    name: str, text: str, tmp_path: Path
) -> None:
    metric = METRIC.get(name, "val_loss")
    with pytest.raises(Stopped):
        train(name, run_in(tmp_path, stop_at=2, metric=metric))
    with pytest.raises(ReportError, match=f"the trial continues after epoch 2, .*{text}"):
        train(name, run_in(tmp_path, metric=metric), forgets=True)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=mark)
        for name, mark in (("lightning", needs_lightning), ("transformers", needs_transformers))
    ],
)
def test_a_damaged_checkpoint_begins_the_training_again(name: str, tmp_path: Path) -> None:
    metric = METRIC.get(name, "val_loss")
    with pytest.raises(Stopped):
        train(name, run_in(tmp_path, stop_at=2, metric=metric))
    content = bytearray((tmp_path / checkpoint.LAST).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / checkpoint.LAST).write_bytes(content)
    run = run_in(tmp_path, metric=metric)
    assert len(train(name, run)) == 4
    assert "is damaged" in run.notes["damaged_checkpoint"]


@needs_transformers
def test_the_trainer_reports_by_step_and_by_part_of_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = in_a_script(
        "transformers",
        tmp_path,
        monkeypatch,
        {},
        eval_strategy="steps",
        eval_steps=2,
        eval_on_start=True,
        logging_strategy="steps",
        logging_steps=2,
    )
    assert [report["step"] for report in reports] == [2, 4, 6, 8, 10, 12]
    assert [report["epoch"] for report in reports] == pytest.approx(
        [2 / 3, 4 / 3, 2, 8 / 3, 10 / 3, 4], abs=1e-3
    )
    assert all(set(report) == {"epoch", "step", "eval_loss", "loss"} for report in reports)


@needs_transformers
def test_evaluations_with_several_sets_of_data_are_a_single_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {"easy": libraries.Pairs(), "hard": libraries.Pairs()}
    reports = in_a_script("transformers", tmp_path, monkeypatch, {}, evaluation=sets)
    assert [report["epoch"] for report in reports] == [1, 2, 3, 4]
    assert all({"eval_easy_loss", "eval_hard_loss"} < set(report) for report in reports)
    run = run_in(tmp_path / "trial", metric="eval_hard_loss")
    libraries.transformers({"lr": 0.05}, run, evaluation=sets)
    assert len(run.reports) == 4


@needs_transformers
def test_an_evaluation_after_the_training_is_reported_unless_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "reports.jsonl"
    monkeypatch.setenv("RAYSWEEP_REPORTS", str(file))
    libraries.transformers({"lr": 0.05}, None).evaluate()
    assert len(file.read_text().splitlines()) == 4
    libraries.transformers({"lr": 0.05}, None, eval_strategy="no").evaluate()
    assert json.loads(file.read_text().splitlines()[4])["epoch"] == 4
    assert len(file.read_text().splitlines()) == 5


@needs_transformers
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"eval_strategy": "no"}, "does not evaluate while it trains"),
        ({"save_strategy": "epoch", "save_only_model": True}, "saves nothing to continue from"),
        ({"save_strategy": "best", "metric_for_best_model": "loss"}, "saves no checkpoint for the"),
    ],
)
def test_arguments_with_which_a_trial_could_not_be_resumed_are_refused(
    options: dict[str, Any], text: str, tmp_path: Path
) -> None:
    with pytest.raises(ReportError, match=text):
        libraries.transformers({"lr": 0.05}, run_in(tmp_path, metric="eval_loss"), **options)


@needs_transformers
def test_checkpoints_that_the_trainer_was_told_to_keep_stay(tmp_path: Path) -> None:
    options = {
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "loss",
    }
    run = run_in(tmp_path, metric="eval_loss")
    trainer = libraries.transformers({"lr": 0.05}, run, **options)
    assert 0 < len(list(tmp_path.glob("checkpoint-*"))) <= 2
    assert Path(trainer.state.best_model_checkpoint).exists()
    best = min(report["metrics"]["eval_loss"] for report in run.reports)
    assert libraries.validate(trainer.model.layers) == pytest.approx(best, rel=1e-5)


@needs_transformers
def test_the_trainers_own_checkpoint_of_the_best_epoch_can_be_taken_out(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    libraries.transformers({"lr": 0.05}, run_in(tmp_path / "trial", metric="eval_loss"))
    path = extract(tmp_path / "trial" / checkpoint.BEST, tmp_path / "out")
    assert {"model.safetensors", "optimizer.pt", "trainer_state.json"} < {
        file.name for file in path.iterdir()
    }
    weights = load_file(path / "model.safetensors")
    best = checkpoint.load(tmp_path / "trial" / checkpoint.BEST)["model_state_dict"]
    assert all(torch.equal(weights[key], best[key]) for key in best)


def documented(name: str) -> str:
    """The train function that the page about frameworks shows for a library."""
    section = PAGE.read_text().partition(f"\n## {TITLES[name]}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```py\n(.*?)^```$", section, re.DOTALL | re.M)
    (found,) = [block for block in blocks if "def train(config, run)" in block]
    return str(found)


@each_library
def test_the_train_function_that_the_documentation_shows_is_resumed(
    name: str, tmp_path: Path
) -> None:
    metric = METRIC.get(name, "val_loss")
    scope = libraries.names_of_the_documentation(name)
    exec(documented(name), scope)
    results = []
    for folder, stop_at in (("whole", 0), ("parts", 2), ("parts", 0)):
        run = run_in(tmp_path / folder, stop_at=stop_at, metric=metric)
        torch.manual_seed(3)
        with contextlib.suppress(Stopped):
            scope["train"]({"lr": 0.05}, run)
        results.append([report["metrics"][metric] for report in run.reports])
    whole, begun, parts = results
    assert (len(whole), len(begun)) == (4, 2)
    assert parts == whole
