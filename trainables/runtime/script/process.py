"""Starts a script as a process of its own, and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysweep.placeholders import ENVIRONMENT, LENGTHS, fill, placeholders
from raysweep.references import SCRIPT_FILES
from raysweep.trainables.runtime import kill_with_parent
from raysweep.trainables.runtime.import_trainable import TrainableError
from raysweep.trainables.runtime.run import Run
from raysweep.trainables.runtime.script.checkpoints import Checkpoints
from raysweep.trainables.runtime.script.command_line import CommandLine, filled
from raysweep.trainables.runtime.script.hooks import with_wandb_hook
from raysweep.trainables.runtime.script.launchers import free_port, launched, search_path

INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Paths:
    """The script, and the folder of the trial."""

    script: Path
    trial: Path

    @property
    def folder(self) -> Path:
        """Where the script may keep its files: `RAYSWEEP_FOLDER`, and `{folder}` in texts."""
        return self.trial / SCRIPT_FILES

    @property
    def reports(self) -> Path:
        return self.trial / "reports.jsonl"


@dataclass(frozen=True)
class Saved:
    """The checkpoints of a trial, and the newest; None for a script that does not say where."""

    checkpoints: Checkpoints | None = None
    newest: Path | None = None


@dataclass(frozen=True)
class Call:
    """A script as it is started.

    `words`: the whole command. `folder`: the working folder. `environment`: all variables.
    `saved`: its checkpoints, and the one that it continues from.
    `values`: those of the placeholders.
    """

    words: list[str]
    folder: Path
    environment: dict[str, str]
    saved: Saved
    values: Values

    @property
    def knows_length(self) -> bool:
        """True if the script is told how long a trial is, so that it ends by itself."""
        return not self.values.asked.isdisjoint(LENGTHS)

    @property
    def continues(self) -> bool:
        """True if the script is told to continue from a checkpoint."""
        return self.saved.newest is not None

    def refuse_checkpoint(self, or_any: bool = False) -> None:
        """Have the next attempt continue from another checkpoint than this one did.

        `or_any`: from none of those that there are now, so that it begins again.
        """
        checkpoints, newest = self.saved.checkpoints, self.saved.newest
        if checkpoints is not None and newest is not None:
            checkpoints.refuse(newest, *(checkpoints.found() if or_any else ()))


class Values(dict[str, str]):
    """The values of placeholders. A port is looked for, and a variable read, when it is asked.

    `asked`: the names of those that were filled in.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)

    def __missing__(self, name: str) -> str:
        if name == "port":
            self[name] = str(free_port())
            return self[name]
        variable = name.removeprefix(ENVIRONMENT)
        if variable == name:
            raise TrainableError(f"script: '{{{name}}}' has no value in this configuration")
        if variable not in os.environ:
            raise TrainableError(f"script: the environment variable {variable} is not set")
        return os.environ[variable]


def make_call(paths: Paths, config: dict[str, Any], run: Run, how: CommandLine) -> Call:
    """The call of the script for a configuration. Its configuration file, if any, is written.

    Raises TrainableError for a launcher or a folder that is not there.
    """
    paths.folder.mkdir(parents=True, exist_ok=True)
    values = _values(paths, config, (run.trial, run.seed, run.device), how)
    folder = _working_folder(paths, how, values)
    if how.folder is not None and any(placeholders(how.folder)):
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        raise TrainableError(f"script.folder: there is no folder {folder}")
    saved = _find_checkpoint(folder, paths, how, values)
    if how.config_file is not None:
        values["config_file"] = str(paths.folder / how.config_file.name)
        how.config_file.write(paths.folder, how.in_file(config), values)
    script = ["-m", how.module] if how.module else [str(paths.script)]
    launcher = None
    if how.launcher is not None:
        launcher = filled(how.launcher, values)
    words = [*launched(launcher), *script, *how.words(config, values, saved.newest is not None)]
    environment = _environment(paths, config, run, how, values)
    return Call(words, folder, environment, saved, values)


def checkpoints_of(
    paths: Paths, config: dict[str, Any], trial: tuple[str, int, str], how: CommandLine
) -> Checkpoints | None:
    """The checkpoints of a trial, given by its name, seed and device; None if it says nothing."""
    if how.checkpoint is None:
        return None
    values = _values(paths, config, trial, how)
    return Checkpoints.at(how.checkpoint, values, _working_folder(paths, how, values), paths.trial)


def _values(
    paths: Paths, config: dict[str, Any], trial: tuple[str, int, str], how: CommandLine
) -> Values:
    """The values of the placeholders. `trial`: its name, seed and device."""
    name, seed, device = trial
    given = {
        "folder": str(paths.folder),
        "seed": str(seed),
        "device": device,
        "trial": name,
        "sweep": str((paths.script.parent / how.sweep).resolve()),
        "config": json.dumps(config),
    }
    return Values(how.placeholders(config) | given)


def _working_folder(paths: Paths, how: CommandLine, values: Values) -> Path:
    text = "." if how.folder is None else fill(how.folder, values.__getitem__)
    return (paths.script.parent / text).resolve()


def _find_checkpoint(folder: Path, paths: Paths, how: CommandLine, values: Values) -> Saved:
    """The checkpoints of the trial, and the newest; `{checkpoint}` gets its value."""
    if how.checkpoint is None:
        return Saved()
    checkpoints = Checkpoints.at(how.checkpoint, values, folder, paths.trial)
    values["checkpoint"] = str(folder / fill(how.checkpoint, values.__getitem__))
    if how.resume is None:
        return Saved()  # it begins again, and what it saves is only for the export
    found = checkpoints.found()
    if not found:
        return Saved(checkpoints)
    values["checkpoint"] = str(found[-1])
    return Saved(checkpoints, found[-1])


@contextmanager
def running(paths: Paths, call: Call) -> Iterator[subprocess.Popen[bytes]]:
    """The script as a process that ends with the body, or when this process dies."""
    # What an earlier attempt reported is in the ledger. Read again, it would count for this one.
    paths.reports.unlink(missing_ok=True)
    # -I -S: the guard needs no packages, and so starts in milliseconds.
    guard = [sys.executable, "-I", "-S", kill_with_parent.__file__]
    process = subprocess.Popen(
        [*guard, *call.words],
        cwd=call.folder,
        env=with_wandb_hook(call.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        if call.saved.checkpoints is not None:
            call.saved.checkpoints.wait_until_whole(lambda: process.poll() is None)
        process.stdin.close()  # which ends the script, if it still runs
        process.wait()


def _environment(
    paths: Paths, config: dict[str, Any], run: Run, how: CommandLine, values: Values
) -> dict[str, str]:
    """All variables of the script's process; those that the user sets win."""
    environment = os.environ | {
        "PATH": search_path(os.environ),
        "PYTHONUNBUFFERED": "1",  # or reports would stay in a buffer
        "RAYSWEEP_CONFIG": json.dumps(config),
        "RAYSWEEP_DEVICE": run.device,
        "RAYSWEEP_FOLDER": str(paths.folder),
        "RAYSWEEP_REPORTS": str(paths.reports),
        "RAYSWEEP_REPORT_EVERY": str(run.report_every),
        "RAYSWEEP_SEED": str(run.seed),
        f"RAYSWEEP_{run.unit.upper()}": str(run.length),
    }
    if how.module:
        environment["PYTHONPATH"] = _module_path(paths.script, how.module, environment)
    for name, text in how.environment.items():
        environment.pop(name, None)
        if text is not None:
            environment[name] = fill(text, values.__getitem__)
    return environment


def _module_path(script: Path, module: str, environment: Mapping[str, str]) -> str:
    """The PYTHONPATH on which Python finds the module, wherever the working folder is."""
    root, path = module_root(script, module), environment.get("PYTHONPATH", "")
    if any(part in INSTALLED for part in root.parts):
        return path
    return os.pathsep.join([str(root), *filter(None, [path])])


def module_root(file: Path, module: str) -> Path:
    """The folder that holds a module's outermost package, or the module itself."""
    levels = module.count(".") + (file.name in ("__init__.py", "__main__.py"))
    return file.parents[levels]
