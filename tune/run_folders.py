"""Run directories: where a new one goes, which one to resume, and what a session writes there."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from raysweep.clock import now
from raysweep.errors import SessionInterrupted, UserError, first_line
from raysweep.files import atomic_write
from raysweep.history import Event
from raysweep.report_interval import UNITS
from raysweep.results import environment
from raysweep.results.storage import ledger, mirror
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.object_ledger import StoredLedger
from raysweep.results.storage.object_store import ObjectStore, is_url
from raysweep.results.storage.old_versions import translate_sweep
from raysweep.results.storage.run_directory import SWEEP, fetch_run, naming, runs_in
from raysweep.search_spaces.file.script_spec import ScriptSpec
from raysweep.search_spaces.language.space import flatten
from raysweep.trainables.runtime.import_trainable import same_function
from raysweep.tune import notify_urls
from raysweep.tune.command_checks import Refused
from raysweep.tune.controller import SweepController
from raysweep.tune.load import load_run_sweep
from raysweep.tune.script_length import check_longer
from raysweep.tune.sweep import Sweep

FREE = ("callbacks", "executor", "memory", "notify", "resources.fuse")
"""Keys that may change between the sessions of a run, because no result depends on them. What a run
remembers of earlier ones is in its ledger from its first session on."""
GROWING = (
    "budget.trials",
    "budget.time",
    *(f"budget.{unit}" for unit in UNITS),
    *(f"budget.total_{unit}" for unit in UNITS),
)
WAIT_SECONDS, LOOK_SECONDS = 180.0, 2.0
"""Seconds that `wait_until_free` waits at most, and between two looks. A session that was killed on
another machine holds a run until the file system (90 s, NFS) or the store (60 s) notices."""
LOCK = "lock"
"""The first file of a run directory."""
MOVED = ("script.folder", "script.config_file.template")
"""Paths of which the last part counts: a sweep that is sent to a cluster lies elsewhere there."""


class FolderError(UserError):
    """A run directory that cannot be used as asked, in one line (plus a line for each change)."""


@dataclass(frozen=True)
class RunFolder:
    """The run directory that a session writes. Its ledger's lock keeps other sessions out."""

    path: Path
    ledger: Ledger | StoredLedger

    @classmethod
    def hold(cls, path: Path, sweep: Sweep) -> RunFolder:
        """Take the lock, and write what every run directory has.

        Raises FolderError if the storage refuses, or if another session holds the directory.
        """
        held = None
        try:
            held = cls(path, mirror.open_ledger(path))
            if not held.ledger.past:
                environment.write(path)
            write_sweep(path, sweep)
            notify_urls.write(path, sweep.notify)
            held.logs.mkdir(exist_ok=True)
        except BaseException as error:
            if held is not None:
                held.close()
            if not isinstance(error, OSError):
                raise  # as Ctrl-C does
            reason = error.strerror or error
            raise FolderError(f"{mirror.display_path(path)} cannot be written: {reason}") from None
        return held

    @property
    def logs(self) -> Path:
        """The folder of what trials print, and of Ray's own messages."""
        return self.path / "logs"

    @property
    def location(self) -> str:
        """The path or the URL under which every machine finds the run directory."""
        bucket = mirror.origin(self.path)
        return bucket.url if bucket else str(self.path.resolve())

    @contextmanager
    def storage_errors(self) -> Iterator[None]:
        """Turn an OSError of the body into the end of the session: the sweep can be resumed."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise SessionInterrupted(
                f"{mirror.display_path(self.path)} cannot be written: {reason}"
            ) from error

    def opened(self, sweep: Sweep) -> None:
        """Record that a session begins."""
        self._append(
            {
                "event": "opened",
                "time": now(),
                "levels": list(sweep.levels()),
                "promotes": sweep.scheduler.promotes,
            }
        )

    def closed(self, controller: SweepController) -> None:
        """Record that a session ends, and why."""
        reason, interrupted = controller.stopping or "done", controller.interrupted
        self._append(
            {"event": "closed", "time": now(), "reason": reason, "interrupted": interrupted}
        )

    def _append(self, event: Event) -> None:
        with self.storage_errors():
            self.ledger.append(event)

    def close(self) -> None:
        """Release the lock."""
        self.ledger.close()


def begin_anywhere(storage: Path | str, stem: str, name: str | None) -> Path:
    """The run directory of a new run; if `storage` is a URL, a copy of it on this machine.

    Raises FolderError if it cannot be made.
    """
    if not isinstance(storage, str):
        return begin(storage, stem, name)
    bucket = ObjectStore(storage) / new(Path(), stem, name).name
    try:
        taken = bool(bucket.sizes())
    except OSError as error:
        raise FolderError(f"{storage} cannot be used: {first_line(error)}") from None
    if taken:
        raise FolderError(
            f"{bucket.url} exists already; resume it with --resume, or choose another --name"
        )
    return mirror.create(bucket)


def begun(storage: Path | str, name: str) -> Path | None:
    """The run of that name as a session left it, however early it was killed; None if none began.

    If it is in object storage, a copy of it on this machine.
    """
    try:
        if isinstance(storage, str):
            return resumed_anywhere(storage, "", name) if _is_stored(storage, name) else None
        folder = storage / name
        names = {path.name for path in folder.iterdir()} if folder.is_dir() else {"nothing"}
        return folder if ledger.NAME in names or names <= {LOCK} else None
    except OSError as error:
        raise FolderError(f"{storage} cannot be used: {first_line(error)}") from None


def _is_stored(storage: str, name: str) -> bool:
    return mirror.is_run(ObjectStore(storage) / name)


def is_run(folder: Path) -> bool:
    """True if a run directory holds what a session needs to resume it."""
    return (folder / ledger.NAME).is_file() and (folder / SWEEP).is_file()


def wait_until_free(folder: Path, say: Callable[[str], None]) -> None:
    """Wait, WAIT_SECONDS at most, for the end of another session that holds a run."""
    until = time.monotonic() + WAIT_SECONDS
    if mirror.is_locked(folder):
        say(f"{mirror.display_path(folder)} is held by another session; waiting for its end ...")
    while mirror.is_locked(folder) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)


def resumed_anywhere(storage: Path | str, stem: str, run: str) -> Path:
    """The run that `--resume` names, by its name, path or URL.

    If it is in object storage, a copy of it on this machine.
    """
    if is_url(run):
        return fetch_run(run)
    if not isinstance(storage, str):
        return resumed(storage, stem, run)
    bucket = ObjectStore(storage)
    try:
        runs = mirror.list_runs(bucket)
        found = [
            place
            for place in runs
            if _name(place) == run or (not run and _pattern(stem).fullmatch(_name(place)))
        ]
        copies = [mirror.fetch(place) for place in found]
    except OSError as error:
        raise FolderError(f"{storage} cannot be used: {first_line(error)}") from None
    if not copies:
        wanted = run or f"{stem} or {stem}-(time)"
        others = naming(run or stem, [_name(place) for place in runs])
        raise FolderError(f"nothing to resume: {storage} has no run called {wanted}{others}")
    return max(copies, key=lambda copy: float(ledger.read(copy)[-1]["time"]))


def _name(bucket: ObjectStore) -> str:
    return bucket.url.partition("?")[0].rpartition("/")[2]


def _pattern(stem: str) -> re.Pattern[str]:
    """Matches the run names that are `stem`, or `stem` and a time."""
    return re.compile(rf"{re.escape(stem)}(-\d{{8}}-\d{{6}})?")


def new(storage: Path, stem: str, name: str | None) -> Path:
    """The path of a new run directory: `name`, or the file's stem and the time.

    Raises FolderError if it exists, or if `name` is no plain name.
    """
    if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
        raise FolderError(
            f"--name {name}: expected letters, digits, '.', '-' and '_', "
            "the first of them a letter or digit"
        )
    folder = storage / (name or f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}")
    if folder.exists():
        hint = "choose another --name"
        if (folder / ledger.NAME).exists():
            hint = f"resume it with --resume, or {hint}"
        raise FolderError(f"{folder} exists already; {hint}")
    return folder


def begin(storage: Path, stem: str, name: str | None) -> Path:
    """Make the directory of a new run. Raises FolderError if it cannot be made."""
    folder = new(storage, stem, name)
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise FolderError(
            f"{folder} cannot be made: {error.strerror}; name another place with --storage"
        ) from None
    return folder


def has_begun(folder: Path) -> bool:
    """True if a run has a trial."""
    return any(event["event"] == "proposed" for event in ledger.read(folder))


def discard(folder: Path) -> None:
    """Remove a run that ended before its first trial; keep any other."""
    if not has_begun(folder):
        mirror.delete_run(folder)


def resumed(storage: Path, stem: str, run: str) -> Path:
    """The run that `--resume` names: by its name under `storage`, or by its path.

    If `run` is empty, the newest run of this file.
    """
    if not run:
        return latest(storage, stem)
    for place in (storage / run, Path(run)):
        if is_run(place):
            return place
    others = naming(Path(run).name, [Path(path).name for path in runs_in(storage)])
    raise FolderError(
        f"nothing to resume: neither {storage / run} nor {run} is a run directory{others}"
    )


def latest(storage: Path, stem: str) -> Path:
    """The newest run whose name is `stem`, or `stem` and a time."""
    runs = [
        path.parent
        for path in storage.glob(f"*/{ledger.NAME}")
        if _pattern(stem).fullmatch(path.parent.name)
    ]
    if not runs:
        raise FolderError(
            f"nothing to resume: {storage} has no run called {stem} or {stem}-(time); "
            "--resume RUN names another"
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


def recorded_sweep(folder: Path, overrides: Sequence[str] = ()) -> Sweep:
    """The sweep of a run directory, with `key=value` overrides, for use outside of a session.

    It has no callbacks, no executor and no memory: they serve sessions only, and their files and
    runs may be gone.
    """
    outside = ["callbacks=[]", "executor=null", "memory=none"]
    return load_run_sweep(folder, [*outside, *overrides])


def check_unchanged(folder: Path, sweep: Sweep) -> str:
    """Raise FolderError, with the differences, if the file changed since the run began.

    A budget may grow, also the length of a trial, unless the command of a script fixes it;
    callbacks, the executor and `resources.fuse` may change. Returns a warning, or "": that nothing
    tells a script the new length.
    """
    from ruamel.yaml import YAML

    with open(folder / SWEEP, encoding="utf-8") as file:
        before = translate_sweep(YAML(typ="safe", pure=True).load(file))
    after = json.loads(json.dumps(sweep.resolved))
    if "script" in after:  # runs of early versions have no such section, or not all of its keys
        before = before | {"script": ScriptSpec().section() | before.get("script", {})}
    changes = list(_changes(flatten(before), flatten(after)))
    if changes:
        raise FolderError(
            f"{folder} was begun with another specification:\n"
            + "\n".join(f"  {change}" for change in changes)
            + "\nIts trials would not be comparable; for another specification begin a new run."
        )
    unit = sweep.budget.interval.unit
    if before.get("budget", {}).get(unit) == after.get("budget", {}).get(unit):
        return ""
    try:
        return check_longer(sweep).removeprefix("; ")
    except Refused as error:
        raise FolderError(str(error)) from None


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if key == "trainable" and same_function(str(old), str(new)):
            continue
        if key in MOVED and old is not None and _last_part(old) == _last_part(new):
            continue
        if key in FREE or key.partition(".")[0] in FREE:
            continue
        if old != new and not (key in GROWING and _grew(old, new)):
            yield f"{key}: was {old}, is {new}"


def _last_part(path: Any) -> str:
    return str(path).rpartition("/")[2]


def _grew(old: Any, new: Any) -> bool:
    """True if a limit was raised or lifted."""
    return new is None or (old is not None and float(new) >= float(old))
