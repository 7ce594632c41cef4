"""Run folders: where a new one goes, which one to resume, and whether the YAML file still says what it said."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from raysweep.errors import UserError
from raysweep.files import atomic_write
from raysweep.results.storage import ledger, mirror
from raysweep.results.storage.object_store import ObjectStore, is_url
from raysweep.results.storage.old_versions import translate_sweep
from raysweep.results.storage.run_directory import fetch_run
from raysweep.search_spaces.file.sweep_spec import ScriptSpec
from raysweep.search_spaces.language.space import flatten
from raysweep.trainables.runtime.import_trainable import full_name
from raysweep.tune.sweep import Sweep

SWEEP = "sweep.yaml"
GROWING = ("budget.trials", "budget.epochs", "budget.total_epochs", "budget.time")


class FolderError(UserError):
    """A run folder that cannot be used as asked, in one line (or, for a changed file, one line a change)."""


def begin_anywhere(storage: Path | str, stem: str, name: str | None) -> Path:
    """The folder of a new run; where `storage` is a URL, a working copy of it. FolderError where it cannot be made."""
    if not isinstance(storage, str):
        return begin(storage, stem, name)
    bucket = ObjectStore(storage) / new(Path(), stem, name).name
    try:
        taken = bool(bucket.sizes())
    except OSError as error:
        raise FolderError(f"{storage} cannot be used: {str(error).splitlines()[0]}") from None
    if taken:
        raise FolderError(
            f"{bucket.url} exists already; resume it with --resume, or choose another --name"
        )
    return mirror.create(bucket)


def resumed_anywhere(storage: Path | str, stem: str, run: str) -> Path:
    """The run that `--resume` means, by its name, path or URL; a working copy of it if it lies in object storage."""
    if is_url(run):
        return fetch_run(run)
    if not isinstance(storage, str):
        return resumed(storage, stem, run)
    bucket = ObjectStore(storage)
    try:
        found = [
            one
            for one in mirror.list_runs(bucket)
            if _name(one) == run or (not run and _named(stem).fullmatch(_name(one)))
        ]
        copies = [mirror.fetch(one) for one in found]
    except OSError as error:
        raise FolderError(f"{storage} cannot be used: {str(error).splitlines()[0]}") from None
    if not copies:
        raise FolderError(
            f"nothing to resume: {storage} has no run called {run or f'{stem} or {stem}-(time)'}"
        )
    return max(copies, key=lambda copy: float(ledger.read(copy)[-1]["time"]))


def _name(bucket: ObjectStore) -> str:
    return bucket.url.partition("?")[0].rpartition("/")[2]


def _named(stem: str) -> re.Pattern[str]:
    """Names of runs that bear this name, or this name and a time."""
    return re.compile(rf"{re.escape(stem)}(-\d{{8}}-\d{{6}})?")


def new(storage: Path, stem: str, name: str | None) -> Path:
    """The folder of a new run: `name`, or the file's stem and the time. FolderError where it exists or would lie elsewhere."""
    if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
        raise FolderError(
            f"--name {name}: expected letters, digits, '.', '-' and '_', the first of them a letter or digit"
        )
    folder = storage / (name or f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}")
    if folder.exists():
        hint = (
            "resume it with --resume, or choose another --name"
            if (folder / ledger.NAME).exists()
            else "choose another --name"
        )
        raise FolderError(f"{folder} exists already; {hint}")
    return folder


def begin(storage: Path, stem: str, name: str | None) -> Path:
    """Make the folder of a new run. FolderError where it cannot be made."""
    folder = new(storage, stem, name)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be made: {error.strerror}; name another place with --storage"
        ) from None
    return folder


def discard(folder: Path) -> None:
    """Remove a run that ended by a mistake before its first trial was proposed; any other is kept."""
    if not any(event["event"] == "proposed" for event in ledger.read(folder)):
        mirror.delete_run(folder)


def resumed(storage: Path, stem: str, run: str) -> Path:
    """The run that `--resume` means: by its name under `storage`, by its path, or (`run` is empty) the newest of this file."""
    if not run:
        return latest(storage, stem)
    for place in (storage / run, Path(run)):
        if (place / ledger.NAME).is_file() and (place / SWEEP).is_file():
            return place
    raise FolderError(f"nothing to resume: neither {storage / run} nor {run} is a run directory")


def latest(storage: Path, stem: str) -> Path:
    """The newest run that bears this name, or this name and a time."""
    runs = [
        path.parent
        for path in storage.glob(f"*/{ledger.NAME}")
        if _named(stem).fullmatch(path.parent.name)
    ]
    if not runs:
        raise FolderError(
            f"nothing to resume: {storage} has no run called {stem} or {stem}-(time); --resume RUN names another"
        )
    return max(runs, key=lambda run: (run / ledger.NAME).stat().st_mtime)


def write_sweep(folder: Path, sweep: Sweep) -> None:
    """Write the resolved specification. It reads back to the same sweep."""
    from ruamel.yaml import YAML

    folder.mkdir(parents=True, exist_ok=True)
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = StringIO()
    writer.dump(json.loads(json.dumps(sweep.resolved)), text)
    atomic_write(folder / SWEEP, text.getvalue())


def check_unchanged(folder: Path, sweep: Sweep) -> None:
    """FolderError, with the differences, where the file changed since the run began; a budget that grew is none."""
    from ruamel.yaml import YAML

    with open(folder / SWEEP, encoding="utf-8") as file:
        before = translate_sweep(YAML(typ="safe", pure=True).load(file))
    after = json.loads(json.dumps(sweep.resolved))
    if "script" in after:  # a run that was begun before there was such a section
        before = {"script": ScriptSpec().model_dump(mode="json")} | before
    changes = list(_changes(flatten(before), flatten(after)))
    if changes:
        raise FolderError(
            f"{folder} was begun with another specification:\n"
            + "\n".join(f"  {change}" for change in changes)
        )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if key == "trainable" and _same_function(old, new):
            continue
        if old != new and not (key in GROWING and _grew(old, new)):
            yield f"{key}: was {old}, is {new}"


def _same_function(old: Any, new: Any) -> bool:
    """Whether two names mean one file's function: the same sweep may be sent to a cluster, or typed there, and its file lies elsewhere."""
    return full_name(str(old)).rpartition("/")[2] == full_name(str(new)).rpartition("/")[2]


def _grew(old: Any, new: Any) -> bool:
    """Whether a limit was raised or lifted."""
    return new is None or (old is not None and float(new) >= float(old))
