"""W&B programs as scripts: their parameters come from the sweep, and their logs are reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raysweep.trainables.runtime.import_trainable import load
from raysweep.trainables.runtime.run import Objective, Run
from raysweep.trainables.runtime.script.hooks import with_wandb_hook

CONFIG = {"lr": 0.1, "optimizer": {"momentum": 0.9}}
PROGRAM = """\
import wandb

defaults = {"lr": 0.5, "batch_size": 8, "optimizer": {"momentum": 0.0}}
wandb.login()
run = wandb.init(project="demo", config=defaults, mode="online")
config = wandb.config
wandb.config.update({"lr": 7, "arch": "cnn"}, allow_val_change=True)
assert wandb.run is run
assert (config.lr, config["batch_size"], config.arch) == (0.1, 8, "cnn"), dict(config)
assert config.optimizer["momentum"] == 0.9
wandb.define_metric("val/acc", summary="max")
for epoch in range(3):
    wandb.log({"epoch": epoch, "train": {"loss": 1 / (epoch + 1)}}, commit=False)
    run.log({"val/acc": epoch / 2, "table": wandb.Table(columns=["a"], data=[[1]])}, step=epoch)
wandb.run.summary["best"] = 1.0
wandb.finish()
"""
REPORTS = [
    {"val/acc": 0.0, "train/loss": 1.0},
    {"val/acc": 0.5, "train/loss": 0.5},
    {"val/acc": 1.0, "train/loss": 1 / 3},
]
HIDE = """\
import sys
sys.path[:] = [path for path in sys.path if "site-packages" not in path]
sys.user_sitecustomize = True
"""
"""A user's own `sitecustomize`, which hides all that is installed, wandb too."""


@pytest.fixture
def without_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts find no wandb."""
    folder = tmp_path / "hiding"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(HIDE)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def reports(folder: Path, code: str, metric: str = "val/acc", epochs: int = 3) -> list[Any]:
    """The metrics that a program reports as a trial."""
    path = folder / "train.py"
    path.write_text(code)
    objective = Objective(metric, maximize=True)
    run = Run(epochs, lambda message: None, folder=folder / "trial", objective=objective)
    load(str(path))[0](CONFIG, run)
    return [message["metrics"] for message in run.reports]


@pytest.mark.slow
def test_a_program_runs_offline_with_the_installed_wandb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    assert reports(tmp_path, PROGRAM) == REPORTS
    assert list((tmp_path / "trial").glob("**/offline-run-*/*.wandb"))
    assert not (tmp_path / "wandb").exists()


@pytest.mark.usefixtures("without_wandb")
def test_a_program_runs_without_wandb(tmp_path: Path) -> None:
    assert reports(tmp_path, PROGRAM) == REPORTS


EVERYTHING = """\
import argparse
import wandb
from wandb.integration.keras import WandbMetricsLogger
import wandb.apis

args = argparse.Namespace(lr=3.0, epochs=2)
settings = wandb.Settings(start_method="fork")
with wandb.init(config=args, name="mine", tags=["a"], settings=settings) as run:
    assert (run.name, run.config.epochs, wandb.config.lr) == ("mine", 2, 0.1)
    assert sorted(wandb.config.keys()) == ["epochs", "lr", "optimizer"]
    assert dict(wandb.config) == {**wandb.config} == wandb.config.as_dict()
    assert wandb.config.get("none", 5) == 5 and "lr" in wandb.config
    wandb.watch(object(), log="all", log_freq=10)
    artifact = wandb.Artifact("model", type="model")
    artifact.add_file("model.pt")
    run.log_artifact(artifact, aliases=["best"]).wait()
    open(wandb.run.dir + "/model.pt", "w").close()
    try:
        wandb.alert(title="x", text="y")
    except wandb.errors.CommError:
        pass
    for epoch in range(wandb.config.epochs):
        images = [wandb.Image(0, caption="c"), wandb.Video(0)]
        wandb.log({"val/acc": epoch, "images": images, "roc": wandb.plot.roc_curve([0], [1])})
    wandb.save("*.pt")
print("done")
"""


@pytest.mark.usefixtures("without_wandb")
def test_the_stand_in_takes_what_programs_do_with_wandb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reports(tmp_path, EVERYTHING) == [{"val/acc": 0.0}, {"val/acc": 1.0}]
    assert capsys.readouterr().out == "done\nraysweep: the script ended after epoch 2 of 3\n"


AGENT = """\
import wandb

def main():
    with wandb.init() as run:
        for _ in range(3):
            run.log({"val/acc": wandb.config.lr})

sweep_id = wandb.sweep({"method": "random", "parameters": {"lr": {"max": 1.0}}}, project="demo")
wandb.agent(sweep_id, function=main, count=20)
"""


@pytest.mark.usefixtures("without_wandb")
def test_an_agent_in_the_program_trains_once(tmp_path: Path) -> None:
    assert reports(tmp_path, AGENT) == [{"val/acc": 0.1}] * 3


@pytest.mark.usefixtures("without_wandb")
def test_a_metric_of_the_summary_alone_is_reported_at_the_end(tmp_path: Path) -> None:
    code = "import wandb\nrun = wandb.init()\nrun.log({'x': 1})\nrun.summary['val/acc'] = 0.75\n"
    assert reports(tmp_path, code) == [{"val/acc": 0.75, "x": 1.0}]


RANKS = """\
import os, sys
os.environ["RANK"] = sys.argv[1] if len(sys.argv) > 1 else "1"
import wandb
wandb.init()
for epoch in (1, 2):
    wandb.log({"epoch": epoch, "val/acc": 9.0})
if os.environ["RANK"] == "1":
    os.execv(sys.executable, [sys.executable, __file__, "0"])
"""


@pytest.mark.usefixtures("without_wandb")
def test_only_the_first_process_reports(tmp_path: Path) -> None:
    assert reports(tmp_path, RANKS, epochs=2) == [{"val/acc": 9.0}] * 2
    lines = (tmp_path / "trial" / "reports.jsonl").read_text().splitlines()
    assert len(lines) == 2


ASKS = """\
import importlib.util, json, sys
assert sys.user_sitecustomize
try:
    import wandb
except ImportError:
    wandb = None
import library
print(json.dumps({"val/acc": int(wandb is None), "found": int(library.has_wandb)}))
"""
LIBRARY = """\
import importlib.util
has_wandb = importlib.util.find_spec("wandb") is not None
"""


@pytest.mark.usefixtures("without_wandb")
def test_what_only_asks_for_wandb_finds_that_it_is_not_installed(tmp_path: Path) -> None:
    (tmp_path / "library.py").write_text(LIBRARY)
    (tmp_path / "wandb").mkdir()  # W&B's own folder of runs, beside the script
    assert reports(tmp_path, ASKS) == [{"val/acc": 0.0, "found": 1.0}]
    (tmp_path / "wandb").rmdir()
    (tmp_path / "trial").rename(tmp_path / "before")
    assert reports(tmp_path, ASKS) == [{"val/acc": 1.0, "found": 0.0}]


def test_a_script_without_wandb_imports_nothing_of_the_hook(tmp_path: Path) -> None:
    environment = with_wandb_hook({**os.environ, "RAYSWEEP_REPORTS": "x"})
    code = "import sys; print([name for name in sys.modules if name.startswith('raysweep')])"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert printed.stdout == "[]\n"


def test_an_error_in_the_users_own_sitecustomize_is_shown_as_ever(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import no_such_module")
    environment = with_wandb_hook({**os.environ, "PYTHONPATH": str(tmp_path)})
    printed = subprocess.run(
        [sys.executable, "-c", "print('runs')"], env=environment, capture_output=True, text=True
    )
    assert printed.stdout == "runs\n"
    assert "no_such_module" in printed.stderr


def test_the_hook_leaves_the_path_without_an_empty_entry() -> None:
    assert not with_wandb_hook({})["PYTHONPATH"].endswith(os.pathsep)
    assert with_wandb_hook({"PYTHONPATH": "a"})["PYTHONPATH"].endswith(f"{os.pathsep}a")
    assert json.dumps(with_wandb_hook({}))
