"""A command that lets trials of a script train longer: refused if the script cannot learn of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from raysweep.history import Event
from raysweep.report_interval import ReportInterval, Unit
from raysweep.results.storage.inbox import Command
from raysweep.trainables.runtime.script.command_line import CommandLine
from raysweep.tune.cli.app import main
from raysweep.tune.command_checks import Refused
from raysweep.tune.commands import carry_out
from raysweep.tune.controller import SweepController
from raysweep.tune.load import load_sweep
from raysweep.tune.run_folders import FolderError, check_unchanged, write_sweep
from raysweep.tune.script_length import check_longer
from raysweep.tune.script_told import untold
from raysweep.tune.sweep import Budget
from tests.sweeps import Keep, sweep, train


def scripted(
    folder: Path, arguments: list[str], unit: Unit = "epochs", code: str = "", **more: Any
) -> SweepController:
    """A sweep of a script, whose first trial has trained three reports."""
    path = folder / "train.py"
    path.write_text(code)
    how = CommandLine(arguments=arguments, **more)
    budget = Budget(
        trials=4, epochs=3, interval=ReportInterval(unit, 1 if unit == "epochs" else 20)
    )
    controller = SweepController(
        sweep(trainable=str(path), command_line=how, budget=budget), Keep()
    )
    trial = controller.next()
    assert trial is not None
    train(controller, trial)
    return controller


def give(controller: SweepController, command: str, **arguments: Any) -> Event:
    return carry_out(Command(command, arguments), controller)


@pytest.mark.parametrize(
    ("unit", "arguments", "words"),
    [
        (
            "epochs",
            ["--epochs=3"],
            "--epochs=3 in script.arguments ends .* --epochs=\\{epochs} there",
        ),
        ("epochs", ["--lr", "1", "--epochs", "3"], "--epochs 3 in .* --epochs \\{epochs} there"),
        ("epochs", ["trainer.max_epochs=3"], "trainer.max_epochs=\\{epochs}"),
        ("steps", ["--max_iters=60"], "--max_iters=\\{steps}"),
    ],
)
def test_a_command_that_fixes_the_length_is_refused(
    unit: Unit, arguments: list[str], words: str, tmp_path: Path
) -> None:
    controller = scripted(tmp_path, arguments, unit)
    length = {unit: 5 if unit == "epochs" else 100}
    for event in (
        give(controller, "extend", **length),
        give(controller, "continue", trial="draw-0", **length),
        give(controller, "continue", trial="draw-0", config={"x": 0.123}, **length),
    ):
        assert event["outcome"] == "refused"
        assert "\n" not in event["reason"]
        assert re.search(words, event["reason"])
    assert give(controller, "extend", trials=8)["outcome"] == "applied"


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("--epochs=3", r"^epochs: --epochs=3 in script.arguments ends the script there, .*"),
        ("--epochs={epochs}", ""),
        ("--workers=3", r"script.arguments has no \{epochs\}, so the script is not told"),
    ],
)
def test_a_session_with_longer_trials_is_refused_alike(
    words: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `raysweep resume RUN --set budget.epochs=5` has it, in one line."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("import argparse")
    Path("s.yaml").write_text(
        "trainable: train.py\nmetric: {name: loss, goal: minimize}\n"
        "budget: {trials: 2, epochs: 3}\n"
        f"script: {{arguments: '{words}'}}\nspace: {{lr: {{float: [0, 1]}}}}\n"
    )
    write_sweep(Path("run"), load_sweep("s.yaml"))
    assert check_unchanged(Path("run"), load_sweep("s.yaml", ["budget.trials=9"])) == ""
    longer = load_sweep("s.yaml", ["budget.epochs=5"])
    constant = ["space.train.epochs=3", "script={options: none, arguments: ['{config}']}"]
    with pytest.raises(Refused, match=r"^epochs: train.epochs: 3 in space ends the script there, "):
        check_longer(load_sweep("s.yaml", constant))
    if not words.startswith("--epochs=3"):
        warning = check_unchanged(Path("run"), longer)
        assert re.match(answer or "$", warning)
        return
    with pytest.raises(FolderError, match=answer) as refused:
        check_unchanged(Path("run"), longer)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "code", "more", "warns"),
    [
        (["--epochs={epochs}"], "", {}, False),
        ([], "", {"environment": {"EPOCHS": "{epochs}"}}, False),
        (["--workers=3"], "os.environ['RAYSWEEP_EPOCHS']", {}, False),
        (["--workers=3"], "while True: train()", {}, True),
    ],
)
def test_one_that_is_told_the_length_trains_longer(
    arguments: list[str], code: str, more: dict[str, Any], warns: bool, tmp_path: Path
) -> None:
    controller = scripted(tmp_path, arguments, code=code, **more)
    event = give(controller, "continue", trial="draw-0", epochs=4)
    assert event["outcome"] == "applied"
    assert ("script.arguments has no {epochs}" in event["reason"]) is warns
    event = give(controller, "extend", epochs=5)
    assert event["outcome"] == "applied"
    assert ("script.arguments has no {epochs}" in event["reason"]) is warns


@pytest.mark.parametrize(
    ("code", "script", "is_said"),
    [
        ("LR = 0.1", "{options: none}", True),
        ("LR = 0.1", "{options: none, environment: {LR: '{lr}'}}", False),
        ("LR = 0.1", "{options: none, arguments: ['{config}']}", False),
        ("LR = 0.1", "{options: none, config_file: {name: c.yaml, option: --c}}", False),
        ("LR = 0.1", "{}", False),
        ("os.environ['RAYSWEEP_CONFIG']", "{options: none}", False),
        ("import settings", "{options: none}", False),
        ("wandb.init(config=config)", "{options: none}", False),
    ],
)
def test_a_script_that_is_told_nothing_is_said(
    code: str,
    script: str,
    is_said: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(code)
    if "settings" in code:
        Path("settings.py").write_text("os.environ['RAYSWEEP_CONFIG']")
    Path("s.yaml").write_text(
        "trainable: train.py\nmetric: {name: loss, goal: minimize}\nbudget: {trials: 2, epochs: 3}"
        f"\nscript: {script}\nspace: {{lr: {{float: [0, 1]}}}}\n"
    )
    said = untold(load_sweep("s.yaml"))
    assert bool(said) is is_said
    assert main(["run", "--space", "s.yaml", "--dry-run"]) == 0
    assert ("nothing tells train.py its" in capsys.readouterr().out) is is_said
