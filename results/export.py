"""Export the best epoch of a run as a folder that loads without raysweep.

The folder has `model.pt` (the state dict), `config.yaml`, `metrics.json`, a README, and
`checkpoint.pt` with `epoch`, `model_state_dict`, `optimizer_state_dict`, `metrics` and whatever
else the train function named in `run.epochs(...)`. A fresh process evaluates the exported model
once more, to show that it gives its recorded metric. Of a script, which builds and saves its model
itself, the folder has the newest file that `script.checkpoint` names.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.errors import first_line
from raysweep.finder import program
from raysweep.formatting import number
from raysweep.history import Trial
from raysweep.references import is_script
from raysweep.repeats import REPEATS
from raysweep.report_interval import EVERY_EPOCH, ReportInterval
from raysweep.results.analysis.repeated import seeds_of_best
from raysweep.results.analysis.retraining import winner
from raysweep.results.storage.run_directory import BestEpoch, RunDirectory, RunError
from raysweep.results.storage.script_weights import of_script, script_file
from raysweep.results.views.tensorboard import best_model_folder

FOLDER = "best"
EVALUATION_SECONDS = 1800
"""How long the exported model may take to be evaluated, in seconds."""
README = """\
Load it: `model.load_state_dict(torch.load("model.pt", weights_only=True))`,
where `model` is built as `config.yaml` says.
It is epoch {epoch} of trial {trial}; `metrics.json` has its metrics.
To train on, `torch.load("checkpoint.pt", weights_only=True)` has `epoch`,
`model_state_dict` and `optimizer_state_dict`.
"""
SCRIPT_README = """\
The script that trained it loads it; `config.yaml` has its parameters, and
`metrics.json` the metrics of its best epoch.
"""


@dataclass(frozen=True)
class ExportResult:
    """An export, and what its evaluation in a fresh process gave.

    seed: of the training. source: trial, seed and epoch in words. value: the recorded metric.
    difference: the metric of the evaluation minus `value`, or None if the model was not evaluated.
    message: a line about the evaluation.
    """

    folder: Path
    trial: str
    seed: int
    epoch: int
    source: str
    value: float
    difference: float | None
    message: str


def export(
    run: RunDirectory,
    out: Path | None = None,
    evaluate: bool = True,
    draw: bool = False,
    trial: str | None = None,
) -> ExportResult:
    """Write the best epoch of a run to a folder, and evaluate it there.

    If the best configurations were trained again (`confirm`), it is the best epoch of the one with
    the best mean over its retrainings.

    out: the folder, by default `best/` in the run directory, or `trial-<name>/` of a chosen trial.
    An older export is replaced. evaluate: whether to evaluate it. draw: whether to draw its weights
    and predictions for TensorBoard, beside the run's other event files; not those of a script.
    trial: the best epoch of this trial instead. Raises RunError if there is nothing to export, or
    if `out` cannot be written or holds something else.
    """
    folder = _target(out or run.path / folder_name(trial))
    best = winner(run) if trial is None else _best_of_trial(run, trial)
    trainable = _trainable(run)
    if is_script(trainable) and (file := script_file(run, best.trial)):
        return _export_file(run, folder, best, file)
    content = load_checkpoint(best, trainable, run.interval)
    value = float(content["metrics"][run.metric])
    about = _about(run, best, content["epoch"], content["metrics"])
    _write(folder, lambda place: _write_files(place, best, content, about))
    drawing = None
    if draw:
        drawing = best_model_folder(run.path, best.trial.id)
    difference, message = None, "not evaluated again"
    if evaluate:
        names = [name for name in run.objective_names[1:] if name in content["metrics"]]
        others = {name: float(content["metrics"][name]) for name in names}
        difference, message = check(folder, run.metric, value, drawing, others)
    return _result(run, best.trial, content["epoch"], (folder, value, difference, message))


def _result(
    run: RunDirectory, trial: Trial, epoch: int, found: tuple[Path, float, float | None, str]
) -> ExportResult:
    """`found`: the folder, the recorded value, the difference and the line about it."""
    folder, value, difference, message = found
    source = f"{run.interval.at(epoch)} of {trial.id}, trained with seed {trial.seed}"
    return ExportResult(folder, trial.id, trial.seed, epoch, source, value, difference, message)


def _about(
    run: RunDirectory, best: BestEpoch, epoch: int, metrics: Mapping[str, float]
) -> dict[str, Any]:
    """What `metrics.json` has."""
    about: dict[str, Any] = {
        "trial": best.trial.id,
        "epoch": epoch,
        "metric": run.metric,
        "value": float(metrics[run.metric]),
        "metrics": dict(metrics),
        "trainable": _trainable(run),
        "training_seed": best.trial.seed,
    }
    if _is_of(best.trial, run.best.trial):
        about |= seeds_of_best(run)
    return about


def _export_file(run: RunDirectory, folder: Path, best: BestEpoch, file: Path) -> ExportResult:
    """Copy what a script saved last, with the configuration and the metrics of its best epoch."""
    about = _about(run, best, best.epoch, best.report.metrics) | {"checkpoint": file.name}
    at, last = run.interval.at(best.epoch), run.interval.at(best.trial.epoch)
    what = f"{file.name}, which the script saved last"
    if at != last:
        what += f" (it trained on to {last}, so that this need not be {at})"

    def copy(place: Path) -> None:
        copied = shutil.copytree if file.is_dir() else shutil.copy2
        copied(file, place / file.name)
        readme = f"The weights of trial {best.trial.id} are in {what}.\n{SCRIPT_README}"
        _write_facts(place, best, about, readme)

    _write(folder, copy)
    message = f"{what}; only the script can evaluate it"
    return _result(run, best.trial, best.epoch, (folder, best.value, None, message))


def _is_of(trial: Trial, best: Trial) -> bool:
    """True if a trial is the best one, or the same configuration with another seed."""
    return trial.study == best.study and best.number in (trial.number, trial.notes.get(REPEATS))


def folder_name(trial: str | None) -> str:
    """The folder of an export in the run directory: `best`, or that of a chosen trial."""
    return FOLDER if trial is None else f"trial-{trial}"


def _best_of_trial(run: RunDirectory, name: str) -> BestEpoch:
    trial = run.trial(name)
    if trial.best is None:
        raise RunError(f"{run.path}: {name} has reported nothing yet")
    return run.best_epoch(trial, trial.best)


def _trainable(run: RunDirectory) -> str:
    """The reference of the train function for any folder: a pickled one lies in the run's own."""
    reference = str(run.sweep["trainable"])
    # The pickled file is named relative to the run directory, and the export may lie elsewhere.
    if (run.path / reference.rpartition(":")[0]).suffix == ".pkl":
        return str(run.path.resolve() / reference)
    return reference


def load_checkpoint(
    best: BestEpoch, trainable: str, interval: ReportInterval = EVERY_EPOCH
) -> dict[str, Any]:
    """Load the checkpoint of the best epoch, with its tensors on the CPU.

    trainable: the train function of the sweep. interval: what its trials are measured in. Raises
    RunError if there is no checkpoint, if it cannot be read, or if it holds no model.
    """
    if best.checkpoint is None:
        raise RunError(
            f"{best.trial.id} has no checkpoint: none was written, or checkpoints.keep deleted it"
        )
    import torch

    try:
        content: dict[str, Any] = torch.load(best.checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises many types for a damaged file
        raise RunError(f"{best.checkpoint} cannot be read: {first_line(error)}") from error
    if "model_state_dict" in content:
        return content
    if is_script(trainable):
        raise RunError(
            f"{Path(trainable).name} is a script, whose model raysweep does not have; "
            f"of {best.trial.id}: {of_script(best, interval)}; "
            "script.checkpoint says where it saves"
        )
    raise RunError(
        f"{best.checkpoint} holds no model; name it in the train function: "
        "run.epochs(model=model, optimizer=optimizer)"
    )


def check(
    folder: Path,
    metric: str,
    value: float,
    drawing: Path | None = None,
    others: Mapping[str, float] | None = None,
) -> tuple[float | None, str]:
    """Load and evaluate an export in a fresh process.

    drawing: a folder in which to draw the model for TensorBoard. others: the values of further
    objectives. Returns the difference from the recorded value of the metric, or None if it was not
    evaluated, and a line about it, which names the differences of all that the evaluation gives.
    """
    arguments = [str(folder)]
    if drawing:
        arguments.append(str(drawing))
    command = program("raysweep.trainables.runtime.evaluate", *arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=EVALUATION_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        minutes = EVALUATION_SECONDS // 60
        return None, f"the exported model could not be evaluated again within {minutes} minutes"
    if done.returncode != 0:
        # A traceback ends with the exception.
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return None, f"the exported model does NOT load in a fresh process: {last}"
    # The answer is the last line: the train function's module may print something before it.
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return _compare(answer, metric, value, others or {})


def _compare(
    answer: dict[str, Any], metric: str, value: float, others: Mapping[str, float]
) -> tuple[float | None, str]:
    """The difference between an evaluation's answer and the recorded value, and a line about it."""
    loads = "the exported model loads in a fresh process"
    if "why" in answer:
        return None, f"{loads}; it was not evaluated again: {answer['why']}"
    metrics = answer["metrics"]
    if metric not in metrics:
        return None, f"{loads}; evaluate(...) gives {', '.join(metrics)}, but no {metric}"
    difference = metrics[metric] - value
    line = (
        "loaded and evaluated again in a fresh process: "
        f"{metric} {number(value, 6)}, difference {difference:g}"
    )
    for name, recorded in others.items():
        if name in metrics:
            line += f"; {name} {number(recorded, 6)}, difference {metrics[name] - recorded:.3g}"
    if "undrawn" in answer:
        line += f"; not drawn for TensorBoard: {answer['undrawn']}"
    return difference, line


def _target(out: Path) -> Path:
    """The folder to be written, with a name. Raises RunError if it must not be replaced."""
    if out.is_symlink():
        raise RunError(f"{out} is a link; name the folder itself")
    folder = out.resolve()
    # An older export is replaced as a whole, and with it the folder that the user stands in.
    if Path.cwd().is_relative_to(folder):
        raise RunError(f"{out} contains the current folder; name a new folder")
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{out} is a file; name a new folder")
    _check_replaceable(folder, out)
    if out.name != folder.name:
        return folder  # "." and ".." are no names for a folder that is to be replaced
    return out


def _check_replaceable(folder: Path, named: Path) -> None:
    """Raise RunError if a folder holds anything but an export."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "metrics.json").is_file():
        raise RunError(f"{named} exists and is not an export; name another folder")


def _write(folder: Path, fill: Callable[[Path], None]) -> None:
    """Write the export beside its place, and move it there when it is whole.

    Raises RunError if it cannot be written.
    """
    unfinished = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        fill(unfinished)
        _replace(folder, unfinished)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_files(
    folder: Path, best: BestEpoch, content: dict[str, Any], about: dict[str, Any]
) -> None:
    import torch

    # The states of the random-number generators serve only to resume the very same training.
    checkpoint = {name: value for name, value in content.items() if name != "random"}
    torch.save(content["model_state_dict"], folder / "model.pt")
    torch.save(checkpoint, folder / "checkpoint.pt")
    _write_facts(folder, best, about, README.format(**about))


def _write_facts(folder: Path, best: BestEpoch, about: dict[str, Any], readme: str) -> None:
    """Write the configuration, the metrics and the README."""
    from ruamel.yaml import YAML

    YAML(typ="safe", pure=True).dump(best.config, folder / "config.yaml")
    (folder / "metrics.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme, encoding="utf-8")


def _replace(folder: Path, new: Path) -> None:
    """Move a finished folder to its place, and delete the older export that was there.

    What somebody else put into the folder stays.
    """
    if not folder.exists():
        os.replace(new, folder)
        return
    # Asked again, because writing took time, and the folder may have been filled meanwhile.
    _check_replaceable(folder, folder)
    old = folder.with_name(f".{folder.name}-old-{os.getpid()}")
    os.replace(folder, old)  # a folder that is not empty cannot be replaced in one step
    os.replace(new, folder)
    for entry in old.iterdir():
        if not (folder / entry.name).exists():
            os.replace(entry, folder / entry.name)  # a user's own, beside the export
    shutil.rmtree(old)
