"""The local mirror of a run in object storage.

A run whose storage is a URL is worked on through a folder of this machine: a copy of everything
but the checkpoints and logs, with a file that names its origin. Code that reads or writes run
directories treats a mirror like any other folder. The functions here bring what is in the store to
the mirror, and what changed in the mirror to the store. On a plain folder they do nothing, or act
on the folder alone.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from raysweep.results.storage import ledger, object_ledger
from raysweep.results.storage.ledger import Ledger
from raysweep.results.storage.object_ledger import StoredLedger
from raysweep.results.storage.object_store import ObjectStore

ORIGIN = ".origin"
"""The file in a mirror that holds the URL of the run."""
RETRAININGS = "confirm"
"""The run directory of the retrainings, within that of the search."""
TRANSFER_THREADS = 16
"""Objects that are transferred at once. A small object takes some 50 ms, nearly all waiting."""
UPLOAD_SECONDS = 20.0
"""How often, in seconds, changed files are uploaded. The ledger does not wait for this."""
NOT_MIRRORED = ("logs/", "trials/", "commands/")
"""Folders of a run that stay in the store: they hold checkpoints, whatever trials wrote, and the
commands that wait (`inbox.py`), which are read and written there alone."""
SCRIPT_CHECKPOINTS = "script_checkpoints"
"""The folder of a trial in the store in which the checkpoints of a script are kept."""
_OWN_UPLOAD = (ledger.NAME, "lock")
"""Files that the ledger itself keeps in the store."""


def origin(path: Path) -> ObjectStore | None:
    """Where a file or folder lies in the store; None if it is in no mirror."""
    path = path.absolute()
    for above in (path, *path.parents):
        if (above / ORIGIN).is_file():
            store = ObjectStore((above / ORIGIN).read_text())
            if above == path:
                return store
            return store / path.relative_to(above).as_posix()
    return None


def display_path(path: Path | str) -> str:
    """A path as a user can find it again: of a mirror, the URL in the store."""
    if store := origin(Path(path)):
        return store.url
    return str(path)


def create(store: ObjectStore) -> Path:
    """Make the empty mirror of a run. It is deleted when this process ends."""
    # `TemporaryDirectory` would delete it as soon as its object is collected.
    parent = Path(tempfile.mkdtemp(prefix="raysweep-"))
    atexit.register(shutil.rmtree, parent, ignore_errors=True)
    # The name of the folder is the name of the run; the options of the URL are not part of it.
    folder = parent / store.url.partition("?")[0].rpartition("/")[2]
    folder.mkdir()
    (folder / ORIGIN).write_text(store.url)
    return folder


def fetch(store: ObjectStore) -> Path:
    """Make the mirror of a run that exists. Raises OSError if the store cannot be reached."""
    folder = create(store)
    update(store, folder)
    # In the store a ledger is many objects; in the mirror it is the one file that readers know.
    if content := object_ledger.read(store):
        (folder / ledger.NAME).write_bytes(content)
    return folder


def update(store: ObjectStore, folder: Path) -> None:
    """Bring what `fetch` downloads up to date in a mirror, but for the ledger of the search."""
    names = [name for name in store.sizes() if _is_mirrored(name)]
    with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
        # `list` waits, and raises what a thread raised.
        list(pool.map(lambda name: _download(store, name, folder), names))
    if content := object_ledger.read(store / RETRAININGS):
        (folder / RETRAININGS).mkdir(exist_ok=True)
        (folder / RETRAININGS / ledger.NAME).write_bytes(content)


def is_run(store: ObjectStore) -> bool:
    """True if a run was begun at this URL."""
    return bool(store.sizes(object_ledger.FOLDER))


def list_runs(store: ObjectStore) -> list[ObjectStore]:
    """The runs directly below a URL."""
    return [store / name for name in store.folders() if is_run(store / name)]


def fetch_checkpoint(folder: Path, trial_id: str, name: str) -> Path:
    """The path of a trial's checkpoint, downloaded first if it is in the store only.

    The file does not exist if there is no such checkpoint.
    """
    path = folder / "trials" / trial_id / name
    if not path.exists() and (store := origin(folder)):
        _download(store, f"trials/{trial_id}/{name}", folder)
    return path


def with_checkpoint(folder: Path) -> set[str]:
    """The trials of a run whose best epoch has a checkpoint, here or in the store."""
    found = {path.parent.name for path in folder.glob("trials/*/best.pt")}
    if store := origin(folder):
        names = (name.split("/") for name in store.sizes("trials"))
        found |= {parts[1] for parts in names if parts[2:] == ["best.pt"]}
    return found


def fetch_log(folder: Path, trial_id: str) -> Path:
    """The path of what a trial printed, downloaded first if it is in the store only.

    The file does not exist if the trial has printed nothing.
    """
    path = folder / "logs" / f"{trial_id}.log"
    if store := origin(folder):
        _download(store, f"logs/{trial_id}.log", folder)
    return path


def log_sizes(folder: Path) -> dict[str, int]:
    """The bytes of what trials printed, by their names, of those that printed something."""
    sizes = {path.stem: path.stat().st_size for path in (folder / "logs").glob("*.log")}
    if store := origin(folder):
        sizes |= {Path(name).stem: size for name, size in store.sizes("logs").items()}
    return {trial: size for trial, size in sizes.items() if size}


def delete_checkpoints(folder: Path, trial_id: str) -> None:
    """Delete a trial's checkpoints from the store."""
    if store := origin(folder):
        for name in ("last.pt", "best.pt"):
            store.delete(f"trials/{trial_id}/{name}")
        for name in store.sizes(f"trials/{trial_id}/{SCRIPT_CHECKPOINTS}"):
            store.delete(name)


def delete_run(folder: Path) -> None:
    """Delete a run directory, and the run that it mirrors."""
    if store := origin(folder):
        for name in store.sizes():
            store.delete(name)
    shutil.rmtree(folder, ignore_errors=True)


def open_ledger(folder: Path) -> Ledger | StoredLedger:
    """Open the ledger of a run directory or of a mirror for appending."""
    if store := origin(folder):
        return StoredLedger(folder, store)
    return Ledger(folder)


def is_locked(folder: Path) -> bool:
    """True if a process is writing to this run."""
    if store := origin(folder):
        return object_ledger.is_locked(store)
    return ledger.is_locked(folder)


class Uploader:
    """Uploads what changed in a mirror, in the background. On a plain folder it does nothing.

    The ledger is not uploaded here: each of its events is in the store already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = origin(folder)
        self._uploaded: dict[Path, tuple[int, int]] = {}
        self._pool = ThreadPoolExecutor(1)
        self._upload: Future[None] | None = None
        self._started = time.monotonic()

    def tick(self) -> None:
        """Start an upload if the last one is over and began UPLOAD_SECONDS ago. Call it often."""
        if self._store is None or time.monotonic() - self._started < UPLOAD_SECONDS:
            return
        if self._upload is None or self._upload.done():
            self._started = time.monotonic()
            self._upload = self._pool.submit(self._try_upload)

    def upload(self) -> None:
        """Upload now, and wait. Raises OSError if the store refuses."""
        if self._store is None:
            return
        store = self._store
        versions = {path: _version(path) for path in self._folder.rglob("*") if _is_uploaded(path)}
        changed = [path for path, mark in versions.items() if self._uploaded.get(path) != mark]

        def upload(path: Path) -> None:
            store.write(path.relative_to(self._folder).as_posix(), path.read_bytes())

        with ThreadPoolExecutor(TRANSFER_THREADS) as pool:
            list(pool.map(upload, changed))
        # Only now: after an error the next upload must take the same files again. A file that
        # changed meanwhile is taken again too, since its version was noted before it was read.
        self._uploaded = versions

    def close(self) -> None:
        """Upload what is left. Raises OSError if the store refuses."""
        # An upload in the background ends first, so that it cannot put back an older file.
        self._pool.shutdown()
        self.upload()

    def _try_upload(self) -> None:
        with contextlib.suppress(OSError):  # `close` tries once more, and raises
            self.upload()


def upload(folder: Path) -> None:
    """Upload all files of a mirror."""
    Uploader(folder).upload()


def _is_mirrored(name: str) -> bool:
    """True if `fetch` downloads an object as it is: neither a checkpoint nor part of a ledger."""
    inside = name.removeprefix(f"{RETRAININGS}/")
    if inside in (object_ledger.LOCK, ledger.NAME):
        return False
    return not inside.startswith((*NOT_MIRRORED, f"{object_ledger.FOLDER}/"))


def _is_uploaded(path: Path) -> bool:
    # Hidden files are `.origin`, and files that are still being written.
    return path.is_file() and path.name not in _OWN_UPLOAD and not path.name.startswith(".")


def _version(path: Path) -> tuple[int, int]:
    """The time of modification and the size: a file with the same pair counts as unchanged."""
    return path.stat().st_mtime_ns, path.stat().st_size


def _download(store: ObjectStore, name: str, folder: Path) -> None:
    if (content := store.read(name)) is not None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
