"""The best epoch of a run as a folder that loads without this project: `best/`, evaluated once more by a fresh process to prove it.

`model.pt` (the state dict), `config.yaml`, `metrics.json`, a README, and `checkpoint.pt`: `epoch`, `model_state_dict`,
`optimizer_state_dict`, `metrics` and whatever else the train function named in `run.epochs(...)`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.finder import program
from raysweep.formatting import number
from raysweep.results.storage.run_directory import Best, RunDirectory, RunError
from raysweep.results.views.tensorboard import drawn

FOLDER = "best"
SECONDS = 1800
README = """\
Load it: `model.load_state_dict(torch.load("model.pt", weights_only=True))`, where `model` is built as `config.yaml` says.
It is epoch {epoch} of trial {trial}; `metrics.json` has its metrics.
To train on, `torch.load("checkpoint.pt", weights_only=True)` has `epoch`, `model_state_dict` and `optimizer_state_dict`.
"""


@dataclass(frozen=True)
class Exported:
    """An export, and what a fresh process made of it. `difference`: evaluated again less recorded, None where it could not be evaluated."""

    folder: Path
    trial: str
    epoch: int
    value: float
    difference: float | None
    message: str


def export(
    run: RunDirectory, out: Path | None = None, evaluate: bool = True, draw: bool = False
) -> Exported:
    """Write the best epoch of a run to `out` (`best/` in the run folder), in the place of an older export, and evaluate it again.

    `draw`: its weights and answers are drawn beside the run's other files for TensorBoard.
    RunError where there is nothing to export, or where `out` cannot be written or holds something else.
    """
    folder = _place(out or run.path / FOLDER)
    best = run.best
    content = _checkpoint(best, str(run.sweep["trainable"]))
    value = float(content["metrics"][run.metric])
    about: dict[str, Any] = {
        "trial": best.trial.id,
        "epoch": content["epoch"],
        "metric": run.metric,
        "value": value,
        "metrics": dict(content["metrics"]),
    }
    about |= {"trainable": _trainable(run), "training_seed": best.trial.seed}
    try:
        _write(folder, best, content, about)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from error
    drawing = drawn(run.path, best.trial.id) if draw else None
    difference, message = (
        check(folder, run.metric, value, drawing) if evaluate else (None, "not evaluated again")
    )
    return Exported(folder, best.trial.id, content["epoch"], value, difference, message)


def _trainable(run: RunDirectory) -> str:
    """The reference of the train function for any folder: a pickled one lies in the run's own."""
    reference = str(run.sweep["trainable"])
    if (run.path / reference.rpartition(":")[0]).suffix == ".pkl":
        return str(run.path.resolve() / reference)
    return reference


def _place(out: Path) -> Path:
    """The folder that is to be made, with its name. RunError for what an export must not replace."""
    if out.is_symlink():
        raise RunError(f"{out} is a link; name the folder itself")
    folder = out.resolve()
    if Path.cwd().is_relative_to(folder):
        raise RunError(f"{out} holds the current folder; name a folder that is to be made")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{out} is a file; name a folder that is to be made")
    _check_free(folder, out)
    return out if out.name == folder.name else folder


def _check_free(folder: Path, named: Path) -> None:
    """RunError for a folder that holds something else than an export."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "metrics.json").is_file():
        raise RunError(f"{named} is there and is no export; name another folder")


def check(
    folder: Path, metric: str, value: float, drawing: Path | None = None
) -> tuple[float | None, str]:
    """Load and evaluate an export in a fresh process: the difference from the recorded value (None: not evaluated), and a line about it."""
    command = program(
        "raysweep.trainables.runtime.evaluate", str(folder), *([str(drawing)] if drawing else [])
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return (
            None,
            f"the exported model could not be evaluated again within {SECONDS // 60} minutes",
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return None, f"the exported model does NOT load in a fresh process: {last}"
    return _compared(json.loads(done.stdout.strip().splitlines()[-1]), metric, value)


def _compared(answer: dict[str, Any], metric: str, value: float) -> tuple[float | None, str]:
    if "why" in answer:
        return (
            None,
            f"the exported model loads in a fresh process; it was not evaluated again: {answer['why']}",
        )
    if metric not in answer["metrics"]:
        return (
            None,
            f"the exported model loads in a fresh process; evaluate(...) gives {', '.join(answer['metrics'])}, but no {metric}",
        )
    difference = answer["metrics"][metric] - value
    line = f"loaded and evaluated again in a fresh process: {metric} {number(value, 6)}, difference {difference:g}"
    return difference, line + (
        f"; not drawn for TensorBoard: {answer['undrawn']}" if "undrawn" in answer else ""
    )


def _checkpoint(best: Best, trainable: str) -> dict[str, Any]:
    import torch

    if best.checkpoint is None:
        raise RunError(f"the best trial, {best.trial.id}, has no checkpoint to export")
    try:
        content: dict[str, Any] = torch.load(best.checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(f"{best.checkpoint} cannot be read: {str(error).splitlines()[0]}") from error
    if "model_state_dict" not in content and trainable.endswith(".py"):
        raise RunError(
            f"{Path(trainable).name} is a script, which keeps its own; the best trial's files are in {best.checkpoint.parent}"
        )
    if "model_state_dict" not in content:
        raise RunError(
            f"{best.checkpoint} holds no model; name it in the train function: run.epochs(model=model, optimizer=optimizer)"
        )
    return content


def _write(folder: Path, best: Best, content: dict[str, Any], about: dict[str, Any]) -> None:
    """Write the export beside its place, then put it there."""
    unfinished = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _fill(unfinished, best, content, about)
        _put(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _fill(unfinished: Path, best: Best, content: dict[str, Any], about: dict[str, Any]) -> None:
    import torch
    from ruamel.yaml import YAML

    torch.save(content["model_state_dict"], unfinished / "model.pt")
    torch.save(
        {name: value for name, value in content.items() if name != "random"},
        unfinished / "checkpoint.pt",
    )
    YAML(typ="safe", pure=True).dump(best.config, unfinished / "config.yaml")
    (unfinished / "metrics.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    (unfinished / "README.md").write_text(README.format(**about), encoding="utf-8")


def _put(unfinished: Path, folder: Path) -> None:
    """Move a finished folder to its place. An old export goes; a folder that is none is left alone."""
    if folder.exists():
        _check_free(folder, folder)
        old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
        os.replace(folder, old)
        os.replace(unfinished, folder)
        shutil.rmtree(old)
    else:
        os.replace(unfinished, folder)
